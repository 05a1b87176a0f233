"""make compare: what it prints, and its exit status."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from advlib.kept.folders import RESULTS
from advlib.results.compare import compare
from advlib.results.tables import write

ROOT = Path(__file__).parents[2]
NAN = float("nan")
MAKES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
SETTINGS = pd.DataFrame({"dataset": ["MNIST"], "epochs": [3], "images": [NAN]}, index=["value"])
ERROR = pd.DataFrame(
    {"error": [1.5, 96.92], "n": [100, 100]}, index=["standard, clean", "standard, adversarial"]
)


def report(
    folder: Path,
    error: float = 96.92,
    epochs: int = 3,
    more: Mapping[str, pd.DataFrame] | None = None,
) -> Path:
    table = ERROR.copy()
    table.loc["standard, adversarial", "error"] = error
    tables = {"tbl-settings": SETTINGS.assign(epochs=epochs), "tbl-evaluation": table}
    write(tables | {**(more or {})}, folder / "results")
    return folder


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(ROOT), "--no-print-directory", "compare", *arguments]
    env = {name: value for name, value in os.environ.items() if name not in MAKES}
    env["PYTHON"] = sys.executable
    return subprocess.run(command, capture_output=True, text=True, env=env)  # no other make's flags


def test_what_differs_is_shown_side_by_side(tmp_path: Path) -> None:
    a, b = report(tmp_path / "a folder"), report(tmp_path / "b", 97.0, epochs=4)
    assert make(f"A={a}", f"B={a}").returncode == 0
    done = make(f"A={a}", f"B={b}")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["epochs", "3", "4", "differs"] in lines
    assert ["dataset", "MNIST", "MNIST"] in lines
    assert ["images", "all", "all"] in lines
    assert ["standard,", "adversarial,", "error", "96.92", "97", "-0.08"] in lines
    assert "1 of 4 numbers differ by more than 0; the settings differ" in done.stdout


@pytest.mark.parametrize(("tolerance", "status"), [("0.05", 1), ("0.1", 0), ("", 1), ("-1", 2)])
def test_numbers_within_the_tolerance_are_equal(
    tmp_path: Path, tolerance: str, status: int
) -> None:
    a, b = report(tmp_path / "a"), report(tmp_path / "b", 97.0)
    assert compare(str(a), str(b), tolerance) == status


def test_a_table_of_one_report_alone_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = report(tmp_path / "a"), report(tmp_path / "b", more={"tbl-more": ERROR})
    assert compare(str(a), str(b)) == 1
    assert "tbl-more: only in B, 4 numbers" in capsys.readouterr().out


def test_undefined_is_like_undefined_and_unlike_a_number(tmp_path: Path) -> None:
    a, b = report(tmp_path / "a", NAN), report(tmp_path / "b", NAN)
    assert compare(str(a), str(b)) == 0
    assert compare(str(a), str(report(tmp_path / "c", 0.0)), "1e9") == 1


def test_a_report_has_less_than_the_reference_run_s_folder(tmp_path: Path) -> None:
    assert compare(str(RESULTS), "reference") == 0
    shutil.copytree(RESULTS, tmp_path / "results")
    assert compare("reference", str(tmp_path)) == 1


def damage(folder: Path) -> None:
    (folder / "results" / "tbl-evaluation.csv").write_text("half")


@pytest.mark.parametrize("spoil", [shutil.rmtree, damage])
def test_what_cannot_be_compared_ends_with_2_and_a_word(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    a, b = report(tmp_path / "a"), report(tmp_path / "b")
    spoil(b)
    done = make(f"A={a}", f"B={b}")
    assert done.returncode == 2
    assert f"error: {b} has no results that can be compared" in done.stderr


def test_a_misspelt_tolerance_is_not_passed_over() -> None:
    done = make("A=reference", "B=reference", "TOLERENCE=0.5")
    assert done.returncode == 2
    assert "make compare takes A, B and TOLERANCE, not TOLERENCE" in done.stderr
