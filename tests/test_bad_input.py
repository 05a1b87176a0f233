"""Bad input: each row gives one argument that is wrong, the error, and what its message names."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from engine import random_data
from torch import nn

from advlib._checks import NotFiniteError
from advlib.architecture import architecture_table
from advlib.attacks import fgsm
from advlib.data import Split
from advlib.evaluation import evaluate, transfer
from advlib.intervals import wilson_interval
from advlib.lenet import LeNet
from advlib.runs import pretrained
from advlib.training import train

IMAGES = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
ONES = torch.ones(4, requires_grad=True)


class Output(nn.Module):
    """A model that counts its calls and passes its logits on to a function."""

    def __init__(self, change=lambda logits: logits):
        super().__init__()
        self.linear, self.change, self.calls = nn.Linear(6, 4), change, 0

    def forward(self, images):
        self.calls += 1
        return self.change(self.linear(images.flatten(1)))


def altered(tensor, value):
    """The tensor with another last value."""
    changed = tensor.clone()
    changed.view(-1)[-1] = value
    return changed


INPUTS = [
    ("images", IMAGES.numpy(), TypeError, "images .*Tensor.* ndarray"),
    ("images", (IMAGES * 255).to(torch.uint8), TypeError, r"images .*uint8.*images / 255"),
    ("images", IMAGES.double(), TypeError, "images .*float64.*model.* .*float32"),
    ("images", IMAGES.to(torch.float8_e5m2), TypeError, "images .*float32.*not torch.float8_e5m2"),
    ("images", IMAGES.to_sparse(), TypeError, "images .*dense.*sparse"),
    ("images", IMAGES.to("meta"), ValueError, "images .*meta"),
    ("images", IMAGES[:, 0, 0], ValueError, r"images .*\[N, \.\.\.\].*\[6\]"),
    ("images", IMAGES[:0], ValueError, r"images .*empty.*\[0, 2, 3\]"),
    ("images", IMAGES[:, :1], ValueError, r"images of shape \[\d, 1, 3\]"),
    ("images", altered(IMAGES, torch.nan), ValueError, "images .*finite.*nan"),
    ("images", altered(IMAGES, -torch.inf), ValueError, "images .*finite.*-inf"),
    ("labels", LABELS.tolist(), TypeError, "labels .*Tensor.* list"),
    ("labels", LABELS.int(), TypeError, "labels .*int64.*int32"),
    ("labels", LABELS[:5], ValueError, r"labels .*\[6\].*\[5\]"),
    ("labels", LABELS.to("meta"), ValueError, "labels .*cpu.*meta"),
    ("labels", altered(LABELS, -1), ValueError, "labels .*at least 0.*-1"),
    ("labels", altered(LABELS, 4), ValueError, "labels .*0 to 3.*4"),
    ("batch_size", 0, ValueError, "batch_size .*at least 1.*0"),
    ("batch_size", "many", TypeError, "batch_size .*many"),
]
MODELS = [
    ("model", "standard", TypeError, "model .*Module.*standard"),
    ("model", Output().to("meta"), ValueError, "model .*device meta"),
    ("model", Output(lambda logits: logits[0]), ValueError, r"model .*\[6, classes\].*\[4\]"),
    ("model", Output(lambda logits: logits[:3]), ValueError, r"model .*\[6, classes\].*\[3, 4\]"),
    ("model", Output(lambda logits: logits[:, :0]), ValueError, r"model .*classes\].*\[6, 0\]"),
    ("model", nn.BatchNorm2d(2), ValueError, r"model does not take images of shape .*expected 4D"),
    ("model", Output(lambda logits: (logits,)), TypeError, "model .*tensor.*tuple"),
    ("model", Output(lambda logits: logits.long()), TypeError, "model .*floating.*int64"),
    ("model", Output(lambda logits: logits * torch.nan), ValueError, "model .*NaN"),
]
EPSILONS = [
    ("epsilon", -0.1, ValueError, "epsilon .*at least 0.*-0.1"),
    ("epsilon", None, TypeError, "epsilon .*None"),
]
FGSM = [
    ("model", Output(lambda logits: logits.detach()), ValueError, "^model .*differentiated"),
    ("model", Output(lambda logits: ONES * logits.detach()), ValueError, "model .*differentiated"),
    ("model", Output(lambda x: (x - x.detach()).sqrt()), ValueError, "^model .*gradients .*NaN"),
    ("target_labels", 3, TypeError, "target_labels .*Tensor.* int"),
    ("target_labels", altered(LABELS, 4), ValueError, "target_labels .*0 to 3.*4"),
    ("bounds", 1, TypeError, "bounds .*pair.*1"),
    ("bounds", (0, None), TypeError, "bounds .*None"),
    ("bounds", (False, True), TypeError, "bounds .*False"),
    ("bounds", (1, 1), ValueError, r"bounds .*low below high.*\(1, 1\)"),
    ("bounds", (0, float("nan")), ValueError, "bounds .*nan"),
    ("bounds", (0, torch.ones(4)), ValueError, r"bounds .*\[2, 3\].*\[4\]"),
]
TRANSFER = [
    ("models", {}, ValueError, "^models must not be empty$"),
    ("models", None, TypeError, "models .*mapping.*NoneType"),
    ("models", [Output()], TypeError, "models .*mapping.*list"),
    ("models", {"a": "standard"}, TypeError, r"models\['a'\] .*Module.*standard"),
    ("attack", "pgd", TypeError, r"such as advlib\.pgd, not 'pgd'"),
    (
        "models",
        {"a": Output(), "b": Output(lambda logits: logits[:, :3])},
        ValueError,
        "models .*number of classes.*'a': 4, 'b': 3",
    ),
]
WILSON = [
    ("errors", -1, ValueError, "errors .*-1"),
    ("errors", 11, ValueError, "errors .*n = 10.*11"),
    ("n", 0, ValueError, "n .*at least 1.*0"),
    ("level", 0, ValueError, "level .*0"),
    ("level", 1, ValueError, "level .*1"),
]


def dataset(images=IMAGES, labels=LABELS, **changed):
    """The images as a data set, with training images that may be wrong."""
    whole = replace(random_data(1, 1), validation=Split(IMAGES, LABELS))
    return replace(whole, train=Split(images, labels), **changed)


TRAIN = [  # what each setting may be is in test_settings.py
    *EPSILONS,
    ("epochs", 0, ValueError, "epochs .*at least 1.*0"),
    ("alpha", 1.1, ValueError, "alpha .*0 to 1.*1.1"),
    ("batch_size", 0.5, TypeError, "batch_size .*0.5"),
    ("learning_rate", 0, ValueError, "learning_rate .*above 0.*0"),
    ("momentum", 1, ValueError, "momentum .*1"),
    ("weight_decay", -1, ValueError, "weight_decay .*at least 0.*-1"),
    ("seed", 2**63, ValueError, f"seed .*{2**63}"),
    ("device", "gpu", ValueError, 'device .*"auto".*gpu'),
    ("device", "meta", ValueError, "device .*meta"),
    ("device", "cuda:99", ValueError, "device .*cuda:99"),
    ("method", "mixd", ValueError, "method .*standard.*mixed-epochwise.*'mixd'"),
    ("epsiln", 0.1, TypeError, "epsiln"),
    *MODELS[:1],
    ("model", Output().double(), TypeError, "images .*float32.*model .*float64"),
    ("model", Output(lambda logits: logits[0]), ValueError, r"model .*\[2, classes\].*\[4\]"),
    *MODELS[-3:],
    ("model", Output().requires_grad_(False), ValueError, "model .*no parameters to train"),
    ("model", Output(lambda z: z - z.mean(0)), ValueError, "does not depend on the others of its"),
    ("method", 5, TypeError, "method .*5"),
    ("method", lambda model: None, TypeError, r"method must take \(model, batch, settings\)"),
    ("run", 3, TypeError, "run .*path.*3"),
    ("run", "", ValueError, "run .*path.*''"),
    ("data", None, TypeError, "data .*Dataset.*NoneType"),
    ("data", dataset(altered(IMAGES, torch.nan)), ValueError, "images .*finite.*nan"),
    ("data", dataset(validation=Split(altered(IMAGES, torch.inf), LABELS)), ValueError, "finite"),
    (
        "data",
        dataset(validation=Split(IMAGES.double(), LABELS)),
        TypeError,
        "data.validation.images .*float64.*model .*float32",
    ),
    ("data", dataset(validation=Split(IMAGES[:, :1], LABELS)), ValueError, r"\[2, 1, 3\]"),
    ("data", dataset(labels=LABELS[:5]), ValueError, r"labels .*\[6\].*\[5\]"),
    ("data", dataset(labels=altered(LABELS, 4)), ValueError, "labels .*0 to 3.*4"),
    ("data", dataset(validation=Split(IMAGES, altered(LABELS, 4))), ValueError, "labels .*0 to 3"),
]
LENET = [
    ("seed", -1, ValueError, "seed .*-1"),
    ("classes", 1, ValueError, "classes .*at least 2.*1"),
]
FORWARD = [
    ("images", torch.zeros(size), ValueError, r"images .*\[N, 1, 28, 28\].*" + str([*size])[1:-1])
    for size in [(1, 28, 28), (2, 3, 28, 28)]
]
TABLE = [
    ("model", [nn.Linear(2, 2)], TypeError, "layers .*Conv2d, MaxPool2d, AvgPool2d, ReLU.*Linear"),
    ("model", nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh()), TypeError, "layers .*Tanh"),
]
PRETRAINED = [
    ("name", "mixd", ValueError, "name .*standard, mixed, adversarial.*'mixd'"),
    ("name", "mixed-epochwise", ValueError, "name .*standard, mixed, adversarial.*epochwise"),
]


def forward(images):
    logits = LeNet()(images)
    return logits


GIVEN = {"images": IMAGES, "labels": LABELS}
TRAINING = {"model": Output(), "data": dataset(), "epochs": 1}
CALLS = [
    (fgsm, GIVEN | {"model": Output()}, INPUTS + MODELS + EPSILONS + FGSM),
    (evaluate, GIVEN | {"model": Output()}, INPUTS + MODELS),
    (transfer, GIVEN | {"models": {"a": Output()}}, INPUTS + EPSILONS + TRANSFER),
    (wilson_interval, {"errors": 1, "n": 10}, WILSON),
    (dataset().epsilon_in_pixels, {"epsilon": 0.1}, EPSILONS),
    (train, TRAINING, TRAIN),
    (LeNet, {}, LENET),
    (forward, {"images": torch.zeros(1, 1, 28, 28)}, FORWARD),
    (architecture_table, {"model": LeNet()}, TABLE),
    (pretrained, {}, PRETRAINED),
]
ROWS = [
    pytest.param(function, given | {name: value}, error, message, id=f"{function.__name__}-{name}")
    for function, given, rows in CALLS
    for name, value, error, message in rows
]


@pytest.mark.parametrize(("function", "given", "error", "message"), ROWS)
def test_bad_input(function, given, error, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        function(**given)
    assert type(caught.value) in (error, NotFiniteError)


@pytest.mark.parametrize(("name", "value"), [row[:2] for row in TRAIN])
def test_train_finds_it_before_any_work_and_leaves_the_model(name, value, tmp_path):
    model = Output()
    model.linear.bias.grad = torch.ones(4)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    given = {**TRAINING, "model": model, "run": tmp_path / "run", name: value}
    with pytest.raises((TypeError, ValueError)):
        train(**given)
    assert not (tmp_path / "run").exists()
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert model.training
    assert torch.equal(model.linear.bias.grad, torch.ones(4))


def test_an_exported_model_cannot_be_trained_and_can_be_attacked():
    """`torch.export` leaves no training mode."""
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    dynamic = ({0: torch.export.Dim("n", min=1, max=64)},)
    free = torch.export.export(LeNet(), (images,), dynamic_shapes=dynamic).module()
    with pytest.raises(TypeError, match=r"^model must .* exported .*train the model that it was"):
        train(free, random_data(), epochs=1)
    torch.testing.assert_close(
        fgsm(free, images, LABELS), fgsm(LeNet(), images, LABELS), rtol=0, atol=1e-6
    )
    assert evaluate(free, images, LABELS).n == 6
    fixed = torch.export.export(LeNet(), (images,)).module()
    with pytest.raises(ValueError, match=r"^model does not take images of shape \[5, 1, 28, 28\]"):
        evaluate(fixed, images[:5], LABELS[:5])


@pytest.mark.parametrize("function", [fgsm, evaluate])
def test_a_label_out_of_range_is_found_on_the_first_batch(function):
    model = Output().eval()
    with pytest.raises(ValueError, match="labels"):
        function(model, IMAGES, altered(LABELS, 4), batch_size=1)
    assert model.calls == 1


def test_transfer_looks_at_all_models_before_any_work():
    first, last = Output().eval(), Output(lambda logits: logits[:, :3]).eval()
    with pytest.raises(ValueError, match="classes"):
        transfer({"first": first, "last": last}, IMAGES, LABELS, batch_size=1)
    assert (first.calls, last.calls) == (1, 1)


def test_running_out_of_memory_is_not_called_bad_input():
    def exhausted(logits):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Output(exhausted), IMAGES, LABELS)


@pytest.mark.parametrize(
    ("method", "unknown"),
    [
        (eval("lambda model, batch, settings: None"), "source"),
        (partial(lambda *_: None, (_ for _ in ())), "value cannot be told"),
    ],
)
def test_a_method_that_cannot_be_told_from_others_is_no_run(method, unknown, tmp_path):
    with pytest.raises(ValueError, match=f"method .*{unknown}"):
        train(Output(), dataset(), method=method, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
