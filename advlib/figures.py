"""The report's figures: matplotlib figures in one style, at the width of its text."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from advlib.captions import publish
from advlib.curves import QUANTITIES, TRAINING_CURVES, training_curve
from advlib.data import Dataset

WIDTH = 6.3
"""Width of the report's text in inches."""

BLUE, VERMILLION = "#0072B2", "#D55E00"  # of Okabe and Ito's palette, safe for colour-blind readers

# STIX comes with matplotlib, so that a figure looks the same on every machine.
STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILLION]),
    "image.cmap": "gray_r",
    "image.interpolation": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "advlib",
}

Array = npt.NDArray[np.float64]


def show(
    figure: Figure, label: str, caption: str, alt: str, data: pd.DataFrame | None = None
) -> None:
    """Display a figure as SVG, with all that the report needs to know of it.

    Parameters
    ----------
    figure
        The figure; it is closed.
    label
        Its name for cross-references, "fig-...".
    caption
        Its caption, in Pandoc's Markdown.
    alt
        Its text alternative: what a reader who cannot see it should know.
    data
        The numbers that it shows.
    """
    from matplotlib import pyplot as plt

    file = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = file.getvalue()
    content = {"image/svg+xml": svg[svg.index("<svg") :], "text/plain": alt}
    publish("figure", label, caption, content, data, alt)


@mpl.rc_context(STYLE)
def digits(data: Dataset, rows: int = 4) -> Figure:
    """Draw the first training images of each class: a column per class, in pixels.

    Parameters
    ----------
    data
        The data set.
    rows
        Images per class.
    """
    images = data.to_pixels(data.train.images)
    height, width = images.shape[-2:]
    cells = np.zeros((rows, len(data.classes), height, width))
    for column in range(len(data.classes)):
        first = images[data.train.labels == column][:rows, 0]
        cells[: len(first), column] = first
    figure = _figure(WIDTH * rows / len(data.classes) + 0.3)
    axes = figure.subplots()
    _mosaic(axes, cells, data.classes)
    return figure


@mpl.rc_context(STYLE)
def preprocessing(data: Dataset) -> Figure:
    """Draw the first training image in pixels, the mean image, and the first as an input."""
    first = data.train.images[:1]
    panels = (
        ("first training image", data.to_pixels(first)[0, 0], (0, 1), "pixel"),
        ("mean image", data.mean_image[0], (0, 1), "pixel"),
        ("as the network sees it", first[0, 0], (float(first.min()), float(first.max())), "input"),
    )
    figure = _figure(1.9)
    for axes, (title, image, limits, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        drawn = _image(axes, np.asarray(image), limits)
        axes.set_title(title)
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.04, ticks=MaxNLocator(5))
        bar.outline.set_visible(False)
        bar.set_label(unit)
    return figure


@mpl.rc_context(STYLE)
def adversarial_pair(
    clean: Tensor, adversarial: Tensor, probabilities: Tensor, classes: Sequence[str], label: int
) -> Figure:
    """Draw one image, what is added to it, the sum, and what the model makes of both.

    Parameters
    ----------
    clean, adversarial
        The two images in pixels, [1, H, W].
    probabilities
        The model's class probabilities, [2, C]: for the clean image, for the adversarial one.
    classes
        The C class names.
    label
        The true class.
    """
    change = np.asarray(adversarial - clean)[0]
    bound = float(np.abs(change).max())
    figure = _figure(1.75)
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.75))
    _image(axes[0], np.asarray(clean)[0])
    _image(axes[1], change, (-bound or -1, bound or 1))
    _image(axes[2], np.asarray(adversarial)[0])
    axes[0].set_title(_prediction(probabilities[0], classes))
    axes[1].set_title(f"pixels $\\pm${bound:.3f}")
    axes[2].set_title(_prediction(probabilities[1], classes))
    for panel, sign in zip(axes[1:3], "+=", strict=True):
        place = {"transform": panel.transAxes, "ha": "center", "va": "center"}
        panel.text(-0.09, 0.5, sign, fontsize=13, **place)
    _probabilities(axes[3], np.asarray(probabilities), classes, label)
    return figure


@mpl.rc_context(STYLE)
def adversarial_grid(
    clean: Tensor, adversarial: Tensor, predictions: Tensor, labels: Tensor, classes: Sequence[str]
) -> Figure:
    """Draw images above their adversarial ones, each with the class that the model predicts.

    Parameters
    ----------
    clean, adversarial
        Images in pixels, [N, 1, H, W].
    predictions
        Predicted classes, [2, N]: of the clean images, of the adversarial ones. Errors are set off.
    labels
        True classes, [N].
    classes
        The class names.
    """
    figure = _figure(2 * (WIDTH / len(labels) + 0.18))
    rows = zip(figure.subplots(2, 1), (clean, adversarial), predictions, strict=True)
    for axes, images, predicted in rows:
        _mosaic(axes, np.asarray(images)[None, :, 0], [classes[int(index)] for index in predicted])
        for text, right in zip(axes.get_xticklabels(), predicted == labels, strict=True):
            text.set_color("black" if right else VERMILLION)
            text.set_fontweight("normal" if right else "bold")
    return figure


@mpl.rc_context(STYLE)
def curves(history: pd.DataFrame, method: str) -> Figure:
    """Draw objective, top-1 and top-5 error over the epochs, on training and validation images.

    Parameters
    ----------
    history
        A row per epoch, as ``advlib.train`` returns it.
    method
        The training's name: it decides what the training curve shows (`advlib.curves`).
    """
    figure = _figure(2.2)
    marker = "o" if len(history) <= 10 else ""
    for axes, (name, title) in zip(figure.subplots(1, 3), QUANTITIES.items(), strict=True):
        axes.plot(history["epoch"], training_curve(history, method, name), marker=marker)
        axes.plot(history["epoch"], history[f"{name}_validation"], marker=marker, linestyle="--")
        axes.set(xlabel="epoch", title=title)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    names = (TRAINING_CURVES[method], "validation, clean images")
    figure.legend(figure.axes[0].lines, names, loc="outside lower center", ncols=2)
    return figure


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), layout="constrained")


def _image(axes: Axes, image: Array, limits: tuple[float, float] = (0, 1)) -> AxesImage:
    """Draw an image without its axes; values beyond the limits become black or white."""
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    return axes.imshow(image, vmin=limits[0], vmax=limits[1])


def _mosaic(axes: Axes, cells: Array, names: Sequence[str]) -> None:
    """Draw [rows, columns, H, W] images as one, with a name under each column."""
    gap = 2
    cells = np.pad(cells, ((0, 0), (0, 0), (gap, gap), (gap, gap)))
    rows, columns, height, width = cells.shape
    _image(axes, cells.transpose(0, 2, 1, 3).reshape(rows * height, columns * width))
    axes.set_xticks(np.arange(columns) * width + width / 2 - 0.5, names)
    axes.tick_params(length=0, pad=1)


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
