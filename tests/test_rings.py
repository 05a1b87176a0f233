"""The house: which folder may import which, and what is private."""

import subprocess
import sys

import pytest

import advlib
from advlib.kept.code import find_imports
from advlib.kept.folders import PACKAGE

RINGS = (
    *("kept", "library", "show", "results"),
    *("experiment", "published", "report", "explore"),
)
"""From the innermost: each imports of itself and of those before it."""
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def ring(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 and parts[0] != "data" else "library"


def find_modules(path):
    return {file for file in find_imports(path) if file.suffix == ".py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_inward_only(path):
    """The package's own face apart: it loads a name when that is asked for."""
    for module in find_modules(path) - {PACKAGE / "__init__.py"}:
        assert RINGS.index(ring(module)) <= RINGS.index(ring(path)), module


def test_every_folder_is_a_ring():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == {*RINGS, "data"} - {"library"}


def test_no_public_name_is_a_modules_or_a_folders():
    """The face would hand out the module once that is loaded."""
    files = {path.stem for path in PACKAGE.iterdir()}
    assert not files & {*advlib.__all__}
    assert sorted(advlib._HOMES) == sorted(advlib.__all__)


@pytest.mark.parametrize("name", advlib.__all__)
def test_a_public_name_is_of_its_module(name):
    home = advlib._HOMES[name]
    assert not home.startswith("_")
    assert getattr(advlib, name).__module__ == f"advlib.{home}"
    assert name in dir(advlib)


def test_a_private_module_is_imported_by_the_library_alone():
    """Outside of it, `_state`'s seeds and the like are nobody's business."""
    for path in MODULES:
        names = {module.stem for module in find_modules(path)} - {"__init__"}
        private = {name for name in names if name.startswith("_")}
        assert not private or ring(path) == "library", (path, private)


@pytest.mark.parametrize("module", ["runner", "parameters", "plan"])
def test_what_make_starts_for_every_notebook_does_not_wait_for_torch(module):
    code = f"import sys, advlib.experiment.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
