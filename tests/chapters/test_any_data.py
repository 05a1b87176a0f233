"""The chapters on data of one's own: any number of classes, any size, grey and colour."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from engine import threads
from folders import put_idx, put_pictures
from torch import nn

import advlib
from advlib.chapters import (
    adversarial_examples,
    confidence,
    data_words,
    every_epsilon,
    stronger_attacks,
    training,
)
from advlib.chapters import data as data_chapter
from advlib.data import Dataset, load_data
from advlib.experiment.opening import open_experiment
from advlib.kept.folders import MNIST
from advlib.settings import Experiment
from advlib.show import captions
from advlib.show.figures import divide, write_name

FOLDERS: dict[str, Callable[[Path], Path]] = {
    "three classes in colour": lambda f: put_pictures(f / "my colours"),
    "two classes, wide": lambda f: put_pictures(
        f / "wide", classes=("cost $5 or $6 *and* more", "b"), shape=(4, 30)
    ),
    "26 classes from 1": lambda f: put_idx(f / "letters", test_is_sorted=True),
    "62 classes": lambda f: put_idx(f / "many", classes=62, train=200, test=124, size=(28, 28)),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(params=FOLDERS, scope="module")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_data(FOLDERS[request.param](tmp_path_factory.mktemp("data")))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What is shown, by label."""
    found: dict[str, dict[str, Any]] = {}

    def keep(content: dict[str, Any], metadata: dict[str, Any]) -> None:
        about = metadata["advlib"]
        if about["kind"] != "caption":
            found[about["label"]] = about | {"content": content}

    monkeypatch.setattr(captions, "publish_display_data", keep)
    return found


def make_models(data: Dataset) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    values, classes = data.mean_image.numel(), len(data.classes)
    return {
        name: nn.Sequential(nn.Flatten(), nn.Linear(values, classes)).eval()
        for name in ("standard", "mixed")
    }


def test_the_chapters_show_it(
    data: Dataset, shown: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stronger_attacks, "FEW", 4)
    monkeypatch.setattr(stronger_attacks, "QUERIES", 5)
    monkeypatch.setattr(every_epsilon, "SIZES", (0.0, 0.1))
    models = make_models(data)
    images, labels = data.test.images, data.test.labels
    model = models["standard"]
    attacked = advlib.fgsm(model, images, labels, 0.1)
    with torch.no_grad():
        probabilities = torch.stack([model(each).softmax(1) for each in (images, attacked)])
    predictions = probabilities.argmax(2)
    data_chapter.show_images(data)
    data_chapter.show_classes(data)
    data_chapter.show_preprocessing(data)
    adversarial_examples.show_pair(data, 0, attacked, predictions, probabilities)
    adversarial_examples.show_grid(data, attacked, predictions)
    every_epsilon.show_sweep(every_epsilon.sweep_sizes(models, data, 4, 0), data, 4)
    logits = every_epsilon.follow_gradient(model, images[:1], labels[:1], 0.5)
    every_epsilon.show_line(logits, data.classes, int(labels[0]))
    regression = every_epsilon.regress_pair(data)
    every_epsilon.show_regression(regression, data)
    few = data.test.first(4)
    found = advlib.robustness(models, few.images, few.labels, 0.1, bounds=data.bounds, steps=2)
    stronger_attacks.show_robustness(found, 0.1)
    checks = stronger_attacks.check_attacks(models, data, found, Experiment())
    stronger_attacks.show_checks(checks)
    certain = confidence.measure(models, data, 0.1)
    confidence.show_reliability(certain)
    confidence.show_risk(certain)
    assert len(shown) == 12
    errors = regression["error"].to_dict()
    assert errors["FGSM"] == errors["by the margins"]
    for label, about in shown.items():
        said = about["caption"] + about.get("alt", "")
        assert not re.search(r"(?i)digit|MNIST|28 x|\bten\b", said), label
    counts = shown["tbl-classes"]["data"]
    assert counts["index"] == [*data.classes, "all"]


