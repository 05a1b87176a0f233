"""The chapter on the data set."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advlib.data import Dataset
from advlib.show import figures, tables
from advlib.show.figures import (
    SHOWN,
    blank,
    divide,
    draw_image,
    draw_mosaic,
    is_on_paper,
    measure_column,
    measure_names,
    new_figure,
    styled,
)
from advlib.show.words import escape

COUNTS = {2: "two", 3: "three", 4: "four"}


def show_images(data: Dataset) -> None:
    """Show images of each class."""
    rows, shown = count_rows(data), data.classes[:SHOWN]
    of = "each class" if len(shown) == len(data.classes) else f"each of the first {SHOWN} classes"
    first = "training image" if rows == 1 else f"{COUNTS[rows]} training images"
    figures.show(
        draw_images(data, rows),
        "fig-images",
        f"The first {first} of {of} of {escape(data.name)}, in pixels.",
        f"The first {first} of each of the classes {', '.join(shown)}.",
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
        "first image less the mean.",
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
    return pd.concat([counts, counts.sum().to_frame("all").T])  # a class may be named so, too


def count_rows(data: Dataset) -> int:
    """Return how many images of each class fit on a page."""
    return max(1, 4 // len(divide(len(data.classes[:SHOWN]))))


@styled
def draw_images(data: Dataset, rows: int = 4) -> Figure:
    """Draw the first training images of each class, in pixels: a column of `rows` for each."""
    images, labels = data.train.images, data.train.labels
    shape = images.shape[1:]
    parts = divide(len(data.classes[:SHOWN]))
    columns = len(parts[0])
    ratio = shape[1] / shape[2]
    high = rows * ratio * measure_column(columns) + measure_names(data.classes, columns)
    figure = new_figure(len(parts) * high + 0.12)
    for axes, part in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True):
        cells = blank((rows, columns, *shape), on_paper=is_on_paper(data))
        for column, label in enumerate(part):
            first = images[(labels == label).nonzero()[:rows, 0]]
            cells[: len(first), column] = data.to_pixels(first)
        names = [data.classes[label] for label in part]
        draw_mosaic(axes, cells, names, on_paper=is_on_paper(data))
    return figure


@styled
def draw_preprocessing(data: Dataset) -> Figure:
    """Draw the first training image in pixels, the mean image, and the first as an input."""
    first = data.train.images[0]
    panels = (
        ("first training image", data.to_pixels(first), (0, 1), "pixel"),
        ("mean image", data.mean_image, (0, 1), "pixel"),
        ("as the network sees it", first, (float(first.min()), float(first.max())), "input"),
    )
    figure = new_figure(1.9)
    for axes, (title, image, limits, unit) in zip(figure.subplots(1, 3), panels, strict=True):
        drawn = draw_image(axes, np.asarray(image), limits, on_paper=is_on_paper(data))
        axes.set_title(title)
        if len(image) > 1:  # of colours there is no bar
            axes.set_xlabel(f"{unit}, {limits[0]:.2f} to {limits[1]:.2f}")
            continue
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.04, ticks=MaxNLocator(5))
        bar.outline.set_visible(False)
        bar.set_label(unit)
    return figure
