"""The report's tables: our numbers, with the published ones beside them where they belong.

A table is a DataFrame of finished strings. `show` escapes them, so that a cell may hold anything;
a cell that is Markdown itself is a `Markup`.
"""

import html
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from advlib import curves, published
from advlib.captions import publish
from advlib.comparison import error_interval
from advlib.data import Dataset
from advlib.provenance import Stage
from advlib.wording import difference, escape, interval, number, setting

FIGURES = {
    "correct": "Correctly predicted",
    "error": "Error",
    "confidence": "Confidence",
    "confidence_correct": "Confidence, correctly predicted",
    "confidence_error": "Confidence, errors",
}
"""The five figures of an evaluation, in the slides' order, with their names in a table."""


SETTINGS = {
    "dataset": ("Data set", ""),
    "images": ("Training images", ""),
    "epsilon": ("Size of the perturbation", r"$\epsilon$"),
    "alpha": ("Share of the clean gradient in adversarial training", r"$\alpha$"),
    "epochs": ("Epochs", ""),
    "batch_size": ("Clean images in a minibatch", "$m$"),
    "learning_rate": ("Learning rate", r"$\rho$"),
    "momentum": ("Momentum", r"$\mu$"),
    "weight_decay": ("Weight decay", r"$\lambda$"),
    "seed": ("Seed", ""),
}
"""The parameters of an experiment, with their names and symbols in a table."""


BRACKETS = (
    "In brackets: the number as it should have been printed ([@sec-published]); the difference is "
    "to that."
)


class Markup(str):
    """A table's cell that is Markdown already, such as a cross-reference."""

    __slots__ = ()


def show(
    frame: pd.DataFrame,
    label: str,
    caption: str,
    data: pd.DataFrame | None = None,
    align: str | None = None,
) -> None:
    """Display a table, with all that the report needs to know of it.

    Parameters
    ----------
    frame
        Strings: the cells and column headings as they are to be read. Its index is not shown.
    label
        Its name for cross-references, "tbl-...".
    caption
        Its caption, in Pandoc's Markdown.
    data
        The numbers that it shows, in full precision.
    align
        A letter per column, "l" or "r"; by default the first column is set left, the others right.

    Raises
    ------
    ValueError
        If label, caption or align cannot be used.
    """
    align = align or "l" + "r" * (frame.shape[1] - 1)
    if len(align) != frame.shape[1] or set(align) - {"l", "r"}:
        raise ValueError(f"align must be {frame.shape[1]} letters l or r, got {align!r}")
    rows = [[str(column) for column in frame.columns], *frame.to_numpy().tolist()]
    content = {"text/html": _html(rows, align), "text/markdown": _pipe(rows, align)}
    publish("table", label, caption, content, data)


def laid_out(
    frame: pd.DataFrame, heading: str, write: Callable[[Any], str] = number
) -> pd.DataFrame:
    """Lay out a DataFrame of numbers: its index becomes the first column.

    Parameters
    ----------
    frame
        The numbers.
    heading
        The first column's heading.
    write
        How a number is written.
    """
    body = frame.map(write)
    body.insert(0, heading, [str(name) for name in frame.index])
    return body


def class_counts(data: Dataset) -> pd.DataFrame:
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


def evaluation_table(data: pd.DataFrame, published_method: str | None = None) -> pd.DataFrame:
    """Lay out an evaluation as the slides do: the five figures by clean and adversarial images.

    Parameters
    ----------
    data
        `evaluation_data` of images "clean" and "adversarial".
    published_method
        The method whose published numbers stand beside; None leaves them out.

    Returns
    -------
    pandas.DataFrame
        Cells ready to show. A misprinted number has its correction in brackets, and the difference
        is to the correction.
    """
    columns = {"": [*FIGURES.values(), "Error, 95 % interval"]}
    for images, ours in data.iterrows():
        name = str(images).capitalize()
        cells = [*map(number, ours[list(FIGURES)]), interval(*error_interval(ours))]
        if published_method is None:
            columns[name] = cells
            continue
        printed = published.evaluation(published_method)[str(images)]
        right = published.evaluation(published_method, corrected=True)[str(images)]
        beside = [_printed(printed[figure], right[figure]) for figure in FIGURES]
        apart = [difference(ours[figure] - right[figure]) for figure in FIGURES]
        columns[f"{name}: ours"] = cells
        columns[f"{name}: published"] = [*beside, ""]
        columns[f"{name}: difference"] = [*apart, ""]
    return pd.DataFrame(columns)


def evaluation_note(published_method: str | None) -> str:
    """Return the end of an evaluation table's caption: what its brackets are, if it has any."""
    if published_method is None:
        return ""
    printed = published.evaluation(published_method)
    return BRACKETS if printed != published.evaluation(published_method, corrected=True) else ""


def transfer_note(published_figure: str | None) -> str:
    """Return the end of a transfer table's caption: what its brackets are, if it has any."""
    if published_figure is None:
        return ""
    printed = published.transfer(published_figure)
    return "" if printed.equals(published.transfer(published_figure, corrected=True)) else BRACKETS


