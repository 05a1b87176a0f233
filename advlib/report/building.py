"""The report's files from executed notebooks: HTML, PDF, the numbers as CSV, and checksums."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from advlib.kept import files
from advlib.report import ReportError
from advlib.report.merge import write_html
from advlib.report.typeset import typeset_text
from advlib.results.notebooks import MATTER, Notebook, read_notebooks
from advlib.results.tables import collect_from, write, write_numbers
from advlib.settings import read_origin


@dataclass(frozen=True)
class Report:
    """A finished report's files."""

    html: Path
    pdf: Path


def build(executed: str | Path, output: str | Path, names: Iterable[str] | None = None) -> Report:
    """Typeset a folder's executed notebooks: all of a report's, or those of some file names.

    Into `output`, made if it is not there, go report.html, report.pdf and results/: a CSV file for
    each table and figure, and all numbers together (`advlib.results.tables`), each folder with
    SHA256SUMS; other CSV files in results/ are removed. Nothing is replaced unless all of it
    succeeds. One process at a time.

    Raises
    ------
    ReportError
        If anything is missing, unknown, unlabelled or not alike in both documents.
    DamagedFileError
        If a notebook is not what was written.
    """
    executed, output = Path(executed), Path(output)
    notebooks = read_notebooks(executed, names)
    _check_complete(notebooks, executed)
    html, pdf = typeset_text(*write_html(notebooks))
    tables, results = collect_from(notebooks), output / "results"
    report = Report(output / "report.html", output / "report.pdf")
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


def _check_complete(notebooks: list[Notebook], folder: Path) -> None:
    """Refuse a report without its matter, without chapters, or without one of its methods."""
    found = {notebook.path.name for notebook in notebooks}
    given: list[str] = next(
        (n.experiment["methods"] for n in notebooks if "methods" in n.experiment), []
    )
    methods = [read_origin(method).shown for method in given]
    copies = {(n.source, n.parameters["method"]) for n in notebooks if "method" in n.parameters}
    needed = [(source, method) for source in sorted({s for s, _ in copies}) for method in methods]
    missing = [name for name in MATTER if name not in found]
    missing += [
        f"{source}-{method}.ipynb" for source, method in needed if (source, method) not in copies
    ]
    if missing:
        raise ReportError(
            "missing executed notebooks: " + ", ".join(str(folder / n) for n in missing)
        )
    if found == {*MATTER}:
        raise ReportError(f"there is no executed chapter in {folder}")
    if methods and not copies:
        raise ReportError(
            f"no executed notebook in {folder} has a parameter 'method': the trainings"
            f" {', '.join(methods)} are missing"
        )
