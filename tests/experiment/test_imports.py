"""What a notebook or a module is made from, against what Python loads when it runs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from advlib.experiment import imports
from advlib.experiment.imports import find_imports, find_sources, read_code
from advlib.kept import folders
from advlib.kept.folders import MATTER, NOTEBOOKS, PACKAGE, PROJECT

NOTEBOOK_PATHS = sorted([*NOTEBOOKS.glob("*.ipynb"), *MATTER.glob("*.ipynb")])
LOADED = """
import sys
{imports}
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "advlib"), sep="\\n")
"""


def loaded(path: Path) -> set[Path]:
    """The files of advlib's modules that Python has loaded after a file's own imports."""
    nodes = ast.walk(ast.parse(read_code(path)))
    lines = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    code = LOADED.format(imports="\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return {Path(line) for line in done.stdout.splitlines()}


@pytest.mark.parametrize("path", NOTEBOOK_PATHS, ids=lambda path: path.stem)
def test_what_a_notebook_loads_is_among_its_sources(path: Path) -> None:
    """More may be found than is loaded: what a function imports when it is called."""
    assert loaded(path) <= find_sources(path)


def test_a_chapter_is_made_from_what_it_imports_alone() -> None:
    found = {path.name for path in find_sources(NOTEBOOKS / "4-transfer.ipynb")}
    assert {"comparison.py", "tables.py", "runs.py", "_convolution.py", "slides.json"} <= found
    assert not {"figures.py", "back_matter.py", "findings.py", "merge.py", "runner.py"} & found
    assert "standard.safetensors" in found
    assert "train-images-idx3-ubyte.gz" in found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import advlib\nadvlib.fgsm", {"__init__.py", "attacks.py"}),
        ("from advlib import fgsm, runs", {"__init__.py", "attacks.py", "runs.py"}),
        (
            "import advlib.kept.files as f",
            {"__init__.py", "kept/__init__.py", "kept/files.py"},
        ),
        (
            "from advlib.kept import files",
            {"__init__.py", "kept/__init__.py", "kept/files.py"},
        ),
        ("def f():\n    from advlib import data", {"__init__.py", "data.py"}),
        ("if TYPE_CHECKING:\n    from advlib import data", set()),
        ("import torch\nadvlibs = 1", set()),
    ],
)
def test_what_is_imported(code: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(code)
    modules, data = find_imports(tmp_path / "code.py")
    assert {path.relative_to(PACKAGE).as_posix() for path in modules} == expected
    assert not data


@pytest.mark.parametrize(
    "code",
    [
        "from advlib.kept.folders import MNIST",
        "from advlib.kept import folders\nfolders.MNIST",
    ],
)
def test_whoever_names_a_folder_of_data_reads_it(code: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(code)
    assert find_imports(tmp_path / "code.py")[1] == {*folders.MNIST.iterdir()}


def test_a_notebooks_magics_are_no_python(tmp_path: Path) -> None:
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(
        '{"cells": [{"cell_type": "code", "source": ["%matplotlib inline\\n", "import advlib"]},'
        ' {"cell_type": "markdown", "source": ["import torch"]}]}'
    )
    assert read_code(notebook) == "import advlib"
    assert imports.find_sources(notebook) == {PACKAGE / "__init__.py"}
