"""What the chapter on illusions shows: computed with few images, stopped, gone on with, shown."""

import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from engine import digits, same_bits

from advlib import runs, worst_case
from advlib.experiment import illusions
from advlib.experiment.illusions import DATA, GROUPS, METHODS, Epochs, Group, Plan, Run, find_tasks
from advlib.kept import checkpoints, folders
from advlib.kept.folders import NOTEBOOKS
from advlib.settings import Training
from notebooks import check_committed, execute

COMMITTED = folders.ILLUSIONS
PLAN = Plan(
    images=100, epochs=2, trial=1, rates=(0.001, 0.003), watched=20, attacked=20, steps=2, queries=5
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
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


def compute(plan=PLAN):
    """Do all of it in this process; return what was done, in its order."""
    done = []
    while tasks := find_tasks(plan):
        for task in tasks:
            if task.is_ready(plan):
                task.compute(plan, None)
                done.append(task)
    illusions.write_tables(plan)
    return done


def rows(run):
    _, found = run.open()
    return [{name: str(value) for name, value in row.items() if name != "seconds"} for row in found]


@pytest.mark.parametrize("method", ["standard", "fast", "pgd"])
def test_a_training_is_that_of_a_report(method, tmp_path):
    """To the last bit; its passes are counted, and its attacks measured after every epoch."""
    run = Run(PLAN, "MNIST", method)
    run.work(2)
    settings = Training(epochs=2)
    expected = runs.Wanted.find(method, PLAN.load("MNIST"), settings, runs=tmp_path / "runs")
    expected.train()
    assert same_bits(run.model(), expected.model)
    _, found = run.open()
    assert [row["epoch"] for row in found] == [1, 2]
    passes = {"standard": 1, "pgd": 11}.get(method, 2) * 100
    assert [row["passes"] for row in found] == [passes, 2 * passes]
    assert run.cost() == passes
    assert [math.isnan(row["validation_pgd"]) for row in found] == [False, True]
    assert all(row["clean"] <= row["pgd"] <= 100 for row in found)
    assert {"processor", "threads", "torch", "commit"} <= found[0].keys()


def test_what_was_stopped_goes_on_to_the_same_rows(monkeypatch):
    """It is stopped before the second epoch is kept."""
    run, other = Run(PLAN, "MNIST", "fast"), Run(replace(PLAN, trial=3), "MNIST", "fast")
    save, times = checkpoints.save, iter(range(9))

    def stop(*given):
        if next(times) == 1:
            raise KeyboardInterrupt
        save(*given)

    monkeypatch.setattr(checkpoints, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        run.work(2)
    assert len(rows(run)) == 1
    run.work(2)
    first, again = rows(run), run.open()[0]
    run.file.unlink()
    run.work(2)
    assert rows(run) == first
    assert all(torch.equal(again[name], value) for name, value in run.open()[0].items())
    assert other.file != run.file


def test_a_training_that_diverges_ends_and_is_not_chosen():
    plan = replace(PLAN, rates=(1e30, 0.003))
    for rate in plan.rates:
        Run(plan, "MNIST", "standard", rate).work(1)
    diverged = Run(plan, "MNIST", "standard", 1e30)
    assert rows(diverged)[-1]["clean"] == "nan"
    assert diverged.left(30) == 0
    assert illusions.choose(plan)["standard"] == Run(plan, "MNIST", "standard", 0.003)
    assert illusions.choose(plan)["mixed"] is None


def show(tmp_path):
    """Execute the chapter; check what there is to be read."""
    cells = execute(NOTEBOOKS / "8-illusions.ipynb", tmp_path, {})
    check_committed(cells)
    return cells


def test_all_of_it_is_computed_written_and_shown(tmp_path, place):
    assert not show(tmp_path).shown
    done = compute()
    assert len({task.run for task in done if isinstance(task, Epochs)}) == 15
    epochs, attacked = (pd.read_csv(place / f"{name}.csv") for name in illusions.KEYS)
    assert {*epochs["data"]} == {*DATA}
    assert attacked.groupby("rates").size().to_dict() == {"chosen": 5, "slides": 10}
    assert (attacked["n"] == 20).all()
    assert {*attacked.loc[attacked["illusion"].notna(), "method"]} == {"mixed"}
    measured = {"none", "random signs", "FGSM", "transfer", "Square", "worst case"}
    assert measured | {"APGD, twice the steps", "APGD, any size"} <= {*attacked}
    assert (attacked["worst case"] >= attacked[[*measured]].max(axis=1)).all()
    cells = show(tmp_path)
    assert {*cells.shown} == {
        *("tbl-illusion-checks", "fig-onestep", "tbl-illusions", "tbl-rates", "fig-passes")
    }
    # a training that diverges after its trial
    late = epochs[(epochs["data"] == "MNIST") & epochs["validation_pgd"].notna()].iloc[:1]
    late = late.assign(epoch=3, clean=math.nan, validation_pgd=math.nan)
    pd.concat([epochs, late]).to_csv(place / "epochs.csv", index=False)
    assert len(show(tmp_path).numbers("tbl-rates")) == 2
    # whatever part of it is there
    (place / "robustness.csv").unlink()
    epochs[epochs["method"] == "mixed"].to_csv(place / "epochs.csv", index=False)
    assert {*show(tmp_path).shown} == {"fig-onestep"}
    (place / "epochs.csv").unlink()
    some = (attacked["data"] == "FashionMNIST") & attacked["method"].isin(["mixed", "pgd"])
    attacked[some].to_csv(place / "robustness.csv", index=False)
    assert {*show(tmp_path).shown} == {"tbl-illusion-checks", "tbl-illusions", "fig-passes"}


@pytest.mark.parametrize(("illusion", "bared"), [("", True), ("transfer", False)])
def test_a_random_start_bares_the_errors_where_no_check_says_otherwise(
    illusion, bared, tmp_path, place
):
    """By the committed results; and had one of its models made an illusion."""
    shutil.copytree(COMMITTED, place)
    path = place / "robustness.csv"
    found = pd.read_csv(path, dtype={"illusion": str})
    found.loc[(found["data"] == "FashionMNIST") & (found["method"] == "fast"), "illusion"] = (
        illusion
    )
    found.to_csv(path, index=False)
    assert bool(show(tmp_path).names["bared"]) == bared


def test_rows_of_another_computation_stay(place):
    run = Run(PLAN, "MNIST", "standard")
    run.work(1)
    illusions.write_tables(PLAN)
    path = place / "epochs.csv"
    table = pd.read_csv(path)
    assert len(table) == 1
    other = table.assign(method="mixed", clean=1 / 3)
    pd.concat([other, table.assign(clean=77.0)]).to_csv(path, index=False)
    illusions.write_tables(PLAN)
    found = pd.read_csv(path).set_index("method")["clean"]
    assert found.to_dict() == {"mixed": 1 / 3, "standard": table["clean"][0]}
    text = path.read_bytes()
    illusions.write_tables(PLAN)
    assert path.read_bytes() == text


def test_the_slides_rate_comes_first_and_pgd_last():
    tasks = [task for task in find_tasks(PLAN) if isinstance(task, Epochs)]
    assert len(tasks) == 15
    first, more, last = tasks[:8], tasks[8:12], tasks[12:]
    assert (
        {task.run.rate for task in first}
        == {illusions.SETTINGS.learning_rate}
        != {task.run.rate for task in more}
    )
    assert {task.run.method for task in last} == {"pgd"} != {t.run.method for t in first + more}
    for part in (first, more):
        costs = [task.cost(PLAN) for task in part]
        assert costs == sorted(costs)
    for method in GROUPS[0]:
        Run(PLAN, "FashionMNIST", method).work(2)
    ready = [t for t in find_tasks(PLAN) if isinstance(t, Group) and t.is_ready(PLAN)]
    assert ready == find_tasks(PLAN)[1:2]
    assert {run.data for run in ready[0].runs} == {"FashionMNIST"}


def put_results(place, pgd, fashion):
    """Write results in which PGD's error, by epoch, is so while one step's falls by a point each.

    On MNIST both fall; under one step Fashion-MNIST's error is `fashion` when all is trained.
    """
    place.mkdir()
    made = {"processor": "p", "threads": 1, "torch": "t", "commit": "c"}
    made |= {"learning_rate": 0.001, "n": 20}
    names = [(data, method) for data in DATA for method in METHODS]
    epochs = [
        {"data": data, "method": method, "epoch": epoch, "passes": epoch, "clean": 1.0, **made}
        | {"fgsm": 50.0 - epoch, "pgd": 60.0 - epoch if data == "MNIST" else pgd(epoch)}
        | {"validation_pgd": math.nan}
        for data, method in names
        for epoch in range(1, 31)
    ]
    other = ["none", "random signs", "random signs, 100 draws", "transfer", "APGD, log-odds"]
    twice = ["Square", "APGD, twice the steps"]
    attacked = [
        {"data": data, "method": method, "rates": rates, "illusion": "", **made}
        | dict.fromkeys([*other, *twice], 10.0)
        | {"FGSM": fashion if data == "FashionMNIST" else 10.0, "worst case": worst}
        | {"APGD, any size": 100.0}
        for data, method in names
        for rates, worst in {"slides": 30.0, "chosen": 20.0}.items()
    ]
    pd.DataFrame(epochs).to_csv(place / "epochs.csv", index=False)
    pd.DataFrame(attacked).to_csv(place / "robustness.csv", index=False)


@pytest.mark.parametrize(
    ("pgd", "parted", "slowly", "fashion"),
    [
        (lambda epoch: 60.0 + epoch, True, True, 10),
        (lambda epoch: 60.0 + 35 * (epoch > 8), True, False, 10),
        (lambda epoch: 60.0 + 5 * (epoch > 8), False, True, 10),
        (lambda epoch: 60.0 - epoch, False, None, 5),
    ],
)
def test_how_the_errors_part_and_the_checks_that_fail_are_found(
    pgd, parted, slowly, fashion, tmp_path, place
):
    put_results(place, pgd, fashion)
    names = show(tmp_path).names
    assert names["parted"] == parted
    if parted:
        assert names["slowly"] == slowly
        assert {least.name for least, *_ in names["apart"]} == {1}
    assert names["together"]
    assert names["falls"]
    against = ["one step against random signs", "one step against transfer"]
    assert names["failed"] == {"MNIST": [], "Fashion-MNIST": against * (fashion < 10)}
