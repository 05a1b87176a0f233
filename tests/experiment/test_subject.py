"""What an experiment names: loaded once, tried by a real step, or told with its file and line."""

import copy
import hashlib
import re
import sys
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
import torchvision
import yaml
from folders import put_idx, put_pictures
from torch import nn

from advlib import evaluate
from advlib.data.idx import FILES
from advlib.experiment import parameters
from advlib.experiment.own import find_own
from advlib.experiment.subject import OwnCodeError, load_own, load_weights, resolve_subject
from advlib.kept.folders import MNIST
from advlib.runs import build_network
from advlib.settings import Experiment, read_origin

HEAD = """\
import torch
from torch import nn
from advlib.methods import Batch, Method, Outcome, Step, differentiate, perturb

class Net(nn.Sequential):
    def __init__(self, classes, shape):
        channels, height, width = shape
        first = nn.Linear(channels * height * width, 4)
        super().__init__(nn.Flatten(), first, nn.BatchNorm1d(4), nn.Linear(4, classes))

class Tied(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(784, 784), nn.Linear(784, 784), nn.Linear(784, classes)
        self.b.weight = self.a.weight
    def forward(self, images):
        return self.c(self.b(self.a(images.flatten(1))))

def make_net(seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))

def free(model, batch, settings):
    clean = differentiate(model, batch)
    return Step(clean.gradients, clean.outcome)

row = Method(free, "Free training", unused=("alpha",))

def shift(model, images, labels, epsilon, **_):
    return (images + epsilon).clamp(*_["bounds"])
"""
LINE = HEAD.count("\n")


@pytest.fixture(autouse=True)
def _as_before():
    """Take back what loading a user's files leaves in this process."""
    path, modules = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("own_") or name == "helper":
            del sys.modules[name]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return str(put_idx(tmp_path_factory.mktemp("data") / "small", classes=3, size=(28, 28)))


@pytest.fixture
def say(tmp_path, dataset, capsys):
    """Give a file of code and parameters to make's door; return what it says."""

    def ask(code, *given):
        (tmp_path / "mine.py").write_text(HEAD + code, encoding="utf-8")
        written = tmp_path / "out" / "parameters.yaml"
        written.unlink(missing_ok=True)
        arguments = [each.replace("mine.py", f"{tmp_path}/mine.py") for each in given]
        status = parameters.main([f"--yaml={written}", f"DATASET={dataset}", *arguments])
        assert written.exists() == (status == 0)
        return capsys.readouterr().err.replace(f"{tmp_path}/", "")

    return ask


@pytest.mark.parametrize(
    "given",
    [
        ["METHODS=standard,mine.py:free,mine.py:row,mixed-epochwise", "NETWORK=mine.py:Net"],
        ["METHODS=mine.py:free", "BATCH_SIZE=1"],
        ["NETWORK=mine.py:Tied"],
        ["NETWORK=mine.py:make_net", "METHODS=mixed"],
        ["ATTACKS=mine.py:shift", "EPOCHS=1"],
    ],
)
def test_what_is_right_passes(say, given):
    assert say("", *given) == ""


