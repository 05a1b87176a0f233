"""What a notebook hands to the report: a figure or table with its label, caption and data.

They are in the metadata of the output that shows it. The caption follows as a second output, which
only the reader of the notebook sees: the report sets the caption itself, from the metadata.
"""

import math
from typing import Any, Literal

import pandas as pd
from IPython.display import publish_display_data

Kind = Literal["figure", "table"]


def publish(
    kind: Kind,
    label: str,
    caption: str,
    content: dict[str, str],
    data: pd.DataFrame | None = None,
    alt: str | None = None,
    seconds: float | None = None,
) -> None:
    """Display a figure or table and then its caption.

    Parameters
    ----------
    kind
        "figure" or "table".
    label
        Name for cross-references: "fig-..." for a figure, "tbl-..." for a table.
    caption
        The caption, in Pandoc's Markdown.
    content
        The figure or table by media type.
    data
        The numbers that it shows, stored beside it in full precision.
    alt
        A figure's text alternative.
    seconds
        How long the training took whose numbers it shows; for the provenance, and no part of them.

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
    show: Any = publish_display_data  # IPython has no types for it
    show(content, metadata={"advlib": about})
    for_reader = {"text/markdown": f"*{kind.capitalize()}.* {caption}", "text/plain": caption}
    show(for_reader, metadata={"advlib": {"kind": "caption", "label": label}})


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
