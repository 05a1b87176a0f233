"""The pictures that more than one notebook draws."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from advlib.show.figures import (
    VERMILLION,
    Array,
    blank,
    divide,
    draw_mosaic,
    measure_column,
    measure_names,
    new_figure,
)

Names = Sequence[str] | Mapping[str, Sequence[str]]
"""What stands under the columns: a row, or several rows by what stands before each."""


def draw_bands(
    bands: Sequence[tuple[Array, Names]], *, on_paper: bool = True
) -> tuple[Figure, list[list[Text]]]:
    """Draw bands of images, one above another, with a name under each column, or several.

    A band is images [rows, columns, C, H, W] in pixels and the names of its columns; many columns
    go on below. The names are returned as they are drawn, row by row.
    """
    rows, count, *shape = bands[0][0].shape
    parts = divide(count)
    columns = len(parts[0])
    ratio = shape[1] / shape[2]
    under = [
        [*names.items()] if isinstance(names, Mapping) else [("", names)] for _, names in bands
    ]
    each = max(measure_names(names, columns) for lines in under for _, names in lines)
    height = len(bands) * rows * ratio * measure_column(columns) + each * sum(map(len, under))
    figure = new_figure(len(parts) * height + 0.12)
    panels = iter(figure.subplots(len(parts) * len(bands), 1, squeeze=False)[:, 0])
    written: list[list[list[Text]]] = [[[] for _ in lines] for lines in under]
    for part in parts:
        for (images, _), lines, texts in zip(bands, under, written, strict=True):
            cells = blank((rows, columns, *shape), on_paper=on_paper)
            cells[:, : len(part)] = images[:, part]
            here = {label: [names[column] for column in part] for label, names in lines}
            found = draw_mosaic(next(panels), cells, here, each, on_paper=on_paper)
            for row, drawn in zip(texts, found, strict=True):
                row += drawn
    return figure, [row for texts in written for row in texts]


def set_off(names: Sequence[Sequence[Text]], wrong: Iterable[Iterable[Any]]) -> None:
    """Make bold and coloured, row by row, the names of what is misclassified."""
    for row, errors in zip(names, wrong, strict=True):
        for text, error in zip(row, errors, strict=True):
            if error:
                text.set(color=VERMILLION, fontweight="bold")
