"""Two reports' settings and numbers side by side: `make compare`.

    python -m advlib.results.compare A B [TOLERANCE]

A and B are folders of reports, such as report/build/seed, or "reference", the reference run. The
exit status is 0 if all settings are equal and no number differs by more than TOLERANCE (0 by
default), 1 if something differs, 2 if they cannot be compared.

B may be "expected" as well: what runs from several seeds lead to expect of a report with the
slides' settings or the quick ones. The exit status is then 1 only if a number lies outside its
interval.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from advlib.kept import folders
from advlib.kept.folders import PARAMETER_SETS
from advlib.results.expected import Cells, expect, read_seeds
from advlib.results.tables import read
from advlib.settings import SIZE, Words, declared, extend
from advlib.show.words import write_setting

SETTINGS = "tbl-settings"
SETS = "seed", "quick"
"""The parameter sets of which it is known what to expect; of two as near to a report, the first."""


def read_report(named: str) -> dict[str, Cells]:
    """Read the results of what a name on the command line means; ValueError if it has none."""
    if not named:
        raise ValueError("name two reports: make compare A=report/build/seed B=reference")
    folder = folders.RESULTS if named == "reference" else Path(named)
    if (folder / "results").is_dir():
        folder = folder / "results"
    try:
        tables = read(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{named} has no results that can be compared: {error}") from error
    if SETTINGS not in tables:
        raise ValueError(f"{folder} has no {SETTINGS}.csv: it is not a report's results")
    if folder.resolve() == folders.RESULTS:  # it has a training besides that no report has
        tables = {name: t for name, t in tables.items() if not name.endswith("-mixed-epochwise")}
    return {name: _cells(table) for name, table in tables.items()}


def _cells(table: pd.DataFrame) -> Cells:
    rows = zip(table.index, table.to_dict("records"), strict=True)
    return {(str(row), str(name)): value for row, cells in rows for name, value in cells.items()}


def differ(a: object, b: object, tolerance: float) -> bool:
    """Tell whether two cells differ: numbers by more than the tolerance; NaN is like NaN."""
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        return a != b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) != math.isnan(b)
    return abs(a - b) > tolerance


def list_differences(a: Cells, b: Cells, tolerance: float) -> list[tuple[str, str, Any, Any]]:
    """List the cells that differ, or are in one table only: row, column, and both values."""
    pairs = [(*at, a.get(at, "missing"), b.get(at, "missing")) for at in dict.fromkeys([*a, *b])]
    return [pair for pair in pairs if differ(*pair[2:], tolerance)]


def write_value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compare_settings(a: Cells, b: Cells) -> bool:
    """Print all settings side by side; return whether one differs."""
    changed = {name for _, name, *_ in list_differences(a, b, 0)}
    frame = pd.DataFrame(
        [
            [at[1], *(write_setting(cells.get(at, "missing")) for cells in (a, b))]
            for at in dict.fromkeys([*a, *b])
        ],
        columns=["setting", "A", "B"],
    )
    frame[""] = ["differs" * (name in changed) for name in frame["setting"]]
    print(f"\n{frame.to_string(index=False)}")
    return bool(changed)


def compare_numbers(
    a: Mapping[str, Cells], b: Mapping[str, Cells], tolerance: float
) -> tuple[int, int]:
    """Print what differs, table by table; return how many numbers do, and of how many."""
    different = count = 0
    for label in dict.fromkeys(name for name in (*a, *b) if name != SETTINGS):
        ours, theirs = a.get(label, {}), b.get(label, {})
        found, total = list_differences(ours, theirs, tolerance), len({*ours, *theirs})
        different, count = different + len(found), count + total
        if not ours or not theirs:
            print(f"\n{label}: only in {'A' if ours else 'B'}, {total} numbers")
            continue
        shown = found if label.startswith("tbl-") else found[-3:]
        if found:
            last = f"; the last {len(shown)}:" if shown != found else ""
            print(f"\n{label}: {len(found)} of {total} differ{last}")
        for row, column, x, y in shown:
            apart = "" if isinstance(x, str) or isinstance(y, str) else f"{x - y:>+13.6g}"
            print(f"  {row + ', ' + column:<48}{write_value(x):>13}{write_value(y):>13}{apart}")
    return different, count


def find_set(settings: Cells) -> tuple[str, list[tuple[str, str, Any, Any]]]:
    """Return the parameter set that a report's settings are nearest to, and those that differ.

    They are listed as by `list_differences`. The seed does not count, nor which methods there are,
    nor what only methods have that are not in the report.
    """
    import yaml

    from advlib.methods import METHODS  # it takes torch's time

    kind = extend(method.settings for method in METHODS.values())
    apart = {}
    for name in SETS:
        content = yaml.safe_load((PARAMETER_SETS / f"{name}.yaml").read_text(encoding="utf-8"))
        values = {("value", key): value for key, value in vars(kind(**(content or {}))).items()}
        compared = {
            at: math.nan if value is None else value
            for at, value in values.items()
            if at[1] not in ("seed", "methods", "weights", *declared(Words))
            and (at in settings or at[1] in declared())
        }
        ours = {at: value for at, value in settings.items() if at in compared}
        apart[name] = list_differences(ours, compared, 0)
    return min(apart.items(), key=lambda item: len(item[1]))


def compare_expected(a: str, tolerance: str = "") -> int:
    """Print which of a report's numbers are unexpected, and return the exit status."""
    try:
        if tolerance:
            raise ValueError("B=expected has its own intervals: leave TOLERANCE out")
        tables = read_report(a)
        name, changed = find_set(tables[SETTINGS])
        found = expect(tables, read_seeds(name), joint=True)
        if not found:
            raise ValueError(f"no numbers over seeds are kept that {a} has too (settings: {name})")
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"A: {a}\nexpected: of the settings {name!r}, any seed")
    if changed:
        rows = [[at, *map(write_setting, values)] for _, at, *values in changed]
        print(
            f"\n{pd.DataFrame(rows, columns=['setting', 'A', 'expected']).to_string(index=False)}"
        )
    outside = {at: number for at, number in found.items() if not number.inside}
    if outside:
        rows = [
            [", ".join(at), f"{each.value:.2f}", f"{each.mean:.2f}", each.interval]
            for at, each in outside.items()
        ]
        columns = ["number", "A", "mean", "interval"]
        print(f"\n{pd.DataFrame(rows, columns=columns).to_string(index=False)}")
    print(f"\n{len(found)} numbers, {len(outside)} outside the joint 99 % interval")
    return int(bool(outside))


def compare(a: str, b: str, tolerance: str = "") -> int:
    """Print how two reports differ, and return the exit status."""
    if b == "expected" and a != b:
        return compare_expected(a, tolerance)
    try:
        if a == "expected":
            raise ValueError("only B can be expected: make compare A=a/report B=expected")
        allowed = SIZE.check("TOLERANCE", SIZE.parse(tolerance or "0"))
        first, second = read_report(a), read_report(b)
    except (TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"A: {a}\nB: {b}")
    other = compare_settings(first[SETTINGS], second[SETTINGS])
    different, count = compare_numbers(first, second, allowed)
    words = "differ" if other else "are equal"
    print(f"\n{different} of {count} numbers differ by more than {allowed:g}; the settings {words}")
    return int(other or different > 0)


if __name__ == "__main__":
    sys.exit(compare(*sys.argv[1:]))
