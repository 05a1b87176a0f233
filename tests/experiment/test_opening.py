"""What a chapter begins with."""

import warnings

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from advlib import LeNet, evaluate, fgsm, load_data
from advlib.experiment import gpu, kernel
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


class OnGpu(nn.Module):
    """A network whose weights lie on a GPU, also where there is none."""

    def __init__(self):
        super().__init__()
        self.weights = torch.ones(784, 10, device="cuda")

    def forward(self, images):
        return images.flatten(1) @ self.weights


def test_a_model_on_a_gpu_gives_logits_where_the_images_are():
    """With tensors that have a device and no values, so that it needs no GPU."""
    with FakeTensorMode():
        images, model = torch.ones(3, 1, 28, 28), OnGpu()
        with pytest.raises(RuntimeError, match="device"):
            model(images)
        gpu.run_on(model, "cuda")
        assert model(images).device.type == "cpu"
        assert model(images.to("cuda")).device.type == "cuda"  # as in a training


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_on_a_gpu_is_attacked_to_the_cpus_numbers():
    """In float64, where no sign flips; noise of its own is left as found, and is repeated."""
    test = load_data("MNIST", images=100).test.first(300)
    images, models = test.images.double(), [LeNet(seed=1).double().eval() for _ in range(2)]
    assert gpu.use_gpu()
    gpu.run_on(models[1], "cuda")
    made = [fgsm(model, images, test.labels) for model in models]
    assert (made[0] == made[1]).double().mean() > 0.999
    found = [evaluate(model, made[0], test.labels) for model in models]
    assert vars(found[1]) == pytest.approx(vars(found[0]), rel=1e-6)
    models[1].layers.append(nn.Dropout(0.1).train())
    before = torch.cuda.get_rng_state()
    twice = [evaluate(models[1], images, test.labels) for _ in range(2)]
    assert twice[0] == twice[1]
    assert torch.equal(torch.cuda.get_rng_state(), before)


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
