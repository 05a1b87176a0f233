"""Our results as tables of numbers, and the published ones set against them."""

import math
from collections.abc import Mapping

import pandas as pd

from advlib.evaluation import FIGURES, wilson_interval
from advlib.methods import find_method
from advlib.published import slides
from advlib.show.tables import lay_out
from advlib.show.words import difference, number

CORRECTED = (
    "In brackets: the number as it should have been printed "
    "([published numbers](../report/back-matter.ipynb))."
)
BRACKETS = CORRECTED.removesuffix(".") + "; the difference is to that."


def readings_data(history: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the first and last values of our training curves and of the slides'.

    A training curve is of the images that `advlib.methods` names: of clean and adversarial ones
    together it is the sum, divided by the clean ones' number.
    """
    theirs = slides.curves(method)
    columns = {"clean": "train", "adversarial": "train_adversarial"}
    parts = {"train": [columns[images] for images in find_method(method).curve]}
    parts["validation"] = ["validation"]
    curves = [
        history[[f"{quantity}_{part}" for part in parts[split]]].sum(axis=1, skipna=False)
        for quantity, split in zip(theirs["quantity"], theirs["split"], strict=True)
    ]
    ours = [(curve.iloc[0], curve.iloc[-1]) for curve in curves]
    return pd.concat(
        [
            theirs[["quantity", "split"]],
            pd.DataFrame(ours, columns=["first", "last"]),
            theirs[["first", "last"]].add_suffix("_published"),
        ],
        axis="columns",
    )


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
    for figure, name in {"error": "error", "confidence_error": "confidence"}.items():
        part = _pair(found[f"tbl-transfer-{name}"], slides.transfer(figure, corrected=True))
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


def lay_out_evaluations(
    readings: Mapping[str, pd.DataFrame], published_method: str | None = None
) -> pd.DataFrame:
    """Lay out evaluations, by their headings, as the slides do: the figures by kind of images.

    The figures are those that all of them have: the reference run may be older than one.
    With a method whose published numbers are known, they stand beside; of one evaluation with the
    difference.
    """
    known = [f for f in FIGURES if all(f in frame for frame in readings.values())]
    columns = {"": [*(FIGURES[f]["heading"] for f in known), "Error, 95 % interval"]}
    alone = len(readings) == 1
    for images in next(iter(readings.values())).index:
        name = str(images).capitalize()
        for heading, frame in readings.items():
            ours = frame.loc[images]
            n = int(ours["n"])
            low, high = wilson_interval(round(ours["error"] * n / 100), n)
            column = f"{name}: {heading}" if published_method or not alone else name
            columns[column] = [*map(number, ours[known]), f"{number(low)} to {number(high)}"]
        if published_method:
            printed, right = (
                slides.evaluation(published_method, corrected=corrected)[str(images)]
                for corrected in (False, True)
            )
            pairs = [write_published(ours[f], printed.get(f), right.get(f)) for f in known]
            published, apart = zip(*pairs, strict=True)
            columns[f"{name}: published"] = [*published, ""]
            if alone:
                columns[f"{name}: difference"] = [*apart, ""]
    return pd.DataFrame(columns)


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
