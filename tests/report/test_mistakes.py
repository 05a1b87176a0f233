"""Mistakes in the notebooks: each stops the build and is named with its cell."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output
from toys import TABLE, Books, books, cell, display, figure, shown, table, text, write

from advlib.report import ReportError
from advlib.report.building import build


def add(*cells: NotebookNode) -> Callable[[Books], None]:
    """A change to the notebooks: cells at the end of the second."""
    return lambda content: content["1-data"].extend(cells)


def front(source: str) -> Callable[[Books], None]:
    return lambda content: content["front-matter"].__setitem__(0, text(source))


def drop(name: str) -> Callable[[Books], None]:
    return lambda content: content.__delitem__(name)


ERROR_OUTPUT = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
FIGURE = {"kind": "figure", "label": "fig-x", "caption": "c", "alt": "a"}
MISTAKES: dict[str, tuple[Callable[[Books], None], str]] = {
    "raw HTML": (add(text("A <b>bold</b> word.")), "1-data, cell 4: raw html would be lost: <b>"),
    "raw HTML block": (
        add(text("<div>\n\nx\n\n</div>")),
        "1-data, cell 4: raw html would be lost: <div>",
    ),
    "raw attribute": (add(text("`<b>`{=html}")), "1-data, cell 4: raw html would be lost"),
    "raw TeX": (
        add(text("\\begin{align} x \\end{align}")),
        "1-data, cell 4: raw tex would be lost",
    ),
    "TeX that is none": (add(text("$\\frac{1}{$")), "Could not convert TeX math"),
    "unknown label": (add(text("See [@fig-none].")), "1-data, cell 4: unknown label fig-none"),
    "unknown citation": (
        add(text("See [@nobody2020].")),
        "1-data, cell 4: unknown citation nobody2020",
    ),
    "dead link": (add(text("See [it](#nowhere).")), "1-data, cell 4: unknown label nowhere"),
    "link to a file": (
        add(text("See [it](file.txt).")),
        "1-data, cell 4: the link file.txt is neither",
    ),
    "script link": (
        add(text("See [it](javascript:x).")),
        "1-data, cell 4: the link javascript:x is neither",
    ),
    "label twice": (add(figure("digits")), "1-data, cell 4: the label fig-digits is used twice"),
    "section twice": (
        add(text("# Again {#sec-data}")),
        "1-data, cell 4: the identifier sec-data is used twice",
    ),
    "heading skips": (
        add(text("### Too deep")),
        '1-data, cell 4: the heading "Too deep" skips a level',
    ),
    "label of another kind": (
        add(figure("x", label="tbl-x")),
        "1-data, cell 4: the label of a figure must be fig-name",
    ),
    "unknown kind": (
        add(figure("x", kind="film")),
        "1-data, cell 4: kind must be one of .* is 'film'",
    ),
    "no alternative": (add(figure("x", alt=None)), "1-data, cell 4: fig-x has no alt"),
    "no caption": (add(table("x", caption=" ")), "1-data, cell 4: tbl-x has no caption"),
    "picture without label": (
        add(cell(display({"image/png": "aWk="}))),
        "1-data, cell 4: a figure or table without a label",
    ),
    "frame without label": (
        add(cell(display({"text/html": "<p>"}))),
        "1-data, cell 4: a figure or table without a label",
    ),
    "table in prose": (add(text(TABLE)), "1-data, cell 4: a table needs a label"),
    "image in prose": (
        add(text("![c](x.png){#fig-x}")),
        "1-data, cell 4: the image x.png does not come from a cell",
    ),
    "equation in a line": (
        add(text("So $$x$$ {#eq-x} holds.")),
        "1-data, cell 4: {#eq-x} must follow",
    ),
    "open fence": (add(text("```\ncode"), text("lost")), "1-data, cell 4"),
    "failed cell": (add(cell(ERROR_OUTPUT)), "1-data, cell 4: it failed with KeyError: 'x'"),
    "figure without SVG": (
        add(cell(*shown(dict(FIGURE), {}))),
        "1-data, cell 4: fig-x has no output of type image/svg",
    ),
    "figure that is none": (
        add(cell(*shown(dict(FIGURE), {"image/svg+xml": "<svg"}))),
        "typst cannot set the report",
    ),
    "no title": (front("---\nauthor: A\ndate: 2026-11-02\n---"), "the front matter gives no title"),
    "no day": (
        front("---\ntitle: T\nauthor: A\ndate: November\n---"),
        'the date must be year-month-day, is "November"',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_stop_the_build(mistake: str, tmp_path: Path) -> None:
    change, message = MISTAKES[mistake]
    content = books()
    change(content)
    with pytest.raises(ReportError, match=re.sub(r"[{(}]", r"\\\g<0>", message)):
        build(write(tmp_path / "executed", content), tmp_path / "output")
    assert not (tmp_path / "output").exists()
