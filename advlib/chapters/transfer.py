"""The chapter on transfer."""

import pandas as pd

from advlib.evaluation import Transfer
from advlib.published import slides
from advlib.published.comparison import TRANSFER_LABELS
from advlib.settings import Experiment
from advlib.show import tables
from advlib.show.captions import Numbers
from advlib.show.tables import BRACKETS, lay_out, write_published
from advlib.show.words import number


def show_error(transferred: Transfer, experiment: Experiment) -> None:
    """Show the errors on exchanged images, beside the published ones where those are."""
    caption = (
        "Error on adversarial images exchanged between the models, with $\\epsilon ="
        f" {experiment.attack_epsilon:g}$, in percent. Row: model under test. Column: model that"
        " the images were made against."
    )
    _show(transferred, "error", caption, experiment)


def show_confidence(transferred: Transfer, experiment: Experiment) -> None:
    """Show the mean confidence on these errors, likewise."""
    caption = "Mean confidence on the errors of Table *transfer-error*, in percent."
    _show(transferred, "confidence_error", caption, experiment)


def _show(transferred: Transfer, figure: str, caption: str, experiment: Experiment) -> None:
    beside = figure if slides.applies(vars(experiment)) else None
    ours: pd.DataFrame = getattr(transferred, figure)
    tables.show(
        lay_out_transfer(ours, beside),
        TRANSFER_LABELS[figure],
        f"{caption} {note_corrections(beside)}".strip(),
        Numbers(ours, images=transferred.n),
        align="ll" + "r" * len(ours.columns) if beside else None,
    )


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
