import platform
import subprocess
from pathlib import Path

import nbformat
import pytest
import torch
import typst

from advlib.experiment import provenance
from advlib.experiment.kernel import share_cores
from advlib.kept import machine

ROOT = Path(__file__).parents[2]


def git(folder, *arguments):
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path):
    """A package in a git repository, committed."""
    folder = tmp_path / "repository" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "--quiet", "--message=first")
    return folder


def test_commit_says_whether_files_differ_from_it(package):
    name = git(package, "rev-parse", "--short=12", "HEAD")
    assert provenance.commit(package) == name
    for made in ("advlib/reference", "report/reference"):  # of the reference run itself
        folder = package.parent / made
        folder.mkdir(parents=True)
        (folder / "results.csv").touch()
    assert provenance.commit(package) == name
    (package / "__init__.py").write_text("changed = True")
    assert provenance.commit(package) == f"{name}, with changes"


def test_outputs_of_a_notebook_that_was_run_by_hand_are_no_change(package):
    """Nor is what JupyterLab keeps beside it; but a cell's text is."""
    path = package / "a-notebook.ipynb"
    cell = nbformat.v4.new_code_cell("1 + 1")
    book = nbformat.v4.new_notebook(cells=[cell])
    nbformat.write(book, path)
    (package / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    git(package, "add", ".")
    git(package, "commit", "--quiet", "--message=second")
    name = git(package, "rev-parse", "--short=12", "HEAD")
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    cell.execution_count = 1
    cell.metadata["execution"] = {"iopub.status.idle": "2026-11-29"}
    nbformat.write(book, path)
    (package / ".ipynb_checkpoints").mkdir()
    (package / ".ipynb_checkpoints" / "a-notebook-checkpoint.ipynb").touch()
    assert git(package, "status", "--porcelain"), "git calls it changed"
    assert provenance.commit(package) == name
    cell.source = "1 + 2"
    nbformat.write(book, path)
    assert provenance.commit(package) == f"{name}, with changes"


def test_a_package_that_git_does_not_track_has_no_commit(package, tmp_path):
    installed = package.parent / ".venv" / "other"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    git(package, "update-ref", "-d", "HEAD")  # and one without commits
    for folder in (installed, tmp_path, package):
        assert provenance.commit(folder) == "not in a git repository"


def test_processor_is_the_one_that_linux_names_and_never_empty(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Processor @ 2 GHz: fast\n\nflags\t: x\n")
    assert machine.processor(cpuinfo) == "A Processor @ 2 GHz: fast"
    cpuinfo.write_text("processor\t: 0\n")
    assert machine.processor(cpuinfo)
    assert machine.processor(tmp_path / "missing")


def test_environment_describes_this_process():
    environment = provenance.environment()
    assert environment["Python"] == platform.python_version()
    assert str(torch.__version__).startswith(environment["torch"])
    assert environment["Threads"] == str(share_cores())
    assert environment["Date"].endswith("UTC")
    pdf = typst.compile(b"a page")
    assert f"Typst {environment['Typst']}".encode() in pdf
    assert all(environment.values())
