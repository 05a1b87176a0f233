"""Which notebooks a report is made of, and what a build leaves, also one that fails."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import EXPERIMENT, METHODS, books, figure, text, write

from advlib.kept.files import DamagedFileError
from advlib.report import ReportError, building
from advlib.report.__main__ import main
from advlib.report.building import build
from advlib.report.merge import merge_notebooks
from advlib.report.reference import renew
from advlib.results.notebooks import Notebook
from advlib.results.tables import collect


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    return write(tmp_path / "report" / "notebooks", books())


@pytest.fixture
def typeset(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are typeset, by a stand-in that takes no time."""
    texts: list[str] = []

    def typeset_text(text: str, figures: object) -> tuple[bytes, bytes]:
        texts.append(text)
        return b"html", b"pdf"

    monkeypatch.setattr(building, "typeset_text", typeset_text)
    return texts


def test_a_failed_build_replaces_nothing(executed: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    build(executed, output)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    write(executed, {"4-transfer": [text("# Transfer\n\nTable *nothing*")]})
    with pytest.raises(ReportError, match="unknown label Table nothing"):
        build(executed, output)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_stale_results_are_removed(executed: Path, tmp_path: Path, typeset: list[str]) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "tbl-old.csv").write_text("old")
    build(executed, tmp_path)
    assert not (tmp_path / "results" / "tbl-old.csv").exists()


def test_command_line(
    executed: Path, tmp_path: Path, typeset: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(executed), str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.split() == [
        os.fspath(tmp_path / "a" / f"report.{suffix}") for suffix in ("html", "pdf")
    ]
    assert main([str(executed), str(tmp_path / "b"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), str(tmp_path / "c")]) == 1
    error = capsys.readouterr().err
    assert (
        f"report: missing executed notebooks: {tmp_path / 'empty' / 'front-matter.ipynb'}" in error
    )
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (["front-matter"], "missing executed notebooks: .*front-matter.ipynb$"),
        (["back-matter"], "missing executed notebooks: .*back-matter.ipynb$"),
        (["3-training-mixed"], "missing executed notebooks: .*3-training-mixed.ipynb$"),
        ([f"3-training-{m}" for m in METHODS], "the trainings standard, mixed, adversarial are"),
        ([name for name in books() if "matter" not in name], "no executed chapter in "),
    ],
)
def test_what_a_report_must_have(executed: Path, without: list[str], message: str) -> None:
    for name in without:
        (executed / f"{name}.ipynb").unlink()
    with pytest.raises(ReportError, match=message):
        build(executed, executed / "output")


def test_chapters_are_those_that_are_there(executed: Path, typeset: list[str]) -> None:
    """One may go and others may come, without any list of them."""
    (executed / "4-transfer.ipynb").unlink()
    write(executed, {"10-late": [text("# Late")], "9-early": [text("# Early")]})
    build(executed, executed / "output")
    places = [typeset[0].index(f"<h1>{title}") for title in ("Early", "Late", "Conclusion")]
    assert places == sorted(places)
    assert "<h1>Transfer" not in typeset[0]


def test_a_leftover_is_not_taken_when_the_notebooks_are_named(
    executed: Path, tmp_path: Path, typeset: list[str]
) -> None:
    names = sorted((path.name for path in executed.glob("*.ipynb")), reverse=True)
    assert main([str(executed), str(tmp_path / "expected"), "--quiet"]) == 0
    write(executed, {"5-leftover": [text("# Leftover"), figure("leftover", data={"columns": []})]})
    (executed / "6-damaged.ipynb").write_text("not even a notebook")
    assert main([str(executed), str(tmp_path / "out"), "--quiet", "--notebooks", *names]) == 0
    assert typeset[0] == typeset[1]
    expected, found = (
        {path.name: path.read_bytes() for path in (tmp_path / folder / "results").iterdir()}
        for folder in ("expected", "out")
    )
    assert found == expected


@pytest.mark.parametrize("name", ["7-none.ipynb", "1-data.failed.ipynb", "notes.ipynb"])
def test_named_notebooks_must_be_there_and_be_a_report_s(
    name: str, executed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (executed / "1-data.failed.ipynb").write_bytes((executed / "1-data.ipynb").read_bytes())
    assert main([str(executed), str(executed / "out"), "--notebooks", "1-data.ipynb", name]) == 1
    assert name in capsys.readouterr().err


READERS: dict[str, Callable[[Path], object]] = {
    "the report": lambda executed: build(executed, executed / "out"),
    "the results": collect,
    "the reference run": lambda executed: renew(executed.parent),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_notebook_is_named_by_every_reader(reader: str, executed: Path) -> None:
    (executed / "1-data.ipynb").write_text('{"cells": 3}')
    with pytest.raises(DamagedFileError, match=r"1-data\.ipynb is not a notebook"):
        READERS[reader](executed)


def alike(name: str, experiment: dict[str, object], **parameters: object) -> Notebook:
    return Notebook(Path(f"{name}.ipynb"), name, parameters, experiment, None, [])


def test_notebooks_with_different_parameters_are_not_mixed() -> None:
    first = alike("1-data", {}, epsilon=0.1, method="a", seed=0)
    with pytest.raises(ReportError, match=r"epsilon is 0\.1 in 1-data and 0\.2 in 4-transfer"):
        merge_notebooks([first, alike("4-transfer", {}, epsilon=0.2)])
    merge_notebooks([first, alike("4-transfer", {}, epsilon=0.1, method="b", executed="x")])


def test_notebooks_of_different_experiments_are_not_mixed() -> None:
    """Also where they differ in a parameter that neither of the two notebooks has."""
    other = alike("4-transfer", EXPERIMENT | {"methods": ["standard"]})
    with pytest.raises(ReportError, match=r"methods is \['standard', .* in 1-data and \['standa"):
        merge_notebooks([alike("1-data", EXPERIMENT), other])
    merge_notebooks([alike("1-data", EXPERIMENT), alike("4-transfer", EXPERIMENT, epsilon=0.1)])
