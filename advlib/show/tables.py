"""The report's tables: DataFrames of finished strings, laid out and shown.

`show` escapes the cells, so that one may hold anything; one that is Markdown itself is a `Markup`.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pandas as pd

from advlib.show.captions import Numbers, publish
from advlib.show.words import escape, number


class Markup(str):
    """A table's cell that is Markdown already, such as a formula or a reference."""

    __slots__ = ()


def show(
    frame: pd.DataFrame,
    label: str,
    caption: str,
    numbers: Numbers | pd.DataFrame | None = None,
    align: str | None = None,
) -> None:
    """Display a table of strings, as they are to be read, with all that the report needs of it.

    Its index is not shown. `label` is "tbl-" and its name, `caption` is Markdown, `numbers` are
    those in full precision, and `align` has a letter per column, "l" or "r"; by default the first
    column and those without a heading are set left, the others right.
    """
    align = align or "l" + "".join("l" if heading == "" else "r" for heading in frame.columns[1:])
    if len(align) != frame.shape[1] or set(align) - {"l", "r"}:
        raise ValueError(f"align must be {frame.shape[1]} letters l or r, got {align!r}")
    rows = [[str(column) for column in frame.columns], *frame.to_numpy().tolist()]
    table = _pipe(rows, align)
    content = {"text/markdown": table, "text/plain": table}
    publish("table", label, caption, content, numbers)


def lay_out(
    frame: pd.DataFrame, heading: str, write: Callable[[Any], str] = number
) -> pd.DataFrame:
    """Lay out numbers as `write` writes them; the index becomes the first column."""
    body = frame.map(write)
    alike = pd.api.types.is_float_dtype(frame.index)
    names = write_alike(frame.index) if alike else [*map(str, frame.index)]
    body.insert(0, heading, names, allow_duplicates=True)
    return body


def write_alike(values: Iterable[Any]) -> list[str]:
    """Write the numbers of one quantity, all with the decimals that one of them needs.

    Text stays as it is, and what is missing is empty.
    """
    values = ["" if pd.isna(value) else value for value in values]
    exact = [Decimal(str(value)).normalize() for value in values if not isinstance(value, str)]
    decimals = max((-int(value.as_tuple().exponent) for value in exact), default=0)
    return [v if isinstance(v, str) else number(v, max(decimals, 0)) for v in values]


def _pipe(rows: list[list[str]], align: str) -> str:
    """Return rows, the headings first, as a pipe table."""
    cells = [[cell if isinstance(cell, Markup) else escape(cell) for cell in row] for row in rows]
    head, *lines = ["| " + " | ".join(row) + " |" for row in cells]
    rule = "|" + "|".join({"l": ":---", "r": "---:"}[side] for side in align) + "|"
    return "\n".join([head, rule, *lines])
