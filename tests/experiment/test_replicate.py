"""An experiment over many seeds: the numbers of its reports, computed once and kept."""

import inspect
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from clusters import Outside
from engine import random_data, same_bits, threads
from folders import put_idx

import advlib
from advlib.attacks import slides_fgsm
from advlib.experiment import cluster, parameters, replicate
from advlib.experiment.parameters import VARIANTS, read_replication, read_seeds
from advlib.experiment.replicate import AttackAll, Evaluate, Exchange, Train, Work
from advlib.experiment.subject import resolve_subject
from advlib.kept import checkpoints
from advlib.results.expected import KEYS
from advlib.runs import Wanted, begin
from advlib.settings import Training

MINE = Path(__file__).parents[1] / "mine.py"
BREAKS = """
from advlib.methods import Step, standard


def breaks(model, batch, settings):
    step = standard(model, batch, settings)
    large = 1e30 if len(batch.labels) > 3 else 1.0
    return Step([large * gradient for gradient in step.gradients], step.clean)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(replicate, "REPLICATED", tmp_path / "replicated")
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # a worker is enough, and begins sooner
    return tmp_path / "replicated"


@pytest.fixture
def small(tmp_path):
    """The settings of a short experiment, on data of the user's own."""
    put_idx(tmp_path / "own" / "data", classes=10, train=100, test=30, size=(28, 28))
    return [f"DATASET={tmp_path}/own/data", "EPOCHS=1", "ATTACKED=5", "BATCH_SIZE=30"]


@pytest.fixture
def subject(small):
    return resolve_subject(parameters.resolve(*parameters.read_arguments(small)))


def read(path):
    table = pd.read_csv(path)
    assert {"processor", "threads", "torch", "commit"} <= {*table}
    assert not table.duplicated(KEYS).any()
    return table.set_index(KEYS)["value"].sort_index()


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (0, 1, 2)), ("1", (0,)), ("3-5", (3, 4, 5)), ("7-7", (7,)), ("4,0,2-3", (4, 0, 2, 3))],
)
def test_seeds_are_a_number_a_range_or_a_list(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "", "a", "-1", "3-2", "1,1", "1.5", "0x3", "1-3,2"])
def test_what_are_no_seeds_is_refused(text):
    with pytest.raises(ValueError, match="SEEDS must be how many"):
        read_seeds(text)


def test_a_variant_is_its_method_from_other_weights_and_with_other_settings():
    asked = read_replication(["METHODS=standard-shared,adversarial-doubled", "IMAGES=60"])
    work = Work(resolve_subject(parameters.resolve(asked.set_name, asked.overrides)))
    for name, variant in VARIANTS.items():
        found = work.want(3, name)
        first = begin(variant.weights_of, work.subject.data, 3)
        assert same_bits(found.model, first)
        assert found.method.name == variant.method
        other = work.want(3, variant.method)
        assert found.folder != other.folder
        factors = {"learning_rate": 1.0, "weight_decay": 1.0, **variant.factors}
        for setting, factor in factors.items():
            assert getattr(found.settings, setting) == factor * getattr(other.settings, setting)
    assert dict(VARIANTS["adversarial-doubled"].factors) == {
        "learning_rate": 2,
        "weight_decay": 0.5,
    }


@pytest.mark.parametrize("task", [Evaluate, Exchange, AttackAll])
def test_what_is_kept_is_named_by_all_that_measures(task):
    """With other code it would be another number under the same name."""
    named = [getattr(replicate, name, None) for name in task.measure.__code__.co_names]
    called = {each for each in named if inspect.isfunction(each)}
    assert called
    assert called <= {*replicate.MEASURING}


@pytest.mark.parametrize("setting", ["tested", "attacked", "attack_epsilon"])
def test_what_is_kept_is_named_by_what_decides_it(subject, setting):
    changed = replace(subject.experiment, **{setting: 3})
    task = AttackAll(0, "mixed")
    files = [task.file(Work(each)) for each in (subject, replace(subject, experiment=changed))]
    assert files[0] != files[1]


def test_numbers_that_are_there_stay_whatever_a_method_is_called(tmp_path):
    def row(seed, value):
        return {"table": "t", "row": "NA", "column": "error", "seed": seed, "value": value}

    path = tmp_path / "numbers.csv"
    replicate.write_table(path, [row(0, 1.5)])
    replicate.write_table(path, [row(1, math.nan)])
    assert path.read_text() == "table,row,column,seed,value\nt,NA,error,0,1.5\nt,NA,error,1,\n"


