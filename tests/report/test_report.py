"""Tests of the report: toy notebooks, written as the real ones are, to HTML and PDF."""

import base64
import csv
from hashlib import sha256
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from pypdf import PdfReader
from toys import HOSTILE, LAYERS, TABLE_TEXT, books, write

from advlib.kept.folders import FONTS, STYLE
from advlib.report.building import build
from advlib.report.page import _cut_font
from advlib.report.typeset import order_units
from advlib.show.captions import WIDTH


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    return write(tmp_path_factory.mktemp("executed"), books())


@pytest.fixture(scope="module")
def built(executed, tmp_path_factory):
    """The report's folder."""
    output = tmp_path_factory.mktemp("built")
    build(executed, output)
    return output


@pytest.fixture(scope="module")
def page(built):
    return BeautifulSoup((built / "report.html").read_bytes(), "html.parser")


@pytest.fixture(scope="module")
def pdf(built):
    pages = PdfReader(built / "report.pdf").pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


class Piece(NamedTuple):
    """A piece of a page's text, or the end of a line that is drawn: where it stands, in points."""

    page: int
    x: float
    y: float
    text: str = ""
    size: float = 0
    font: str = ""


@pytest.fixture(scope="module")
def pieces(built):
    found = []
    for number, page in enumerate(PdfReader(built / "report.pdf").pages):

        def read(text, cm, tm, font, size, page=number):
            x, y = (cm[i] * tm[4] + cm[2 + i] * tm[5] + cm[4 + i] for i in (0, 1))
            if text.strip():
                about = (text.strip(), size * abs(tm[0]), str(font["/BaseFont"]))
                found.append(Piece(page, x, y, *about))

        def draw(operator, operands, cm, tm, page=number):
            if operator in (b"m", b"l"):
                x, y = map(float, operands)
                right, up = (cm[i] * x + cm[2 + i] * y + cm[4 + i] for i in (0, 1))
                found.append(Piece(page, right, up))

        page.extract_text(visitor_text=read, visitor_operand_before=draw)
    return found


def test_pages_are_legible_and_full(pieces):
    """Nothing stands beside the text, or under 8 points but in formulas; a page is used."""
    edge = (595.28 - 72 * WIDTH) / 2
    top, bottom = 842 - 32 / 25.4 * 72, 32 / 25.4 * 72
    assert all(edge - 1 < piece.x < 595.28 - edge + 1 for piece in pieces)
    wide = [piece for piece in pieces if piece.text.startswith("layer") and len(piece.text) > 5]
    assert len(wide) == len(LAYERS)
    for one, next_one in pairwise(sorted(wide, key=lambda piece: (-piece.y, piece.x))):
        overlap = one.y == next_one.y and next_one.x - one.x < 0.4 * len(one.text) * one.size
        assert not overlap, (one, next_one)
    words = [piece for piece in pieces if piece.text and "Math" not in piece.font]
    assert min(piece.size for piece in words) >= 8
    for page in range(max(piece.page for piece in pieces)):
        lowest = min(piece.y for piece in words if piece.page == page)
        assert lowest - bottom < (top - bottom) / 3, page


def test_figures_and_tables_stay_in_their_section(page, pdf):
    """Their captions and its heading come in the page's order."""
    begins = []
    for tag in page.select("h2:has(.number), figcaption, caption"):
        words = tag.get_text().split()
        begins.append(" ".join(words) if tag.name == "h2" else "{} {}. {}".format(*words))
    places = [pdf.index(begin) for begin in begins]
    assert len(places) > 15
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("units", "order"),
    [
        # there is room
        ("section 10, figure 50, text 10", [0, 1, 2]),
        # there is none: text goes on, up to the next page
        ("text 60, figure 50, text 20, text 30, text 10", [0, 2, 3, 1, 4]),
        # and so do those of its kind behind it, in their order, but no others
        ("text 60, figure 50, figure 10, text 50, text 9", [0, 3, 1, 2, 4]),
        ("text 60, figure 50, table 10, text 50, text 9", [0, 2, 3, 1, 4]),
        # no further than its section
        ("text 60, figure 50, text 5, section 10, text 50", [0, 2, 1, 3, 4]),
        ("text 60, figure 50", [0, 1]),
        # and its subsection, where the page is nearly full
        ("text 60, figure 50, text 30, subsection 5", [0, 2, 1, 3]),
        ("text 60, figure 50, text 5, subsection 30, text 9", [0, 2, 3, 4, 1]),
        # a table that is higher than a page breaks, and need not wait
        ("text 60, table 150, text 10", [0, 1, 2]),
    ],
)
def test_what_has_no_room_waits(units, order):
    parts = [(kind, float(height)) for kind, height in map(str.split, units.split(", "))]
    assert order_units(parts, filled=0, page=100, below=0) == order


