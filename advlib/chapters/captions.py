"""What a notebook hands to the report: a figure or table with its label, caption and data.

They are in the metadata of the output that shows it. The caption follows as a second output, which
only the reader of the notebook sees: the report sets the caption itself, from the metadata.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import pandas as pd
from IPython.display import publish_display_data

Kind = Literal["figure", "table"]


def publish(
    kind: Kind,
    label: str,
    caption: str,
    content: dict[str, Any],
    data: pd.DataFrame | None = None,
    alt: str | None = None,
    seconds: float | None = None,
    images: int | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Display a figure or table and then its caption, which begins with "Figure *name*".

    Parameters
    ----------
    kind
        "figure" or "table".
    label
        "fig-" and a figure's name, "tbl-" and a table's.
    caption
        The caption, in Markdown.
    content
        The figure or table by media type.
    data
        The numbers that it shows, stored beside it in full precision.
    alt
        A figure's text alternative.
    seconds
        How long the training took whose numbers it shows; for the provenance, and no part of them.
    images
        How many images the shares among the numbers are of, where `data` does not say it.
    metadata
        More of the output's metadata, by media type.

    Raises
    ------
    ValueError
        If the label has not its kind's prefix, or caption or text alternative is missing.
    """
    prefix = {"figure": "fig-", "table": "tbl-"}[kind]
    if not label.startswith(prefix):
        raise ValueError(f"label of a {kind} must start with {prefix!r}, got {label!r}")
    if not caption.strip():
        raise ValueError(f"caption of {label} must not be empty")
    if kind == "figure" and not (alt and alt.strip()):
        raise ValueError(f"alt of {label} must not be empty: it stands for the figure")
    about: dict[str, Any] = {"kind": kind, "label": label, "caption": caption}
    if alt is not None:
        about["alt"] = alt
    if data is not None:
        about["data"] = split(data)
    if seconds is not None:
        about["seconds"] = float(seconds)
    if images is not None:
        about["images"] = int(images)
    show: Any = publish_display_data  # IPython has no types for it
    show(content, metadata={"advlib": about, **(metadata or {})})
    text = f"**{kind.capitalize()} *{label.removeprefix(prefix)}*.** {caption}"
    for_reader = {"text/markdown": text, "text/plain": text}
    show(for_reader, metadata={"advlib": {"kind": "caption", "label": label}})


def publish_title(title: str, subtitle: str, authors: Sequence[str], date: datetime) -> None:
    """Display what the report begins with; the texts are Markdown."""
    day = f"{date:%Y-%m-%d}"
    lines = [f"# {title}", f"*{subtitle}*", f"{', '.join(authors)}, {day}"]
    about: dict[str, Any] = {"kind": "title", "title": title, "subtitle": subtitle}
    about |= {"author": [*authors], "date": day}
    show: Any = publish_display_data
    text = "\n\n".join(lines)
    show({"text/markdown": text, "text/plain": text}, metadata={"advlib": about})


def split(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a DataFrame as JSON's values: columns, index, data; undefined numbers as None.

    Unlike ``DataFrame.to_json`` this keeps every bit of a float.
    """
    return {
        "columns": [str(column) for column in frame.columns],
        "index": [_plain(value) for value in frame.index.tolist()],
        "data": [[_plain(value) for value in row] for row in frame.astype(object).to_numpy()],
    }


def _plain(value: Any) -> Any:
    """Return a number, string or None as JSON can hold it."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
