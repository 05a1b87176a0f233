"""Tests of the report: toy notebooks, written as the real ones are, to HTML and PDF."""

import html as entities
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from advlib import merge, report
from advlib.merge import STYLE, ReportError
from advlib.report import build

HOSTILE = """<b onclick=x>M & "N" | 'c' *i* _u_ $5$ </p>` @k # [l](javascript:1) {.a} \\n"""
ESCAPED = re.sub(r"([^A-Za-z0-9 ])", r"\\\1", HOSTILE)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="453.6pt" height="90pt" viewBox="0 0 400 80">
<path d="M0 0L400 80"/></svg>"""
DATA = {
    "columns": ["error", "n"],
    "index": ["clean", "adversarial"],
    "data": [[1 / 3, 10], [None, 10]],
}
TABLE = """| Figure | Clean: ours | Clean: published | Note |
|:---|---:|---:|:---|
| Error | 1.40 | 1.53 | a \\| b |
| Confidence | \N{EN DASH} | 98.59 [98.60] | |
| Confidence, errors | \N{MINUS SIGN}0.13 | 69.95 | wide |"""
TABLE_TEXT = [
    "Figure",
    "Clean",
    "ours",
    "published",
    "Note",
    "1.40",
    "1.53",
    "a | b",
    "98.59 [98.60]",
    "\N{MINUS SIGN}0.13",
    "69.95",
]

Books = dict[str, list[NotebookNode]]


def display(data: dict[str, str], about: dict[str, Any] | None = None) -> Any:
    return new_output("display_data", data=data, metadata={"advlib": about} if about else {})


def prose(text: str) -> Any:
    return display({"text/markdown": text})


def cell(*outputs: NotebookNode, source: str = "run()", tags: tuple[str, ...] = ()) -> Any:
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def text(source: str, *tags: str) -> Any:
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def shown(about: dict[str, Any], data: dict[str, str]) -> list[NotebookNode]:
    """A figure's or table's outputs, as `advlib.captions.publish` displays them."""
    caption = {"kind": "caption", "label": about["label"]}
    return [
        display(data, about),
        display({"text/markdown": f"*Caption.* {about.get('caption')}"}, caption),
    ]


def figure(
    name: str, caption: str = "Curves of $J$.", alt: str | None = "Falling curves.", **more: Any
) -> Any:
    about = {"kind": "figure", "label": f"fig-{name}", "caption": caption, "alt": alt, **more}
    return cell(
        *shown(about, {"image/svg+xml": SVG, "text/plain": "x"}), source=f"show_figure({name!r})"
    )


def table(name: str, caption: str = "Five figures.", body: str = TABLE, **more: Any) -> Any:
    about = {"kind": "table", "label": f"tbl-{name}", "caption": caption, "data": DATA, **more}
    return cell(
        *shown(about, {"text/html": "<table></table>", "text/markdown": body}),
        source=f"show_table({name!r})",
    )


def training(method: str) -> list[NotebookNode]:
    return [
        text("# Network {#sec-network}\n\nSee [@tbl-network].", "once"),
        table("network", "The network."),
        cell(
            prose(f"# Training, {method} {{#sec-{method}}}\n\nSee [@fig-{method}; @tbl-{method}].")
        ),
        cell(new_output("stream", name="stderr", text="progress 17 %"), source="train()"),
        figure(method, f"Curves of {method} training."),
        table(method, f"Figures of {method} training."),
    ]


FRONT = "---\ntitle: A toy & its title\nauthor: [Ada L., Bo M.]\ndate: 2026-11-02\n---"


def books() -> Books:
    trainings = {
        f"3-training-{method}": training(method) for method in ("standard", "mixed", "adversarial")
    }
    for cells in trainings.values():
        cells[1].metadata["tags"] = ["once"]
    return {
        "front-matter": [
            text(FRONT),
            cell(prose("Hidden."), source="import secret", tags=("hide",)),
            cell(source="epsilon = 0.1", tags=("parameters",)),
            text("# Abstract {.unnumbered}"),
            cell(prose("The error is 96.64 %, as in [@meucci2017].")),
            text(
                "# Introduction {#sec-introduction}\n\n"
                "See [@sec-transfer], [@eq-fgsm] and [@goodfellow2015]."
            ),
        ],
        "1-data": [
            text("# Data {#sec-data}"),
            cell(prose(f"The data set is {ESCAPED}.")),
            figure("digits", f"Digits of {ESCAPED}.", f"Alternative of {HOSTILE}", data=DATA),
        ],
        "2-adversarial-examples": [
            text(
                "# Adversarial examples\n\n## FGSM {#sec-fgsm}\n\nLet\n\n"
                "$$\\eta = \\epsilon\\,\\nabla_x J$$ {#eq-fgsm}\n\nthen"
            ),
            text("$$\\tilde{x} = x + \\eta$$ {#eq-sum}\n\nas [@eq-sum] and [@sec-fgsm] say."),
        ],
        **trainings,
        "4-transfer": [
            text("# Transfer {#sec-transfer}"),
            table("error", body=TABLE.replace("1.40", "1.41")),
        ],
        "back-matter": [text("# Conclusion\n\nSee [@fig-standard; @fig-mixed; @fig-adversarial].")],
    }


def write(folder: Path, content: Books) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, cells in content.items():
        notebook = new_notebook(cells=cells)
        for number, one in enumerate(notebook.cells):
            one["id"] = (
                f"cell-{number}"  # papermill keeps them: the copies of a notebook have the same
            )
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("executed"), books())


@pytest.fixture(scope="module")
def built(executed: Path, tmp_path_factory: pytest.TempPathFactory) -> report.Report:
    return build(executed, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def page(built: report.Report) -> BeautifulSoup:
    return BeautifulSoup(built.html.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def pdf(built: report.Report) -> str:
    pages = PdfReader(built.pdf).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_html_loads_and_runs_nothing(page: BeautifulSoup) -> None:
    assert not page.find_all(["script", "link", "iframe", "object", "embed", "base", "form"])
    for tag in page.find_all(True):
        for name, value in tag.attrs.items():
            assert not name.startswith("on")
            if "//" in str(value) and not str(value).startswith("data:"):
                assert (tag.name, name) in {("a", "href"), ("math", "xmlns")}, (
                    tag.name,
                    name,
                    value,
                )
    styles = "".join(style.get_text() for style in page.find_all("style"))
    assert styles.count("url(") == styles.count("url(data:font/woff") == 4
    assert "@import" not in styles


def test_order_and_numbers_of_the_sections(page: BeautifulSoup) -> None:
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


def test_figures_tables_and_references_have_the_same_numbers_in_both(
    page: BeautifulSoup, pdf: str
) -> None:
    figures = [" ".join(caption.get_text().split()) for caption in page.find_all("figcaption")]
    tables = [" ".join(caption.get_text().split()) for caption in page.find_all("caption")]
    assert [caption.split(" ", 2)[:2] for caption in figures] == [
        ["Figure", str(n)] for n in range(1, 5)
    ]
    assert [caption.split(" ", 2)[:2] for caption in tables] == [
        ["Table", str(n)] for n in range(1, 6)
    ]
    for caption in (*figures[1:], *tables):
        word, number, rest = caption.split(" ", 2)
        assert f"{word} {number}. {rest}" in pdf
    for sentence in (
        "See Section 8, Equation 1 and [2].",
        "as Equation 2 and Section 3.1 say.",
        "See Figure 3 and Table 3.",
        "See Figures 2, 3 and 4.",
        "1 Introduction",
        "3.1 FGSM",
    ):
        assert sentence in pdf
        assert sentence in " ".join(page.get_text().split())
    assert [number.get_text() for number in page.select(".equation .number")] == ["(1)", "(2)"]
    assert "(1)" in pdf
    assert "(2)" in pdf


def test_references_lead_to_what_they_name(page: BeautifulSoup) -> None:
    links = [link["href"] for link in page.find_all("a") if str(link["href"]).startswith("#")]
    assert {
        "#fig-mixed",
        "#tbl-network",
        "#eq-fgsm",
        "#sec-transfer",
        "#ref-goodfellow2015",
    } <= set(links)
    assert all(page.find(id=str(link)[1:]) for link in links)


def test_tables_are_text_in_both(page: BeautifulSoup, pdf: str) -> None:
    cells = [cell.get_text() for cell in page.select("#tbl-standard th, #tbl-standard td")]
    assert set(TABLE_TEXT) <= set(cells)
    assert all(content in pdf for content in [*TABLE_TEXT, "1.41"])
    group = page.select_one("#tbl-standard th.group")
    assert group is not None
    assert (group.get_text(), group["colspan"]) == ("Clean", "2")


def test_code_is_folded_in_html_and_not_in_the_pdf(page: BeautifulSoup, pdf: str) -> None:
    details = [fold.get_text() for fold in page.select("details.code")]
    assert len(details) == 4 + 5
    assert "Code of Figure 3, notebook 3-training-mixed" in details[4]
    assert "show_figure('mixed')" in details[4]
    assert "show_" not in pdf
    for left_out in ("import secret", "Hidden", "epsilon = 0.1", "train()", "progress"):
        assert left_out not in page.get_text() + pdf


def test_what_stands_once_is_printed_once(page: BeautifulSoup, pdf: str) -> None:
    assert page.get_text().count("The network.") == pdf.count("The network.") == 1


def test_names_from_outside_are_shown_as_they_are(page: BeautifulSoup, pdf: str) -> None:
    expected = " ".join(f"The data set is {HOSTILE}.".split())
    assert expected in " ".join(page.get_text().split())
    assert "".join(expected.split()) in "".join(pdf.split())  # lines may break in it
    image = page.find("img")
    assert image is not None
    assert " ".join(str(image["alt"]).split()) == " ".join(f"Alternative of {HOSTILE}".split())
    assert not page.find_all("b")


def test_text_alternatives_and_metadata(page: BeautifulSoup, built: report.Report) -> None:
    assert page.html is not None
    assert page.html["lang"] == "en"
    assert all(image["alt"] for image in page.find_all("img"))
    document = PdfReader(built.pdf)
    assert document.metadata is not None
    assert document.metadata.title == "A toy & its title"
    assert document.metadata.author == "Ada L., Bo M."
    assert str(document.metadata.creation_date).startswith("2026-11-02")
    assert "'/Marked': True" in str(document.root_object["/MarkInfo"])
    assert str(document.root_object["/Lang"]) == "en-GB"


def test_math_is_mathml_with_a_font_of_its_own(page: BeautifulSoup, built: report.Report) -> None:
    assert len(page.find_all("math")) == 2
    assert 'font-family: "Report Math"' in built.html.read_text(encoding="utf-8")


def test_results_are_written_whole(built: report.Report) -> None:
    files = {path.name: path.read_text() for path in (built.html.parent / "results").glob("*.csv")}
    assert set(files) == {
        f"{name}.csv"
        for name in (
            "fig-digits",
            "tbl-network",
            "tbl-standard",
            "tbl-mixed",
            "tbl-adversarial",
            "tbl-error",
        )
    }
    assert (
        files["tbl-mixed.csv"]
        == '"","error","n"\n"clean",0.3333333333333333,10\n"adversarial",NaN,10\n'
    )


def test_the_same_notebooks_give_the_same_bytes(
    executed: Path, built: report.Report, tmp_path: Path
) -> None:
    again = build(executed, tmp_path)
    assert again.html.read_bytes() == built.html.read_bytes()
    assert again.pdf.read_bytes() == built.pdf.read_bytes()


def test_a_failed_build_replaces_nothing(
    executed: Path, built: report.Report, tmp_path: Path
) -> None:
    output = shutil.copytree(built.html.parent, tmp_path / "output")
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    broken = shutil.copytree(executed, tmp_path / "broken")
    write(broken, {"4-transfer": [text("# Transfer {#sec-transfer}\n\n[@tbl-nothing]")]})
    with pytest.raises(ReportError, match="unknown label tbl-nothing"):
        build(broken, output)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_stale_results_are_removed(executed: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "tbl-old.csv").write_text("old")
    build(executed, tmp_path)
    assert not (tmp_path / "results" / "tbl-old.csv").exists()


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
    "missing notebook": (drop("4-transfer"), "executed notebook .*4-transfer.ipynb is missing"),
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


def test_a_damaged_notebook_is_named(executed: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(executed, tmp_path / "damaged")
    (damaged / "1-data.ipynb").write_text(json.dumps({"cells": 3}))
    with pytest.raises(ReportError, match=r"1-data\.ipynb is not a notebook"):
        build(damaged, tmp_path / "output")


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
        report.read_page(f"<!DOCTYPE html><html><body>{body}</body></html>")


def test_numbers_that_differ_are_an_error(
    executed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = shutil.copytree(STYLE, tmp_path / "style")
    template = style / "report.typ"
    template.write_text(
        template.read_text() + "\n#counter(heading).update(7)\n= Eighth <sec-eighth>\n"
    )
    template.write_text(
        template.read_text().replace("$body$", "#counter(heading).update(4)\n$body$")
    )
    monkeypatch.setattr(report, "STYLE", style)
    with pytest.raises(ReportError, match="sec-introduction: 1 in HTML, 5 in PDF"):
        build(executed, tmp_path / "output")


def test_command_line(executed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(executed), str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.split() == [
        os.fspath(tmp_path / "a" / f"report.{suffix}") for suffix in ("html", "pdf")
    ]
    assert report.main([str(executed), str(tmp_path / "b"), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert report.main([str(tmp_path), str(tmp_path / "c")]) == 1
    assert "front-matter.ipynb is missing" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_fonts_come_with_their_licences() -> None:
    fonts = STYLE / "fonts"
    assert "SIL OPEN FONT LICENSE" in (fonts / "OFL.txt").read_text(encoding="utf-8")
    assert "GUST Font License" in (fonts / "GUST-FONT-LICENSE.txt").read_text(encoding="utf-8")
    listed = (fonts / "README.md").read_text(encoding="utf-8")
    assert all(font.name.split("-")[0] in listed for font in fonts.glob("*.woff"))


def test_hostile_text_is_hostile() -> None:
    """The escaping tests mean something only while the name holds what HTML and Markdown act on."""
    assert entities.escape(HOSTILE) != HOSTILE
    assert set("<>&|\"'_*$`@#[]{}\\") <= set(HOSTILE)


def test_notebooks_with_different_parameters_are_not_mixed() -> None:
    chapters = {}
    for name, epsilon in (("1-data", 0.1), ("4-transfer", 0.2)):
        parameters = {"epsilon": epsilon, "method": name, "seed": 0}
        chapters[name] = new_notebook(metadata={"papermill": {"parameters": parameters}})
    with pytest.raises(ReportError, match=r"epsilon is 0\.1 in 1-data and 0\.2 in 4-transfer"):
        merge._check_alike(chapters)
    chapters["4-transfer"].metadata.papermill.parameters.epsilon = 0.1
    merge._check_alike(chapters)
