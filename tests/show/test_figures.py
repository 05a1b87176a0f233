import base64
import xml.etree.ElementTree as ET
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advlib.chapters.adversarial_examples import draw_grid, draw_pair
from advlib.chapters.data import draw_images, draw_preprocessing
from advlib.chapters.training import draw_curves
from advlib.data import Dataset, Split
from advlib.show import captions, figures


class Output(NamedTuple):
    data: dict[str, str]
    about: dict[str, Any]


CLASSES = tuple("0123456789")


@pytest.fixture
def data() -> Dataset:
    """A data set of 30 noisy images whose pixels are their inputs: no mean, scale 1."""
    images = torch.rand(30, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(30) % 10)
    mean = torch.zeros(1, 28, 28, dtype=torch.float64)
    return Dataset("MNIST", CLASSES, split, split, split, mean, 0.0, 1.0, "")


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


def pixels(axes: Axes) -> Any:
    """The values of the one image that these axes show."""
    return axes.images[0].get_array()


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
    data: Dataset, outputs: list[Output]
) -> None:
    show(draw_images(data))
    show(draw_images(data))
    first, _, second, _ = (output.data.get("image/svg+xml", "") for output in outputs)
    assert first == second
    assert ET.fromstring(first).get("width") == f"{72 * figures.WIDTH:g}pt"


def test_images_draws_each_class_in_its_column(data: Dataset) -> None:
    axes = draw_images(data, rows=2).axes[0]
    drawn = pixels(axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == list(CLASSES)
    assert axes.images[0].get_clim() == (0, 1)
    third_of_class_7 = drawn[32 + 2 : 64 - 2, 7 * 32 + 2 : 8 * 32 - 2]
    np.testing.assert_array_equal(third_of_class_7, data.train.images[17, 0])


def test_images_converts_only_what_it_draws(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    to_pixels = Dataset.to_pixels

    def count(self: Dataset, images: torch.Tensor) -> torch.Tensor:
        converted.append(len(images))
        return to_pixels(self, images)

    monkeypatch.setattr(Dataset, "to_pixels", count)
    draw_images(data, rows=2)
    assert sum(converted) == 20


def test_images_leaves_room_where_a_class_has_too_few_images(data: Dataset) -> None:
    drawn = pixels(draw_images(data, rows=4).axes[0])
    assert not drawn[3 * 32 :].any()
    assert drawn[: 3 * 32].any()


def test_preprocessing_shows_pixels_mean_and_inputs_on_their_own_scales(data: Dataset) -> None:
    axes = draw_preprocessing(data).axes
    first = data.train.images[0, 0]
    np.testing.assert_allclose(pixels(axes[0]), first, rtol=1e-6)
    assert not pixels(axes[1]).any()
    assert axes[2].images[0].get_clim() == (float(first.min()), float(first.max()))


def test_adversarial_pair_shows_the_change_and_both_predictions(data: Dataset) -> None:
    clean = data.test.images[0]
    adversarial = clean + 0.25 * torch.randn(clean.shape).sign()
    probabilities = torch.tensor([[0.9] + [0.1 / 9] * 9, [0.1 / 9] * 9 + [0.9]])
    figure = draw_pair(clean, adversarial, probabilities, CLASSES, 0)
    images, bars = figure.axes[:3], figure.axes[3]
    assert [axes.get_title() for axes in images] == [
        "0: 90.00 %",
        "pixels $\\pm$0.250",
        "9: 90.00 %",
    ]
    np.testing.assert_allclose(np.abs(pixels(images[1])), 0.25, rtol=1e-5)
    assert images[2].images[0].get_clim() == (0, 1)
    heights = [
        patch.get_path().get_extents(patch.get_patch_transform()).height for patch in bars.patches
    ]
    np.testing.assert_allclose(heights, probabilities.flatten())


def test_adversarial_pair_of_equal_images_can_be_drawn(data: Dataset) -> None:
    image = data.test.images[0]
    figure = draw_pair(image, image, torch.full((2, 10), 0.1), CLASSES, 0)
    assert figure.axes[1].images[0].get_clim() == (-1, 1)


def test_adversarial_grid_sets_errors_off(data: Dataset) -> None:
    images, labels = data.test.images[:10], data.test.labels[:10]
    predictions = torch.stack([labels, labels.roll(1)])
    predictions[1, 3] = labels[3]
    figure = draw_grid(images, images, predictions, labels, CLASSES)
    clean, adversarial = (
        [text.get_fontweight() == "bold" for text in axes.get_xticklabels()] for axes in figure.axes
    )
    assert clean == [False] * 10
    assert adversarial == [index != 3 for index in range(10)]


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
