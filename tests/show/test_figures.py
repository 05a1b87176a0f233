import base64
import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from advlib.chapters.training import draw_curves
from matplotlib.figure import Figure

from advlib.show import captions, figures
from advlib.show.drawings import draw_bands


class Output(NamedTuple):
    data: dict[str, str]
    about: dict[str, Any]


@pytest.fixture
def history() -> pd.DataFrame:
    columns: dict[str, list[float]] = {"epoch": [1, 2, 3]}
    for panel, factor in (("objective", 1), ("top1_error", 10), ("top5_error", 5)):
        columns |= {
            f"{panel}_train": [factor * value for value in (4.0, 2.0, 1.0)],
            f"{panel}_train_adversarial": [factor * value for value in (8.0, 5.0, 3.0)],
            f"{panel}_validation": [factor * value for value in (3.0, 1.5, 0.5)],
            f"{panel}_validation_adversarial": [factor * value for value in (9.0, 7.0, 6.0)],
        }
    return pd.DataFrame(columns)


@pytest.fixture(autouse=True)
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Output]:
    """What is displayed: the contents by media type, and the metadata."""
    displayed: list[Output] = []
    monkeypatch.setattr(
        captions,
        "publish_display_data",
        lambda data, metadata: displayed.append(Output(data, metadata["advlib"])),
    )
    return displayed


def show(figure: Figure, data: pd.DataFrame | None = None) -> None:
    figures.show(figure, "fig-x", "A *caption*", "What it shows", data)


def test_show_gives_the_figure_with_its_label_and_then_its_caption(
    history: pd.DataFrame, outputs: list[Output]
) -> None:
    history.loc[1, "objective_train"] = np.nan
    show(draw_curves(history), data=history)
    figure, caption = outputs
    about = figure.about
    assert set(figure.data) == {"image/svg+xml", "image/png", "text/plain"}
    assert base64.b64decode(figure.data["image/png"]).startswith(b"\x89PNG")
    assert (about["kind"], about["label"], about["caption"], about["alt"]) == (
        "figure", "fig-x", "A *caption*", "What it shows",
    )  # fmt: skip
    assert about["data"]["columns"] == list(history.columns)
    assert about["data"]["data"][1][1] is None
    assert about["data"]["data"][0][1] == 4.0
    assert caption.about == {"kind": "caption", "label": "fig-x"}
    assert caption.data["text/markdown"] == "**Figure *x*.** A *caption*"


@pytest.mark.parametrize(
    ("label", "caption", "alt", "message"),
    [("tbl-x", "c", "a", "'fig-'"), ("fig-x", " ", "a", "caption"), ("fig-x", "c", "", "alt")],
)
def test_show_refuses_a_figure_that_the_report_cannot_use(
    label: str, caption: str, alt: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        figures.show(Figure(), label, caption, alt)


def test_figures_are_the_same_svg_each_time_at_the_text_s_width(
    outputs: list[Output],
) -> None:
    for _ in range(2):
        show(draw_bands([(np.eye(8).reshape(1, 2, 1, 4, 8), "ab")])[0])
    first, _, second, _ = (output.data.get("image/svg+xml", "") for output in outputs)
    assert first == second
    assert ET.fromstring(first).get("width") == f"{72 * figures.WIDTH:g}pt"


def test_curves_of_clean_images_stand_above_those_of_attacked_ones(history: pd.DataFrame) -> None:
    panels = draw_curves(history).axes
    titles = ["objective", "top-1 error (%)", "top-5 error (%)"]
    assert [axes.get_title() for axes in panels] == [*titles, "", "", ""]
    rows = {0: ([4, 2, 1], [3, 1.5, 0.5]), 3: ([8, 5, 3], [9, 7, 6])}
    for first, lines in rows.items():
        for axes, factor in zip(panels[first : first + 3], (1, 10, 5), strict=True):
            for line, wanted in zip(axes.lines, lines, strict=True):
                np.testing.assert_array_equal(np.asarray(line.get_ydata()) / factor, wanted)
    assert [panels[0].get_ylabel(), panels[3].get_ylabel()] == ["clean images", "attacked images"]


def test_curves_of_one_epoch_show_a_point(history: pd.DataFrame) -> None:
    line = draw_curves(history[:1]).axes[0].lines[0]
    assert line.get_marker() == "o"


def test_no_curve_is_drawn_of_a_top_5_error_of_few_classes(history: pd.DataFrame) -> None:
    none = history.assign(**dict.fromkeys(history.filter(like="top5").columns, 0.0))
    none["top5_error_train_adversarial"] = np.nan  # where there are no such images
    titles = [axes.get_title() for axes in draw_curves(none).axes]
    assert titles == ["objective", "top-1 error (%)", "", ""]


@pytest.mark.parametrize("count", [2, 10, 13, 14, 26, 62, 65])
def test_columns_are_divided_among_rows(count: int) -> None:
    parts = figures.divide(count)
    assert [label for part in parts for label in part] == [*range(count)]
    assert max(map(len, parts)) <= 13
    assert {len(part) for part in parts[:-1]} <= {len(parts[0])}


def test_names_are_short_and_no_formulas() -> None:
    assert figures.write_name("Ankle boot") == "Ankle boot"
    assert figures.write_name("$x$") == r"\$x\$"
    first, second = (figures.write_name(f"species number {n:03}") for n in (1, 2))
    assert first != second
    assert len(first) <= 14
