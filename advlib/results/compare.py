"""Two reports' settings and numbers side by side: `make compare`.

    python -m advlib.results.compare A B [TOLERANCE] [TABLES]

A and B are folders of reports, such as report/build/seed, or "reference", the reference run. What
is compared are the numbers in percent, or all those of TABLES, labels with commas or "all". Two
numbers differ if they are more than TOLERANCE apart; without one, if they are percentages, more
than a point apart, and no share of images, or one whose difference's 95 % interval excludes 0. The
exit status is 0 if all settings are equal and no number differs, 1 if something differs, 2 if they
cannot be compared.

B may be "expected" as well: what runs from several seeds lead to expect of a report with the
slides' settings or the quick ones. The exit status is then 1 only if a number lies outside its
interval.
"""

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from advlib.kept import folders
from advlib.kept.folders import PARAMETER_SETS
from advlib.results.expected import Cells, expect, read_seeds
from advlib.results.tables import from_csv, read
from advlib.settings import SIZE, Experiment, Words, declared, extend
from advlib.show.words import write_setting

SETTINGS, MACHINE, MAIN = "tbl-settings", "tbl-environment", "tbl-evaluation"
AT = ["table", "row", "column"]
POINT = 1.0
SETS = "seed", "quick"
"""The parameter sets of which it is known what to expect; of two as near to a report, the first."""


def _find_results(named: str) -> Path:
    """Return the folder of the results of what a name on the command line means."""
    if not named:
        raise ValueError("name two reports: make compare A=report/build/seed B=reference")
    folder = folders.RESULTS if named == "reference" else Path(named)
    return folder / "results" if (folder / "results").is_dir() else folder


