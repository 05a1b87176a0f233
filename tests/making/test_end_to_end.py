"""`make report` about a user's own network, method, attack and data, and what it leaves."""

import shutil
from itertools import chain, takewhile
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from engine import FIGURES, threads
from folders import put_pictures
from projects import copy, make
from pypdf import PdfReader

from advlib.experiment.parameters import folder_name, resolve
from advlib.experiment.subject import resolve_subject
from advlib.kept import checkpoints
from advlib.kept.folders import NOTEBOOKS
from advlib.results.notebooks import read_chapters
from advlib.results.tables import collect_from

SETTINGS = """\
methods: [standard, 'code: 1/mine.py:on_attacked']
network: 'code: 1/mine.py:SmallResNet'
attacks: ['code: 1/mine.py:all_darker']
dataset: data
epochs: 2
batch_size: 30
learning_rate: 0.02
attacked: 10
"""
GIVEN = "PARAMETERS=../my own/experiment.yaml"
NAMES = ("standard", "on-attacked")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project, and beside it the user's folder: a file of parameters, one of code, pictures.

    Its folder has a space and a letter outside ASCII.
    """
    project = copy(tmp_path_factory.mktemp("end to end") / "clönt project")
    own = project.parent / "my own"
    (own / "code: 1").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "mine.py", own / "code: 1")
    put_pictures(own / "data")
    (own / "experiment.yaml").write_text(SETTINGS)
    return project


def find_report(project):
    """Return where the report is; it is the only one until the last test makes another."""
    (place,) = (project / "report/build").glob("experiment-*")
    return place


def contents(folder):
    """Return when each file was written, and what is in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def runs(project):
    """Return what tells each kept training's weights, and its history but for the time."""
    found = {}
    for path in (project / "report/build/runs").iterdir():
        state, record = checkpoints.load(path / checkpoints.NAME)
        history = [[row[figure] for figure in FIGURES] for row in record["history"]]
        found[path.name.rpartition("-")[0]] = checkpoints.digest(state), repr(history)
    return found


@pytest.fixture(scope="module")
def built(project):
    """The trainings of the report, once it is there, and what make said.

    The locale is the poorest, the time zone the farthest, the umask the strictest.
    """
    far = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"}
    done = make(project, "report", GIVEN, umask=0o077, OMP_NUM_THREADS="1", **far)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs(project), done.stdout


def test_it_is_there_with_all_notebooks_and_nothing_else_and_make_says_where(project, built):
    _, said = built
    place = find_report(project)
    for name in ("report.html", "report.pdf"):
        assert (place / name).stat().st_size > 10_000
        assert f"{place.relative_to(project)}/{name}\n" in said
    for method in NAMES:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{method} ")]
        assert line.count("%") == 3
    chapters = {path.stem for path in NOTEBOOKS.glob("[0-9]-*.ipynb")} - {"3-training"}
    trainings = {f"3-training-{method}" for method in NAMES}
    executed = {path.stem for path in (place / "notebooks").iterdir()}
    assert executed == chapters | trainings | {"front-matter", "back-matter"}


def test_a_second_make_does_nothing(project, built):
    before = contents(project / "report" / "build")
    done = make(project, "report", GIVEN)
    assert done.returncode == 0, done.stderr
    assert contents(project / "report" / "build") == before


def test_the_numbers_are_in_both_documents(project, built):
    place = find_report(project)
    pdf = "".join(page.extract_text() for page in PdfReader(place / "report.pdf").pages)
    html = BeautifulSoup((place / "report.html").read_text(encoding="utf-8"), "html.parser")
    tables = collect_from(read_chapters(place / "notebooks"))
    evaluation = tables["tbl-evaluation"].drop(columns="n")
    for number in (*evaluation.stack().dropna(), *tables["tbl-transfer-error"].stack()):
        assert f"{number:.2f}" in pdf
        assert f"{number:.2f}" in html.get_text()


def test_its_trainings_have_the_bits_of_those_without_make_and_notebooks(
    project, built, tmp_path, monkeypatch
):
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path / "report/build/runs"))
    given = resolve(str(project.parent / "my own" / "experiment.yaml"))
    with threads(1):
        resolve_subject(given).open_models()
    trained, _ = built
    assert runs(tmp_path) == trained
    assert trained.keys() == {*NAMES}


def test_the_report_is_about_what_was_brought_in_the_order_given(project, built):
    place = find_report(project)
    html = BeautifulSoup((place / "report.html").read_text(encoding="utf-8"), "html.parser")
    committed = html.select("h2[id^=sec-8-illusions], h2[id^=sec-9-luck]")  # as in every report
    beside = (takewhile(lambda e: e.name != "h2", head.find_next_siblings()) for head in committed)
    for part in [*html(["style", "annotation", "pre"]), *chain.from_iterable(beside)]:
        part.decompose()
    said = " ".join(html.get_text().split())
    title = "Standard and on-attacked training of the network SmallResNet on data"
    assert title in said
    pdf = " ".join(p.extract_text() for p in PdfReader(place / "report.pdf").pages)
    assert title in " ".join(pdf.split())
    # the docstrings as they are, and nothing in them a formula, a tag or a format
    for text in (
        "Train on the attacked images alone: *g* = g_adversarial, {settings.epsilon} large.",
        "The clean images only make the perturbation | they cost a pass.",
        "One residual block & a mean over all places: <b>small</b>, $1 apiece.",
        "BatchNorm2d",
    ):
        assert text in said
    prose = said.partition("References [1]")[0].lower()
    for word in ("mnist", "lenet", "digits", "slides", "published experiment", "maxout", "strokes"):
        assert word not in prose, word
    assert str(project.parent) not in said
    found = collect_from(read_chapters(place / "notebooks"))
    assert [*found["tbl-transfer-error"].index] == [*NAMES]
    assert [*found["tbl-robustness"].columns] == [*NAMES]
    assert "all-darker" in found["tbl-robustness"].index


def test_a_changed_file_trains_its_own_alone(project, built):
    """And executes the notebooks again."""
    place = project.parent / "my own" / "code: 1"
    code = (place / "mine.py").read_text(encoding="utf-8").replace("alone", "alone, as before")
    methods, file = place / "methods.py", place.parent / "experiment.yaml"
    file.write_text(SETTINGS.replace("mine.py:on_attacked", "methods.py:on_attacked"))
    # another content of the file is another folder
    other = project / "report/build" / folder_name(str(file), {})
    target = other / "notebooks" / "3-training-on-attacked.ipynb"
    kept = project / "report/build/runs"
    before = len([*kept.iterdir()])
    for text, trainings in ((code, 1), (f"{code}# changed\n", 2)):
        methods.write_text(text, encoding="utf-8")
        done = make(project, str(target.relative_to(project)), GIVEN, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        assert "standard training" not in done.stdout
        assert len([*kept.iterdir()]) == before + trainings
    assert "as before" in target.read_text(encoding="utf-8")
