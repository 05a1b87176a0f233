"""`make report` from a clean copy, and what it leaves."""

import pytest
from bs4 import BeautifulSoup
from projects import copy, make
from pypdf import PdfReader

from advlib.kept.folders import NOTEBOOKS
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect_from

METHODS = ("standard", "mixed")
FEW = ("PARAMETERS=quick", "METHODS=standard,mixed", "IMAGES=500", "EPOCHS=1", "ATTACKED=10")
"""Less than the quick settings: the notebooks are executed with those by nbval."""
REPORT = "report/build/quick-attacked10-epochs1-images500-methodsstandard+mixed"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The quick report in a folder with a space and a letter outside ASCII, and what make said.

    The locale is the poorest, the time zone the farthest, the umask the strictest.
    """
    project = copy(tmp_path_factory.mktemp("end to end") / "clönt project")
    far = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"}
    result = make(project, "report", *FEW, umask=0o077, **far)
    assert result.returncode == 0, result.stdout + result.stderr
    return project, result.stdout


def contents(folder):
    """Return when each file was written, and what is in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_the_report_is_there_with_all_notebooks_and_nothing_else_and_make_says_where(built):
    project, said = built
    for name in ("report.html", "report.pdf"):
        assert (project / REPORT / name).stat().st_size > 10_000
        assert f"{REPORT}/{name}\n" in said
    for method in METHODS:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{method} ")]
        assert line.count("%") == 3
    chapters = {path.stem for path in NOTEBOOKS.glob("[0-9]-*.ipynb")} - {"3-training"}
    trainings = {f"3-training-{method}" for method in METHODS}
    executed = {path.stem for path in (project / REPORT / "notebooks").iterdir()}
    assert executed == chapters | trainings | {"front-matter", "back-matter"}


def test_a_second_make_does_nothing(built):
    project, _ = built
    before = contents(project / "report" / "build")
    result = make(project, "report", *FEW)
    assert result.returncode == 0, result.stderr
    assert contents(project / "report" / "build") == before


def test_the_numbers_are_in_both_documents(built):
    folder = built[0] / REPORT
    pdf = "".join(page.extract_text() for page in PdfReader(folder / "report.pdf").pages)
    html = BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    tables = collect_from(read_notebooks(folder / "notebooks"))
    evaluation = tables["tbl-evaluation"].drop(columns="n")
    for number in (*evaluation.stack().dropna(), *tables["tbl-transfer-error"].stack()):
        assert f"{number:.2f}" in pdf
        assert f"{number:.2f}" in html.get_text()