def test_what_a_pages_end_leaves_empty_is_counted():
    """Where the second text begins on a page of its own, the figure behind it has room."""
    parts = [("text", 60.0), ("text", 30.0), ("figure", 20.0), ("text", 5.0)]
    orders = [order_units(parts, lost=lost, page=100, below=0) for lost in ({}, {1: 40.0})]
    assert orders == [[0, 1, 3, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize(("above", "order"), [(3.0, [0, 2, 3, 1]), (25.0, [0, 1, 2, 3])])
def test_what_is_above_a_float_is_counted_but_not_the_room_that_it_leaves(above, order):
    """By a little more space above it the figure has no room; where it left much, it was turned."""
    parts = [("text", 60.0), ("figure", 40.0), ("text", 10.0), ("text", 5.0)]
    assert order_units(parts, lost={1: above}, page=100, below=2) == order


def test_decimal_points_are_under_each_other(page, pieces):
    """Of a column with numbers of one and two digits, and one with a correction in brackets."""
    digit = 0.465  # of Libertinus Serif, in its size
    points = {
        piece.text: piece.x + digit * piece.size * piece.text.index(".")
        for piece in pieces
        if piece.text.startswith(("1.53", "98.59", "69.95"))
    }
    assert len(points) == 3
    assert max(points.values()) - min(points.values()) < 0.3
    cells = [row.find_all(["th", "td"])[2] for row in page.select("#tbl-standard tbody tr")]
    pads = [str(cell.select("[style*=padding]")) for cell in cells]
    assert pads[0] == pads[2] != pads[1] == "[]"


def test_html_loads_nothing_and_runs_its_own_script(page):
    assert not page.find_all(["iframe", "object", "embed", "base", "form"])
    assert [str(link["href"])[:11] for link in page.find_all("link")] == ["data:image/"], "the icon"
    (script,) = page.find_all("script")
    digest = base64.b64encode(sha256(script.get_text().encode()).digest()).decode()
    (policy,) = page.find_all("meta", {"http-equiv": "Content-Security-Policy"})
    assert f"default-src 'none'; script-src 'sha256-{digest}'; style-src" in policy["content"]
    assert not page.find_all("template"), "no live figure, and nothing for a worker"
    for tag in page.find_all(True):
        for name, value in tag.attrs.items():
            assert not name.startswith("on")
            if "//" in str(value) and not str(value).startswith("data:"):
                assert (tag.name, name) in {("a", "href"), ("math", "xmlns")}
    styles = "".join(style.get_text() for style in page.find_all("style"))
    assert styles.count("url(") == styles.count("url(data:font/woff2;") == 4
    assert "@import" not in styles


def test_order_and_numbers_of_the_sections(page):
    headings = page.find_all(["h1", "h2", "h3"])
    assert "".join(heading.name for heading in headings) == "h1" + 4 * "h2" + "h3" + 7 * "h2"
    assert [" ".join(heading.get_text().split()) for heading in headings] == [
        "A toy & its title",
        "Abstract",
        "1 Introduction",
        "2 Data",
        "3 Adversarial examples",
        "3.1 FGSM",
        "4 Network",
        "5 Training, standard",
        "6 Training, mixed",
        "7 Training, adversarial",
        "8 Transfer",
        "9 Conclusion",
        "References",
    ]


def test_figures_tables_and_references_have_the_same_numbers_in_both(page, pdf):
    figures = [" ".join(caption.get_text().split()) for caption in page.find_all("figcaption")]
    tables = [" ".join(caption.get_text().split()) for caption in page.find_all("caption")]
    for word, captions, count in (("Figure", figures, 4), ("Table", tables, 5)):
        expected = [[word, str(number)] for number in range(1, count + 1)]
        assert [caption.split(" ", 2)[:2] for caption in captions] == expected
    for sentence in (
        "See Section 8, Equation 1 and Goodfellow et al. [2].",
        "as Equation 2 and Section 3.1 say.",
        "See Figure 3 and Table 3.",
        "as in the slides [1].",
        "See Figures 2, 3 and 4.",
        "3.1 FGSM",
    ):
        assert sentence in pdf
        assert sentence in " ".join(page.get_text().split())
    assert [number.get_text() for number in page.select(".equation .number")] == ["(1)", "(2)"]
    assert all(number in pdf for number in ("(1)", "(2)"))


def test_references_lead_to_what_they_name(page):
    links = [link["href"] for link in page.find_all("a") if str(link["href"]).startswith("#")]
    expected = {"#fig-mixed", "#tbl-network", "#eq-fgsm", "#ref-goodfellow2015"}
    assert expected | {"#sec-4-transfer-transfer"} <= set(links)
    assert all(page.find(id=str(link)[1:]) for link in links)


def test_tables_are_text_in_both(page, pdf):
    cells = [cell.get_text() for cell in page.select("#tbl-standard th, #tbl-standard td")]
    assert set(TABLE_TEXT) <= set(cells)
    assert all(content in pdf for content in [*TABLE_TEXT, "1.41"])
    group = page.select_one("#tbl-standard th.group")
    assert (group.get_text(), group["colspan"]) == ("Clean", "2")


def test_code_is_folded_in_html_and_not_in_the_pdf(page, pdf):
    details = [fold.get_text() for fold in page.select("details.code")]
    assert len(details) == 4 + 5
    assert "Code of Figure 3, notebook 3-training-mixed" in details[4]
    assert "show_figure('mixed')" in details[4]
    assert "show_" not in pdf
    assert all("gradient.sign()" in text for text in (page.get_text(), pdf))
    for left_out in ("import secret", "Hidden", "epsilon = 0.1", "train()", "progress"):
        assert left_out not in page.get_text() + pdf


def test_names_from_outside_are_shown_as_they_are(page, pdf):
    expected = " ".join(f"The data set is {HOSTILE}.".split())
    assert expected in " ".join(page.get_text().split())
    assert "".join(expected.split()) in "".join(pdf.split())  # lines may break in it
    image = page.select_one("[role=img]")
    said = " ".join(str(image["aria-label"]).split())
    assert said == " ".join(f"Alternative of {HOSTILE}".split())
    assert not page.find_all("b")


def test_data_and_ways_back_are_in_the_page(page, built):
    links, results = page.select("a[download]"), built / "results"
    assert len(links) == 1 + 5
    assert {"numbers.csv", "numbers.json", "SHA256SUMS"} < {path.name for path in results.iterdir()}
    for link in links:
        data = unquote(str(link["href"]).partition(",")[2])
        if link["download"] == "tbl-network.csv":  # it has no numbers, and is taken as it is read
            rows = [*csv.reader(data.splitlines())]
            assert (rows[0], len(rows)) == (["layer", *map(str, LAYERS)], 3)
        else:
            assert data == (results / str(link["download"])).read_text(encoding="utf-8")
    backs = {each.get_text() for each in page.select("#ref-meucci2017 .back a")}
    assert backs == {"Abstract"}
    assert [head.get_text() for head in page.select("#tbl-standard [scope=row]")] == [
        "Error",
        "Confidence",
        "Confidence, errors",
    ]


def test_it_can_be_cited(page):
    bibtex = page.select_one(".bibtex")
    assert r"title = {{A toy \& its title: Of toys}}," in bibtex.get_text()
    assert "author = {{Ada L.} and {Bo M.}}," in bibtex.get_text()
    said = {str(each.get("name")): str(each["content"]) for each in page.select("meta[name]")}
    assert said["citation_author"] == "Bo M."
    assert said["description"].startswith("The error is 96.64")


def test_text_alternatives_and_metadata(page, built):
    assert page.html["lang"] == "en-GB"
    assert len(page.select("figure [role=img][aria-label]")) == len(page.find_all("figure")) == 4
    document = PdfReader(built / "report.pdf")
    assert document.metadata.title == "A toy & its title"
    assert document.metadata.author == "Ada L., Bo M."
    assert str(document.metadata.creation_date).startswith("2026-11-02")
    assert "'/Marked': True" in str(document.root_object["/MarkInfo"])
    assert str(document.root_object["/Lang"]) == "en-GB"


def test_fonts_come_with_their_licences():
    fonts = STYLE / "fonts"
    for folder in (fonts, FONTS):
        assert "SIL OPEN FONT LICENSE" in (folder / "OFL.txt").read_text(encoding="utf-8")
    assert "GUST Font License" in (fonts / "GUST-FONT-LICENSE.txt").read_text(encoding="utf-8")
    listed = (fonts / "README.md").read_text(encoding="utf-8")
    assert all(font.name.split("-")[0] in listed for font in fonts.glob("*.woff2"))


def test_the_pages_font_has_the_sign_of_a_root():
    """No letter of the formula is it: the browser draws it."""
    font = (STYLE / "fonts" / "ReportMath.woff2").read_bytes()
    data = base64.b64encode(font).decode()
    style = f'@font-face {{ font-family: "Report Math"; src: url(data:font/woff2;base64,{data}) }}'
    for formula, there in (("<msqrt><mi>n</mi></msqrt>", True), ("<mi>n</mi>", False)):
        soup = BeautifulSoup(f"<semantics><mrow>{formula}</mrow></semantics>", "html.parser")
        cut = _cut_font(style, soup).partition("base64,")[2].partition(")")[0]
        assert (0x221A in TTFont(BytesIO(base64.b64decode(cut))).getBestCmap()) == there
