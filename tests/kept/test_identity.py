"""What a kept training is known by: a change of the code trains what it touches, and no other."""

import ast
import functools
import importlib.util
import linecache
import random
import types
from pathlib import Path
from typing import Any

import pytest
from engine import Noisy, random_data
from torch import nn

import advlib
from advlib import training
from advlib.data import load_data
from advlib.kept import identity
from advlib.kept.identity import code_digest, find_places, read_library, source_of
from advlib.lenet import LeNet
from advlib.methods import METHODS, Batch, Method
from advlib.settings import Training

ALL = {*METHODS}
NONE: set[str] = set()
AFTER = "\n\ndef added(x):\n    return x\n"

CHANGES: list[tuple[str, str, str, set[str]]] = [
    # what is added beside the others trains nothing anew
    ("attacks", "ATTACKS = {", "def other(model):\n    return fgsm(model)\n\n\nATTACKS = {", NONE),
    ("attacks", "ATTACKS = {", 'ATTACKS = {"other": Attack(fgsm), ', NONE),
    ("methods", "METHODS = {", 'METHODS = {\n    "free": Method(mixed, "Free training"),', NONE),
    ("methods", "class Pass(", "def added(x):\n    return x\n\n\nclass Pass(", NONE),
    (
        "evaluation",
        "    n: int = field()",
        '    median: float = figure("Median", "median")\n    n: int = field()',
        NONE,
    ),
    ("evaluation", "        error=100 *", "        error=100.0 *", NONE),
    ("training", "    place = _find_device(device)", "    place = _find_device('cpu')", NONE),
    ("architecture", "reach =", "reached = reach =", NONE),
    # words decide nothing
    ("methods", '"""g = g_clean, the', '"""The', NONE),
    ("methods", "def standard(model: nn.Module", "def standard(model: object", NONE),
    ("training", "def _loop(", "# a word\ndef _loop(", NONE),
    # one line of a method, or of a helper that it names
    ("methods", "clean.gradients, settings.alpha", "clean.gradients, 1.0", {"adversarial"}),
    ("methods", "Step(clean.gradients, clean.outcome)", "Step([], clean.outcome)", {"standard"}),
    ("methods", "2 * n, generator", "2 * n + 0, generator", {"mixed-epochwise"}),
    ("methods", "for chosen in (~batch.pert", "for chosen in (batch.pert", {"mixed-epochwise"}),
    ("methods", "clean.of_images, epsilon)", "clean.of_images, 1.0)", {"mixed", "adversarial"}),
    ("attacks", 'reduction="none"', 'reduction="sum"', {"mixed-epochwise"}),
    ("_search", "gradient.sign(), alpha", "gradient.sgn(), alpha", ALL),
    ("methods", "objective.mean()", "objective.sum()", ALL),
    # the loop, the data, the network
    ("training", "range(len(history) + 1,", "range(len(history) + 2,", ALL),
    ("training", "optimizer.step()", "optimizer.step", ALL),
    ("training", "[1, 5]", "[1, 4]", ALL),
    ("evaluation", "(rank >= 5)", "(rank >= 4)", ALL),
    ("data", "VALIDATION_IMAGES = 5_000", "VALIDATION_IMAGES = 5_001", ALL),
    ("data", "/ (high - low)", "/ (low - high)", ALL),
    ("lenet", "normal_(0, 0.1,", "normal_(0, 0.2,", ALL),
    ("_convolution", "_POINTS = (0.0, 1.0,", "_POINTS = (0.0, 1.5,", ALL),
]


def digests(library: dict[str, str]) -> dict[str, str]:
    """The code of each method's training, as `advlib.runs.trained` knows it."""
    shared = [training._loop, LeNet, load_data]
    return {
        name: code_digest(
            [place for f in (*shared, row.step, row.batches) for place in find_places(f)], library
        )
        for name, row in METHODS.items()
    }


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return digests(read_library())


@pytest.mark.parametrize(("module", "old", "new", "touched"), CHANGES)
def test_a_change_trains_what_it_touches_and_no_other(
    module: str, old: str, new: str, touched: set[str], before: dict[str, str]
) -> None:
    library = read_library()
    assert library[module].count(old) == 1
    library[module] = library[module].replace(old, new)
    after = digests(library)
    assert {name for name in METHODS if after[name] != before[name]} == touched


def test_methods_are_known_apart(before: dict[str, str]) -> None:
    assert len(set(before.values())) == len(METHODS)


def test_a_new_module_that_the_loop_names_counts(before: dict[str, str]) -> None:
    """And one that nothing names does not."""
    library = read_library() | {"noise": "SIZE = 1\n"}
    assert digests(library) == before
    library["training"] = (
        library["training"]
        .replace("import math\n", "import math\nfrom advlib import noise\n")
        .replace("totals = torch.zeros(2, 3", "totals = noise.SIZE * torch.zeros(2, 3")
    )
    one = digests(library)
    library["noise"] = "SIZE = 2\n"
    two = digests(library)
    assert all(len({before[m], one[m], two[m]}) == 3 for m in METHODS)


