"""The chapter on adversarial examples."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from advlib.chapters import figures, tables
from advlib.chapters.figures import (
    VERMILLION,
    WIDTH,
    Array,
    draw_image,
    draw_mosaic,
    new_figure,
    styled,
)
from advlib.data import Dataset
from advlib.evaluation import FIGURES


def show_directions(directions: pd.DataFrame, epsilon: float) -> None:
    """Show what perturbations of one size do, a row of `evaluation_data` each."""
    shown = ("error", "confidence", "confidence_error")
    headings = {name: FIGURES[name]["heading"] for name in shown}
    tables.show(
        tables.lay_out(directions[[*headings]].rename(columns=headings), "Perturbation"),
        "tbl-directions",
        rf"The model of standard training on the {int(directions['n'].iloc[0]):,} test images, "
        rf"each pixel changed by at most $\epsilon = {epsilon:g}$, with signs drawn at random or "
        "chosen by an attack as in Equation (fgsm). In percent.",
        directions,
    )


def show_pair(
    data: Dataset, index: int, adversarial: Tensor, predictions: Tensor, probabilities: Tensor
) -> None:
    """Show a test image and its adversarial one.

    `adversarial` [N, 1, H, W], `predictions` [2, N] and `probabilities` [2, N, C], of the clean and
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
        ),
        "fig-pair",
        "A test image, the perturbation, the adversarial image, and the probabilities of the "
        "classes by the model of standard training. Above the images: the predicted class and its "
        "probability. The true class is bold.",
        f"A test image of class {data.classes[label]}, a pattern of dots, and their sum, in which a"
        f" person sees the same class. The model predicts {before} and then {after}.",
    )


def show_grid(data: Dataset, adversarial: Tensor, predictions: Tensor) -> None:
    """Show the first test image of each class and its adversarial one; arguments as `show_pair`."""
    labels = data.test.labels
    first = [int((labels == index).int().argmax()) for index in range(len(data.classes))]
    clean, changed = (data.to_pixels(images[first]) for images in (data.test.images, adversarial))
    figures.show(
        draw_grid(clean, changed, predictions[:, first], labels[first], data.classes),
        "fig-grid",
        "The first test image of each class above its adversarial image, with the classes that the "
        "model of standard training predicts; errors are bold and coloured.",
        "Two rows of images with the predicted class under each: clean above, adversarial below.",
    )


@styled
def draw_pair(
    clean: Tensor, adversarial: Tensor, probabilities: Tensor, classes: Sequence[str], label: int
) -> Figure:
    """Draw one image, what is added to it, the sum, and what the model makes of both.

    The images are in pixels, [1, H, W]; `probabilities` [2, C] are the model's, for the clean image
    and for the adversarial one; `label` is the true class.
    """
    change = np.asarray(adversarial - clean)[0]
    bound = float(np.abs(change).max())
    figure = new_figure(1.75)
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.75))
    draw_image(axes[0], np.asarray(clean)[0])
    draw_image(axes[1], change, (-bound or -1, bound or 1))
    draw_image(axes[2], np.asarray(adversarial)[0])
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
    clean: Tensor, adversarial: Tensor, predictions: Tensor, labels: Tensor, classes: Sequence[str]
) -> Figure:
    """Draw images [N, 1, H, W] above their adversarial ones, in pixels, each with its prediction.

    `predictions` [2, N] are of the clean and of the adversarial images; errors are set off.
    """
    figure = new_figure(2 * (WIDTH / len(labels) + 0.18))
    rows = zip(figure.subplots(2, 1), (clean, adversarial), predictions, strict=True)
    for axes, images, predicted in rows:
        draw_mosaic(
            axes, np.asarray(images)[None, :, 0], [classes[int(index)] for index in predicted]
        )
        for text, right in zip(axes.get_xticklabels(), predicted == labels, strict=True):
            text.set_color("black" if right else VERMILLION)
            text.set_fontweight("normal" if right else "bold")
    return figure


def _prediction(probabilities: Tensor, classes: Sequence[str]) -> str:
    return f"{classes[int(probabilities.argmax())]}: {100 * float(probabilities.max()):.1f} %"


def _probabilities(axes: Axes, probabilities: Array, classes: Sequence[str], label: int) -> None:
    """Draw the class probabilities of the clean and the adversarial image as bars."""
    places = np.arange(len(classes))
    for shift, row, name in zip((-0.2, 0.2), probabilities, ("clean", "adversarial"), strict=True):
        axes.bar(places + shift, row, width=0.4, label=name)
    axes.set_xticks(places, classes, rotation=0 if max(map(len, classes)) <= 3 else 90)
    axes.get_xticklabels()[label].set_fontweight("bold")
    axes.set(ylim=(0, 1), ylabel="probability")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handlelength=1)
