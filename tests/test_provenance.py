import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from advlib import provenance


def notebook(
    folder: Path, name: str, cells: list[tuple[list[str], list[Any]]], **about: Any
) -> None:
    """Write an executed notebook: for each cell its tags and what its outputs say of themselves."""
    content = {
        "metadata": about,
        "cells": [
            {
                "metadata": {"tags": tags},
                "outputs": [{"metadata": {"advlib": entry} if entry else {}} for entry in shown],
            }
            for tags, shown in cells
        ]
        + [{"metadata": {}, "source": "prose"}],
    }
    (folder / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a git repository, committed."""
    folder = tmp_path / "repository" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "--quiet", "--message=first")
    return folder


def test_stages_are_in_the_report_s_order_with_times_and_labels(tmp_path: Path) -> None:
    curves = {
        "kind": "figure",
        "label": "fig-curves-standard",
        "data": {"columns": ["epoch", "seconds"], "index": [0, 1], "data": [[1, 1.5], [2, 2.0]]},
    }
    table = {"kind": "table", "label": "tbl-settings"}
    caption = {"kind": "caption", "label": "tbl-settings"}
    once = (["once"], [table, caption, {}])
    done = {"papermill": {"duration": 12.5}}
    notebook(tmp_path, "3-training-mixed", [once], **done)
    notebook(tmp_path, "3-training-standard", [once, ([], [curves])], **done)
    notebook(tmp_path, "1-data", [])
    notebook(tmp_path, "back-matter", [([], [{"kind": "table", "label": "tbl-stages"}])])
    notebook(tmp_path, "4-transfer.failed", [])
    assert provenance.stages(tmp_path) == [
        provenance.Stage("1-data.ipynb", None, None, ()),
        provenance.Stage(
            "3-training-standard.ipynb", 12.5, 3.5, ("tbl-settings", "fig-curves-standard")
        ),
        provenance.Stage("3-training-mixed.ipynb", 12.5, None, ()),
    ]


def test_the_reference_results_have_no_stages() -> None:
    assert provenance.stages("") == []


@pytest.mark.parametrize("content", ["", "[]", '{"cells": 3}', '{"cells": []}'])
def test_stages_name_a_file_that_is_not_a_notebook(tmp_path: Path, content: str) -> None:
    path = tmp_path / "1-data.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"1-data\.ipynb is not a notebook"):
        provenance.stages(tmp_path)


def test_commit_says_whether_files_differ_from_it(package: Path) -> None:
    name = git(package, "rev-parse", "--short=12", "HEAD")
    assert provenance.commit(package) == name
    (package / "__init__.py").write_text("changed = True")
    assert provenance.commit(package) == f"{name}, with changes"


def test_a_package_that_git_does_not_track_has_no_commit(package: Path, tmp_path: Path) -> None:
    installed = package.parent / ".venv" / "other"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert provenance.commit(installed) is None
    assert provenance.commit(tmp_path) is None


def test_a_repository_without_commits_has_none(package: Path) -> None:
    git(package, "update-ref", "-d", "HEAD")
    assert provenance.commit(package) is None


def test_processor_is_the_one_that_linux_names(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Processor @ 2 GHz: fast\n\nflags\t: x\n")
    assert provenance.processor(cpuinfo) == "A Processor @ 2 GHz: fast"


def test_processor_is_never_empty(tmp_path: Path) -> None:
    nameless = tmp_path / "cpuinfo"
    nameless.write_text("processor\t: 0\n")
    assert provenance.processor(nameless)
    assert provenance.processor(tmp_path / "missing")


def test_environment_describes_this_process() -> None:
    environment = provenance.environment()
    assert environment["Python"] == platform.python_version()
    assert str(torch.__version__).startswith(environment["torch"])
    assert environment["Threads"] == str(torch.get_num_threads())
    assert environment["Date"].endswith("UTC")
    assert all(environment.values())


def test_a_package_that_is_missing_has_no_version() -> None:
    assert provenance.package_version("no-such-package-anywhere") == "not installed"
