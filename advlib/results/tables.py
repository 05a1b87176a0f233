"""The numbers behind a report's figures and tables, from executed notebooks or CSV files."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from advlib.kept import files, folders
from advlib.results.notebooks import Notebook, read_chapters


def collect(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Return the data of every figure and table of executed chapters, in full precision.

    They are by label, "fig-..." or "tbl-...", in the report's order. The folder need not be
    complete; its front and back matter, which are made from these data, are passed over. "" gives
    the reference run's results, which come with the package, sorted. Column names are strings; what
    is undefined is NaN.

    Raises
    ------
    FileNotFoundError
        If there is nothing to collect from.
    ValueError
        If a label appears twice, or a file cannot be read.
    """
    if not str(folder):
        return _reference()
    chapters = read_chapters(folder)
    if not chapters:
        raise FileNotFoundError(f"no executed chapter of a report in {folder}")
    return collect_from(chapters)


def collect_from(notebooks: Iterable[Notebook]) -> dict[str, pd.DataFrame]:
    """Return the data of every figure and table of executed notebooks, as `collect` does."""
    found: dict[str, pd.DataFrame] = {}
    for notebook in notebooks:
        for about, _ in notebook.shown:
            if "data" not in about:
                continue
            if about["label"] in found:
                raise ValueError(f"{notebook.path}: label {about['label']} is used twice")
            found[about["label"]] = _frame(about["data"])
    return found


def write(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write results, as `collect` returns them, as CSV files with their checksums.

    The folder is made if it is not there; other CSV files in it are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.replace_files(contents(tables, folder)):
        pass
    remove_others(tables, folder)


def contents(
    tables: Mapping[str, pd.DataFrame], folder: Path, others: Mapping[str, bytes] | None = None
) -> dict[Path, bytes]:
    """Return what `write` writes, by path: the CSV files, other files, then their checksums."""
    texts = {f"{label}.csv": to_csv(frame).encode() for label, frame in tables.items()}
    texts |= others or {}
    checksums = {name: hashlib.sha256(texts[name]).hexdigest() for name in sorted(texts)}
    sums = files.checksum_lines(checksums)
    return {folder / name: text for name, text in {**texts, "SHA256SUMS": sums}.items()}


def remove_others(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Remove the CSV files of figures and tables that are of other results."""
    for path in _find_tables(folder):
        if path.stem not in tables:
            path.unlink()


def _find_tables(folder: Path) -> list[Path]:
    """Return the CSV files of figures and tables, sorted."""
    return sorted([*folder.glob("fig-*.csv"), *folder.glob("tbl-*.csv")])


def to_csv(frame: pd.DataFrame) -> str:
    """Return a DataFrame as CSV from which `from_csv` makes the same again.

    Strings are quoted and numbers are not, so that "3" and 3 stay apart; floats have all their
    digits; what is undefined is NaN. The first column is the index. Within a string, quotation
    marks and the like are written as JSON does, with a backslash.

    Raises
    ------
    TypeError
        If a cell is neither a string nor a number.
    """
    rows: list[list[Any]] = [["", *frame.columns]]
    cells = frame.astype(object).to_numpy().tolist()
    rows += [[index, *row] for index, row in zip(frame.index.tolist(), cells, strict=True)]
    return "".join(f"{_line(row)}\n" for row in rows)


def from_csv(text: str) -> pd.DataFrame:
    """Return the DataFrame that `to_csv` wrote.

    Raises
    ------
    ValueError
        If the text is not such a file's.
    """
    rows = [json.loads(f"[{line}]") for line in text.removesuffix("\n").split("\n")]
    if not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("no heading, or rows of different lengths")
    data = {
        "columns": rows[0][1:],
        "index": [row[0] for row in rows[1:]],
        "data": [row[1:] for row in rows[1:]],
    }
    return _frame(data)


def _reference() -> dict[str, pd.DataFrame]:
    check_sums(folders.RESULTS)
    frames = {file.stem: _read(file) for file in _find_tables(folders.RESULTS)}
    if not frames:
        raise FileNotFoundError(
            f"the reference run's results are missing: no CSV file in {folders.RESULTS}"
        )
    return frames


def check_sums(folder: Path) -> None:
    """Check results against the SHA256SUMS in their folder, if it has one.

    Raises
    ------
    DamagedFileError
        If a file is not what was written, missing, or not listed.
    """
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        return
    listed = files.read_checksums(sums)
    for name in sorted({*listed, *(path.name for path in folder.glob("*.csv"))}):
        path = folder / name
        if not path.exists() or files.sha256(path) != listed.get(name):
            raise files.DamagedFileError(
                f"{path} is damaged or missing, or {sums} is; restore it, or remove it and make it"
                " again"
            )


def _read(file: Path) -> pd.DataFrame:
    try:
        return from_csv(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def _frame(split: dict[str, list[Any]]) -> pd.DataFrame:
    """Return what is stored as pandas' "split" JSON, null being NaN."""
    cells = [[math.nan if value is None else value for value in row] for row in split["data"]]
    return pd.DataFrame(cells, index=split["index"], columns=split["columns"])


def _line(row: list[Any]) -> str:
    for value in row:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise TypeError(f"a cell must be a string or a number, got {value!r}")
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))[1:-1]
