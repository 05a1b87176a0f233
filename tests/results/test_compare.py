"""make compare: what it prints, and its exit status."""

import math
import shutil

import pandas as pd
import pytest
from projects import ROOT, make
from scipy import stats

from advlib import wilson_interval
from advlib.kept.folders import RESULTS
from advlib.results.compare import compare
from advlib.results.tables import COLUMNS, to_csv, write

NAN = float("nan")
SETTINGS = pd.DataFrame({"dataset": ["MNIST"], "epochs": [3], "images": [NAN]}, index=["value"])


def report(folder, error=96.92, epochs=3, n=100, more=""):
    """A report's results: two errors of n images, a confidence, a loss, and perhaps a table."""
    cells = [
        ("tbl-evaluation", "standard, clean", "error", 1.5, "%", n),
        ("tbl-evaluation", "standard, adversarial", "error", error, "%", n),
        ("tbl-evaluation", "standard, clean", "confidence", 90.0, "%", NAN),
        ("fig-curves", "standard, 1", "objective", error / 100, "", NAN),
        *([(more, "a", "b", 1.0, "%", NAN)] if more else []),
    ]
    rows = [
        (*cell, *(wilson_interval(round(cell[3] * n / 100), n) if cell[5] == n else (NAN, NAN)))
        for cell in cells
        if not math.isnan(cell[3])
    ]
    numbers = pd.DataFrame(rows, columns=list(COLUMNS))
    tables = {"tbl-settings": SETTINGS.assign(epochs=epochs)}
    write(tables, folder / "results", {"numbers.csv": to_csv(numbers).encode()})
    return folder


def test_what_differs_is_shown_side_by_side(tmp_path):
    a, b = report(tmp_path / "a folder"), report(tmp_path / "b", 97.0, epochs=4)
    done = make(ROOT, "compare", f"A={a}", f"B={b}", "TOLERANCE=0", "TABLES=all")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["epochs", "3", "4", "differs"] in lines
    assert ["dataset", "MNIST", "MNIST"] in lines
    assert ["images", "all", "all"] in lines
    assert ["standard,", "adversarial,", "error", "96.92", "97", "-0.08"] in lines
    assert "2 of 4 numbers differ by more than 0; the settings differ" in done.stdout
    assert done.stdout.index("tbl-evaluation: 1 of 3") < done.stdout.index("fig-curves: 1 of 1")


@pytest.mark.parametrize(
    ("tolerance", "tables", "status"),
    [
        *[("0.05", "", 1), ("0.1", "", 0), ("", "", 0), ("-1", "", 2), ("0", "", 1)],
        *[("", "fig-curves", 1), ("1", "tbl-evaluation, fig-curves", 0), ("", "tbl-none", 2)],
    ],
)
def test_numbers_within_the_tolerance_are_equal(tmp_path, tolerance, tables, status):
    """Of all in percent, or of those tables."""
    a, b = report(tmp_path / "a"), report(tmp_path / "b", 97.0)
    assert compare(str(a), str(b), tolerance, tables) == status


@pytest.mark.parametrize(
    ("n", "other", "status"), [(100, 89.0, 1), (100, 92.0, 0), (10_000, 94.0, 1)]
)
def test_shares_of_few_images_may_differ_by_chance(tmp_path, n, other, status):
    """As a test of the two shares by scipy has it, which is another way to ask."""
    a, b = report(tmp_path / "a", 97.0, n=n), report(tmp_path / "b", other, n=n)
    assert compare(str(a), str(b)) == status
    table = [[97 * n // 100, 3 * n // 100], [int(other) * n // 100, n - int(other) * n // 100]]
    assert (stats.chi2_contingency(table, correction=False).pvalue < 0.05) == bool(status)


def test_a_table_of_one_report_alone_is_a_difference(tmp_path, capsys):
    a, b = report(tmp_path / "a"), report(tmp_path / "b", more="tbl-more")
    assert compare(str(a), str(b)) == 1
    assert "tbl-more: 1 of 1 differ" in capsys.readouterr().out


def test_undefined_is_unlike_a_number(tmp_path):
    a, b = report(tmp_path / "a", NAN), report(tmp_path / "b", NAN)
    assert compare(str(a), str(b)) == 0
    assert compare(str(a), str(report(tmp_path / "c", 0.0)), "1e9") == 1


def test_the_reference_run_is_a_report():
    assert compare(str(RESULTS), "reference", "0", "all") == 0


def damage(folder):
    (folder / "results" / "numbers.csv").write_text("half")


@pytest.mark.parametrize("spoil", [shutil.rmtree, damage])
def test_what_cannot_be_compared_ends_with_2_and_a_word(tmp_path, spoil, capsys):
    a, b = report(tmp_path / "a"), report(tmp_path / "b")
    spoil(b)
    assert compare(str(a), str(b)) == 2
    assert f"error: {b} has no " in capsys.readouterr().err


def test_a_misspelt_tolerance_is_not_passed_over():
    done = make(ROOT, "compare", "A=reference", "B=reference", "TOLERENCE=0.5")
    assert done.returncode == 2
    assert "make compare takes A, B, TOLERANCE and TABLES, not TOLERENCE" in done.stderr
