"""What the chapter on illusions shows: computed with few images, stopped, gone on with, shown."""

import math
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from engine import digits, same_bits

from advlib import runs, worst_case
from advlib.kept import checkpoints, folders
from advlib.kept.folders import NOTEBOOKS
from advlib.report import illusions
from advlib.report.illusions import DATA, GROUPS, METHODS, Group, Plan, Run, find_work
from advlib.report.prose import read_line, read_markdown
from advlib.settings import Training
from advlib.square import square
from notebooks import Cells, execute

PLAN = Plan(images=100, epochs=2, trial=1, rates=(0.001, 0.003), attacked=20, steps=2, queries=5)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep all in a folder of the test's, and take few images of MNIST for both data sets."""
    few = digits(100, 20)
    few = replace(few, test=few.test.sample(20))
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path))
    for module in (illusions, folders):
        monkeypatch.setattr(module, "ILLUSIONS", tmp_path / "results")
    monkeypatch.setattr(Plan, "load", lambda plan, name: few)
    found = {"mixed": "many steps"}
    monkeypatch.setattr(worst_case, "find_illusions", lambda _: found, raising=False)
    (tmp_path / "illusions").mkdir()
    return tmp_path / "results"


def compute(plan: Plan = PLAN) -> list[Run | Group]:
    """Do all of it in this process; return what was done, in its order."""
    done: list[Run | Group] = []
    while work := find_work(plan):
        for each, epochs in work.items():
            each.work(epochs)
            done.append(each)
    illusions.write_tables(plan)
    return done


def rows(run: Run) -> list[dict[str, Any]]:
    _, found = run.open()
    return [
        {name: str(value) for name, value in row.items() if name != "seconds"} for row in found
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_training_is_that_of_a_report(method: str, tmp_path: Path) -> None:
    """To the last bit; its passes are counted, and its attacks measured after every epoch."""
    run = Run(PLAN, "MNIST", method)
    run.work(2)
    settings = Training(epochs=2)
    expected = runs.trained(method, PLAN.load("MNIST"), settings, runs=tmp_path / "runs")
    assert same_bits(run.model(), expected.model)
    _, found = run.open()
    assert [row["epoch"] for row in found] == [1, 2]
    passes = {"standard": 1, "pgd": 11}.get(method, 2) * 100
    assert [row["passes"] for row in found] == [passes, 2 * passes]
    assert run.cost() == passes
    assert [math.isnan(row["validation_pgd"]) for row in found] == [False, True]
    assert all(row["clean"] <= row["pgd"] <= 100 for row in found)
    assert {"processor", "threads", "torch", "commit"} <= found[0].keys()


@pytest.mark.parametrize("saved", [0, 1])
def test_what_was_stopped_goes_on_to_the_same_rows(
    saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped before an epoch is kept, the first or the second."""
    run, other = Run(PLAN, "MNIST", "fast"), Run(replace(PLAN, trial=3), "MNIST", "fast")
    save, times = checkpoints.save, iter(range(9))

    def stop(*given: Any) -> None:
        if next(times) == saved:
            raise KeyboardInterrupt
        save(*given)

    monkeypatch.setattr(checkpoints, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        run.work(2)
    assert len(rows(run)) == saved
    run.work(2)
    monkeypatch.undo
    first, again = rows(run), run.open()[0]
    run.file.unlink()
    run.work(2)
    assert rows(run) == first
    assert all(torch.equal(again[name], value) for name, value in run.open()[0].items())
    assert other.file != run.file


@pytest.mark.slow
def test_what_was_killed_goes_on_to_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, as make does it, with the real data."""
    monkeypatch.undo
    plan = replace(PLAN, epochs=500)
    run = Run(plan, "MNIST", "standard")
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=illusions._work, args=(run, 500), daemon=True)
    process.start()
    while not run.file.exists():
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    done = len(rows(run))
    assert 0 < done < 500
