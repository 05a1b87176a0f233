"""What make says of a user's own files before any training: one line, with the remedy."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from folders import put_idx

from advlib.data import load_data
from advlib.experiment import own, parameters, plan
from advlib.experiment.own_files import digest_own, find_own_sources
from advlib.methods import METHODS
from advlib.runs import build_network

HEAD = """\
import torch
from torch import nn
from advlib.methods import Batch, Method, Outcome, Step, differentiate, perturb

class Net(nn.Sequential):
    def __init__(self, classes, shape):
        channels, height, width = shape
        first = nn.Linear(channels * height * width, 4)
        super().__init__(nn.Flatten(), first, nn.BatchNorm1d(4), nn.Linear(4, classes))

def free(model, batch, settings):
    clean = differentiate(model, batch)
    return Step(clean.gradients, clean.outcome)
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Take back what loading a user's files leaves in this process."""
    known, path, modules = dict(METHODS), [*sys.path], {*sys.modules}
    yield
    METHODS.clear()
    METHODS.update(known)
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("own_") or name in ("helper", "pack", "pack.part"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(put_idx(tmp_path_factory.mktemp("data") / "small", classes=3, size=(28, 28)))


Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, dataset: str, capsys: pytest.CaptureFixture[str]) -> Say:
    """Give a file of code and parameters to make's door; return the one line that it says."""

    def ask(code: str, *given: str) -> str:
        (tmp_path / "mine.py").write_text(HEAD + code, encoding="utf-8", errors="surrogateescape")
        arguments = [each.replace("mine.py", str(tmp_path / "mine.py")) for each in given]
        arguments.append(f"DATASET={dataset}")
        early = plan.main(arguments)
        said = capsys.readouterr().err
        if early == 0:
            written = tmp_path / "out" / "parameters.yaml"
            written.unlink(missing_ok=True)
            late = parameters.main([f"--yaml={written}", *arguments])
            said = capsys.readouterr().err
            assert written.exists() == (late == 0)
        assert said.count("\n") == (1 if said else 0), said
        return said.replace(str(tmp_path), "FOLDER").replace("error: ", "", 1).strip()

    return ask


def test_what_is_right_passes(say: Say) -> None:
    assert say("", "METHODS=standard,mine.py:free,mixed", "NETWORK=mine.py:Net") == ""
    assert say("", "METHODS=mine.py:free") == ""


LINE = HEAD.count("\n")