@pytest.mark.slow
def test_the_numbers_are_those_of_reports_and_each_is_computed_once(
    place, small, subject, monkeypatch, capsys
):
    wanted = subject.want_training("mixed")
    wanted.train()
    kept = wanted.folder / checkpoints.NAME
    before = kept.read_bytes()
    assert not replicate.main(["SEEDS=2", "METHODS=standard,mixed", *small])
    assert kept.read_bytes() == before, "what a report has trained is taken"
    assert "mixed training, seed 0" not in capsys.readouterr().out
    (table,) = place.iterdir()
    first = read(table)
    test, epsilon = subject.data.test, subject.experiment.attack_epsilon
    for seed in (0, 1):
        other = replace(subject, experiment=replace(subject.experiment, seed=seed))
        models = {method: other.open_training(method)[0] for method in ("standard", "mixed")}
        error = advlib.transfer(models, test.images, test.labels, epsilon, attack=slides_fgsm).error
        found = first["tbl-transfer-error"].xs(seed, level="seed").unstack()
        expected = error.sort_index(axis=0).sort_index(axis=1)
        pd.testing.assert_frame_equal(found, expected, check_names=False)
        clean = advlib.evaluate(models["mixed"], test.images, test.labels)
        assert first["tbl-evaluation", "mixed, clean", "error", seed] == clean.error
        assert (
            first["tbl-evaluation", "mixed, adversarial", "error", seed]
            == error.at["mixed", "mixed"]
        )
        assert 0 <= first["independent", "mixed", "error", seed] <= 100
        assert first["tbl-robustness", "worst case", "mixed", seed] % 20 == 0
    with monkeypatch.context() as other_place:
        other_place.setattr(cluster, "_connect", lambda _: pytest.fail("a cluster is started"))
        assert not replicate.main(["SEEDS=2", "METHODS=standard,mixed", *small])
        assert not replicate.main(["SEEDS=1", "METHODS=standard,mixed", *small])
    assert read(table).equals(first)
    assert not replicate.main(["SEEDS=3-3", "METHODS=standard-shared", *small])
    more = read(table)
    assert more.loc[first.index].equals(first)
    assert {*more.index.get_level_values("seed")} == {0, 1, 3}
    assert "standard-shared" in more["last epoch"]


@pytest.mark.slow
def test_workers_need_no_disk_of_ours(tmp_path, place, small, subject, monkeypatch):
    """They get data and own files, which are gone when they begin, and keep what they do apart."""
    own = tmp_path / "own"
    shutil.copy(MINE, own / "mine.py")
    prepare = cluster._prepare

    def prepare_and_move(*given):
        prepare(*given)
        own.rename(tmp_path / "gone")

    monkeypatch.setattr(cluster, "_prepare", prepare_and_move)
    asked = ["SEEDS=1", f"METHODS={own}/mine.py:on_attacked,standard", *small]
    asked += [f"ATTACKS={own}/mine.py:all_darker"]
    with Outside(tmp_path) as outside:
        _, address = outside.start_scheduler()
        for _ in range(2):
            outside.start_worker(address, ADVLIB_RUNS=str(tmp_path / "theirs"))
        assert not replicate.main([*asked, f"SCHEDULER={address}"])
    (table,) = place.iterdir()
    found = read(table)
    assert {*found["last epoch"].index.get_level_values("row")} == {"on-attacked", "standard"}
    assert "all-darker" in found["tbl-robustness"].index.get_level_values("row")
    # the bits are those of a report here
    (tmp_path / "gone").rename(own)
    (kept,) = (tmp_path / "runs").glob(f"standard-*/{checkpoints.NAME}")
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path / "again"))
    with threads(1):
        model, _ = subject.open_training("standard")
    weights, _ = checkpoints.load(kept)
    assert checkpoints.digest(weights) == checkpoints.digest(model.state_dict())
    for folder in (tmp_path / "runs").glob("*-*"):
        assert (tmp_path / "theirs" / folder.name).is_dir()
        (tmp_path / "theirs" / folder.name).rename(tmp_path / folder.name)
    assert len([*(tmp_path / "runs").glob("*/checkpoint.safetensors")]) == 2


@pytest.mark.slow
def test_a_training_that_diverges_is_reported_and_the_others_go_on(tmp_path, place, small, capsys):
    (tmp_path / "own.py").write_text(BREAKS)
    assert replicate.main(["SEEDS=1", f"METHODS={tmp_path}/own.py:breaks,standard", *small]) == 1
    assert "failed: breaks training, seed 0: DivergedError" in capsys.readouterr().out
    (table,) = place.iterdir()
    assert {*read(table).index.get_level_values("table")} == {"tbl-robustness"}


@pytest.mark.parametrize("wrong", ["SEEDS=0", "SEED=1", "METHODS=pgd,nobody", "nonsense"])
def test_what_is_asked_for_wrongly_is_refused(wrong, capsys):
    assert replicate.main([wrong]) == 2
    assert parameters.main(["--replicate", wrong]) == 2
    assert "error: " in capsys.readouterr().err


def test_trainings_begin_with_the_first_seeds_and_end_with_pgd():
    tasks = replicate.list_tasks((0, 1), ("pgd", "standard", "mixed"))
    trainings = [(task.method, task.seed) for task in tasks if isinstance(task, Train)]
    assert trainings[:2] == [("standard", 0), ("mixed", 0)]
    assert trainings[-2:] == [("pgd", 0), ("pgd", 1)]


def test_a_run_is_finished_when_its_last_epoch_is_kept(tmp_path):
    data = random_data()
    wanted = Wanted.find("standard", data, Training(epochs=2), runs=tmp_path)
    assert not wanted.is_finished
    wanted.train()
    assert Wanted.find("standard", data, Training(epochs=2), runs=tmp_path).is_finished
    assert not Wanted.find("standard", data, Training(epochs=3), runs=tmp_path).is_finished


def test_what_a_worker_has_kept_is_not_written_again(subject):
    """Where all share a disk: a report may have it open by then."""
    work = Work(subject)
    task, folder = Train(0, "standard"), work.want(0, "standard").folder
    found = task.compute(work, None)
    task.keep(work, dict.fromkeys(found, b"other"))
    assert {name: (folder / name).read_bytes() for name in found} == found