def transfer_table(ours: pd.DataFrame, published_figure: str | None = None) -> pd.DataFrame:
    """Lay out a transfer table: a row per model under test, a column per model attacked.

    Parameters
    ----------
    ours
        Percentages; index the model under test, columns the model attacked.
    published_figure
        The figure of the published table that stands beside, "error" or "confidence_error"; None
        leaves it out.

    Returns
    -------
    pandas.DataFrame
        Cells ready to show; with the published numbers three lines per model under test.
    """
    heads = [f"Images made against: {attacked}" for attacked in ours.columns]
    if published_figure is None:
        return laid_out(ours.set_axis(heads, axis="columns"), "Model under test")
    rows, columns = list(ours.index), list(ours.columns)
    printed = published.transfer(published_figure).loc[rows, columns]
    right = published.transfer(published_figure, corrected=True).loc[rows, columns]
    lines = []
    for place, tested in enumerate(ours.index):
        row, corrected = ours.iloc[place], right.iloc[place]
        lines.append([tested, "ours", *map(number, row)])
        lines.append(["", "published", *map(_printed, printed.iloc[place], corrected)])
        lines.append(["", "difference", *map(difference, row - corrected)])
    return pd.DataFrame(lines, columns=["Model under test", "", *heads])


def readings_table(data: pd.DataFrame) -> pd.DataFrame:
    """Lay out `readings_data`; the slides' values have as many digits as an eye can read."""
    names = [
        f"{curves.QUANTITIES[quantity].capitalize()}, {split}"
        for quantity, split in zip(data["quantity"], data["split"], strict=True)
    ]
    columns = {"Curve": names}
    for end in ("first", "last"):
        name, slides = f"{end.capitalize()} epoch", data[f"{end}_published"]
        columns[f"{name}: ours"] = [number(value, 3) for value in data[end]]
        columns[f"{name}: published"] = [f"{value:.3g}" for value in slides]
    return pd.DataFrame(columns)


def epochwise_table(readings: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay out the readings of mixed training beside each other and beside the published numbers.

    Parameters
    ----------
    readings
        `evaluation_data` of each reading, by its name.
    """
    slides = published.evaluation("mixed")
    columns = {"": list(FIGURES.values())}
    for images in published.IMAGES:
        name = images.capitalize()
        for reading, data in readings.items():
            columns[f"{name}: {reading}"] = [*map(number, data.loc[images, list(FIGURES)])]
        columns[f"{name}: published"] = [number(slides[images][figure]) for figure in FIGURES]
    return pd.DataFrame(columns)


def settings_data(settings: Mapping[str, object]) -> pd.DataFrame:
    """Return settings as a table of one row, a column each; NaN where there is no limit."""
    values = {name: float("nan") if value is None else value for name, value in settings.items()}
    return pd.DataFrame([values], index=["value"])


def settings_table(settings: Mapping[str, object]) -> pd.DataFrame:
    """Lay out settings, one a line, beside those of the published experiment."""
    theirs = {**dict.fromkeys(settings, "not stated"), **published.settings()}
    return pd.DataFrame(
        {
            "Setting": [SETTINGS[name][0] for name in settings],
            "Symbol": [Markup(SETTINGS[name][1]) for name in settings],
            "This report": [setting(value) for value in settings.values()],
            "Published experiment": [setting(theirs[name]) for name in settings],
        }
    )


def stages_table(stages: Iterable[Stage]) -> pd.DataFrame:
    """Lay out executed notebooks: the time of each and of its training, and what it shows."""
    return pd.DataFrame(
        [
            (
                stage.notebook,
                number(stage.seconds, 1),
                number(stage.training_seconds, 1),
                Markup("[" + "; ".join(f"@{label}" for label in stage.labels) + "]"),
            )
            for stage in stages
        ],
        columns=["Notebook", "Seconds", "Training", "Figures and tables"],
    )


def _printed(printed: float, right: float) -> str:
    """Write a published number, with its correction in brackets where it is misprinted."""
    return number(printed) if printed == right else f"{number(printed)} [{number(right)}]"


def _pipe(rows: list[list[str]], align: str) -> str:
    """Return rows, the headings first, as a pipe table."""
    cells = [[cell if isinstance(cell, Markup) else escape(cell) for cell in row] for row in rows]
    head, *lines = ["| " + " | ".join(row) + " |" for row in cells]
    rule = "|" + "|".join({"l": ":---", "r": "---:"}[side] for side in align) + "|"
    return "\n".join([head, rule, *lines])


def _html(rows: list[list[str]], align: str) -> str:
    """Return rows, the headings first, as an HTML table."""
    sides = [{"l": "left", "r": "right"}[side] for side in align]
    head, *lines = [
        "".join(
            f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(row, sides, strict=True)
        )
        for tag, row in zip(["th"] + ["td"] * (len(rows) - 1), rows, strict=True)
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