@pytest.mark.parametrize(
    ("code", "given", "words"),
    [
        ("", "METHODS=nothere.py:free", "nothere.py"),
        ("", "METHODS=mine.py:frei", "mine.py has no name 'frei'; it has torch, nn, Batch"),
        ("def free(:", "METHODS=mine.py:free", f"mine.py, line {LINE + 1}: importing it fails"),
        ("\n1 / 0", "NETWORK=mine.py:Net", f"mine.py, line {LINE + 2}: .*ZeroDivisionError"),
        ("raise SystemExit(3)", "METHODS=mine.py:free", "importing it fails.*SystemExit: 3"),
        ("standard = free", "METHODS=mine.py:standard", "of your own with another name"),
        ("def free(m, b): ...", "METHODS=mine.py:free", "mine.py: free: a step .* 3 were given"),
        (
            "def free(m, b, s):\n    return undefined",
            "METHODS=mine.py:free",
            f"mine.py, line {LINE + 2}: free: a step on 3 images fails; a method is .*NameError",
        ),
        ("def Net(size): ...", "NETWORK=mine.py:Net", "a network is .*TypeError: .*size"),
        (
            "def shift(model, images, labels, epsilon, **_): return images + 2 * epsilon",
            "ATTACKS=mine.py:shift",
            r"mine.py: shift: attacking 3 images fails; .*attacks\['shift'\]",
        ),
        ("def FGSM(*_, **__): ...", "ATTACKS=mine.py:FGSM", "names of their own, not 'FGSM'"),
        ("Square = shift", "ATTACKS=mine.py:Square", "names of their own, not 'Square'"),
        (
            "class Net(Net):\n    def forward(self, x): return super().forward(x.sub_(0.1))",
            "NETWORK=mine.py:Net",
            "it changes the images that it is given",
        ),
        ("", "ATTACKS=fgsm", "ATTACKS must be one to eight attacks of your own"),
        (
            "old = Net\ndef Net(shape): return old(10, shape)",
            "NETWORK=mine.py:Net",
            r"running it on 3 images fails; .* returns \[3, 10\] and not \[3, 3\]",
        ),
        (
            "import os\ndef Net():\n    n = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))\n"
            "    n[1].bias.data += os.urandom(1)[0] + 0.001 * os.urandom(1)[0]\n    return n",
            "NETWORK=mine.py:Net",
            "it has other weights each time",
        ),
        (
            "class Listed(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.head, self.layers = nn.Linear(9, 3), [nn.Linear(784, 9)]\n"
            "        nn.init.zeros_(self.head.weight)\n"
            "    def forward(self, images):\n"
            "        return self.head(self.layers[0](images.flatten(1)))",
            "NETWORK=mine.py:Listed",
            "it has weights that its state does not hold",
        ),
        (
            "class Bad(Net):\n    def forward(self, images):\n"
            "        return super().forward(images.detach())",
            "NETWORK=mine.py:Bad",
            "mine.py: Bad: running it on 3 images fails; .*ValueError: model must return logits",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(say, code, given, words):
    said = say(code, given)
    assert said.startswith("error: ")
    assert re.search(words, said, re.DOTALL), said


def test_the_last_minibatch_is_tried_too(say):
    """Of 234 images one is left alone, of which batch normalisation makes nothing."""
    said = say("", "NETWORK=mine.py:Net", "BATCH_SIZE=233")
    assert "standard: a step on 3 images fails; " in said


@pytest.mark.parametrize(
    ("network", "changes", "words"),
    [
        ("Net", {}, ""),
        ("Net", {"1.weight": None}, "Missing .*1.weight"),
        ("Net", {"9.weight": torch.ones(2)}, "Unexpected .*9.weight"),
        ("Net", {"1.weight": torch.ones(2, 2)}, "size mismatch for 1.weight"),
        ("Net", {"3.bias": torch.full((3,), torch.nan)}, "values are not finite in 3.bias"),
        ("Net", {"3.bias": torch.ones(3, dtype=torch.int8)}, "another kind.*3.bias.*int8"),
        ("Net", {"3.bias": torch.ones(3, dtype=torch.float16)}, ""),
        ("Tied", {"a.weight": None}, ""),  # b.weight is the same
        ("Tied", {"a.weight": None, "a.bias": None}, "Missing .*a.bias"),
    ],
)
def test_weights(say, tmp_path, dataset, network, changes, words):
    (tmp_path / "mine.py").write_text(HEAD)
    subject = resolve_subject(Experiment(dataset=dataset, network=f"{tmp_path}/mine.py:{network}"))
    state = build_network(subject.network, subject.data, 5).state_dict() | changes
    kept = {name: tensor.clone() for name, tensor in state.items() if tensor is not None}
    safetensors.torch.save_file(kept, tmp_path / "my_own.safetensors")
    given = [f"WEIGHTS={tmp_path}", f"NETWORK=mine.py:{network}"]
    said = say("", *given, "METHODS=my_own")
    expected = f"error: my_own.safetensors must have the weights .*{words}.*" if words else ""
    assert re.fullmatch(expected, said, re.DOTALL)


def test_weights_may_be_those_of_data_parallel(tmp_path):
    model = nn.Linear(3, 2)
    for name, network in {"a": model, "b": nn.Sequential(OrderedDict(module=model))}.items():
        for each in (network, nn.DataParallel(network)):
            safetensors.torch.save_file(each.state_dict(), tmp_path / name)
            loaded = copy.deepcopy(network)
            nn.init.zeros_(next(loaded.parameters()))
            load_weights(loaded, tmp_path / name)
            assert torch.equal(next(loaded.parameters()), model.weight)


def test_a_softmax_is_told_without_a_path(say, tmp_path):
    code = "def Soft(shape, classes): return nn.Sequential(Net(classes, shape), nn.Softmax(1))"
    (said,) = say(code, "NETWORK=mine.py:Soft").splitlines()
    assert said.startswith("beware: a model returns numbers from 0 to 1 alone")


def test_a_file_may_import_what_lies_beside_it(say, tmp_path):
    (tmp_path / "blocks.py").write_text("from torch import nn\nbody = nn.Flatten\n")
    code = (
        "from .blocks import body\n{}\ndef Own(): return nn.Sequential(body(), nn.Linear(784, 3))"
    )
    assert "ZeroDivisionError" in say(code.format("1 / 0"), "NETWORK=mine.py:Own")
    assert say(code.format(""), "NETWORK=mine.py:Own") == ""
    assert tmp_path / "blocks.py" in find_own(tmp_path / "mine.py")


def test_a_folder_with_published_files_is_that_data_set(tmp_path, monkeypatch):
    put_idx(tmp_path, classes=9, train=5010, size=(28, 28), gzipped=True)
    sums = [
        hashlib.md5((tmp_path / f"{name}.gz").read_bytes()).hexdigest() for name in FILES.values()
    ]
    assert resolve_subject(Experiment(dataset=str(tmp_path))).data.classes[0] == "1"
    known = [(f"{name}.gz", md5) for name, md5 in zip(FILES.values(), sums, strict=True)]
    monkeypatch.setattr(torchvision.datasets.KMNIST, "resources", known)
    subject = resolve_subject(Experiment(dataset=str(tmp_path), images=7))
    assert (subject.data.name, subject.experiment.dataset) == ("KMNIST", "KMNIST")
    assert subject.data.classes == tuple(torchvision.datasets.KMNIST.classes)


def test_fewer_test_images_are_a_draw():
    whole, few = (resolve_subject(Experiment(images=10, tested=n)) for n in (None, 200))
    assert torch.equal(few.data.test.images, whole.data.test.sample(200).images)
    all_there_are = resolve_subject(Experiment(images=10, tested=10_001))
    assert all_there_are.experiment == whole.experiment
    assert torch.equal(all_there_are.data.test.images, whole.data.test.images)
    with pytest.raises(ValueError, match="tested must be more than 9"):
        resolve_subject(Experiment(images=10, tested=9))


def test_weights_that_cannot_be_read(say, tmp_path):
    given = [f"WEIGHTS={tmp_path}", "NETWORK=mine.py:Net"]
    assert "METHODS must be names alone" in say("", *given, "METHODS=mine.py:free")
    (tmp_path / "my_own.safetensors").write_bytes(b"pickle")
    for name in ("my_own", "other"):
        assert f"{name}.safetensors must have the weights" in say("", *given, f"METHODS={name}")


def test_a_subject_has_its_models(tmp_path, dataset):
    (tmp_path / "mine.py").write_text(HEAD)
    given = ("standard", f"{tmp_path}/mine.py:row", f"{tmp_path}/mine.py:free")
    experiment = Experiment(
        dataset=dataset, methods=given, epochs=1, images=9999, batch_size=60, learning_rate=0.02
    )
    subject = resolve_subject(experiment)
    assert subject.methods == ["standard", "row", "free"]
    assert (subject.shown, subject.experiment.images) == ("standard", None)
    assert subject.title("free") == "Free training"
    (standard, history), (row, same) = map(subject.open_training, ("standard", "row"))
    assert [*map(len, (history, same))] == [1, 1]
    test = subject.data.test
    assert evaluate(row, test.images, test.labels).n == len(test)
    # a method that the experiment does not name can be opened all the same
    assert subject.open_training("mixed")[0] is not standard


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (True, True, True)),
        ({"epochs": 1, "methods": ("mixed", "a.py:b")}, (True, True, True)),
        ({"methods": ("mixed-epochwise",)}, (False, True, True)),
        ({"dataset": "KMNIST"}, (False, True, True)),
        ({"network": "a.py:b"}, (False, False, True)),
        ({"weights": "a"}, (False, True, False)),
    ],
)
def test_what_the_words_ask(changes, expected):
    found = Experiment(**changes).conditions
    assert (found["slides"], found["lenet"], found["trained"]) == expected


