"""The pictures that more than one notebook draws."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.text import Text

from advlib.show.figures import (
    Array,
    blank,
    divide,
    draw_mosaic,
    measure_column,
    measure_names,
    new_figure,
)


def draw_bands(
    bands: Sequence[tuple[Array, Sequence[str]]], *, on_paper: bool = True
) -> tuple[Figure, list[list[Text]]]:
    """Draw bands of images, one above another, with a name under each column.

    A band is images [rows, columns, C, H, W] in pixels and the names of its columns; many columns
    go on below. The names are returned as they are drawn, those of each band.
    """
    rows, count, *shape = bands[0][0].shape
    parts = divide(count)
    columns = len(parts[0])
    ratio = shape[1] / shape[2]
    under = max(measure_names(names, columns) for _, names in bands)
    height = len(parts) * len(bands) * (rows * ratio * measure_column(columns) + under)
    figure = new_figure(height + 0.12)
    panels = iter(figure.subplots(len(parts) * len(bands), 1, squeeze=False)[:, 0])
    written: list[list[Text]] = [[] for _ in bands]
    for part in parts:
        for (images, names), texts in zip(bands, written, strict=True):
            cells = blank((rows, columns, *shape), on_paper=on_paper)
            cells[:, : len(part)] = images[:, part]
            here = [names[column] for column in part]
            texts += draw_mosaic(next(panels), cells, here, on_paper=on_paper)
    return figure, written
