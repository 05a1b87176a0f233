"""What is refused in a page, and in two documents that do not agree."""

import shutil
from pathlib import Path

import pytest
from toys import books, write

from advlib.kept.folders import STYLE
from advlib.report import ReportError, typeset
from advlib.report.building import build
from advlib.report.page import read_page


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<script>1</script>", "script that could load or run"),
        ("<p onclick='x'>", "could load or run"),
        ("<link rel='stylesheet' href='https://example.org/x.css'>", "could load or run"),
        ("<img alt='a' src='https://example.org/x.png'>", "would load 'https://example.org/x.png'"),
        ("<p style='background: url(//example.org/x)'>", "style would load"),
        ("<style>@IMPORT 'x.css';</style>", "style would load"),
        ("<p style='background: image-set(\"//example.org/x\" 1x)'>", "style would load"),
        ("<meta http-equiv='refresh' content='0; url=//example.org'>", "could load or run"),
        ("<a href='javascript:x'>", "would load 'javascript:x'"),
        ("<img src='data:,'>", "without text alternative"),
        ("<p id='a'></p><p id='a'></p>", "identifiers twice: .*'a'"),
        (
            "<i data-of='fig-a'>Figure 1</i><a class='ref' href='#fig-a'>Figure 2</a>",
            "says 2, fig-a is 1",
        ),
        ("<i data-of='fig-a'>1</i><i data-of='fig-a'>2</i>", "two numbers for fig-a"),
    ],
)
def test_what_a_page_must_not_have(body: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        read_page(f"<!DOCTYPE html><html><body>{body}</body></html>")


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
    with pytest.raises(ReportError, match="sec-front-matter-introduction: 1 in HTML, 5 in PDF"):
        build(write(tmp_path / "executed", books()), tmp_path / "output")
