"""What a notebook hands to the report: a figure or table with its label, caption and data.

They are in the metadata of the output that shows it. The caption follows as a second output, which
only the reader of the notebook sees: the report sets the caption itself, from the metadata.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

import pandas as pd
from IPython.display import publish_display_data

WIDTH = 5.5
"""The width of the report's text, and so of its figures, in inches; report.typ has it, too."""

Kind = Literal["figure", "table"]


@dataclass(frozen=True)
class Numbers:
    """The numbers that a figure or table shows, in full precision, and what they are."""

    frame: pd.DataFrame
    units: str | Mapping[str, str] = ""
    """Of all columns, or of each by a pattern such as ``"top*"``: the first that fits counts."""
    shares: Sequence[str] = ()
    """Columns (patterns) that are shares of images: they get an interval."""
    images: int | None = None
    """Of how many images; without it a column `n` says it."""
    rows: Sequence[str] = ()
    """Columns that say which row it is, where the index does not."""

    def describe(self) -> dict[str, Any]:
        """Return all of it as JSON's values, units and shares by the columns' names."""
        given = {"*": self.units} if isinstance(self.units, str) else self.units
        columns = [str(column) for column in self.frame]
        units = {
            column: next((unit for each, unit in given.items() if fnmatchcase(column, each)), "")
            for column in columns
        }
        shares = [c for c in columns if any(fnmatchcase(c, each) for each in self.shares)]
        about = {"units": units, "shares": shares, "rows": [*self.rows]}
        return {"data": split(self.frame), "images": self.images, **about}


def publish(
    kind: Kind,
    label: str,
    caption: str,
    content: dict[str, Any],
    numbers: Numbers | pd.DataFrame | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    **about: Any,
) -> None:
    """Display a figure or table and then its caption, which begins with "Figure *name*".

    `label` is "fig-" and a figure's name, or "tbl-" and a table's; `caption` is Markdown; `content`
    is by media type, as `metadata` is; `about` is what else the report is to know: a figure's
    text alternative `alt`, the `seconds` that a training took.
    """
    prefix = {"figure": "fig-", "table": "tbl-"}[kind]
    if not label.startswith(prefix):
        raise ValueError(f"label of a {kind} must start with {prefix!r}, got {label!r}")
    if not caption.strip():
        raise ValueError(f"caption of {label} must not be empty")
    if kind == "figure" and not (about.get("alt") or "").strip():
        raise ValueError(f"alt of {label} must not be empty: it stands for the figure")
    if isinstance(numbers, pd.DataFrame):
        numbers = Numbers(numbers)
    said = {**about, **(numbers.describe() if numbers else {})}
    said = {"kind": kind, "label": label, "caption": caption, **said}
    known = {name: value for name, value in said.items() if value is not None}
    publish_display_data(content, metadata={"advlib": known, **(metadata or {})})
    text = f"**{kind.capitalize()} *{label.removeprefix(prefix)}*.** {caption}"
    for_reader = {"text/markdown": text, "text/plain": text}
    publish_display_data(for_reader, metadata={"advlib": {"kind": "caption", "label": label}})


def publish_title(title: str, subtitle: str, authors: Sequence[str], date: datetime) -> None:
    """Display what the report begins with; the texts are Markdown."""
    day = f"{date:%Y-%m-%d}"
    lines = [f"# {title}", f"*{subtitle}*", f"{', '.join(authors)}, {day}"]
    about: dict[str, Any] = {"kind": "title", "title": title, "subtitle": subtitle}
    about |= {"author": [*authors], "date": day}
    text = "\n\n".join(lines)
    publish_display_data({"text/markdown": text, "text/plain": text}, metadata={"advlib": about})


def split(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a DataFrame as JSON's values: columns, index, data; undefined numbers as None.

    Unlike ``DataFrame.to_json`` this keeps every bit of a float. Where the columns are called by
    models or classes, and not by what is measured, their axis has a name, `of`. A row of several
    names is called by all of them.
    """
    of, names = frame.columns.name, frame.index.tolist()
    return {
        **({"of": str(of)} if of else {}),
        "columns": [str(column) for column in frame.columns],
        "index": [", ".join(at) if isinstance(at, tuple) else _plain(at) for at in names],
        "data": [[_plain(value) for value in row] for row in frame.astype(object).to_numpy()],
    }


def _plain(value: Any) -> Any:
    """Return a number, string or None as JSON can hold it."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
