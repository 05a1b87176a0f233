"""The chapter on transfer."""

import pandas as pd

from advlib.chapters.tables import BRACKETS, lay_out, write_published
from advlib.chapters.wording import number
from advlib.published import slides


def lay_out_transfer(ours: pd.DataFrame, published_figure: str | None = None) -> pd.DataFrame:
    """Lay out a transfer table: a row per model under test, a column per model attacked.

    With the figure of a published table, "error" or "confidence_error", its numbers stand beside
    ours, and there are three lines per model under test.
    """
    heads = [f"Images made against: {attacked}" for attacked in ours.columns]
    if published_figure is None:
        return lay_out(ours.set_axis(heads, axis="columns"), "Model under test")
    printed, right = (
        slides.transfer(published_figure, corrected=corrected).reindex_like(ours)
        for corrected in (False, True)
    )
    lines = []
    for tested in ours.index:
        row = ours.loc[tested]
        pairs = map(write_published, row, printed.loc[tested], right.loc[tested])
        published, apart = zip(*pairs, strict=True)
        lines.append([tested, "ours", *map(number, row)])
        lines.append(["", "published", *published])
        lines.append(["", "difference", *apart])
    return pd.DataFrame(lines, columns=["Model under test", "", *heads])


def note_corrections(published_figure: str | None) -> str:
    """Return the end of a transfer table's caption: what its brackets are, if it has any."""
    if published_figure is None:
        return ""
    printed = slides.transfer(published_figure)
    return "" if printed.equals(slides.transfer(published_figure, corrected=True)) else BRACKETS
