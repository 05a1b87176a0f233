"""The runs of an experiment, each in a folder named by what decides it; the package's models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from engine import assert_same_history, random_data, same_bits

import advlib
from advlib import runs, training
from advlib._state import derived_seed
from advlib.explore import networks
from advlib.kept import checkpoints, folders
from advlib.settings import Training

DATA = random_data()
METHODS = ("standard", "mixed", "adversarial", "mixed-epochwise")
SETTINGS = vars(Training(epochs=1, batch_size=30))


def run(folder, method="adversarial", data=DATA, **changed):
    wanted = runs.Wanted.find(method, data, Training(**SETTINGS | changed), runs=folder)
    return wanted, wanted.train()


def test_a_run_is_trained_once_and_then_taken(tmp_path, monkeypatch):
    first, history = run(tmp_path)
    assert first.folder.parent == tmp_path
    assert not first.model.training
    assert len(history) == 1
    assert {path.name for path in first.folder.iterdir()} == {
        *(".lock", "history.csv", checkpoints.NAME)
    }
    monkeypatch.setattr(training, "train_epoch", lambda *_: pytest.fail("trains"))
    again, same = run(tmp_path)
    assert again.folder == first.folder
    assert same_bits(again.model, first.model)
    assert_same_history(same, history)


def test_a_run_is_a_training_with_its_settings(tmp_path):
    """By `advlib.train` alone, from the initial weights and with the experiment's seed."""
    model = advlib.LeNet(derived_seed(5, "mixed", "weights"))
    history = advlib.train(model, DATA, method="mixed", **SETTINGS | {"seed": 5})
    found, same = run(tmp_path, "mixed", seed=5)
    assert same_bits(found.model, model)
    assert_same_history(same, history)


@pytest.fixture
def started(monkeypatch):
    """Have `trained` start no training; for each, the initial weights and the settings."""
    starts = []
    monkeypatch.setattr(
        runs, "train", lambda model, data, **given: starts.append((model.state_dict(), given))
    )
    return starts


def test_each_method_has_weights_of_its_own_and_all_have_one_order_of_images(started, tmp_path):
    for seed in (0, 1, 0):
        for method in METHODS:
            run(tmp_path, method, seed=seed)
    weights = [checkpoints.digest(state) for state, _ in started]
    assert len(set(weights)) == 8
    assert weights[:4] == weights[8:]
    assert [given["seed"] for _, given in started] == 4 * [0] + 4 * [1] + 4 * [0]
    assert [given["method"].name for _, given in started[:4]] == [*METHODS]


def test_a_folder_for_all_that_decides_a_run_and_for_nothing_else(started, tmp_path, monkeypatch):
    def folder(method="adversarial", data=DATA, **changed):
        return run(tmp_path, method, data, **changed)[0].folder

    numbers = {name: value for name, value in SETTINGS.items() if value and name != "schedule"}
    changes = {name: 2 * value for name, value in numbers.items()} | {
        "alpha": 0.4,
        "momentum": 0.0,
        "seed": 1,
        "schedule": "cosine",
    }
    others = [folder(**{name: value}) for name, value in changes.items()]
    others += [folder(method) for method in METHODS]  # adversarial, unchanged, is one of them
    others.append(folder(data=random_data(seed=1)))
    assert len(changes) == len(SETTINGS)
    assert len(set(others)) == len(others) == 14
    assert all(other.name.startswith(METHODS) for other in others)
    for method in ("standard", "mixed"):  # validation images are attacked after every training
        assert folder(method, alpha=0) == folder(method) != folder(method, epsilon=0.3)
    assert folder(epochs=np.int64(1), momentum=np.float64(0.9), seed=np.int64(0)) == folder()
    before = folder()
    with monkeypatch.context() as other:
        other.setattr(runs, "deciding_code", lambda *_: "other code")
        assert folder() != before
    with monkeypatch.context() as other:
        other.setattr(torch, "__version__", "2.13.0")
        assert folder() != before
    assert folder() == before


def test_the_folder_of_runs(started, tmp_path, monkeypatch):
    """The panel looks in the same: that of the checkout, also where nobody sets a variable."""

    def is_in(folder):
        made = runs.Wanted.find("mixed", DATA, Training()).folder
        (folder / "one").mkdir(parents=True)
        (folder / "one" / checkpoints.NAME).touch()
        return [made.parent] == [each.parent for each in networks.find_runs().values()] == [folder]

    monkeypatch.setattr(folders, "BUILD", tmp_path / "build")
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path / "runs"))
    assert is_in(tmp_path / "runs")
    monkeypatch.delenv("ADVLIB_RUNS")
    assert is_in(tmp_path / "build" / "runs")
    monkeypatch.setattr(folders, "NOTEBOOKS", tmp_path / "installed without")
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / "cache"))
    assert is_in(tmp_path / "cache" / "runs")
    monkeypatch.chdir(tmp_path)
    assert run(Path("here"))[0].folder.parent == tmp_path / "here"


def test_pretrained_gives_the_packages_weights(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / "mixed.safetensors", advlib.LeNet(5).state_dict(), None)
    monkeypatch.setattr(runs, "REFERENCE", tmp_path)
    model = runs.pretrained("mixed")
    assert same_bits(model, advlib.LeNet(5))
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert same_bits(runs.pretrained("mixed"), advlib.LeNet(5))
