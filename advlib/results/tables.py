"""A report's numbers: from its executed notebooks, to files with units and intervals, and back.

Each figure and table has a CSV file; numbers.csv and numbers.json have all numbers, one a row.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from advlib.intervals import wilson_interval
from advlib.kept import files
from advlib.results.notebooks import Notebook
from advlib.settings import declared

COLUMNS = ("table", "row", "column", "value", "unit", "images", "low", "high")


def collect_from(notebooks: Iterable[Notebook]) -> dict[str, pd.DataFrame]:
    """Return the numbers of every figure and table of executed notebooks, in full precision.

    They are by label, "fig-..." or "tbl-...", in the report's order. Column names are strings; what
    is undefined is NaN.
    """
    return {about["label"]: _frame(about["data"]) for about in _find_numbers(notebooks)}


def _find_numbers(notebooks: Iterable[Notebook]) -> list[dict[str, Any]]:
    """Return what the figures and tables with numbers say of themselves."""
    return [about for notebook in notebooks for about, _ in notebook.shown if "data" in about]


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the CSV files of figures and tables that `write` wrote."""
    found = {}
    for path in sorted([*folder.glob("fig-*.csv"), *folder.glob("tbl-*.csv")]):
        try:
            found[path.stem] = from_csv(path.read_bytes().decode())
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    if not found:
        raise FileNotFoundError(f"there are no results in {folder}")
    return found


def write(
    tables: Mapping[str, pd.DataFrame], folder: Path, others: Mapping[str, bytes] | None = None
) -> None:
    """Write results, as `collect_from` returns them, and other files, with their SHA256SUMS.

    The folder is made if it is not there; other CSV files in it are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {f"{label}.csv": to_csv(frame).encode() for label, frame in tables.items()}
    found |= others or {}
    found["SHA256SUMS"] = files.checksum_lines(dict(sorted(found.items())))
    with files.replace_files({folder / name: text for name, text in found.items()}):
        pass
    for path in folder.glob("*.csv"):
        if path.name not in found:
            path.unlink()


def write_numbers(notebooks: Iterable[Notebook]) -> dict[str, bytes]:
    """Return numbers.csv and numbers.json, the same numbers one a row; columns as `COLUMNS`.

    `low` and `high` are the ends of the 95 % interval (Wilson) of a share of `images`, undefined
    for other numbers. Words in a table, such as the data set's name, are left out. The JSON has
    the version of `advlib` and the `settings`, each with value, words and symbol, besides.
    """
    found = _find_numbers(notebooks)
    rows = [row for about in found for row in _rows(about)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    known = {name: each.metadata for name, each in declared().items()}
    document = {
        "advlib": version("advlib"),
        "settings": {
            name: {
                "value": value,
                "words": known[name]["words"] if name in known else name,
                "symbol": known[name]["symbol"] if name in known else "",
            }
            for about in found
            if about["label"] == "tbl-settings"
            for name, value in zip(about["data"]["columns"], *about["data"]["data"], strict=True)
        },
        "numbers": table.astype(object).where(table.notna(), None).to_dict("records"),
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return {"numbers.csv": to_csv(table).encode(), "numbers.json": f"{text}\n".encode()}


def _rows(about: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield a table's numbers, each with what `advlib.show.captions.Numbers` says of its column."""
    frame = _frame(about["data"])
    for index, cells in zip(frame.index, frame.to_dict("records"), strict=True):
        row = ", ".join(str(cells[column]) for column in about["rows"]) or str(index)
        n = about.get("images") or cells.get("n")  # a column of this name may be a model's
        for column, value in cells.items():
            if column in about["rows"] or isinstance(value, str):
                continue
            count, ends = math.nan, (math.nan, math.nan)
            if column in about["shares"] and n:
                count = float(n)
                if not math.isnan(value):
                    ends = wilson_interval(round(value * n / 100), int(n))
            yield about["label"], row, column, float(value), about["units"][column], count, *ends


def to_csv(frame: pd.DataFrame) -> str:
    """Return a DataFrame as CSV from which `from_csv` makes the same again.

    Strings are quoted and numbers are not, so that "3" and 3 stay apart; floats have all their
    digits; what is undefined is nan. The first column is the index. Columns whose axis has a name,
    such as "model", are called by values: these stand in a column of that name, and a row has one
    cell.
    """
    cells = frame.astype(object).to_numpy().tolist()
    named = zip(frame.index.tolist(), cells, strict=True)
    if (of := frame.columns.name) and frame.size and frame.columns.is_unique:
        rows = [["row", of, "value"]]
        rows += [[at, *each] for at, row in named for each in zip(frame, row, strict=True)]
    else:
        rows = [["", *frame.columns], *([at, *row] for at, row in named)]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(rows)
    return text.getvalue()


def from_csv(text: str) -> pd.DataFrame:
    """Return the DataFrame that `to_csv` wrote, its numbers as floats; another is a ValueError."""
    lines: Any = csv.reader(io.StringIO(text, newline=""), quoting=csv.QUOTE_NONNUMERIC)
    rows = [*lines]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("no heading, or rows of different lengths")
    (first, *columns), *rest = rows
    if first == "":
        index, data = [row[0] for row in rest], [row[1:] for row in rest]
        return _frame({"columns": columns, "index": index, "data": data})
    if first != "row" or columns[1:] != ["value"]:
        raise ValueError("the heading is another")
    names = [*dict.fromkeys(row[1] for row in rest)]  # a cell a row
    blocks = [rest[at : at + len(names)] for at in range(0, len(rest), len(names) or 1)]
    if [row[1] for row in rest] != names * len(blocks):
        raise ValueError("cells are missing")
    data = [[row[2] for row in block] for block in blocks]
    index = [block[0][0] for block in blocks]
    return _frame({"columns": names, "index": index, "data": data, "of": columns[0]})


def _frame(split: dict[str, Any]) -> pd.DataFrame:
    """Return what is stored as pandas' "split" JSON, null being NaN."""
    cells = [[math.nan if value is None else value for value in row] for row in split["data"]]
    found = pd.DataFrame(cells, index=split["index"], columns=split["columns"])
    return found.rename_axis(columns=split.get("of"))