def test_the_librarys_imports_are_such_as_can_be_followed() -> None:
    """No star and nothing of the public face; that none is relative is the linter's."""
    for name, text in read_library().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                names = {each.name for each in node.names}
                assert "*" not in names, name
                assert node.module != "advlib" or not names & {*advlib.__all__}, name


@pytest.mark.parametrize(
    "text",
    [
        "import advlib.noise\ndef f():\n    return advlib.noise.SIZE\n",
        "import advlib.noise as n\ndef f():\n    return n.SIZE\n",
        "from advlib import noise\ndef f():\n    return noise.SIZE\n",
        "from advlib import noise\ndef f():\n    return getattr(noise, 'SIZE')\n",
        "from advlib.noise import SIZE as size\ndef f():\n    return size\n",
        "from advlib import noise\nkept = noise.SIZE\ndef f():\n    return kept\n",
        "from advlib.noise import SIZE\nif SIZE:\n    def f():\n        return SIZE\n",
        "from advlib.noise import SIZE\nclass f:\n    def size(self):\n        return SIZE\n",
        "def f():\n    from advlib.noise import SIZE\n    return SIZE\n",
        "from advlib.noise import SIZE\nif 1:\n    k = 1\n    def f():\n        return SIZE\n",
        "def f():\n    import advlib.o as n\ndef g():\n    import advlib.noise as n\n    n.SIZE\n",
        "f = lambda: g()\ndef g():\n    import advlib.noise as n\n    return n.SIZE\n",
    ],
)
def test_what_is_named_is_followed(text: str) -> None:
    found = {code_digest([("m", "f")], {"m": text, "noise": f"SIZE = {n}\n"}) for n in (1, 1, 2)}
    assert len(found) == 2


def own_module(folder: Path, text: str) -> types.ModuleType:
    path = folder / f"own{len([*folder.iterdir()])}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OWN = """
from advlib import methods
from advlib.methods import Step

def halve(gradients):
    return [gradient / 2 for gradient in gradients]

def halved(model, batch, settings):
    clean = methods.differentiate(model, batch)
    return Step(halve(clean.gradients), clean.outcome)
"""


def test_a_method_of_ones_own_is_known_by_the_functions_beside_it(tmp_path: Path) -> None:
    one, two = own_module(tmp_path, OWN).halved, own_module(tmp_path, OWN + AFTER).halved
    three = own_module(tmp_path, OWN.replace("gradient / 2", "gradient / 3")).halved
    assert source_of(one) == source_of(two) != source_of(three)
    assert ("methods", "differentiate") in find_places(one)
    assert ("methods", "Step") in find_places(one)


def test_a_run_with_another_helper_is_refused(tmp_path: Path) -> None:
    data, run = random_data(), tmp_path / "run"
    first = own_module(tmp_path, OWN).halved
    second = own_module(tmp_path, OWN.replace("gradient / 2", "gradient / 3")).halved
    advlib.train(Noisy(), data, method=first, epochs=1, run=run)
    with pytest.raises(ValueError, match="holds one with other settings"):
        advlib.train(Noisy(), data, method=second, epochs=1, run=run)


def test_code_that_changed_since_it_was_imported_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it counts: other words, and what is not reached, do no harm."""
    library = read_library()
    monkeypatch.setattr(identity, "read_library", lambda: library)
    data, run = random_data(), tmp_path / "run"
    library["attacks"] += AFTER
    library["training"] = library["training"].replace('"""Train one epoch', '"""Train an epoch')
    advlib.train(Noisy(), data, epochs=1, run=run)
    library["methods"] = library["methods"].replace("objective.mean()", "objective.sum()")
    with pytest.raises(RuntimeError, match="advlib's code has changed since it was imported"):
        advlib.train(Noisy(), data, epochs=1, run=tmp_path / "other")


def test_a_helper_that_is_defined_anew_counts() -> None:
    """As when its cell is run again: the method is the same object, what it names is not."""
    scope: dict[str, Any] = {"__name__": "cells"}
    sources = {"one": "def helper():\n    return 1\n", "two": "def helper():\n    return 2\n"}
    text = "def method(model, batch, settings):\n    return helper()\n"
    found = []
    for name, helper in {"method": text, **sources}.items():
        linecache.cache[name] = (
            0,
            None,
            (text if name == "method" else helper).splitlines(True),
            name,
        )
        exec(compile(text if name == "method" else helper, name, "exec"), scope)
        found.append(source_of(scope["method"]))
    assert len(set(found)) == 3


def named(model: nn.Module, batch: Batch, settings: object) -> object:
    random.random()
    return advlib.methods.differentiate(TEACHER, batch)


TEACHER = LeNet()


def test_what_a_method_of_ones_own_names_may_be_anything() -> None:
    """A chain of modules, an instance of a network, what has no module of its own, a partial."""
    for function in (named, functools.partial(named, TEACHER)):
        assert ("methods", "differentiate") in find_places(function)
        assert ("lenet", "LeNet") in find_places(function)


def test_a_rows_settings_count_and_what_trains_on_a_device() -> None:
    places = []
    row = Method(METHODS["standard"].step, "Own", settings=Own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "running_code", lambda functions: places.extend(functions))
        training.deciding_code(row)
    assert {training._loop, training._trained_on, row.step, row.batches, Own} == {*places}


class Own(Training):
    pass
