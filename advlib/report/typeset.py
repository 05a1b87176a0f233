"""The merged notebooks to HTML and PDF: pandoc writes the page, typst the other document."""

import json
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pypandoc
import typst
from bs4 import BeautifulSoup

from advlib.kept.folders import STYLE
from advlib.report import ReportError

# what of HTML pandoc cannot read comes to report.lua as it is, which refuses it
READER = "html+raw_html+task_lists-auto_identifiers"
REFERENCES = '<h1 id="references" class="unnumbered">References</h1>\n<div id="refs"></div>\n'
PANDOC = {
    "html": (
        "--to=html",
        "--mathml",
        "--embed-resources",
        "--toc",
        "--toc-depth=3",
        "--css=report.css",
        "--css=live.css",
    ),
    "typ": ("--to=typst-citations",),
}


MARGIN = 32 / 25.4 * 72
PAGE = 297 / 25.4 * 72 - 2 * MARGIN
BELOW = 1.8 * 11
"""What is above a page's text, the height of it, and the space below a float, in points, as
report.typ has them."""


def typeset_text(
    text: str, figures: dict[str, bytes], finish: Callable[[bytes], bytes]
) -> tuple[bytes, bytes]:
    """Return HTML and PDF of a text, as `merge.write_html` gives it, and the SVG files it names.

    The references and their heading are added. The HTML is what `finish` makes of pandoc's, in a
    thread beside typst.
    """
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor() as pool:
        folder = Path(temporary)
        (folder / "style").symlink_to(STYLE)
        (folder / "merged.html").write_text(text + REFERENCES, encoding="utf-8")
        for name, svg in figures.items():
            (folder / name).write_bytes(svg)
        document = pool.submit(_write_pdf, folder)
        _pandoc("html", folder)
        html = _mend_html((folder / "report.html").read_text(encoding="utf-8"))
        numbers = _read_numbers(html)
        page = pool.submit(finish, html.encode())
        logging.getLogger("advlib").info("    the HTML is there, the PDF follows")
        pdf, others = document.result()  # before the page: typst's refusal names the cell
    if numbers != others:
        differing = dict(numbers.items() ^ others.items())
        raise ReportError(f"numbers differ between HTML and PDF: {', '.join(sorted(differing))}")
    return page.result(), pdf


