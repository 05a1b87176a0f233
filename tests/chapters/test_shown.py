"""What the chapters show: each figure and table with its name, its caption and its words."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from engine import digits, threads
from torch import nn

import advlib
from advlib.chapters import (
    back_matter,
    training,
    training_words,
)
from advlib.data import Dataset
from advlib.published import slides
from advlib.published.comparison import epochwise_readings, evaluation_data
from advlib.report.prose import read_line, read_markdown
from advlib.settings import Experiment
from advlib.show import captions


class World:
    """What the chapters work with, small."""

    experiment = Experiment()
    models: dict[str, nn.Module]
    data: Dataset
    history: pd.DataFrame

    def __init__(self) -> None:
        whole = digits()
        self.data = replace(whole, test=whole.test.first(60))
        images, labels = self.data.test.images, self.data.test.labels
        self.models = {name: advlib.pretrained(name) for name in ("standard", "mixed")}
        self.evaluation = evaluation_data(
            {name: advlib.evaluate(self.models["mixed"], images, labels) for name in slides.IMAGES}
        )
        self.history = pd.DataFrame({"epoch": [1, 2], "seconds": [1.0, 1.0]})
        for figure in ("objective", "top1_error", "top5_error"):
            for part in ("train", "train_adversarial", "validation", "validation_adversarial"):
                self.history[f"{figure}_{part}"] = [2.0, 1.0]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with threads(1):
        yield World()


SHOWN: dict[str, Callable[[World], None]] = {
    "tbl-architecture": lambda w: training.show_architecture(advlib.LeNet(), w.data),
    "tbl-settings": lambda w: training.show_settings(w.experiment),
    "fig-curves-mixed": lambda w: training.show_curves(w.history, "mixed"),
    "tbl-curves-mixed": lambda w: training.show_readings(w.history, "mixed", "mixed"),
    "tbl-evaluation-mixed": lambda w: training.show_evaluation(w.evaluation, "mixed", 0.1, "mixed"),
    "tbl-epochwise": lambda w: training.show_epochwise(epochwise_readings()),
    "tbl-findings": lambda w: back_matter.show_findings(),
    "tbl-wording": lambda w: back_matter.show_wording(),
    "tbl-environment": lambda w: back_matter.show_environment(),
}


@pytest.mark.parametrize("label", SHOWN)
def test_it_is_shown_with_all_that_the_report_needs(
    label: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    displayed: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(
        captions,
        "publish_display_data",
        lambda found, metadata: displayed.append((found, metadata)),
    )
    SHOWN[label](world)
    (content, metadata), (caption, _) = displayed
    about = metadata["advlib"]
    assert about["label"] == label
    assert caption["text/markdown"].startswith(("**Figure *", "**Table *"))
    assert read_line(about["caption"])
    if label.startswith("fig-"):
        assert len(about["alt"]) > 40
        assert metadata["image/png"]["width"] > 500
        assert content["image/svg+xml"].startswith("<svg")
    else:
        assert "<table>" in read_markdown(content["text/markdown"])


def test_nothing_is_shown_where_nothing_was_published(world: World) -> None:
    training.show_readings(world.history, "mixed", None)
    training.show_epochwise({})
    back_matter.show_stages([])


def test_what_to_expect_depends_on_the_settings() -> None:
    say = training_words.describe_expectations
    assert say(Experiment()) == "The settings of this report are those of the published experiment."
    quick = say(Experiment(images=1000, epochs=1))
    assert "97\N{NO-BREAK SPACE}% after standard" in quick
    assert quick.endswith("With fewer images and epochs expect the same order, and less effect.")
    assert not say(Experiment(attack_epsilon=0.3)).endswith("less effect.")
