"""The report's files from executed notebooks: HTML, PDF, the numbers as CSV, and checksums."""

import logging
from functools import partial
from pathlib import Path

from advlib.kept import files
from advlib.report.merge import write_html
from advlib.report.page import finish_page
from advlib.report.typeset import typeset_text
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect_from, to_csv, write, write_numbers

LOG = logging.getLogger("advlib")


def build(executed: str | Path, output: str | Path) -> None:
    """Typeset a folder's executed notebooks.

    Into `output`, made if it is not there, go report.html, report.pdf, figures/, an SVG file for
    each figure, and results/: a CSV file for each table and figure, and all numbers together
    (`advlib.results.tables`), with SHA256SUMS; other SVG and CSV files there are removed. Nothing
    is replaced unless all of it succeeds. One process at a time.

    Raises
    ------
    ReportError
        If anything is unknown, would be lost, or is not alike in both documents.
    DamagedFileError
        If a notebook is not what was written.
    """
    notebooks = read_notebooks(executed)
    LOG.info("    %d notebooks are read", len(notebooks))
    text, figures = write_html(notebooks)
    tables = collect_from(notebooks)
    shown = {name: to_csv(each) for name, each in tables.items()}
    finish = partial(finish_page, notebooks=notebooks, tables=shown)
    html, pdf = typeset_text(text, figures, finish)
    output = Path(output)
    results = output / "results"
    pictures = {output / "figures" / name: svg for name, svg in figures.items()}
    documents = {output / "report.html": html, output / "report.pdf": pdf}
    lines = files.checksum_lines({path.name: text for path, text in documents.items()})
    for folder in (output, results, output / "figures"):
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_temporaries(folder)
    # the documents last: while they are old, make knows that there is something to do
    with files.replace_files({**pictures, output / "SHA256SUMS": lines, **documents}):
        write(tables, results, write_numbers(notebooks))
    for path in {*(output / "figures").glob("*.svg")} - pictures.keys():
        path.unlink()