def _pandoc(suffix: str, folder: Path) -> None:
    """Write report.html or report.typ beside merged.html."""
    # all paths are relative: in an ASCII locale pandoc finds none with other letters in it
    command = [
        pypandoc.get_pandoc_path(),
        f"--from={READER}",
        "--standalone",
        "--fail-if-warnings",
        f"--template=style/report.{suffix}",
        "--lua-filter=style/report.lua",
        "--citeproc",  # after the filter
        "--bibliography=style/references.bib",
        "--csl=style/numeric.csl",
        "--metadata=link-citations",
        f"--resource-path=.{os.pathsep}style",
        f"--output=report.{suffix}",
        *PANDOC[suffix],
        "merged.html",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        ended = f" (pandoc ended with {done.returncode})" if not done.stderr.strip() else ""
        raise ReportError(f"the report cannot be typeset{ended}:\n{done.stderr.strip()}")


def _mend_html(html: str) -> str:
    """Return the page with what pandoc and browsers make of it put right.

    Norm bars do not stretch: Chromium makes them too large. A heading of a table without words is
    none. A formula that is wider than a narrow window is scrolled, also by the keyboard.
    """
    html = re.sub(
        'stretchy="true"( form="(?:pre|post)fix">\N{DOUBLE VERTICAL LINE}<)',
        r'stretchy="false"\1',
        html,
    )
    html = re.sub(r"<th\b([^>]*)>\s*</th>", r"<td\1></td>", html)
    return html.replace('<math display="block"', '<math display="block" tabindex="0"')


def _read_numbers(html: str) -> dict[str, str]:
    """Return the number printed at each identifier; refuse a page that runs code."""
    page = BeautifulSoup(html, "html.parser")
    # its own scripts are put in afterwards
    found = page.find_all(["script", "link", "iframe", "object", "embed", "base", "form"])
    found += page.find_all(lambda tag: any(name.startswith("on") for name in tag.attrs))
    if found:
        raise ReportError(f"the page would load or run something: {str(found[0])[:80]}")
    return {
        str(each["data-of"]): each.get_text().split()[-1].strip("()")  # without the word before
        for each in page.select("[data-of]")
    }


def _name_cell(error: Exception, text: Path) -> str:
    """Return what typst could not set, and the cell that it comes from, announced by a comment."""
    message = str(error)
    if missing := re.search('the text `"(.*)"` could not be displayed', message):
        message = f"the PDF's fonts have no {missing[1]!r}; write it in other letters"
    found = re.search(r"(\S+):(\d+):\d+", getattr(error, "diagnostic", ""))
    name, number = (Path(found[1]).name, int(found[2])) if found else ("", 0)
    place = "typst cannot set the report"
    for line, content in enumerate(text.read_text(encoding="utf-8").splitlines(), start=1):
        if announced := re.fullmatch(r"// (\S+, cell \d+)", content):
            place = announced[1]
        here = (name, number) == (text.name, line) or f'image("{name}"' in content
        if here or (missing and not name and missing[1] in content):
            return f"{place}: {message}"
    return f"typst cannot set the report: {message}"


FLOATS = "figure", "table"
Unit = tuple[str, float]
"""A part of the text that nothing may split: what it is (text, section or subsection, which its
heading begins, figure, or table), and its height."""


def _place_floats(source: Path, given: dict[str, Any]) -> None:
    """Rewrite a typst source: figures and tables stand where they leave little room empty.

    The heights of its units are those on one page that holds all. What a page's end leaves empty,
    or cuts off, is seen once they are placed: they are placed again until that changes nothing.
    """
    head, *parts = re.split(r'^(?=#unit\("\w+"\)\n)', source.read_text("utf-8"), flags=re.MULTILINE)

    def find_places(compiler: typst.Compiler) -> list[float]:
        found = json.loads(compiler.query("<units>", field="value", one=True))
        return [(page - 1) * PAGE + y - MARGIN for page, y in found]

    places = find_places(typst.Compiler(source, **given, sys_inputs={"tall": "yes"}))
    if len(parts) != len(places):  # somebody's own text says so, too
        return
    kinds = [part.split('"')[1] for part in parts]
    units = [
        (kind, end - start) for kind, (start, end) in zip(kinds, pairwise(places), strict=False)
    ]
    compiler, tried, lost = typst.Compiler(source, **given), list[list[int]](), dict[int, float]()
    while (order := order_units(units, places[0] % PAGE, lost)) not in tried and len(tried) < 9:
        tried.append(order)
        source.write_text("".join([head, *(parts[index] for index in order), parts[-1]]), "utf-8")
        starts = find_places(compiler)
        for at, index in enumerate(order[1:], 1):
            lost[index] = starts[at] - starts[at - 1] - units[order[at - 1]][1]


def order_units(
    units: Sequence[Unit],
    filled: float = 0,
    lost: Mapping[int, float] | None = None,
    page: float = PAGE,
    below: float = BELOW,
) -> list[int]:
    """Return the order of a text's units in which no figure and no table leaves a page early.

    One for which a page has no room waits until the next has; it stays in its section, in its
    subsection where that leaves hardly any room, and behind those of its kind before it. The units
    begin where so much of a page is `filled`.
    """
    order: list[int] = []
    waiting: list[int] = []
    lost = lost or {}

    def gap(index: int) -> float:
        """Return what is lost above a unit, but for the room that a float leaves on its page."""
        found = lost.get(index, 0)
        return 0 if units[index][0] in FLOATS and found > 2 * below else found

    def put(index: int, *, turn: bool = False) -> None:
        nonlocal filled
        filled = ((0 if turn else filled + gap(index)) + units[index][1]) % page
        order.append(index)

    def put_waiting() -> None:
        behind = set()
        for index in [*waiting]:
            kind, height = units[index]
            breaks = height - below > page
            ends = filled + gap(index) + height - below
            if kind not in behind and (breaks or ends <= page):
                waiting.remove(index)
                put(index)
            else:
                behind.add(kind)

    for index, (kind, _) in enumerate(units):
        if kind == "section" or (kind == "subsection" and page - filled < page / 6):
            while waiting:
                put(waiting.pop(0), turn=True)
                put_waiting()
        if kind in FLOATS:
            waiting.append(index)
        else:
            put(index)
        put_waiting()
    return order + waiting


def _write_pdf(folder: Path) -> tuple[bytes, dict[str, str]]:
    """Return the PDF of merged.html, and what is printed as the number of each label."""
    _pandoc("typ", folder)
    source = folder / "report.typ"
    date = re.search(
        r"date: datetime\(year: (\d+), month: (\d+), day: (\d+)\)", source.read_text("utf-8")
    )
    assert date is not None
    year, month, day = map(int, date.groups())
    try:
        given: dict[str, Any] = {"root": folder, "ignore_system_fonts": True}
        with suppress(typst.TypstError, RuntimeError):  # the compiler then says where
            _place_floats(source, given)
        compiler = typst.Compiler(source, **given)
        pdf, warnings = compiler.compile_with_warnings(
            format="pdf", timestamp=datetime(year, month, day, tzinfo=UTC), pdf_standards="ua-1"
        )
        numbers = json.loads(compiler.query("<numbers>", field="value", one=True))
    except (typst.TypstError, RuntimeError) as error:
        raise ReportError(_name_cell(error, source)) from error
    if warnings:
        raise ReportError("typst warns:\n" + "\n".join(str(warning) for warning in warnings))
    assert isinstance(pdf, bytes)
    return pdf, numbers
