"""The report: executed notebooks to HTML and PDF, and the numbers in it to CSV.

python -m advlib.report EXECUTED_FOLDER OUTPUT_FOLDER [--quiet]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pypandoc
import typst

from advlib import files
from advlib.merge import STYLE, ReportError, markdown
from advlib.parent import end_with_make
from advlib.results import collect, contents, remove_others

READER = (
    "markdown-native_divs-native_spans"  # so HTML is read as raw HTML, which report.lua refuses
)
REFERENCES = "\n# References {.unnumbered}\n\n::: {#refs}\n:::\n"
PANDOC = {
    "html": (
        "--to=html",
        "--mathml",
        "--embed-resources",
        "--toc",
        "--toc-depth=3",
        "--css=report.css",
    ),
    "typ": ("--to=typst-citations",),
}


@dataclass(frozen=True)
class Report:
    """A finished report's files."""

    html: Path
    pdf: Path


def build(executed: str | Path, output: str | Path) -> Report:
    """Typeset a report. Nothing is replaced unless all of it succeeds; two processes take turns.

    Parameters
    ----------
    executed
        Folder of the executed notebooks (`advlib.results.CHAPTERS`).
    output
        Folder for report.html, report.pdf and results/*.csv, with their checksums in SHA256SUMS;
        made if it is not there. CSV files in results/ that are not this report's are removed.

    Returns
    -------
    Report
        Where the two documents are.

    Raises
    ------
    ReportError
        If anything is missing, unknown, unlabelled or not alike in both documents.
    """
    executed, output = Path(executed), Path(output)
    html, pdf = typeset(*markdown(executed))
    tables, results = collect(executed), output / "results"
    report = Report(output / "report.html", output / "report.pdf")
    documents = {report.html: html, report.pdf: pdf}
    digests = {path.name: sha256(text).hexdigest() for path, text in documents.items()}
    sums = {output / "SHA256SUMS": files.checksum_lines(digests)}
    results.mkdir(parents=True, exist_ok=True)
    with files.turn(
        output / ".lock", lambda: print(f"waiting: another make sets {output}", flush=True)
    ):
        for folder in (output, results):
            files.remove_temporaries(folder)
        # the documents last: while they are old, make knows that there is something to do
        with files.replacing_all({**sums, **documents}):
            with files.replacing_all(contents(tables, results)):
                pass
            remove_others(tables, results)
    return report


def typeset(text: str, figures: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Return HTML and PDF of a text in Pandoc's Markdown.

    Parameters
    ----------
    text
        The text, without the heading and the place of its references.
    figures
        The SVG files that it names.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "style").symlink_to(STYLE)
        (folder / "report.md").write_text(text + REFERENCES, encoding="utf-8")
        for name, svg in figures.items():
            (folder / name).write_bytes(svg)
        with ThreadPoolExecutor() as pool:
            list(pool.map(_pandoc, PANDOC, [folder] * len(PANDOC)))
        html = _small_norms((folder / "report.html").read_text(encoding="utf-8"))
        page = read_page(html)
        pdf, numbers = _typst(folder, datetime.fromisoformat(page.date).replace(tzinfo=UTC))
    _compare(page.numbers, numbers)
    return html.encode(), pdf


