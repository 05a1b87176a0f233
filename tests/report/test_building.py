"""Which notebooks a report is made of, and what a build leaves, also one that fails."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from toys import books, text, write

from advlib.kept.files import read_checksums
from advlib.kept.folders import STYLE
from advlib.report import ReportError, building, typeset
from advlib.report.__main__ import main
from advlib.report.building import build
from advlib.report.merge import write_html
from advlib.results.notebooks import Notebook


@pytest.fixture
def executed(tmp_path):
    return write(tmp_path / "report" / "notebooks", books())


@pytest.fixture
def texts(monkeypatch):
    """The texts that are typeset, by a stand-in that takes no time."""
    found = []

    def typeset_text(text, figures, finish):
        found.append(text)
        assert callable(finish)
        return b"html", b"pdf"

    monkeypatch.setattr(building, "typeset_text", typeset_text)
    return found


def test_a_failed_build_replaces_nothing(executed, texts, tmp_path, monkeypatch, capsys):
    output = tmp_path / "output"
    assert main([str(executed), str(output)]) == 0
    for folder in (output, output / "results"):  # of its documents and of its results
        paths = [p for p in folder.iterdir() if p.is_file() and p.suffix]
        kept = {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}
        assert read_checksums(folder / "SHA256SUMS") == kept
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    monkeypatch.undo()  # what is wrong is seen by what really typesets
    write(executed, {"4-transfer": [text("# Transfer\n\nTable *nothing*")]})
    assert main([str(executed), str(output)]) == 1
    assert "4-transfer, cell 1: unknown label Table nothing" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_chapters_are_those_that_are_there(executed, texts):
    """One may go and others may come, without any list of them."""
    (executed / "4-transfer.ipynb").unlink()
    write(executed, {"10-late": [text("# Late")], "9-early": [text("# Early")]})
    build(executed, executed / "output")
    places = [texts[0].index(f"<h1>{title}") for title in ("Early", "Late", "Conclusion")]
    assert places == sorted(places)
    assert "<h1>Transfer" not in texts[0]


def test_a_report_has_its_front_and_back_matter(executed):
    (executed / "back-matter.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match=r"back-matter\.ipynb"):
        build(executed, executed / "output")


@pytest.mark.parametrize(
    ("template", "added", "message"),
    [
        ("report.typ", "#counter(heading).update(4)", "sec-front-matter-introduction"),
        ("report.html", "<form></form>", "would load or run something: <form"),
        ("report.html", '<p onclick="x()">x</p>', "would load or run something: <p onclick"),
    ],
)
def test_documents_whose_numbers_differ_or_that_do_more_are_refused(
    template, added, message, executed, tmp_path, monkeypatch
):
    template = shutil.copytree(STYLE, tmp_path / "style") / template
    text = template.read_text(encoding="utf-8")
    template.write_text(text.replace("$body$", f"{added}\n$body$"), encoding="utf-8")
    monkeypatch.setattr(typeset, "STYLE", template.parent)
    with pytest.raises(ReportError, match=message):
        build(executed, tmp_path / "output")


def test_notebooks_of_different_experiments_are_not_mixed():
    first, same, other = (
        Notebook(Path(f"{name}.ipynb"), name, {"method": name}, {"epsilon": epsilon}, None, [])
        for name, epsilon in {"1-a": 0.1, "2-b": 0.1, "3-c": 0.2}.items()
    )
    assert write_html([first, same]) == ("", {})
    with pytest.raises(ReportError, match="1-a and 3-c were executed with different parameters"):
        write_html([first, same, other])
