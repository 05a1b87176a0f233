"""Set two reports' settings and numbers side by side: make compare A=folder B=folder.

python .make/compare.py A B [TOLERANCE]    Standard library only: it takes no time.

A and B are folders of reports, such as report/build/seed, or "reference", the reference run. The
exit status is 0 if all settings are equal and no number differs by more than TOLERANCE (0 by
default), 1 if something differs, 2 if they cannot be compared.
"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from summary import check

REFERENCE = Path(__file__).parents[1] / "advlib/reference/results"
SETTINGS = "tbl-settings"
Table = dict[tuple[str, str], Any]
"""A table's cells by row and column."""
ALSO = "-mixed-epochwise"
"""The end of the names of what the reference run has besides a report's tables."""


class CannotCompareError(ValueError):
    """There are no results, or what is there cannot be trusted."""


def find_results(named: str) -> Path:
    """Return the folder of results that a name on the command line means."""
    if named == "reference":
        return REFERENCE
    if not named:
        raise CannotCompareError("name two reports: make compare A=report/build/seed B=reference")
    folder = Path(named)
    if not folder.is_dir():
        raise CannotCompareError(f"{named} is no folder, and not the word reference")
    return folder / "results" if (folder / "results").is_dir() else folder


def read_results(folder: Path) -> dict[str, Table]:
    """Read the tables of results, checked against their checksums."""
    try:
        check(folder)
        files = sorted([*folder.glob("fig-*.csv"), *folder.glob("tbl-*.csv")])
        tables = {file.stem: read_table(file) for file in files}
    except (OSError, ValueError) as error:
        raise CannotCompareError(
            f"{folder} has no results of a report that can be compared: {error}"
        ) from error
    if folder.resolve() == REFERENCE.resolve():
        tables = {name: table for name, table in tables.items() if not name.endswith(ALSO)}
    if SETTINGS not in tables:
        raise CannotCompareError(
            f"{folder} has no {SETTINGS}.csv: it is not a report's results (the reference run's are"
            " meant by the word reference)"
        )
    return tables


def read_table(file: Path) -> Table:
    """Read a table as `advlib.results.tables` writes it: lines are JSON but for brackets."""
    lines = file.read_text(encoding="utf-8").splitlines()
    (_, *columns), *rows = [json.loads(f"[{line}]") for line in lines]
    return {
        (str(row[0]), column): value
        for row in rows
        for column, value in zip(columns, row[1:], strict=True)
    }


def differ(a: object, b: object, tolerance: float) -> bool:
    """Tell whether two cells differ: numbers by more than the tolerance; NaN is like NaN."""
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b)]
    if not all(numbers):
        return a != b
    x, y = float(a), float(b)  # type: ignore[arg-type]
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) != math.isnan(y)
    return abs(x - y) > tolerance


def list_differences(a: Table, b: Table, tolerance: float) -> list[tuple[str, str, Any, Any]]:
    """List the cells that differ, or are in one table only: row, column, and both values."""
    cells = dict.fromkeys([*a, *b])
    pairs = [(*at, a.get(at, "missing"), b.get(at, "missing")) for at in cells]
    return [pair for pair in pairs if differ(*pair[2:], tolerance)]


def write(value: object) -> str:
    if isinstance(value, float):
        return "undefined" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def write_setting(value: object) -> str:
    """Write a setting; NaN is that of images without a limit."""
    return "all" if value != value else write(value)


def compare_settings(a: Table, b: Table) -> bool:
    """Print all settings side by side; return whether one differs."""
    rows, found = [("setting", "A", "B", "")], False
    for at in dict.fromkeys([*a, *b]):
        pair = a.get(at, "missing"), b.get(at, "missing")
        other = differ(*pair, 0)
        found |= other
        first, second = map(write_setting, pair)
        rows.append((at[1], first, second, "differs" * other))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    print()
    for name, first, second, word in rows:
        line = f"{name:<{widths[0]}}  {first:>{widths[1]}}  {second:>{widths[2]}}  {word}"
        print(line.rstrip())
    return found


def compare_numbers(
    a: Mapping[str, Table], b: Mapping[str, Table], tolerance: float
) -> tuple[int, int]:
    """Print what differs, table by table; return how many numbers do, and of how many."""
    different = count = 0
    for label in [name for name in dict.fromkeys([*a, *b]) if name != SETTINGS]:
        if label not in a or label not in b:
            only = a.get(label) or b.get(label) or {}
            print(f"\n{label}: only in {'A' if label in a else 'B'}, {len(only)} numbers")
            different, count = different + len(only), count + len(only)
            continue
        found = list_differences(a[label], b[label], tolerance)
        total = len({*a[label], *b[label]})
        different, count = different + len(found), count + total
        if not found:
            continue
        print(f"\n{label}: {len(found)} of {total} differ")
        shown = found if label.startswith("tbl-") else found[-3:]
        if len(shown) < len(found):
            print(f"  (the last {len(shown)}; all are in the folders)")
        for row, column, x, y in shown:
            apart = ""
            if not isinstance(x, str) and not isinstance(y, str):
                apart = f"{x - y:>+13.6g}"
            print(f"  {row + ', ' + column:<48}{write(x):>13}{write(y):>13}{apart}")
    return different, count


def main(a: str, b: str, tolerance: str = "0") -> int:
    """Compare, and return the exit status."""
    try:
        allowed = float(tolerance or "0")
        if not 0 <= allowed < math.inf:
            raise ValueError
    except ValueError:
        print(
            f"error: TOLERANCE must be a number of at least 0, not {tolerance!r}", file=sys.stderr
        )
        return 2
    try:
        first, second = (read_results(find_results(named)) for named in (a, b))
    except CannotCompareError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"A: {a}\nB: {b}")
    other = compare_settings(first[SETTINGS], second[SETTINGS])
    different, count = compare_numbers(first, second, allowed)
    print(
        f"\n{different} of {count} numbers differ by more than {allowed:g}; the settings "
        + ("differ" if other else "are equal")
    )
    return int(other or different > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