def read_report(named: str) -> dict[str, Cells]:
    """Read the results of what a name on the command line means; ValueError if it has none."""
    folder = _find_results(named)
    try:
        tables = read(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{named} has no results that can be compared: {error}") from error
    if SETTINGS not in tables:
        raise ValueError(f"{folder} has no {SETTINGS}.csv: it is not a report's results")
    found = {name: _cells(table) for name, table in tables.items()}
    if ("value", "tested") not in found[SETTINGS]:  # an older report's, which has all test images
        found[SETTINGS] = {**found[SETTINGS], ("value", "tested"): math.nan}
    return found


def _cells(table: pd.DataFrame) -> Cells:
    rows = zip(table.index, table.to_dict("records"), strict=True)
    return {(str(row), str(name)): value for row, cells in rows for name, value in cells.items()}


def list_differences(a: Cells, b: Cells) -> list[tuple[str, str, Any, Any]]:
    """List the cells that differ, or are in one table only: row, column, and both values.

    NaN is like NaN.
    """
    pairs = [(*at, a.get(at, "missing"), b.get(at, "missing")) for at in dict.fromkeys([*a, *b])]
    return [(*at, x, y) for *at, x, y in pairs if x != y and (x == x or y == y)]


def print_table(rows: list[list[str]], columns: list[str]) -> None:
    print(f"\n{pd.DataFrame(rows, columns=columns).to_string(index=False)}")


def compare_cells(a: Cells, b: Cells, words: str) -> bool:
    """Print all settings, or what else is in words, side by side; return whether one differs."""
    changed = {name for _, name, *_ in list_differences(a, b)}
    rows = []
    for at in dict.fromkeys([*a, *b]):
        values = (write_setting(cells.get(at, "missing"), at[1]) for cells in (a, b))
        rows.append([at[1], *values, "differs" * (at[1] in changed)])
    print_table(rows, [words, "A", "B", ""])
    return bool(changed)


def read_numbers(named: str) -> pd.DataFrame:
    """Read a report's numbers, by table, row and column: value, unit, and the ends of shares."""
    path = _find_results(named) / "numbers.csv"
    try:
        found = from_csv(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{named} has no numbers that can be compared: {error}") from error
    return found.set_index(AT)[["value", "unit", "low", "high"]]


def compare_numbers(a: pd.DataFrame, b: pd.DataFrame, tolerance: float | None) -> int:
    """Print what differs, table by table, the main one first; return how many numbers do."""
    both = a.merge(b, "outer", left_index=True, right_index=True, suffixes=(" A", " B"))
    x, y, share = both["value A"], both["value B"], both["unit A"] == "%"
    missing = both["unit A"].isna() | both["unit B"].isna() | (x.isna() != y.isna())
    apart = x - y
    if tolerance is None:
        # of two shares, by their intervals (Newcombe 1998, method 10); NaN of other numbers
        below = ((x - both["low A"]) ** 2 + (both["high B"] - y) ** 2) ** 0.5
        above = ((both["high A"] - x) ** 2 + (y - both["low B"]) ** 2) ** 0.5
        by_chance = (apart <= below) & (-apart <= above)
        differ = missing | ((apart.abs() > POINT * share) & ~by_chance)
    else:
        differ = missing | (apart.abs() > tolerance)
    labels = [*dict.fromkeys(both.index.get_level_values("table"))]
    for label in sorted(labels, key=lambda each: each != MAIN):
        of_table = both.index.get_level_values("table") == label
        found = both[differ & of_table]
        if found.empty:
            continue
        print(f"\n{label}: {len(found)} of {of_table.sum()} differ")
        for (_, row, column), cells in found.iterrows():
            one, other = cells["value A"], cells["value B"]
            values = f"{one:>13.6g}{other:>13.6g}{one - other:>+13.6g}"
            values = values.replace("+nan", " nan").replace("nan", "  -")  # there is none
            print(f"  {f'{row}, {column}':<48}{values}")
    return int(differ.sum())


def find_set(settings: Cells) -> tuple[str, list[tuple[str, str, Any, Any]]]:
    """Return the parameter set that a report's settings are nearest to, and those that differ.

    They are listed as by `list_differences`. The seed does not count, nor which methods there are,
    nor what only methods have that are not in the report.
    """
    import yaml

    kind = Experiment
    if {key for _, key in settings} - {*declared()}:  # only methods have it
        from advlib.methods import METHODS  # it takes torch's time

        kind = extend(method.settings for method in METHODS.values())
    apart = {}
    for name in SETS:
        content = yaml.safe_load((PARAMETER_SETS / f"{name}.yaml").read_text(encoding="utf-8"))
        compared = {
            ("value", key): math.nan if value is None else value
            for key, value in vars(kind(**(content or {}))).items()
            if key not in ("seed", "methods", "weights", "attacks", *declared(Words))
            and (("value", key) in settings or key in declared())
        }
        ours = {at: value for at, value in settings.items() if at in compared}
        apart[name] = list_differences(ours, compared)
    return min(apart.items(), key=lambda item: len(item[1]))


def compare_expected(a: str, tolerance: str = "") -> int:
    """Print which of a report's numbers are unexpected; return 1 if there is one, else 0."""
    if tolerance:
        raise ValueError("B=expected has its own intervals: leave TOLERANCE out")
    tables = read_report(a)
    name, changed = find_set(tables[SETTINGS])
    found = expect(tables, read_seeds(name), joint=True)
    if not found:
        raise ValueError(f"no numbers over seeds are kept that {a} has too (settings: {name})")
    print(f"A: {a}\nexpected: of the settings {name!r}, any seed")
    if changed:
        rows = [[at, *map(write_setting, values)] for _, at, *values in changed]
        print_table(rows, ["setting", "A", "expected"])
    outside = {at: number for at, number in found.items() if not number.inside}
    if outside:
        rows = [
            [", ".join(at), f"{each.value:.2f}", f"{each.mean:.2f}", each.interval]
            for at, each in outside.items()
        ]
        print_table(rows, ["number", "A", "mean", "interval"])
    print(f"\n{len(found)} numbers, {len(outside)} outside the joint 99 % interval")
    return int(bool(outside))


def choose(numbers: pd.DataFrame, tables: str) -> pd.DataFrame:
    """Return the numbers in percent, or all of those tables."""
    labels = numbers.index.get_level_values("table")
    if tables == "all":
        return numbers
    wanted = [each.strip() for each in tables.split(",") if each.strip()]
    if unknown := {*wanted} - {*labels}:
        known = ", ".join(dict.fromkeys(labels))
        raise ValueError(f"TABLES must be all or of {known}, not {', '.join(sorted(unknown))}")
    return numbers[labels.isin(wanted)] if wanted else numbers[numbers["unit"] == "%"]


def compare(a: str, b: str, tolerance: str = "", tables: str = "") -> int:
    """Print how two reports differ, and return the exit status."""
    try:
        if a == "expected":
            raise ValueError("only B can be expected: make compare A=a/report B=expected")
        if b == "expected":
            return compare_expected(a, tolerance)
        allowed = SIZE.check("TOLERANCE", SIZE.parse(tolerance)) if tolerance else None
        first, second = read_report(a), read_report(b)
        ours, theirs = (choose(read_numbers(each), tables) for each in (a, b))
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"A: {a}\nB: {b}")
    if MACHINE in first and MACHINE in second:
        compare_cells(first[MACHINE], second[MACHINE], "machine")
    other = compare_cells(first[SETTINGS], second[SETTINGS], "setting")
    different, count = compare_numbers(ours, theirs, allowed), len(ours.index.union(theirs.index))
    words = (
        "more than a point and the images' chance" if allowed is None else f"more than {allowed:g}"
    )
    settings = "differ" if other else "are equal"
    print(f"\n{different} of {count} numbers differ by {words}; the settings {settings}")
    return int(other or different > 0)


if __name__ == "__main__":
    sys.exit(compare(*sys.argv[1:]))
