"""Tests of the one reader of executed notebooks."""

import pytest
from toys import says, write_notebook

from advlib.kept.files import DamagedFileError
from advlib.results.notebooks import read_chapters, read_notebooks

TABLE = {"kind": "table", "label": "tbl-a"}


def names(notebooks):
    return [notebook.path.stem for notebook in notebooks]


def test_the_order_is_that_of_the_numbers_between_the_matter(tmp_path):
    chapters = ["0-b", "1-c", "9-a", "10-z"]
    for name in ("back-matter", *sorted(chapters), "front-matter"):
        write_notebook(tmp_path, name)
    for name in ("1-a.failed", ".2-hidden", ".part-0123abcd-1-a", "notes", "matter"):
        write_notebook(tmp_path, name)
    (tmp_path / "3-a.json").touch()
    assert names(read_chapters(tmp_path)) == chapters
    assert names(read_notebooks(tmp_path)) == ["front-matter", *chapters, "back-matter"]


def test_copies_are_in_the_methods_order(tmp_path):
    experiment = {"experiment": {"methods": ["standard", "mixed"]}}
    for method in ("mixed", "standard"):
        about = {"input_path": "3-training.ipynb", "parameters": {"method": method}}
        write_notebook(tmp_path, f"3-training-{method}", papermill=about, advlib=experiment)
    write_notebook(tmp_path, "3-other")
    found = names(read_chapters(tmp_path))
    assert found == ["3-other", "3-training-standard", "3-training-mixed"]


def test_what_a_notebook_shows_and_was_made_from(tmp_path):
    tags = ("notebook-only", "nbval-ignore-output", "parameters")
    cells = [*(says(TABLE, tag) for tag in tags), says({"kind": "caption"})]
    about = {"duration": 2.5, "parameters": {"seed": 1}, "input_path": "folder/1-b.ipynb"}
    write_notebook(tmp_path, "1-a", *cells, papermill=about, advlib={"experiment": {"seed": 1}})
    (notebook,) = read_chapters(tmp_path)
    assert [number for number, _ in notebook.cells] == [2, 4]
    assert notebook.shown == [(TABLE, {})]
    assert (notebook.source, notebook.seconds) == ("1-b", 2.5)
    assert notebook.parameters == notebook.experiment == {"seed": 1}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": [], "metadata": []}', "\xff"])
def test_a_file_that_is_no_notebook_is_named_with_the_remedy(tmp_path, content):
    (tmp_path / "1-a.ipynb").write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedFileError, match=r"1-a\.ipynb is not a notebook .*remove it and"):
        read_chapters(tmp_path)
