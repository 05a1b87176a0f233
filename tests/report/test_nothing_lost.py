"""What a notebook shows, the report shows, in both documents: one row for each kind of cell."""

from typing import NamedTuple

import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_output
from pypdf import PdfReader
from toys import cell, display, text, title, write

from advlib.report.building import build
from advlib.report.prose import read_markdown


class Kind(NamedTuple):
    cell: NotebookNode
    html: str
    """A selector of what is in the page."""
    shown: tuple[str, ...]
    """What both documents say, in this order; in the page it is within the selected."""


def result(data):
    return cell(display(data))


def stream(name, text):
    return cell(new_output("stream", name=name, text=text))


KINDS = {
    "a block between two lines": Kind(
        text("---\ntitle: Thief\ndate: 1999-09-09\n---\n\nAfter."),
        "h3, p",
        ("title: Thief date: 1999-09-09", "After."),
    ),
    "a rule": Kind(text("Above.\n\n---\n\nBelow."), "p, hr", ("Above.", "Below.")),
    "a list after text": Kind(text("Text\n- uno\n- due"), "ul li", ("uno", "due")),
    "a heading after text": Kind(text("Text\n## Sprung up"), "h3", ("Sprung up",)),
    "a table after text": Kind(
        text("Text\n| left | right |\n|:-----|------:|\n| cell a | cell \\| b |"),
        "table tbody :is(th, td)",
        ("cell a", "cell | b"),
    ),
    "dollars with inner spaces": Kind(text("So $ u + v $ is."), "math mi", ("u", "v")),
    "a formula with lines of its own": Kind(text("$$\np\n+ q\n$$"), "math mi", ("p", "q")),
    "an environment of TeX": Kind(
        text("\\begin{align}\nr &= s \\\\\nt &= z\n\\end{align}"), "math mi", ("r", "s", "t", "z")
    ),
    "a price": Kind(text("It costs \\$5 and \\$6."), "p", ("costs $5 and $6.",)),
    "signs as they are": Kind(
        text(r"""A \"b\" \'c\' \-\- d\.\.\. e -- f... `g -- "h"'s...`"""),
        "p",
        ('A "b" \'c\' -- d... e -- f... g -- "h"\'s...',),
    ),
    "quotation marks": Kind(
        text('"*one*" and ("`two`") isn\'t the teachers\' \'three\' "$x$".'),
        "p",
        (
            "\u201cone\u201d",
            "(\u201ctwo\u201d)",
            "isn\u2019t",
            "teachers\u2019",
            "\u2018three\u2019",
            "\u201d.",
        ),
    ),
    "code of a language": Kind(text("```c++\nx = '--'\n```"), "pre", ("x = '--'",)),
    "no heading": Kind(text("#hashtag and\n#1 reason"), "p", ("#hashtag and #1 reason",)),
    "overwritten": Kind(stream("stdout", "10%\r20%\r\x1b[31mdone\x1b[0m\n"), "pre", ("done",)),
    "a long word": Kind(text("W" + 150 * "o" + "rd"), "p", ("W" + 150 * "o" + "rd",)),
    "what pandoc would read": Kind(
        text("A {#b} [@c] [^d] :::e x^2^ H~2~O"), "p", ("A {#b} [@c] [^d] :::e x^2^ H~2~O",)
    ),
    "a task": Kind(text("- [x] done\n- [ ] undone"), "li", ("done", "undone")),
    "struck out": Kind(text("~~wrong~~ right"), "p", ("wrong", "right")),
    "HTML that is text": Kind(
        text("<b>bold</b><br>H<sub>2</sub>O <span style='color: red'>red</span>"),
        "p",
        ("bold", "2", "red"),
    ),
    "a comment": Kind(text("Be<!-- secret -->fore."), "p", ("Before.",)),
    "an address": Kind(text("See https://example.org/x."), "p a", ("https://example.org/x",)),
    "LaTeX of sympy": Kind(
        result({"text/latex": "$\\displaystyle k + l$", "text/plain": "k + l"}),
        "math mi",
        ("k", "l"),
    ),
    "a plain result": Kind(result({"text/plain": "{'a': 1}"}), "pre", ("{'a': 1}",)),
    "print": Kind(stream("stdout", "printed\n  <b>so\n"), "pre", ("printed", "<b>so")),
    "Markdown before text": Kind(
        result({"text/markdown": "Marked *down*.", "text/plain": "<object>"}), "em", ("down",)
    ),
    "more letters": Kind(text("Ünïcödé, Ελληνικά, Кириллица → ∞"), "p", ("Ünïcödé, Ελληνικά,",)),
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A report in which each kind stands between two marks, its PDF as text without spaces."""
    kinds = [text("# Kinds"), stream("stderr", "progress 17 %")]
    for number, kind in enumerate(KINDS.values()):
        kinds += [text(f"Begin{number}."), kind.cell, text(f"End{number}.")]
    content = {"front-matter": [title()], "5-kinds": kinds, "back-matter": []}
    folder = tmp_path_factory.mktemp("kinds")
    build(write(folder / "executed", content), folder / "output")
    page = BeautifulSoup((folder / "output" / "report.html").read_bytes(), "html.parser")
    pages = PdfReader(folder / "output" / "report.pdf").pages
    return page, "".join("".join(page.extract_text().split()) for page in pages).replace(
        "\u200b", ""
    )


@pytest.mark.parametrize("name", KINDS)
def test_both_documents_show(name, documents):
    page, pdf = documents
    number, kind = [*KINDS].index(name), KINDS[name]
    between = str(page).split(f"<p>Begin{number}.</p>")[1].split(f"<p>End{number}.</p>")[0]
    selected = BeautifulSoup(between, "html.parser").select(kind.html)
    assert selected
    said = " ".join(" ".join(each.get_text().split()) for each in selected)
    printed = pdf.split(f"Begin{number}.")[1].split(f"End{number}.")[0]
    for words in kind.shown:
        assert words in said
        said = said.split(words, 1)[1]
        if kind.html != "math mi":  # how a PDF's formulas read depends on their letters' font
            assert "".join(words.split()) in printed
    if kind.html == "math mi":
        assert printed


def test_no_chapter_replaces_title_or_date_and_no_log_is_shown(documents):
    page, pdf = documents
    assert page.title.get_text() == "A toy & its title"
    assert [time["datetime"] for time in page.find_all("time")] == ["2026-11-02"]
    for words in ("progress", "secret", "<object>"):
        assert words not in page.get_text() + pdf


def test_a_number_and_its_percent_sign_are_not_parted():
    assert read_markdown("95 % and 5\n% of `2 %`") == (
        "<p>95\u00a0% and 5\u00a0% of <code>2 %</code></p>\n"
    )
