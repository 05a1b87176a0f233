"""`make report PARAMETERS=quick` from a clean copy, and what it leaves."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from projects import copy, make
from pypdf import PdfReader

from advlib.kept.files import sha256
from advlib.kept.folders import MATTER, NOTEBOOKS
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect

METHODS = ("standard", "mixed", "adversarial")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The quick report in a folder with a space and a letter outside ASCII, and what make said.

    The locale is the poorest, the time zone the farthest, the umask the strictest.
    """
    project = copy(tmp_path_factory.mktemp("end to end") / "clönt project")
    far = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"}
    result = make(project, "report", "PARAMETERS=quick", umask=0o077, **far)
    assert result.returncode == 0, result.stdout + result.stderr
    return project, result.stdout


def mtimes(folder: Path) -> dict[str, int]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def contents(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path) for path in paths}


def test_the_report_is_there_and_make_says_where(built: tuple[Path, str]) -> None:
    project, said = built
    for name in ("report.html", "report.pdf"):
        assert (project / "report/build/quick" / name).stat().st_size > 10_000
        assert f"report/build/quick/{name}\n" in said
    for method in METHODS:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{method} ")]
        assert line.count("%") == 2


def test_every_notebook_succeeded_and_nothing_is_left_over(built: tuple[Path, str]) -> None:
    project, _ = built
    executed = project / "report/build/quick/notebooks"
    names = {path.name for path in executed.iterdir()}
    once = {path.name for path in (*NOTEBOOKS.glob("[0-9]*.ipynb"), *MATTER.glob("*.ipynb"))}
    copies = {f"3-training-{method}.ipynb" for method in METHODS}
    assert names == once - {"3-training.ipynb"} | copies
    assert [notebook.path.name for notebook in read_notebooks(executed)] == [
        "front-matter.ipynb",
        *(name for name in sorted(once) if name < "3"),
        *(f"3-training-{method}.ipynb" for method in METHODS),
        *(name for name in sorted(once) if "3-training.ipynb" < name < "a"),
        "back-matter.ipynb",
    ]


def test_progress_reaches_the_terminal_and_no_report(built: tuple[Path, str]) -> None:
    project, said = built
    progress = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    lines = [line for line in progress if "epoch" in line]
    assert len(lines) >= 6  # three trainings of two epochs
    text = (project / "report/build/quick/report.html").read_text(encoding="utf-8")
    assert not [line for line in lines if line in text]


def test_a_second_make_does_nothing(built: tuple[Path, str]) -> None:
    project, _ = built
    before = mtimes(project / "report" / "build")
    result = make(project, "report", "PARAMETERS=quick")
    assert result.returncode == 0, result.stderr
    assert mtimes(project / "report" / "build") == before


def test_a_changed_plot_does_not_train_again(built: tuple[Path, str]) -> None:
    project, _ = built
    runs = contents(project / "report/build/runs")
    assert runs
    with (project / "advlib" / "show" / "figures.py").open("a") as file:
        file.write("# changed\n")
    target = project / "report/build/quick/notebooks/3-training-standard.ipynb"
    before = target.stat().st_mtime_ns
    result = make(project, str(target.relative_to(project)), "PARAMETERS=quick")
    assert result.returncode == 0, result.stderr
    assert target.stat().st_mtime_ns > before
    assert "epoch" not in result.stdout
    assert contents(project / "report/build/runs") == runs


def test_the_numbers_are_in_both_documents(built: tuple[Path, str]) -> None:
    folder = built[0] / "report/build/quick"
    pdf = "".join(page.extract_text() for page in PdfReader(folder / "report.pdf").pages)
    html = BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    tables = collect(folder / "notebooks")
    for method in METHODS:
        for number in tables[f"tbl-evaluation-{method}"].drop(columns="n").stack().dropna():
            assert f"{number:.2f}" in pdf
            assert f"{number:.2f}" in html.get_text()
    for number in tables["tbl-transfer-error"].stack():
        assert f"{number:.2f}" in pdf
        assert f"{number:.2f}" in html.get_text()


def test_captions_have_the_same_numbers_in_both_documents(built: tuple[Path, str]) -> None:
    folder = built[0] / "report/build/quick"
    text = " ".join(page.extract_text() for page in PdfReader(folder / "report.pdf").pages)
    pdf = " ".join(text.split())
    html = BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    captions = [" ".join(c.get_text().split()) for c in html.select("figcaption, caption")]
    assert len(captions) > 12
    for caption in captions:
        begin = re.match(r"((?:Figure|Table) \d+)\.? (\S+ \S+)", caption)
        assert begin, caption
        assert re.search(rf"{begin[1]}\.? {re.escape(begin[2])}", pdf), caption


def test_the_page_asks_for_nothing_outside_itself(built: tuple[Path, str]) -> None:
    text = (built[0] / "report/build/quick/report.html").read_text(encoding="utf-8")
    html = BeautifulSoup(text, "html.parser")
    assert not html.find_all(["script", "link", "iframe", "object", "embed"])
    for tag in html.find_all(src=True):
        assert str(tag["src"]).startswith("data:")
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)", text)