def _pandoc(suffix: str, folder: Path) -> None:
    """Write report.html or report.typ beside report.md.

    All paths are relative: in an ASCII locale pandoc finds none with other letters in it.
    """
    command = [
        pypandoc.get_pandoc_path(),
        *(
            f"--from={READER}",
            "--standalone",
            "--fail-if-warnings",
            f"--template=style/report.{suffix}",
        ),
        *("--lua-filter=style/report.lua", "--citeproc"),  # in this order
        *(
            "--bibliography=style/references.bib",
            "--csl=style/numeric.csl",
            "--metadata=link-citations",
        ),
        *(
            f"--resource-path=.{os.pathsep}style",
            f"--output=report.{suffix}",
            *PANDOC[suffix],
            "report.md",
        ),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        ended = f" (pandoc ended with {done.returncode})" if not done.stderr.strip() else ""
        raise ReportError(f"the report cannot be typeset{ended}:\n{done.stderr.strip()}")


def _small_norms(html: str) -> str:
    """Return the page with norm bars that do not stretch: Chromium makes them too large."""
    return re.sub(
        'stretchy="true"( form="(?:pre|post)fix">\N{DOUBLE VERTICAL LINE}<)',
        r'stretchy="false"\1',
        html,
    )


def _typst(folder: Path, date: datetime) -> tuple[bytes, dict[str, str]]:
    """Return the PDF of report.typ, and what is printed as the number of each label."""
    try:
        compiler = typst.Compiler(folder / "report.typ", root=folder, ignore_system_fonts=True)
        pdf, warnings = compiler.compile_with_warnings(
            format="pdf", timestamp=date, pdf_standards="ua-1"
        )
        numbers = json.loads(compiler.query("<numbers>", field="value", one=True))
    except (typst.TypstError, RuntimeError) as error:
        raise ReportError(f"typst cannot set the report: {error}") from error
    if warnings:
        raise ReportError("typst warns:\n" + "\n".join(str(warning) for warning in warnings))
    if not isinstance(pdf, bytes):
        raise ReportError("typst made no PDF")
    return pdf, numbers


@dataclass
class Page:
    """What an HTML report prints and links to."""

    numbers: dict[str, str] = field(default_factory=dict)
    """By identifier, the number printed at what it names."""
    references: list[tuple[str, str]] = field(default_factory=list)
    """The identifier and the number printed of each cross-reference."""
    identifiers: list[str] = field(default_factory=list)
    date: str = ""


class _Reader(HTMLParser):
    """Reads a page; refuses what would load or run something, and images without alternative."""

    LOADING = frozenset(
        {"src", "srcset", "href", "xlink:href", "data", "poster", "background", "action"}
    )
    FORBIDDEN = frozenset({"script", "iframe", "object", "embed", "link", "base", "form"})

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: tuple[str, str] | None = None
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        refresh = tag == "meta" and "http-equiv" in attributes
        if tag in self.FORBIDDEN or refresh or any(name.startswith("on") for name in attributes):
            raise ReportError(
                f"the HTML has a {tag} that could load or run something: {attributes}"
            )
        for name in self.LOADING & attributes.keys():
            allowed = ("#", "http://", "https://") if (tag, name) == ("a", "href") else ("data:",)
            if not attributes[name].startswith(allowed):
                raise ReportError(f"the HTML would load {attributes[name]!r} for {tag}")
        self._refuse_urls(attributes.get("style", ""))
        if tag == "img" and not attributes.get("alt", "").strip():
            raise ReportError("the HTML has an image without text alternative")
        if "id" in attributes:
            self.page.identifiers.append(attributes["id"])
        self.page.date = attributes.get("datetime", self.page.date)
        self._style = tag == "style"
        if "data-of" in attributes:
            self._open = ("number", attributes["data-of"])
        elif attributes.get("class") == "ref":
            self._open = ("reference", attributes["href"][1:])

    def handle_data(self, data: str) -> None:
        if self._style:
            self._refuse_urls(data)
        if self._open:
            kind, identifier = self._open
            number = data.split()[-1].strip("()")  # without the word before it
            if kind == "reference":
                self.page.references.append((identifier, number))
            elif self.page.numbers.setdefault(identifier, number) != number:
                raise ReportError(f"the HTML has two numbers for {identifier}")
            self._open = None

    def _refuse_urls(self, style: str) -> None:
        if re.search(r"@import|image-set|url\((?!['\"]?data:)", style, re.IGNORECASE):
            raise ReportError(f"the HTML's style would load something: {style[:200]}")


def read_page(html: str) -> Page:
    """Return what a page prints and links to.

    Raises
    ------
    ReportError
        If the page would load or run anything, uses an identifier twice, has an image without text
        alternative, or refers to a number that is not printed.
    """
    reader = _Reader()
    reader.feed(html)
    page = reader.page
    if twice := {name for name, count in Counter(page.identifiers).items() if count > 1}:
        raise ReportError(f"the HTML uses identifiers twice: {sorted(twice)}")
    for identifier, number in page.references:
        if page.numbers.get(identifier) != number:
            raise ReportError(
                f"a reference says {number}, {identifier} is {page.numbers.get(identifier)}"
            )
    return page


def _compare(html: dict[str, str], pdf: dict[str, str]) -> None:
    """Refuse numbers that differ between the two documents."""
    differing = {name for name in html.keys() | pdf.keys() if html.get(name) != pdf.get(name)}
    if differing:
        lines = [
            f"{name}: {html.get(name)} in HTML, {pdf.get(name)} in PDF"
            for name in sorted(differing)
        ]
        raise ReportError("numbers differ:\n" + "\n".join(lines))


def main(arguments: list[str] | None = None) -> int:
    """Build a report from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m advlib.report", description="Typeset executed notebooks."
    )
    parser.add_argument("executed", type=Path, help="folder of the executed notebooks")
    parser.add_argument("output", type=Path, help="folder for report.html, report.pdf and results/")
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    options = parser.parse_args(arguments)
    try:
        report = build(options.executed, options.output)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    if not options.quiet:
        print(report.html, report.pdf, sep="\n")
    return 0


if __name__ == "__main__":
    end_with_make()
    sys.exit(main())
