"""Our results as tables of numbers, and the published ones set against them."""

import math
from collections.abc import Collection, Mapping

import pandas as pd

from advlib.evaluation import FIGURES
from advlib.intervals import wilson_interval
from advlib.methods import find_method
from advlib.published import slides
from advlib.show.tables import lay_out
from advlib.show.words import difference, interval, number

CORRECTED = (
    "In brackets: the number as it should have been printed "
    "([errata](../report/back-matter.ipynb#Appendix:-errata-of-the-slides))."
)
BRACKETS = CORRECTED.removesuffix(".") + "; the difference is to that."


def readings_data(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the first and last values of our training curves and of the slides', by method.

    `images` are those that the slides' curve is of: where "clean + adversarial", as the mixed
    training's, it is the sum of both errors, which can exceed 100 %; validation is on clean ones.
    """
    rows = {}
    for method in slides.METHODS:
        if method not in histories:
            continue
        for quantity, split, *theirs in slides.curves(method).itertuples(index=False):
            images = find_method(method).curve if split == "train" else ("clean",)
            parts = [f"{quantity}_{split}_{each}".removesuffix("_clean") for each in images]
            curve = histories[method][parts].sum(axis=1, skipna=False)
            about = (method, quantity, split, " + ".join(images))
            rows[", ".join(about[:3])] = (*about, curve.iloc[0], curve.iloc[-1], *theirs)
    ends = ["first", "last", "first_published", "last_published"]
    columns = ["method", "quantity", "split", "images", *ends]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def published_gaps(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set every published percentage, misprints corrected, against ours.

    Left out are those that repeat others: the diagonals of the transfer tables, which are the
    evaluations', and the correctly predicted, 100 less the errors. The index says where each
    stands in a report: table, row and column. Columns: ours, published, where (in words) and
    difference (in points).
    """
    parts = []
    for method in slides.METHODS:
        if f"{method}, clean" not in found["tbl-evaluation"].index:
            continue
        theirs = pd.DataFrame(slides.evaluation(method, corrected=True)).T.drop(columns="correct")
        ours = found["tbl-evaluation"].loc[[f"{method}, {images}" for images in theirs.index]]
        part = _pair(ours.set_axis(theirs.index), theirs)
        part["where"] = [
            f"{FIGURES[b]['words']} of {method} training on {a} images" for a, b in part.index
        ]
        part.index = pd.MultiIndex.from_tuples(
            ("tbl-evaluation", f"{method}, {images}", name) for images, name in part.index
        )
        parts.append(part)
    for figure, name in {"error": "error", "confidence_error": "confidence"}.items():
        table = f"tbl-transfer-{name}"
        theirs = slides.transfer(figure, corrected=True).loc[[*slides.METHODS], [*slides.METHODS]]
        part = _pair(found[table], theirs)
        words = f"{FIGURES[figure]['words']} of the {{}} model on the {{}} model's images"
        part["where"] = [words.format(*models) for models in part.index]
        part = part.loc[[tested != attacked for tested, attacked in part.index]]
        parts.append(pd.concat({table: part}))
    gaps = pd.concat(parts).rename_axis(["table", "row", "column"])
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
    evaluations: Mapping[str, pd.DataFrame], published: Collection[str] = ()
) -> pd.DataFrame:
    """Lay out the models' evaluations by their names: a row for each kind of images.

    Beneath it stands what the slides print, where the model is one of those `published`. The
    figures are those that all of them have: the reference run may be older than one.
    """
    known = [f for f in FIGURES if all(f in frame for frame in evaluations.values())]
    rows = []
    for model, frame in evaluations.items():
        for images, ours in frame.iterrows():
            n = int(ours["n"])
            ends = wilson_interval(round(ours["error"] * n / 100), n)
            name = model if images == frame.index[0] else ""
            rows.append([name, str(images), *map(number, ours[known]), interval(*ends)])
            if model in published:
                printed, right = (
                    slides.evaluation(model, corrected=corrected)[str(images)]
                    for corrected in (False, True)
                )
                theirs = [write_published(ours[f], printed.get(f), right.get(f))[0] for f in known]
                rows.append(["", "published", *theirs, ""])
    heads = [FIGURES[f]["heading"] for f in known]
    return pd.DataFrame(rows, columns=["Model", "Images", *heads, "Error, 95 % interval"])


def lay_out_transfer(ours: pd.DataFrame, published_figure: str | None = None) -> pd.DataFrame:
    """Lay out a transfer table: a row per model under test, a column per model attacked.

    With the figure of a published table, "error" or "confidence_error", its numbers stand beside
    ours, and there are three lines per model under test that the slides have.
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
        if any(published):
            lines += [["", "published", *published], ["", "difference", *apart]]
    return pd.DataFrame(lines, columns=["Model under test", "", *heads])
