"""The graph of names, against what Python loads and runs; and what a kept training is known by."""

import ast
import functools
import json
import linecache
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine import Noisy, random_data

import advlib
from advlib import training
from advlib.data import load_data
from advlib.kept import code
from advlib.kept.code import (
    digest_definitions,
    find_definitions,
    find_files,
    find_imports,
    find_places,
    read_library,
    source_of,
)
from advlib.kept.folders import MATTER, MNIST, NOTEBOOKS, PACKAGE, PROJECT
from advlib.lenet import LeNet
from advlib.methods import METHODS, shuffled

BOOKS = sorted([*NOTEBOOKS.glob("*.ipynb"), *MATTER.glob("*.ipynb")])
LOAD = """
import json, sys
for lines in json.load(sys.stdin):
    ours = [name for name in sys.modules if name.split(".")[0] == "advlib"]
    for name in ours:
        del sys.modules[name]
    exec("\\n".join(lines), {"__name__": "__main__"})
    print(*(m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "advlib"))
"""


def read_imports(notebook):
    tree = ast.parse(code._read_code(notebook))
    return [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]


def test_what_a_notebook_loads_is_among_its_files():
    """More may be found than is loaded: what a function imports when it is called."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=PROJECT, capture_output=True, text=True, check=True,
        input=json.dumps([*map(read_imports, BOOKS)]),
    )  # fmt: skip
    for notebook, line in zip(BOOKS, done.stdout.splitlines(), strict=True):
        assert {*map(Path, line.split())} <= find_files(notebook), notebook


def test_a_chapter_is_made_from_what_it_needs_and_no_more():
    found = {path.name for path in find_files(NOTEBOOKS / "4-transfer.ipynb")}
    assert {"runs.py", "_convolution.py", "standard.safetensors"} <= found
    assert "train-images-idx3-ubyte.gz" in found
    assert not {"merge.py", "runner.py", "panel.py"} & found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import advlib\nadvlib.fgsm", {"attacks.py"}),
        ("import advlib\nadvlib.attacks.pgd", {"attacks.py"}),
        ("from advlib import fgsm, runs", {"attacks.py", "runs.py"}),
        ("import advlib.kept.files as f", {"kept/__init__.py", "kept/files.py"}),
        ("from advlib.kept import files", {"kept/__init__.py", "kept/files.py"}),
        ("def f():\n    from advlib import load_data", {"data/__init__.py"}),
        ("if TYPE_CHECKING:\n    from advlib import data", None),
        ("import torch\nadvlibs = 1", None),
    ],
)
def test_what_is_imported(text, expected, tmp_path):
    (tmp_path / "code.py").write_text(text)
    wanted = set() if expected is None else {"__init__.py", *expected}
    assert find_imports(tmp_path / "code.py") == {PACKAGE / name for name in wanted}


def test_whoever_names_a_folder_of_data_reads_it(tmp_path):
    """In a notebook too, where magics are no Python."""
    cell = ["%matplotlib inline\n", "from advlib.kept.folders import MNIST"]
    cells = [{"cell_type": "code", "source": cell}, {"cell_type": "markdown", "source": ["a b"]}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "a.py").write_text("from advlib.kept import folders\nfolders.MNIST")
    for name in ("a.ipynb", "a.py"):
        assert {*MNIST.iterdir()} <= find_imports(tmp_path / name)


def test_a_users_file_is_made_from_those_of_its_folder(tmp_path):
    """And known by them; what it imports elsewhere is not its own."""
    texts = {
        "mine.py": "import advlib.methods, json, helper\n\ndef Net():\n    return helper.WIDTH\n",
        "helper.py": "import torch\nfrom pack.part import WIDTH\nfrom loose import bit\n",
        "pack/__init__.py": "",
        "pack/part.py": "from . import other\nfrom .other import *\nWIDTH = 4\n",
        "pack/other.py": "def more():\n    return 1\n",
        "loose/bit.py": "",
        "alone.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    mine = tmp_path / "mine.py"
    found = find_files(mine, tmp_path)
    assert {f.relative_to(tmp_path).as_posix() for f in found} == {*texts} - {"mine.py", "alone.py"}
    places = [(path, "*") for path in (mine, *found)]
    before = digest_definitions(places, tmp_path)
    (tmp_path / "pack" / "other.py").write_text('def more():\n    """One."""\n    return 1\n')
    assert digest_definitions(places, tmp_path) == before
    (tmp_path / "pack" / "other.py").write_text("def more():\n    return 2\n")
    assert digest_definitions(places, tmp_path) != before


@pytest.mark.parametrize(
    "text",
    [
        "import pack.noise\ndef f():\n    return pack.noise.SIZE\n",
        "import pack.noise as n\ndef f():\n    return n.SIZE\n",
        "from pack import noise\ndef f():\n    return noise.SIZE\n",
        "from pack import noise\ndef f():\n    return getattr(noise, 'SIZE')\n",
        "from pack import noise\ndef f():\n    return noise.g().size\n",
        "from pack.noise import SIZE as size\ndef f():\n    return size\n",
        "from pack.noise import *\ndef f():\n    return SIZE\n",
        "from pack import noise\nkept = noise.SIZE\ndef f():\n    return kept\n",
        "from pack.noise import SIZE\nif SIZE:\n    def f():\n        return SIZE\n",
        "from pack.noise import SIZE\nclass f:\n    def size(self):\n        return SIZE\n",
        "from pack.noise import SIZE\nfor k in range(SIZE):\n    list[k] = k\ndef f(): ...\n",
        "def f():\n    from pack.noise import SIZE\n    return SIZE\n",
        "f = lambda: g()\ndef g():\n    import pack.noise as n\n    n.SIZE\n",
        "def f():\n    import pack.o as n\n    n.SIZE\ndef g():\n    import pack.noise as n\n",
    ],
)
def test_what_is_named_is_followed(text, tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "m.py").write_text(text)
    found = set()
    for size in (1, 1, 2):
        (tmp_path / "pack" / "noise.py").write_text(f"SIZE = {size}\ndef g():\n    return SIZE\n")
        found.add(digest_definitions([(tmp_path / "m.py", "f")], tmp_path))
    assert len(found) == 2


def find_deciding(method):
    """Where the code begins that a method's training is known by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "running_code", list)
        functions = training.deciding_code(METHODS[method], LeNet, load_data)
    return [place for function in functions for place in find_places(function)]


