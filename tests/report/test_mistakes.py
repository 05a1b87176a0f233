"""Mistakes in the notebooks: each stops the build and is named with its cell."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output, new_raw_cell
from toys import Books, books, cell, display, figure, shown, table, text, title, write

from advlib.report import ReportError
from advlib.report.building import build


def add(*cells: NotebookNode) -> Callable[[Books], None]:
    """A change to the notebooks: cells at the end of the second."""
    return lambda content: content["1-data"].extend(cells)


def front(cell: NotebookNode) -> Callable[[Books], None]:
    return lambda content: content["front-matter"].__setitem__(0, cell)


ERROR_OUTPUT = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
FIGURE = {"kind": "figure", "label": "fig-x", "caption": "c", "alt": "a"}
WIDGET = {"application/vnd.jupyter.widget-view+json": "{}", "text/plain": "Slider()"}
HERE = "1-data, cell 4: "
MISTAKES: dict[str, tuple[Callable[[Books], None], str]] = {
    "HTML that runs": (
        add(text("<script>x</script>")),
        HERE + "raw html would be lost: <script>",
    ),
    "HTML that is no text": (
        add(text("A <blink>word</blink>.")),
        HERE + "raw html would be lost: <blink>",
    ),
    "HTML that is not closed": (
        add(text("<div>\n\nx"), text("y")),
        HERE + "an element of HTML is not closed: <div>",
    ),
    "a comment that is not closed": (
        add(text("<!-- x\n\ny"), text("z")),
        HERE + "a comment of HTML is not closed",
    ),
    "text as it is that is not closed": (
        add(text("<pre>\nx"), text("z")),
        HERE + "an element of HTML is not closed: <pre>",
    ),
    "a declaration": (add(text("<![CDATA[ x ]]>")), HERE + "raw html would be lost"),
    "a title that is not the report's": (
        add(title(title="Thief")),
        HERE + "the title is the front matter's",
    ),
    "a second abstract": (
        lambda content: content["front-matter"].append(text("# Abstract")),
        "front-matter, cell 8: the identifier abstract is used twice",
    ),
    "colour in a formula": (
        add(text("$\\color{red}{x}$")),
        HERE + "in the formula .* would be lost",
    ),
    "tags in the middle": (
        add(text("\\begin{align} a &= b \\tag{x} \\\\ c &= d \\end{align}")),
        HERE + "in the formula .* would be lost",
    ),
    "a comment in a formula": (add(text("$$x % y$$")), HERE + "a comment within the formula"),
    "several at once": (add(text("Figures *a* and *b*")), HERE + "Figures *a*: a reference is"),
    "a link around a reference": (
        add(text("[Figure *digits*](https://example.org)")),
        HERE + "a link around a reference",
    ),
    "HTML that is closed too often": (
        add(text("x\n\n</div>\n\ny")),
        HERE + "an element of HTML is not closed, or closed too often",
    ),
    "TeX that is none": (add(text("$\\frac{1}{$")), HERE + "the formula \\frac{1}{ cannot be read"),
    "a tag in a line": (add(text("So $$x \\tag{x}$$ holds.")), HERE + "the formula x \\tag{x} can"),
    "an empty line in a formula": (
        add(text("$$a\n\n+ b$$")),
        HERE + "an empty line within the formula 'a + b'",
    ),
    "a table with a formula that has its sign": (
        add(text("| a |\n|---|\n| $x|y$ |")),
        HERE + "a table is not read as one",
    ),
    "a table with too few cells": (
        add(text("a | b\n---|---\n1|2|3")),
        HERE + "a table is not read as one",
    ),
    "a drawing in words": (
        add(text("```mermaid\ngraph TD\n```")),
        HERE + "a mermaid diagram would be lost",
    ),
    "an attachment": (add(text("![x](attachment:x.png)")), HERE + "missing attachment: x.png"),
    "a raw cell": (add(new_raw_cell("x")), HERE + "a raw cell would be lost"),
    "unknown figure": (add(text("See Figure *none*.")), HERE + "unknown label Figure none"),
    "unknown equation": (add(text("See Equation (x).")), HERE + "unknown label Equation x"),
    "unknown citation": (
        add(text("See [N](references.bib#nobody2020).")),
        HERE + "unknown citation nobody2020",
    ),
    "dead link": (add(text("See [it](#nowhere).")), HERE + "unknown label #nowhere"),
    "dead link to a chapter": (
        add(text("See [it](9-none.ipynb)")),
        HERE + "unknown label 9-none.ipynb",
    ),
    "link to a file": (add(text("See [it](file.txt).")), HERE + "the link file.txt is neither"),
    "script link": (
        add(text("See [it](javascript:x).")),
        HERE + "the link javascript:x is neither",
    ),
    "label twice": (add(figure("digits")), HERE + "the label fig-digits is used twice"),
    "equation twice": (
        add(text("$$x \\tag{x}$$"), text("$$y \\tag{x}$$")),
        "1-data, cell 5: the identifier eq-x is used twice",
    ),
    "heading skips": (add(text("### Too deep")), HERE + 'the heading "Too deep" skips a level'),
    "label of another kind": (
        add(figure("x", label="tbl-x")),
        HERE + "the label of a figure must be fig-name",
    ),
    "unknown kind": (add(figure("x", kind="film")), HERE + "kind must be one of .* is 'film'"),
    "no alternative": (add(figure("x", alt=None)), HERE + "fig-x has no alt"),
    "no caption": (add(table("x", caption=" ")), HERE + "tbl-x has no caption"),
    "a caption of two paragraphs": (
        add(table("x", caption="# a")),
        HERE + "'# a' is not one paragraph",
    ),
    "picture without label": (
        add(cell(display({"image/png": "aWk=", "text/plain": "x"}))),
        HERE + "an output of type image/png, text/plain would be lost",
    ),
    "frame without label": (
        add(cell(display({"text/html": "<p>", "text/plain": "x"}))),
        HERE + "an output of type text/html, text/plain would be lost",
    ),
    "widget": (add(cell(display(WIDGET))), HERE + "an output of type application/vnd.jupyter"),
    "image in prose": (add(text("![c](x.png)")), HERE + "the image x.png does not come from"),
    "failed cell": (add(cell(ERROR_OUTPUT)), HERE + "it failed with KeyError: 'x'"),
    "figure without SVG": (
        add(cell(*shown(dict(FIGURE), {}))),
        HERE + "fig-x has no output of type image/svg",
    ),
    "figure that is none": (
        add(cell(*shown(dict(FIGURE), {"image/svg+xml": "<svg"}))),
        HERE + "failed to parse SVG",
    ),
    "an emoji": (
        add(text("Well \N{GRINNING FACE}")),
        HERE + "the PDF's fonts have no '\U0001f600'",
    ),
    "a Chinese name": (
        add(table("x", body="| a |\n|---|\n| \u4e2d\u6587 |")),
        HERE + "the PDF's fonts have no '\u4e2d'",
    ),
    "no title": (front(text("# Title")), "front-matter, cell 1: the front matter shows no title"),
    "no author": (front(title(author=[])), "front-matter, cell 1: the title has no author"),
    "no day": (
        front(title(date="November")),
        'front-matter, cell 1: the date must be year-month-day, is "November"',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_stop_the_build(mistake: str, tmp_path: Path) -> None:
    change, message = MISTAKES[mistake]
    content = books()
    change(content)
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(ReportError, match=pattern):
        build(write(tmp_path / "executed", content), tmp_path / "output")
    assert not (tmp_path / "output").exists()
