"""What a chapter begins with."""

import warnings

import pytest
import torch

from advlib.experiment import kernel
from advlib.experiment.opening import open_experiment
from advlib.experiment.parameters import resolve
from advlib.kept.folders import PARAMETERS
from notebooks import executing


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.delenv(PARAMETERS, raising=False)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("asked", "cores", "threads"), [("", 2, 1), ("", 12, 4), ("2", 2, 2), ("many", 6, 2)]
)
def test_a_notebook_computes_with_as_many_threads_as_in_make(asked, cores, threads, monkeypatch):
    """The runner's kernels inherit the same number, and so sums are added in the same order."""
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    open_experiment({"images": 50})
    assert torch.get_num_threads() == kernel.share_cores() == threads


def test_in_a_report_what_a_notebook_does_not_name_is_the_report_s(tmp_path, monkeypatch):
    (tmp_path / "report.yaml").write_text("images: 60\nepochs: 2\nlearning_rate: 0.5\nseed: 7\n")
    monkeypatch.setenv(PARAMETERS, str(tmp_path / "report.yaml"))
    experiment = open_experiment({"images": 60}).experiment
    assert (experiment.epochs, experiment.learning_rate, experiment.seed) == (2, 0.5, 7)
    with pytest.raises(ValueError, match="seed"):
        open_experiment({"images": 60, "seed": 0})


def test_in_a_report_what_advlib_warns_of_is_displayed(tmp_path, monkeypatch):
    """Each sentence once, whatever model; what others warn of goes where it goes."""
    (tmp_path / "report.yaml").write_text("images: 50\n")
    monkeypatch.setenv(PARAMETERS, str(tmp_path / "report.yaml"))
    code = """
import warnings, advlib
from torch import nn
from advlib.experiment.opening import open_experiment
test = open_experiment({}).data.test.first(60)
models = {name: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid()) for name in "ab"}
advlib.transfer(models, test.images, test.labels)
advlib.evaluate(models["a"], test.images, test.labels)
warnings.warn("another")
"""
    with warnings.catch_warnings(record=True) as others, executing({}) as cells:
        cells.run(code)
        (shown,) = cells.outputs
    about = shown["metadata"]["advlib"]
    assert about["kind"] == "warning"
    assert about["words"].startswith("a model returns numbers from 0 to 1 alone")
    assert [str(each.message) for each in others] == ["another"]


def test_by_hand_it_is_the_quick_set_s():
    by_hand = open_experiment({"images": 50, "seed": 3, "other": 1})
    assert by_hand.experiment == resolve("quick", {"images": 50, "seed": 3})
    assert len(by_hand.data.train) == 50
