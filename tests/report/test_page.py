"""Two documents that do not agree are refused."""

import shutil
from pathlib import Path

import pytest
from toys import books, write

from advlib.kept.folders import STYLE
from advlib.report import ReportError, typeset
from advlib.report.building import build


def test_numbers_that_differ_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    style = shutil.copytree(STYLE, tmp_path / "style")
    template = style / "report.typ"
    template.write_text(
        template.read_text() + "\n#counter(heading).update(7)\n= Eighth <sec-eighth>\n"
    )
    template.write_text(
        template.read_text().replace("$body$", "#counter(heading).update(4)\n$body$")
    )
    monkeypatch.setattr(typeset, "STYLE", style)
    with pytest.raises(ReportError, match="sec-front-matter-introduction"):
        build(write(tmp_path / "executed", books()), tmp_path / "output")
