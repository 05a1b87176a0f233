"""The report's files from executed notebooks: HTML, PDF, the numbers as CSV, and checksums."""

import logging
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from advlib.kept import files
from advlib.report.merge import write_html
from advlib.report.page import finish_page
from advlib.report.typeset import typeset_text
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect_from, to_csv, write, write_numbers

LOG = logging.getLogger("advlib")


@dataclass(frozen=True)
class Report:
    """A finished report's files."""

    html: Path
    pdf: Path


def build(executed: str | Path, output: str | Path) -> Report:
    """Typeset a folder's executed notebooks.

    Into `output`, made if it is not there, go report.html, report.pdf and results/: a CSV file for
    each table and figure, and all numbers together (`advlib.results.tables`), each folder with
    SHA256SUMS; other CSV files in results/ are removed. Nothing is replaced unless all of it
    succeeds. One process at a time.

    Raises
    ------
    ReportError
        If anything is unknown, would be lost, or is not alike in both documents.
    DamagedFileError
        If a notebook is not what was written.
    """
    notebooks = read_notebooks(executed)
    LOG.info("    %d notebooks are read", len(notebooks))
    html, pdf = typeset_text(*write_html(notebooks))
    tables = collect_from(notebooks)
    html = finish_page(html, notebooks, {name: to_csv(each) for name, each in tables.items()})
    output = Path(output)
    report, results = Report(output / "report.html", output / "report.pdf"), output / "results"
    documents = {report.html: html, report.pdf: pdf}
    digests = {path.name: sha256(text).hexdigest() for path, text in documents.items()}
    sums = {output / "SHA256SUMS": files.checksum_lines(digests)}
    results.mkdir(parents=True, exist_ok=True)
    for folder in (output, results):
        files.remove_temporaries(folder)
    # the documents last: while they are old, make knows that there is something to do
    with files.replace_files({**sums, **documents}):
        write(tables, results, write_numbers(notebooks))
    return report
