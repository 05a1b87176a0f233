"""The chapter on adversarial examples."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from advlib.data import Dataset
from advlib.evaluation import FIGURES
from advlib.show import figures, tables
from advlib.show.figures import (
    SHOWN,
    VERMILLION,
    Array,
    blank,
    divide,
    draw_image,
    draw_mosaic,
    is_on_paper,
    measure_column,
    measure_names,
    new_figure,
    styled,
    write_name,
)


def show_directions(directions: pd.DataFrame, epsilon: float, model: str = "standard") -> None:
    """Show what perturbations of one size do, a row of `evaluation_data` each."""
    shown = ("error", "confidence", "confidence_error")
    headings = {name: FIGURES[name]["heading"] for name in shown}
    tables.show(
        tables.lay_out(directions[[*headings]].rename(columns=headings), "Perturbation"),
        "tbl-directions",
        rf"The {model} model on the {int(directions['n'].iloc[0]):,} test images, "
        rf"each pixel changed by at most $\epsilon = {epsilon:g}$, with signs drawn at random or "
        "chosen by an attack as in Equation (fgsm). In percent.",
        directions,
    )


def show_pair(
    data: Dataset,
    index: int,
    adversarial: Tensor,
    predictions: Tensor,
    probabilities: Tensor,
    model: str = "standard",
) -> None:
    """Show a test image and its adversarial one.

    `adversarial` [N, C, H, W], `predictions` [2, N] and `probabilities` [2, N, C], of the clean and
    of the adversarial images, are of all test images.
    """
    label = int(data.test.labels[index])
    before, after = (data.classes[int(row[index])] for row in predictions)
    clean, changed = data.test.images[index], adversarial[index]
    figures.show(
        draw_pair(
            data.to_pixels(clean),
            data.to_pixels(changed),
            probabilities[:, index],
            data.classes,
            label,
            on_paper=is_on_paper(data),
        ),
        "fig-pair",
        "A test image, the perturbation, the adversarial image, and the probabilities of "
        f"{_name_bars(data)} by the {model} model. Above the images: the predicted "
        "class and its probability. The true class is bold.",
        f"A test image of class {data.classes[label]}, a pattern of dots, and their sum, in which a"
        f" person sees the same class. The model predicts {before} and then {after}.",
    )


def show_grid(
    data: Dataset, adversarial: Tensor, predictions: Tensor, model: str = "standard"
) -> None:
    """Show the first test image of each class and its adversarial one; arguments as `show_pair`."""
    labels = data.test.labels
    shown = data.classes[:SHOWN]
    first = [int((labels == index).int().argmax()) for index in range(len(shown))]
    of = "each class" if len(shown) == len(data.classes) else f"each of the first {SHOWN} classes"
    clean, changed = (data.to_pixels(images[first]) for images in (data.test.images, adversarial))
    figures.show(
        draw_grid(
            *(clean, changed, predictions[:, first], labels[first], data.classes),
            on_paper=is_on_paper(data),
        ),
        "fig-grid",
        f"The first test image of {of} above its adversarial image, with the classes that the "
        f"{model} model predicts; errors are bold and coloured.",
        "Rows of images with the predicted class under each: clean above, adversarial below.",
    )


@styled
def draw_pair(
    clean: Tensor,
    adversarial: Tensor,
    probabilities: Tensor,
    classes: Sequence[str],
    label: int,
    *,
    on_paper: bool = True,
) -> Figure:
    """Draw one image, what is added to it, the sum, and what the model makes of both.

    The images are in pixels, [C, H, W]; `probabilities` [2, C] are the model's, for the clean image
    and for the adversarial one; `label` is the true class.
    """
    change = np.asarray(adversarial - clean)
    bound = float(np.abs(change).max())
    turned = max(map(len, classes)) > FEW_LETTERS
    figure = new_figure(1.75 + 0.5 * turned)
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.75))
    draw_image(axes[0], np.asarray(clean), on_paper=on_paper)
    draw_image(axes[1], change, (-bound or -1, bound or 1), on_paper=on_paper)
    draw_image(axes[2], np.asarray(adversarial), on_paper=on_paper)
    axes[0].set_title(_prediction(probabilities[0], classes))
    axes[1].set_title(f"pixels $\\pm${bound:.3f}")
    axes[2].set_title(_prediction(probabilities[1], classes))
    for panel, sign in zip(axes[1:3], "+=", strict=True):
        place = {"transform": panel.transAxes, "ha": "center", "va": "center"}
        panel.text(-0.09, 0.5, sign, fontsize=13, **place)
    _probabilities(axes[3], np.asarray(probabilities), classes, label)
    return figure


@styled
def draw_grid(
    clean: Tensor,
    adversarial: Tensor,
    predictions: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    on_paper: bool = True,
) -> Figure:
    """Draw images [N, C, H, W] above their adversarial ones, in pixels, each with its prediction.

    `predictions` [2, N] are of the clean and of the adversarial images; errors are set off.
    """
    parts = divide(len(labels))
    columns = len(parts[0])
    ratio = clean.shape[2] / clean.shape[3]
    high = ratio * measure_column(columns) + measure_names(classes, columns)
    figure = new_figure(2 * len(parts) * high)
    panels = iter(figure.subplots(2 * len(parts), 1))
    for part in map(list, parts):
        for images, predicted, axes in zip((clean, adversarial), predictions, panels, strict=False):
            cells = blank((1, columns, *images.shape[1:]), on_paper=on_paper)
            cells[0, : len(part)] = np.asarray(images[part])
            names = [classes[int(index)] for index in predicted[part]]
            texts = draw_mosaic(axes, cells, names, on_paper=on_paper)
            for text, right in zip(texts, predicted[part] == labels[part], strict=True):
                text.set_color("black" if right else VERMILLION)
                text.set_fontweight("normal" if right else "bold")
    return figure


def _prediction(probabilities: Tensor, classes: Sequence[str]) -> str:
    name = write_name(classes[int(probabilities.argmax())])
    apart = ": " if len(name) <= 8 else ":\n"
    return f"{name}{apart}{100 * float(probabilities.max()):.2f} %"


FEW_LETTERS = 3
"""Names of so many stand under a bar."""
BARS = 12
"""Of more classes, those are drawn that either image makes the most probable."""


def _name_bars(data: Dataset) -> str:
    many = len(data.classes) > BARS
    return f"the {BARS} most probable classes" if many else "the classes"


def _choose_bars(probabilities: Array, label: int) -> list[int]:
    """Choose the classes to draw: the true one, and the most probable ones of either image."""
    largest = probabilities.max(axis=0)
    largest[label] = 2
    return sorted(np.argsort(-largest, kind="stable")[:BARS].tolist())


def _probabilities(axes: Axes, probabilities: Array, classes: Sequence[str], label: int) -> None:
    """Draw the class probabilities of the clean and the adversarial image as bars."""
    chosen = _choose_bars(probabilities, label)
    places = np.arange(len(chosen))
    for shift, row, name in zip((-0.2, 0.2), probabilities, ("clean", "adversarial"), strict=True):
        axes.bar(places + shift, row[chosen], width=0.4, label=name)
    names = [write_name(classes[index]) for index in chosen]
    axes.set_xticks(places, names, rotation=90 * (max(map(len, names)) > FEW_LETTERS))
    axes.get_xticklabels()[chosen.index(label)].set_fontweight("bold")
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handlelength=1)