def test_a_search_without_gradients_changes_valid_pixels_alone(data: Dataset) -> None:
    """In the corner of a square, as ART wants it: the rest of that is not the model's."""
    model = make_models(data)["standard"]
    clean = stronger_attacks.search_at_random(model, data, 0.0, seed=0)
    assert stronger_attacks.search_at_random(model, data, 0.3, seed=0) >= clean


def test_the_words_are_true(data: Dataset) -> None:
    words = " ".join(
        [
            data_words.describe_data(data),
            data_words.describe_preprocessing(data),
            data_words.describe_scale(data, 0.1),
        ]
    )
    words = " ".join(words.split())
    _, height, width = data.mean_image.shape
    assert f"one of {len(data.classes)} classes" in words
    assert rf"${height} \times {width}$ pixels" in words
    assert f"the last {len(data.validation)} of" in words
    assert "MNIST" not in words
    assert "The slides" not in words
    assert f"SHA-256 {data.fingerprint[:16]}" in words
    assert ("red, green and blue" in words) == (len(data.mean_image) == 3)
    assert ("folder for each class" in words) == data.pictures
    assert ("the test file, sorted by class," in words) == (data.evenly == ("test",))
    assert (r"x = p - \bar{p} ." in words) == (data.preprocessing == "plain")
    levels = 255 * data.epsilon_in_pixels(0.1)
    assert f"{levels:.1f} of 255" in words
    text = every_epsilon.introduce_regression(data)
    assert "threes" not in text
    assert len(set(every_epsilon.find_pair(data))) == 2


def test_of_mnist_the_words_are_the_slides() -> None:
    data = load_data(images=100)
    assert "handwritten\ndigits" in data_words.describe_data(data)
    assert "The slides mention the subtraction only" in data_words.describe_preprocessing(data)
    assert "threes and\nsevens" in every_epsilon.introduce_regression(data)
    assert every_epsilon.find_pair(data) == (3, 7)


def test_a_regression_takes_classes_that_there_are(tmp_path: Path) -> None:
    data = load_data(put_idx(tmp_path, classes=9, train=100), images=20)
    kept = (data.train.labels == 4) | (data.train.labels == 8)
    few = advlib.data.Split(data.train.images[kept], data.train.labels[kept])
    object.__setattr__(data, "train", few)
    assert every_epsilon.find_pair(data) == (4, 8)


@pytest.mark.parametrize("count", [2, 10, 13, 14, 26, 62, 65])
def test_columns_are_divided_among_rows(count: int) -> None:
    parts = divide(count)
    assert [label for part in parts for label in part] == [*range(count)]
    assert max(map(len, parts)) <= 13
    assert {len(part) for part in parts[:-1]} <= {len(parts[0])}


def test_a_class_may_be_named_all(tmp_path: Path) -> None:
    data = load_data(put_pictures(tmp_path, classes=("all", "none")))
    counts = data_chapter.count_classes(data)
    assert counts["test"].tolist() == [10, 10, 20]
    assert counts.index.tolist() == ["all", "none", "all"]


def test_names_are_short_and_no_formulas() -> None:
    assert write_name("Ankle boot") == "Ankle boot"
    assert write_name("$x$") == r"\$x\$"
    first, second = (write_name(f"species number {n:03}") for n in (1, 2))
    assert first != second
    assert len(first) <= 14


def test_a_known_data_set_in_a_folder_is_known(tmp_path: Path) -> None:
    own = put_pictures(tmp_path / "my data")
    subject = open_experiment({"dataset": str(own), "images": None})
    experiment, data = subject.experiment, subject.data
    assert experiment.dataset == str(own)
    assert training.settings_data(experiment).loc["value", "dataset"] == data.name == "my data"
    subject = open_experiment({"dataset": str(MNIST), "images": 100})
    experiment, data = subject.experiment, subject.data
    assert experiment.dataset == data.name == "MNIST"
    assert data.fingerprint == load_data(images=100).fingerprint