@pytest.mark.parametrize(
    ("code", "given", "words"),
    [
        ("", "METHODS=standard,nothere.py:free", "there is no file"),
        ("", "METHODS=mine.py:frei", "FOLDER/mine.py has no name 'frei'; it has torch, nn, Batch"),
        ("", "NETWORK=mine.py:Nett", "has no name 'Nett'; it has"),
        ("def free(:", "METHODS=mine.py:free", f"mine.py, line {LINE + 1} is no Python: "),
        (
            "\n1 / 0",
            "METHODS=mine.py:free",
            f"mine.py, line {LINE + 2}: importing it fails with ZeroDivisionError: division by "
            "zero; correct it",
        ),
        ("import nothing_such", "METHODS=mine.py:free", "install nothing_such for "),
        ("raise SystemExit(3)", "METHODS=mine.py:free", "importing it fails with SystemExit: 3"),
        ("from os import *\ndel free", "METHODS=mine.py:free", "has no name 'free'; it has"),
        (
            "standard = free",
            "METHODS=standard,mine.py:standard",
            "has the name of advlib's own method standard, and the report tells methods apart by",
        ),
        ("standard = free", "METHODS=mine.py:standard", "rename the function in FOLDER/mine.py"),
        ("", "METHODS=mine.py:free,mine.py:free", "each once"),
        ("Free = free", "METHODS=mine.py:free,mine.py:Free", "have one name in the report"),
        ("", "METHODS=" + ",".join("abcdefghi"), "METHODS must be one to eight"),
        ("", "METHODS=standard,fre", "METHODS must be of adversarial, .* or FILE.py:NAME"),
        ("free = 3", "METHODS=mine.py:free", "must be a function .* not int"),
        (
            "def free(model, batch): ...",
            "METHODS=mine.py:free",
            rf"mine.py, line {LINE + 1}: free must take \(model, batch, settings\), not",
        ),
        ("def free(m, b, s): return 1", "METHODS=mine.py:free", "must return .*Step, not int"),
        (
            "def free(m, b, s):\n    return undefined",
            "METHODS=mine.py:free",
            f"mine.py, line {LINE + 2}: a step of free training on 3 images fails with NameError",
        ),
        (
            "old = free\ndef free(*a):\n    s = old(*a)\n    return Step(s.gradients[1:], s.clean)",
            "METHODS=mine.py:free",
            "a gradient for each .* 8, not 7",
        ),
        (
            "old = free\ndef free(*a):\n    s = old(*a)\n"
            "    return Step([g.sum() for g in s.gradients], s.clean)",
            "METHODS=mine.py:free",
            r"that of layers.0.weight must be of shape \[20, 1, 5, 5\], not \[\]",
        ),
        (
            "old = free\ndef free(*a):\n    s = old(*a)\n"
            "    return Step([g / 0 for g in s.gradients], s.clean)",
            "METHODS=mine.py:free",
            "gives a gradient of layers.0.weight that is not finite",
        ),
        (
            "old = free\ndef free(*a):\n    return Step(old(*a).gradients, 0.5)",
            "METHODS=mine.py:free",
            "the Step's clean must be an advlib.methods.Outcome",
        ),
        (
            "old = free\ndef free(*a):\n    s = old(*a)\n"
            "    return Step([g.double() for g in s.gradients], s.clean)",
            "METHODS=mine.py:free",
            r"must be torch.float32 on cpu, not torch.float64 on cpu",
        ),
        (
            "old = free\ndef free(*a):\n    s = old(*a)\n"
            "    return Step((g for g in s.gradients), s.clean)",
            "METHODS=mine.py:free",
            rf"mine.py, line {LINE + 2}: free must give .*, in a list or a tuple, not generator",
        ),
        ("# \udcff", "METHODS=mine.py:free", "mine.py is not in UTF-8 .*; save it so"),
        ("Net = Net(3, (1, 28, 28))", "NETWORK=mine.py:Net", "must be a class or a function"),
        ("def Net(): return 5", "NETWORK=mine.py:Net", "must give a torch.nn.Module, not int"),
        ("def Net(size): ...", "NETWORK=mine.py:Net", "calling it fails with TypeError: .*size"),
        (
            "old = Net\ndef Net(shape): return old(10, shape)",
            "NETWORK=mine.py:Net",
            r"logits of shape \[N, 3\].* it returns \[3, 10\]: take the argument classes",
        ),
        (
            "class Net(nn.Linear):\n    def __init__(self): super().__init__(5, 3)",
            "NETWORK=mine.py:Net",
            "running it in training mode fails with RuntimeError: mat1 and mat2",
        ),
        (
            "import os\ndef Net():\n    n = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))\n"
            "    n[1].bias.data += os.urandom(1)[0] + 0.001 * os.urandom(1)[0]\n    return n",
            "NETWORK=mine.py:Net",
            "gives other weights each time",
        ),
        (
            "def Net():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))",
            "NETWORK=mine.py:Net",
            "mine.py: comparing the weights that it is built with fails with .*uninitialized",
        ),
        (
            "class Bad(Net):\n    def forward(self, images):\n        with torch.no_grad():\n"
            "            return super().forward(images)",
            "NETWORK=mine.py:Bad",
            "mine.py: an attack on 3 images fails with ValueError: model must return logits that",
        ),
        (
            "class Bad(Net):\n    def forward(self, images):\n"
            "        return super().forward(images.detach())",
            "NETWORK=mine.py:Bad",
            "mine.py: an attack on 3 images fails with ValueError: model must return logits that",
        ),
        (
            "class Bad(Net):\n    def forward(self, images):\n"
            "        images -= 0.5\n        return super().forward(images)",
            "NETWORK=mine.py:Bad",
            rf"line {LINE + 3}: a step of mixed training on 3 images fails with .*: a leaf",
        ),
        (
            "class Bad(Net):\n    def forward(self, images):\n"
            "        return super().forward(images.view(2, 1, 28, 28))",
            "NETWORK=mine.py:Bad",
            rf"line {LINE + 3}: running it in training mode fails with RuntimeError: shape",
        ),
        ("", "METHODS=mi,ne.py:free", r"for a function of your own \(a path without commas\)"),
        ("", "NETWORK=mine.py", "NETWORK must be LeNet, or FILE.py:NAME, not"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(say: Say, code: str, given: str, words: str) -> None:
    said = say(code, given)
    assert re.search(words, said), said


def save(folder: Path, dataset: str, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Save weights of the network Net."""
    network = own.find_network(f"{folder / 'mine.py'}:Net")
    state = build_network(network, load_data(dataset), 5).state_dict()
    state |= {name.replace("_", "."): t for name, t in changes.items() if t is not None}
    for name, tensor in changes.items():
        if tensor is None:
            del state[name.replace("_", ".")]
    (folder / "weights").mkdir(exist_ok=True)
    safetensors.torch.save_file(state, folder / "weights" / "mine.safetensors")
    return state


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"1_weight": None}, "lacks 1.weight: save the weights of this network"),
        ({"9_weight": torch.ones(2)}, "has, beside those of the network, 9.weight"),
        ({"1_weight": torch.ones(2, 2)}, r"1.weight is of shape \[2, 2\], and in the network of"),
        ({"3_bias": torch.full((3,), torch.nan)}, "3.bias has values that are not finite"),
    ],
)
def test_weights_that_do_not_fit(
    say: Say,
    tmp_path: Path,
    dataset: str,
    changes: dict[str, torch.Tensor | None],
    words: str,
) -> None:
    (tmp_path / "mine.py").write_text(HEAD)
    save(tmp_path, dataset, **changes)
    given = f"WEIGHTS={tmp_path / 'weights'}", "NETWORK=mine.py:Net"
    said = say("", *given, "METHODS=mine")
    assert re.search(words, said) if words else said == "", said
    assert "lacks other.safetensors" in say("", *given, "METHODS=other,mine")
    assert "(METHODS=mine)" in say("", *given)
    assert "letters, digits, _ and -" in say("", *given, "METHODS=model.v2")
    assert "WEIGHTS must be a folder, or None (on the command line: none), not ''" in say(
        "", "WEIGHTS=", "NETWORK=mine.py:Net"
    )
    assert "METHODS must be names alone" in say("", *given, "METHODS=mine.py:free")
    assert "is none" in say("", f"WEIGHTS={tmp_path / 'no'}", "NETWORK=mine.py:Net")
    (tmp_path / "weights" / "mine.safetensors").write_bytes(b"pickle")
    assert "no safetensors file" in say("", *given, "METHODS=mine")


def test_of_tied_weights_one_is_needed(say: Say, tmp_path: Path) -> None:
    code = (
        "class Tied(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(784, 784), nn.Linear(784, 784)\n"
        "        self.b.weight, self.c = self.a.weight, nn.Linear(784, 3)\n"
        "    def forward(self, x):\n        return self.c(self.b(self.a(x.flatten(1))))"
    )
    given = f"WEIGHTS={tmp_path}", "NETWORK=mine.py:Tied", "METHODS=plain"
    state = {"a.weight": torch.eye(784), "a.bias": torch.zeros(784), "b.bias": torch.zeros(784)}
    state |= {"c.weight": torch.zeros(3, 784), "c.bias": torch.zeros(3)}
    for left_out, words in (("a.bias", "lacks a.bias:"), ("a.weight", "lacks a.weight, b.weight:")):
        kept = {name: tensor for name, tensor in state.items() if name != left_out}
        safetensors.torch.save_file(kept, tmp_path / "plain.safetensors")
        assert words in say(code, *given)
    safetensors.torch.save_file(state, tmp_path / "plain.safetensors")
    assert say(code, *given) == ""


def test_a_file_may_import_from_its_folder(tmp_path: Path) -> None:
    """And is known by their content; what it imports elsewhere and advlib are not its own."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "part.py").write_text("from . import other\nWIDTH = 4\n")
    (tmp_path / "pack" / "other.py").write_text("")
    (tmp_path / "helper.py").write_text("import json\nfrom pack.part import WIDTH\n")
    (tmp_path / "alone.py").write_text("")
    file = tmp_path / "net.py"
    file.write_text("import advlib.methods, helper\n\ndef Net():\n    return helper.WIDTH\n")
    names = {path.relative_to(tmp_path).as_posix() for path in find_own_sources(file)}
    assert names == {"net.py", "helper.py", "pack/__init__.py", "pack/part.py", "pack/other.py"}
    what = f"{file}:Net"
    assert own.load_own(what)() == 4
    assert own.load_own(what) is own.load_own(what)
    before = digest_own(what), own.find_code(what)
    (tmp_path / "alone.py").write_text("x = 1")
    assert (digest_own(what), own.find_code(what)) == before
    (tmp_path / "pack" / "other.py").write_text("x = 1")
    assert digest_own(what) != before[0]
    assert own.find_code(what) != before[1]
    with pytest.raises(own.OwnCodeError, match="has changed since it was run"):
        own.load_own(what)


def test_two_files_of_one_name_are_not_mistaken(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "helper.py").write_text(f"PLACE = {place!r}\n")
        (tmp_path / place / "mine.py").write_text(
            "import helper\n\ndef f(m, b, s):\n    return helper.PLACE\n"
        )
    assert own.load_own(f"{tmp_path / 'one' / 'mine.py'}:f")(0, 0, 0) == "one"
    with pytest.raises(own.OwnCodeError, match="imports helper, of which there are two"):
        own.load_own(f"{tmp_path / 'two' / 'mine.py'}:f")


def test_a_file_of_parameters_has_its_own_paths(tmp_path: Path) -> None:
    """They are relative to it, and those of the command line to where make runs."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(HEAD)
    file = tmp_path / "experiment.yaml"
    file.write_text("methods: standard,code/mine.py:free\nnetwork: code/mine.py:Net\nweights: w\n")
    mine = f"{tmp_path}/code/mine.py"
    found = parameters.resolve(str(file))
    assert found.methods == ("standard", f"{mine}:free")
    assert (found.network, found.weights) == (f"{mine}:Net", f"{tmp_path}/w")
    _, given = parameters.read_arguments(["METHODS=a/b.py:free", "WEIGHTS=none"])
    assert given == {"methods": (f"{Path.cwd()}/a/b.py:free",), "weights": None}
    assert parameters.resolve(str(file), given).weights is None
    with pytest.raises(ValueError, match="is no file"):
        parameters.resolve(str(tmp_path / "none.yaml"))
    name = parameters.folder_name(str(file), {})
    assert name.startswith("experiment-")
    assert name != parameters.folder_name(str(file), {"epochs": 3})


def test_a_network_is_called_with_what_it_takes_and_seeded(dataset: str) -> None:
    data = load_data(dataset)

    def plain() -> torch.nn.Module:
        return torch.nn.Linear(2, 2)

    def full(seed: int, classes: int, shape: tuple[int, ...]) -> torch.nn.Module:
        seen.append((seed, classes, shape))
        return torch.nn.Linear(2, 2)

    seen: list[object] = []
    state = torch.get_rng_state()
    first, same, other = (build_network(plain, data, seed) for seed in (1, 1, 2))
    assert torch.equal(first.weight, same.weight)  # type: ignore[arg-type]
    assert not torch.equal(first.weight, other.weight)  # type: ignore[arg-type]
    build_network(full, data, 7)
    assert seen == [(7, 3, (1, 28, 28))]
    assert torch.equal(torch.get_rng_state(), state)
