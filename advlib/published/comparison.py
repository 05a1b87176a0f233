"""Our results as tables of numbers, and the published ones set against them."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from advlib.evaluation import FIGURES, Evaluation, wilson_interval
from advlib.methods import find_method
from advlib.published import slides
from advlib.results import tables as results
from advlib.show.tables import lay_out
from advlib.show.words import difference, number

QUANTITIES = {
    "objective": "objective",
    "top1_error": "top-1 error (%)",
    "top5_error": "top-5 error (%)",
}
"""The three quantities of a history, with their names in a figure."""

TRANSFER_LABELS = {"error": "tbl-transfer-error", "confidence_error": "tbl-transfer-confidence"}
"""Where the two tables of the transfer are found."""

CORRECTED = (
    "In brackets: the number as it should have been printed "
    "([published numbers](../report/back-matter.ipynb))."
)
BRACKETS = CORRECTED.removesuffix(".") + "; the difference is to that."


def evaluation_data(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Return evaluations in full precision: a row each, with the five figures and n, the images."""
    rows = [asdict(evaluation) for evaluation in evaluations.values()]
    return pd.DataFrame(rows, index=list(evaluations))[[*FIGURES, "n"]]


def error_interval(row: "pd.Series[float]") -> tuple[float, float]:
    """Return the 95 % interval of the error in a row of `evaluation_data`, in percent."""
    return wilson_interval(round(row["error"] * row["n"] / 100), int(row["n"]))


def readings_data(history: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the first and last values of our training curves and of the slides'."""
    theirs = slides.curves(method)
    return ends(history, method).merge(
        theirs, on=["quantity", "split"], suffixes=("", "_published"), validate="one_to_one"
    )


def training_curve(history: pd.DataFrame, method: str, quantity: str) -> "pd.Series[float]":
    """Return one training curve as the slides draw it, of the images that `advlib.methods` names.

    Of clean and adversarial images together it is the sum, divided by the clean ones' number. A
    history without these figures is a ValueError.
    """
    columns = {"clean": f"{quantity}_train", "adversarial": f"{quantity}_train_adversarial"}
    shown = [columns[images] for images in find_method(method).curve]
    for column in shown:
        if column not in history or history[column].isna().all():
            raise ValueError(f"history of {method} training has no values in {column}")
    return history[shown].sum(axis=1, skipna=False)


def ends(history: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the first and the last value of every curve: quantity, split, first, last."""
    rows = []
    for quantity in QUANTITIES:
        splits = {
            "train": training_curve(history, method, quantity),
            "validation": history[f"{quantity}_validation"],
        }
        rows += [
            (quantity, split, curve.iloc[0], curve.iloc[-1]) for split, curve in splits.items()
        ]
    return pd.DataFrame(rows, columns=["quantity", "split", "first", "last"])


def epochwise_readings() -> dict[str, pd.DataFrame]:
    """Return the reference run's evaluations of mixed training by its two readings, if it has both.

    By name: with adversarial images made "per minibatch" and "per epoch".
    """
    labels = {
        "per minibatch": "tbl-evaluation-mixed",
        "per epoch": "tbl-evaluation-mixed-epochwise",
    }
    try:
        reference = results.collect("")
    except FileNotFoundError:
        return {}
    found = {name: reference[label] for name, label in labels.items() if label in reference}
    return found if len(found) == len(labels) else {}


def settings_found(found: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the settings that results were made with; None, which no table holds, for NaN."""
    row = found["tbl-settings"].astype(object).iloc[0]
    settings = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    if methods := settings.get("methods"):
        settings["methods"] = tuple(str(methods).split(", "))
    return settings


def methods_found(found: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return the methods that results are of, in the order of their chapters."""
    return slides.order_chapters(found[TRANSFER_LABELS["error"]].index)


def published_gaps(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set every published percentage, misprints corrected, against ours.

    The diagonals of the transfer tables are left out, because they repeat the evaluations. Columns:
    ours, published, where (in words) and difference (in points).
    """
    parts = []
    for method in slides.METHODS:
        if f"tbl-evaluation-{method}" not in found:
            continue
        theirs = pd.DataFrame(slides.evaluation(method, corrected=True)).T
        part = _pair(found[f"tbl-evaluation-{method}"], theirs)
        part["where"] = [
            f"{FIGURES[b]['words']} of {method} training on {a} images" for a, b in part.index
        ]
        parts.append(part)
    for figure, label in TRANSFER_LABELS.items():
        part = _pair(found[label], slides.transfer(figure, corrected=True))
        words = f"{FIGURES[figure]['words']} of the {{}} model on the {{}} model's images"
        part["where"] = [words.format(*models) for models in part.index]
        parts.append(part[[tested != attacked for tested, attacked in part.index]])
    gaps = pd.concat(parts, ignore_index=True)
    return gaps.assign(difference=gaps["ours"] - gaps["published"])


def _pair(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that two tables have in common beside each other, in the second's order."""
    rows, columns = theirs.index.intersection(ours.index), theirs.columns.intersection(ours.columns)
    both = {"ours": ours, "published": theirs}
    return pd.DataFrame({name: table.loc[rows, columns].stack() for name, table in both.items()})


def write_published(ours: float, printed: float | None, right: float | None) -> tuple[str, str]:
    """Write a published number, its correction in brackets, and our difference from that.

    Both are empty where the slides have no such number.
    """
    if printed is None or right is None or math.isnan(printed):
        return "", ""
    text = number(printed) if printed == right else f"{number(printed)} [{number(right)}]"
    return text, difference(ours - right)


def note_corrections(layout: pd.DataFrame) -> str:
    """Return what a table's caption ends with: what the brackets are, if there are any."""
    return f" {BRACKETS}" if layout.map(lambda cell: "[" in cell).to_numpy().any() else ""


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