def test_mnist_is_the_slides_in_any_folder(tmp_path, dataset):
    for place, slides in ((str(MNIST), True), (dataset, False)):
        assert resolve_subject(Experiment(dataset=place)).slides is slides
        path = tmp_path / "parameters.yaml"
        assert parameters.main([f"--yaml={path}", f"DATASET={place}"]) == 0
        written = yaml.safe_load(path.read_text())
        assert (written["dataset"], written["slides"], written["lenet"]) == (place, slides, True)


def test_data_that_do_not_fit_are_refused(tmp_path, capsys):
    kana = "\N{HIRAGANA LETTER KI}"
    for place, words in (
        (
            put_pictures(tmp_path / "a"),
            r"LeNet takes grey images .* \(3, 12, 16\): bring a network",
        ),
        (put_pictures(tmp_path / "c", classes=("a", kana), shape=(28, 28)), f"'{kana}': rename"),
        (tmp_path / "none", "none"),
    ):
        path = tmp_path / "parameters.yaml"
        assert parameters.main([f"--yaml={path}", f"DATASET={place}"]) == 2
        assert re.search(words, capsys.readouterr().err)
        assert not path.exists()


def test_a_file_may_import_from_its_folder(tmp_path):
    """It is then its own (which files are: tests/kept/test_code.py), and advlib is not."""
    file, helper = tmp_path / "net.py", tmp_path / "helper.py"
    helper.write_text("WIDTH = 4\n")
    file.write_text("import advlib.methods, helper\n\ndef Net():\n    return helper.WIDTH\n")
    assert find_own(file) == {file, helper}
    origin = read_origin(f"{file}:Net")
    assert load_own(origin)() == 4
    assert load_own(origin) is load_own(origin)
    helper.write_text("WIDTH = 5\n")
    with pytest.raises(OwnCodeError, match="has changed since it was run"):
        load_own(origin)


def test_two_files_of_one_name_are_not_mistaken(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "helper.py").write_text(f"PLACE = {place!r}\n")
        (tmp_path / place / "mine.py").write_text("from helper import PLACE as place\n")
    assert load_own(read_origin(f"{tmp_path}/one/mine.py:place")) == "one"
    with pytest.raises(OwnCodeError, match="imports helper, of which there are two"):
        load_own(read_origin(f"{tmp_path}/two/mine.py:place"))
