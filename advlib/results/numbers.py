"""A report's numbers to take along: with units and intervals, as one tidy table and as JSON."""

import json
import math
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any

import pandas as pd

from advlib.evaluation import wilson_interval
from advlib.results.notebooks import Notebook
from advlib.results.tables import collect_from, to_csv
from advlib.settings import declared

TIDY, DOCUMENT = "numbers.csv", "numbers.json"
COLUMNS = ("table", "row", "column", "value", "unit", "images", "low", "high")

PERCENT, POINTS, IMAGES, NATS = "%", "percentage points", "images", "nats"
SCALE, LOGIT, NONE = "training scale", "logit", ""
UNITS = (
    ("tbl-classes", "*", IMAGES),
    ("tbl-evaluation-*", "n", IMAGES),
    ("tbl-directions", "n", IMAGES),
    ("tbl-calibration", "calibration_error", POINTS),
    *((f"tbl-{table}", "*", PERCENT) for table in ("evaluation-*", "directions", "transfer-*")),
    *((f"tbl-{table}", "*", PERCENT) for table in ("precision", "robustness", "regression")),
    ("tbl-calibration", "*", PERCENT),
    ("tbl-curves-*", "*", f"{NATS} (objective) or {PERCENT}"),
    ("fig-curves-*", "objective_*", NATS),
    ("fig-curves-*", "top*", PERCENT),
    ("fig-epsilons", "epsilon", SCALE),
    ("fig-epsilons", "*", PERCENT),
    ("fig-line", "*", LOGIT),
    *((f"fig-{figure}", "n", IMAGES) for figure in ("reliability", "risk")),
    *((label, "*", PERCENT) for label in ("fig-reliability", "fig-risk", "tbl-checks")),
    ("tbl-settings", "*epsilon", SCALE),
    ("tbl-settings", "*images", IMAGES),
    ("tbl-settings", "attacked", IMAGES),
    ("tbl-settings", "batch_size", IMAGES),
    ("*", "*", NONE),
)
"""What a table's column is in: the first line whose patterns fit says it."""

RATES = (
    ("tbl-evaluation-*", "correct"),
    ("tbl-evaluation-*", "error"),
    ("tbl-directions", "correct"),
    ("tbl-directions", "error"),
    ("tbl-transfer-error", "*"),
    ("tbl-precision", "*"),
    ("tbl-robustness", "*"),
    ("fig-epsilons", "error"),
    ("fig-reliability", "accuracy"),
    ("fig-risk", "error"),
)
"""Which of them are shares of images, with an interval for the choice of these."""
NAMING = ("epoch", "check", "model", "attack", "epsilon", "quantity", "split", "bin", "coverage")
"""Columns that say which row it is, where the index is a mere number."""


def find_unit(label: str, column: str) -> str:
    """Return the unit of a table's column."""
    return next(u for t, c, u in UNITS if fnmatchcase(label, t) and fnmatchcase(column, c))


def list_numbers(notebooks: Iterable[Notebook]) -> pd.DataFrame:
    """Return all numbers of executed notebooks, one a row; columns as `COLUMNS`.

    `low` and `high` are the ends of the 95 % interval (Wilson) of a share of `images`, NaN for
    other numbers. Words in a table, such as the data set's name, are left out.
    """
    notebooks = list(notebooks)
    said = {about["label"]: about for notebook in notebooks for about, _ in notebook.shown}
    rows = [
        row
        for label, frame in collect_from(notebooks).items()
        for row in _list_table(label, frame, said[label])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _list_table(
    label: str, frame: pd.DataFrame, about: dict[str, Any]
) -> Iterator[tuple[str, str, str, float, str, float, float, float]]:
    counted = frame.index.tolist() == list(range(len(frame)))
    named = [column for column in NAMING if column in frame] if counted else []
    named = about.get("rows") or named
    units, shares = about.get("units", {}), about.get("shares")
    for index, cells in zip(frame.index, frame.to_dict("records"), strict=True):
        row = ", ".join(str(cells[column]) for column in named) or str(index)
        n = cells.get("n", about.get("images"))
        for column, value in cells.items():
            if column in named or isinstance(value, str):
                continue
            unit = next((u for c, u in units.items() if fnmatchcase(str(column), c)), NONE)
            unit = unit or find_unit(label, str(column))
            is_rate = any(fnmatchcase(label, t) and fnmatchcase(str(column), c) for t, c in RATES)
            is_rate |= any(fnmatchcase(str(column), c) for c in shares or ())
            ends = (math.nan, math.nan)
            if is_rate and n and not math.isnan(value):
                ends = wilson_interval(round(value * n / 100), int(n))
            count = float(n) if is_rate and n else math.nan
            yield label, row, str(column), float(value), unit, count, *ends


def write_numbers(notebooks: Iterable[Notebook]) -> dict[str, bytes]:
    """Return the files of a report's numbers by name: the tidy table, and the same as JSON.

    The JSON has `advlib`, the version; `settings`, each with value, words and symbol; and
    `numbers`, a list of objects with the columns of the table, null where there is no number.
    """
    notebooks = list(notebooks)
    found = list_numbers(notebooks)
    tables = collect_from(notebooks)
    document: dict[str, Any] = {
        "advlib": version("advlib"),
        "settings": _describe_settings(tables.get("tbl-settings")),
        "numbers": [
            {name: None if value != value else value for name, value in row.items()}
            for row in found.to_dict("records")
        ],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return {TIDY: to_csv(found).encode(), DOCUMENT: f"{text}\n".encode()}


def _describe_settings(table: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    if table is None:
        return {}
    about = {name: each.metadata for name, each in declared().items()}
    (row,) = table.to_dict("records")
    return {
        str(name): {
            "value": None if value != value else value,
            "words": about[str(name)]["words"],
            "symbol": about[str(name)]["symbol"],
        }
        for name, value in row.items()
    }