def digest_all(library):
    return {name: digest_definitions(find_deciding(name), library=library) for name in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_what_a_training_runs_is_what_it_is_known_by(method):
    ran = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            ran.add((Path(frame.f_code.co_filename), frame.f_code.co_qualname.split(".")[0]))

    def run():
        load_data(images=1)
        named = training.Known(method, METHODS[method])
        settings = named.method.settings(epochs=1)
        training._loop(LeNet(), random_data(), named, settings, torch.device("cpu"), [], None)

    run()  # the first one imports much of torch, and that is slow while it is watched
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    known = find_definitions(find_deciding(method))
    assert {name for _, name in ran} >= {"derived_seed", "seeded", "load_data", "LeNet"}
    missing = {place for place in ran - known if place[1][0] != "<"}  # what has no name of its own
    assert {path.name for path, _ in missing} <= {"settings.py"}, missing


TOUCHED = {
    "standard": ["standard"],
    "adversarial": ["adversarial"],
    "mixed_epochwise fgsm": ["mixed-epochwise"],
    "shuffled": [name for name, row in METHODS.items() if row.batches is shuffled],
    "LeNet load_data": [*METHODS],  # what runs is known: the test above
    "evaluate apgd train": [],
}


@pytest.fixture(scope="module")
def before():
    return digest_all(read_library())


@pytest.mark.parametrize(
    ("name", "touched"),
    [(name, known) for names, known in TOUCHED.items() for name in names.split()],
)
def test_a_change_trains_what_it_touches_and_no_other(name, touched, before):
    """A line more in one definition."""
    library = read_library()
    ((path, found),) = [
        (path, node)
        for path, text in library.items()
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]
    lines, last = library[path].splitlines(), found.body[-1]
    lines.insert(last.end_lineno or 0, " " * last.col_offset + "changed = True")
    after = digest_all(library | {path: "\n".join(lines)})
    assert [each for each in METHODS if after[each] != before[each]] == touched


def test_words_and_what_is_added_train_nothing(before):
    library = {}
    for path, text in read_library().items():
        tree = ast.parse(text)  # without comments
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.returns = ast.Name("object")
                if ast.get_docstring(node):
                    node.body[0] = ast.Expr(ast.Constant("Other words."))
            if isinstance(node, ast.arg):
                node.annotation = None
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                node.exc.args = [ast.Constant("no")]
        library[path] = ast.unparse(ast.fix_missing_locations(tree)) + "\n\ndef added(): ...\n"
    assert digest_all(library) == before
    assert len({*before.values()}) == len(METHODS)


def test_code_that_changed_since_it_was_imported_is_not_run(tmp_path, monkeypatch):
    """Where it counts: what is not reached does no harm."""
    library = read_library()
    monkeypatch.setattr(code, "read_library", lambda: library)
    library[PACKAGE / "attacks.py"] += "\n\ndef added(x):\n    return x\n"
    advlib.train(Noisy(), random_data(), epochs=1, run=tmp_path / "run")
    path = PACKAGE / "methods.py"
    library[path] = library[path].replace("objective.mean()", "objective.sum()")
    with pytest.raises(RuntimeError, match="advlib's code has changed since it was imported"):
        advlib.train(Noisy(), random_data(), epochs=1, run=tmp_path / "other")


HALVE = "def halve(gradients):\n    return [gradient / 2 for gradient in gradients]\n"
OWN = """
from advlib import methods
from advlib.methods import Step

def method(model, batch, settings):
    clean = methods.differentiate(model, batch)
    return Step(halve(clean.gradients), clean.outcome)
"""


def run_cells(*cells):
    """Run cells as a notebook does; return what the name `method` is then."""
    scope = {"__name__": "cells"}
    for text in cells:
        place = f"cell {len(linecache.cache)}"
        linecache.cache[place] = (0, None, text.splitlines(keepends=True), place)
        exec(compile(text, place, "exec"), scope)
    return scope["method"]


def test_a_method_of_ones_own_is_known_by_the_functions_beside_it():
    """As they are now: a cell may have been run again. A run is known by it: test_training.py."""
    other, added = HALVE.replace("/ 2", "/ 3"), "def added(x):\n    return x\n"
    one, two, three = (run_cells(HALVE, OWN, last) for last in ("", added, other))
    assert source_of(one) == source_of(two) != source_of(three)
    assert {name for _, name in find_places(one)} == {"differentiate", "Step"}


def named(model, batch, settings):
    random.random()
    return advlib.methods.differentiate(TEACHER, batch)


TEACHER = LeNet()


def test_what_a_method_of_ones_own_names_may_be_anything():
    """A chain of modules, an instance of a network, what has no module of its own, a partial."""
    for function in (named, functools.partial(named, TEACHER)):
        assert {(path.name, name) for path, name in find_places(function)} >= {
            ("methods.py", "differentiate"),
            ("lenet.py", "LeNet"),
        }
