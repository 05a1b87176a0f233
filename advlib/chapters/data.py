"""The chapter on the data set."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advlib.chapters import figures, tables
from advlib.chapters.figures import WIDTH, draw_image, draw_mosaic, new_figure, styled
from advlib.chapters.wording import escape
from advlib.data import Dataset


def show_digits(data: Dataset) -> None:
    """Show images of each class."""
    figures.show(
        draw_digits(data),
        "fig-digits",
        f"The first four training images of each class of {escape(data.name)}, in pixels.",
        f"Four training images of each of the classes {', '.join(data.classes)}.",
    )


def show_classes(data: Dataset) -> None:
    """Show how many images there are of each class."""
    counts = count_classes(data)
    name = escape(data.name)
    tables.show(
        tables.lay_out(counts, "Class", "{:,}".format),
        "tbl-classes",
        f"The number of images of each class of {name} that train, validate and test.",
        counts,
    )


def show_preprocessing(data: Dataset) -> None:
    """Show an image before and after the preprocessing."""
    figures.show(
        draw_preprocessing(data),
        "fig-preprocessing",
        "Preprocessing: the first training image in pixels, the mean image in pixels, and the "
        "first image on the training scale.",
        "Three images: the first training image, the blurred mean of all training images, and the "
        "first image less the mean, on a grey ground.",
    )


def count_classes(data: Dataset) -> pd.DataFrame:
    """Count the images of each class in training, validation and test, and all of them."""
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = pd.DataFrame(
        {
            name: split.labels.bincount(minlength=len(data.classes))
            for name, split in splits.items()
        },
        index=list(data.classes),
    )
    counts.loc["all"] = counts.sum()
    return counts


@styled
def draw_digits(data: Dataset, rows: int = 4) -> Figure:
    """Draw the first training images of each class, in pixels: a column of `rows` for each."""
    images, labels = data.train.images, data.train.labels
    height, width = images.shape[-2:]
    cells = np.zeros((rows, len(data.classes), height, width))
    for column in range(len(data.classes)):
        first = images[(labels == column).nonzero()[:rows, 0]]
        cells[: len(first), column] = data.to_pixels(first)[:, 0]
    figure = new_figure(WIDTH * rows / len(data.classes) + 0.3)
    axes = figure.subplots()
    draw_mosaic(axes, cells, data.classes)
    return figure


@styled
def draw_preprocessing(data: Dataset) -> Figure:
    """Draw the first training image in pixels, the mean image, and the first as an input."""
    first = data.train.images[:1]
    panels = (
        ("first training image", data.to_pixels(first)[0, 0], (0, 1), "pixel"),
        ("mean image", data.mean_image[0], (0, 1), "pixel"),
        ("as the network sees it", first[0, 0], (float(first.min()), float(first.max())), "input"),
    )
    figure = new_figure(1.9)
    for axes, (title, image, limits, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        drawn = draw_image(axes, np.asarray(image), limits)
        axes.set_title(title)
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.04, ticks=MaxNLocator(5))
        bar.outline.set_visible(False)
        bar.set_label(unit)
    return figure
