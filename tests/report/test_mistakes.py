"""Mistakes in the notebooks: each stops the build and is named with its cell."""

import pytest
from nbformat.v4 import new_output, new_raw_cell
from toys import books, cell, display, figure, shown, table, text, title, write

from advlib.report import ReportError
from advlib.report.building import build

FAILED = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
WIDGET = {"application/vnd.jupyter.widget-view+json": "{}", "text/plain": "Slider()"}
FIGURE = {"kind": "figure", "label": "fig-x", "caption": "c", "alt": "a"}

TOGETHER = {
    "raw html would be lost: <script>": text("<script>x</script>"),
    "raw html would be lost: <blink>": text("A <blink>word</blink>."),
    "the title is the front matter's": title(title="Thief"),
    "in the formula \\color{red}{x}, \\color would": text("$\\color{red}{x}$"),
    "a \\tag{x} \\\\ c": text("\\begin{align} a \\tag{x} \\\\ c \\end{align}"),
    "Figures a: a reference is": text("Figures *a* and *b*"),
    "Equations (a): a reference is": text("Equations (a) and (b)"),
    "a link around a reference": text("[Figure *digits*](https://example.org)"),
    "the formula \\frac{1}{ cannot be read": text("$\\frac{1}{$"),
    "the formula x \\tag{z} can": text("So $$x \\tag{z}$$ holds."),
    "unknown label Figure none": text("See Figure *none*."),
    "unknown label Equation none": text("See Equation (none)."),
    "unknown citation nobody2020": text("See [N](references.bib#nobody2020)."),
    "unknown label #nowhere": text("See [it](#nowhere)."),
    "unknown label 9-none.ipynb": text("See [it](9-none.ipynb)"),
    "the link file.txt is neither": text("See [it](file.txt)."),
    "the link javascript:x is neither": text("See [it](javascript:x)."),
    "the identifier fig-digits is used twice": figure("digits"),
    "the identifier eq-fgsm is used twice": text("$$y \\tag{fgsm}$$"),
    'the heading "Too deep" skips a level': text("##### Too deep"),
    "the image x.png does not come from": text("![c](x.png)"),
}
"""Cells of one notebook, and what is said of them all together."""

ALONE = [
    (text("<!-- x\n\ny"), "raw html would be lost: <!--"),
    (text("<div>\n\nx"), "an element of HTML is not closed"),
    (text("<pre>\nx"), "an element of HTML is not closed"),
    (text("x\n\n</div>\n\ny"), "an element of HTML is not closed, or closed too often"),
    (text("$$x % y$$"), "a comment within the formula"),
    (text("| a |\n|---|\n| $x|y$ |"), "a table is not read as one"),
    (text("a | b\n---|---\n1|2|3"), "a table is not read as one"),
    (text("![x](attachment:x.png)"), "missing attachment: x.png"),
    (new_raw_cell("x"), "a raw cell would be lost"),
    (table("x", caption="# a"), "'# a' is not one paragraph"),
    (cell(display({"text/html": "<p>", "text/plain": "x"})), "an output of type text/html, text/"),
    (cell(display(WIDGET)), "an output of type application/vnd.jupyter"),
    (cell(FAILED), "it failed with KeyError: 'x'"),
    (cell(*shown(FIGURE, {"image/svg+xml": "<svg"})), "failed to parse SVG"),
    (text("Well \N{GRINNING FACE}"), "the PDF's fonts have no '\U0001f600'"),
    (table("x", body="| a |\n|---|\n| \u4e2d\u6587 |"), "the PDF's fonts have no '\u4e2d'"),
]


def refuse(folder, content):
    with pytest.raises(ReportError) as refused:
        build(write(folder / "executed", content), folder / "output")
    assert not (folder / "output").exists()
    return str(refused.value)


def test_of_several_mistakes_each_is_named(tmp_path):
    said = refuse(tmp_path, books() | {"2-mistakes": [text("# Mistakes"), *TOGETHER.values()]})
    for number, message in enumerate(TOGETHER, start=2):
        (line,) = [line for line in said.splitlines() if message in line]
        assert line.startswith(f"2-mistakes, cell {number}: ")


@pytest.mark.parametrize(("mistake", "message"), ALONE)
def test_a_mistake_stops_the_build(mistake, message, tmp_path):
    chapter = [text("# Data\n\nText that goes on:"), mistake, text("After it.")]
    said = refuse(tmp_path, {"front-matter": [title()], "1-data": chapter, "back-matter": []})
    assert f"1-data, cell 2: {message}" in said


def test_the_front_matter_begins_with_a_title(tmp_path):
    said = refuse(tmp_path, books() | {"front-matter": [text("# Title")]})
    assert "front-matter, cell 1: the front matter shows no title" in said
