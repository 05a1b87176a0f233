"""Tests of the one reader of executed notebooks."""

import json
import os
from pathlib import Path
from typing import Any

import kernels
import pytest

from advlib.experiment import runner
from advlib.kept.files import DamagedFileError
from advlib.results.notebooks import read_chapters, read_notebooks

TABLE = {"kind": "table", "label": "tbl-a"}


def write(
    folder: Path, name: str, *cells: tuple[list[str], dict[str, Any]], **metadata: Any
) -> None:
    """Write an executed notebook: a cell for each pair of tags and what its output says."""
    written = [
        {
            "cell_type": "code",
            "metadata": {"tags": tags},
            "outputs": [{"data": {"text/plain": "x"}, "metadata": {"advlib": about}}],
        }
        for tags, about in cells
    ]
    content = json.dumps({"cells": written, "metadata": metadata})
    (folder / f"{name}.ipynb").write_text(content, encoding="utf-8")


def copy(
    folder: Path, method: str, methods: list[str] | None, *cells: tuple[list[str], Any]
) -> None:
    """Write the copy of a notebook for one method, as the runner does."""
    papermill = {"input_path": "3-training.ipynb", "parameters": {"method": method}}
    own = {"advlib": {"experiment": {"methods": methods}}} if methods else {}
    write(folder, f"3-training-{method}", *cells, papermill=papermill, **own)


def names(folder: Path) -> list[str]:
    return [notebook.path.stem for notebook in read_notebooks(folder)]


def test_the_order_is_that_of_the_numbers_between_the_matter(tmp_path: Path) -> None:
    for name in ("back-matter", "10-z", "9-a", "front-matter", "0-b", "1-c"):
        write(tmp_path, name)
    assert names(tmp_path) == ["front-matter", "0-b", "1-c", "9-a", "10-z", "back-matter"]
    chapters = [notebook.path.stem for notebook in read_chapters(tmp_path)]
    assert chapters == ["0-b", "1-c", "9-a", "10-z"]


def test_what_is_no_notebook_of_the_report_is_passed_over(tmp_path: Path) -> None:
    for name in ("1-a", "1-a.failed", ".2-hidden", ".part-0123abcd-1-a", "notes", "matter"):
        write(tmp_path, name)
    (tmp_path / "3-a.json").touch()
    assert names(tmp_path) == ["1-a"]


def test_copies_are_in_the_order_of_the_experiment_s_methods(tmp_path: Path) -> None:
    methods = ["standard", "mixed", "adversarial"]
    for method in sorted(methods):
        copy(tmp_path, method, methods)
    write(tmp_path, "3-a", papermill={"input_path": "3-a.ipynb"})
    assert names(tmp_path) == ["3-a", *(f"3-training-{method}" for method in methods)]


def test_what_stands_once_is_only_in_the_first_copy(tmp_path: Path) -> None:
    """Once for each notebook that is copied, and not once for the whole report."""
    once: tuple[list[str], dict[str, Any]] = (["once"], TABLE)
    each: tuple[list[str], dict[str, Any]] = ([], {"kind": "figure", "label": "fig-b"})
    for method in ("mixed", "standard"):
        copy(tmp_path, method, ["standard", "mixed"], once, each)
    write(tmp_path, "3-other", once)
    for method in ("x", "y"):  # by their names alone
        write(
            tmp_path, f"4-again-{method}", each, once, papermill={"parameters": {"method": method}}
        )
    found = {
        notebook.path.stem: (
            [number for number, _ in notebook.cells],
            [about["label"] for about, _ in notebook.shown],
        )
        for notebook in read_notebooks(tmp_path)
    }
    assert found == {
        "3-other": ([1], ["tbl-a"]),
        "3-training-standard": ([1, 2], ["tbl-a", "fig-b"]),
        "3-training-mixed": ([2], ["fig-b"]),
        "4-again-x": ([1, 2], ["fig-b", "tbl-a"]),
        "4-again-y": ([1], ["fig-b"]),
    }


def test_cells_that_the_report_leaves_out(tmp_path: Path) -> None:
    tags: list[list[str]] = [["notebook-only"], ["nbval-ignore-output"], ["parameters"]]
    write(tmp_path, "1-a", *[(tag, TABLE) for tag in tags], ([], {"kind": "caption"}))
    (notebook,) = read_notebooks(tmp_path)
    assert [number for number, _ in notebook.cells] == [2, 4]
    assert notebook.shown == [(TABLE, {"text/plain": "x"})]


def test_what_a_notebook_was_made_from(tmp_path: Path) -> None:
    about = {"duration": 2.5, "parameters": {"seed": 1}, "input_path": "folder/1-b.ipynb"}
    write(tmp_path, "1-a", papermill=about, advlib={"experiment": {"seed": 1, "epochs": 3}})
    (notebook,) = read_notebooks(tmp_path)
    assert (notebook.source, notebook.seconds) == ("1-b", 2.5)
    assert (notebook.parameters, notebook.experiment) == ({"seed": 1}, {"seed": 1, "epochs": 3})


def test_the_runner_stores_the_whole_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # the runner changes them
    source = kernels.write(tmp_path / "3-a.ipynb", 'seed = 0\nmethod = "x"', "seed")
    text = "{seed: 1, epochs: 3, methods: [x, mixed], slides: true}"
    (tmp_path / "parameters.yaml").write_text(text)
    target = tmp_path / "executed" / "3-a-mixed.ipynb"
    options = ["--parameters", str(tmp_path / "parameters.yaml"), "-p", "method", "mixed"]
    assert runner.main([str(source), str(target), *options]) == 0
    (notebook,) = read_notebooks(target.parent)
    given = {"seed": 1, "epochs": 3, "methods": ["x", "mixed"]}
    assert notebook.experiment == {**given, "slides": True}
    assert notebook.parameters == {"seed": 1, "method": "mixed"}
    assert notebook.source == "3-a"
    assert notebook.seconds


def test_only_the_named_are_read(tmp_path: Path) -> None:
    for name in ("1-a", "2-b"):
        write(tmp_path, name)
    (tmp_path / "3-c.ipynb").write_text("damaged")
    found = read_notebooks(tmp_path, ["2-b.ipynb", "1-a.ipynb", "2-b.ipynb"])
    assert [notebook.path.name for notebook in found] == ["1-a.ipynb", "2-b.ipynb"]
    with pytest.raises(FileNotFoundError, match=r"4-d\.ipynb is missing"):
        read_notebooks(tmp_path, ["1-a.ipynb", "4-d.ipynb"])
    with pytest.raises(ValueError, match=r"'notes\.ipynb' is no name of an executed notebook"):
        read_notebooks(tmp_path, ["notes.ipynb"])


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"cells": 3}', '{"cells": []}', '{"cells": 3, "metadata": {}}'),
        *('{"cells": [1], "metadata": {}}', '{"cells": [], "metadata": []}', "\xff"),
    ],
)
def test_a_file_that_is_no_notebook_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "1-a.ipynb").write_bytes(content.encode("latin-1"))
    with pytest.raises(
        DamagedFileError, match=r"1-a\.ipynb is not a notebook .*remove it and make"
    ):
        read_notebooks(tmp_path)
