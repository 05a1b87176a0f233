"""`make report` about a user's own network, method and data, really run, and killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain, takewhile
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from engine import FIGURES
from folders import put_pictures
from kernels import wait_for
from projects import at_work, copy, environment, make
from pypdf import PdfReader

from advlib.experiment.parameters import folder_name
from advlib.kept import checkpoints
from advlib.results.notebooks import read_chapters
from advlib.results.tables import collect_from

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
SETTINGS = """\
methods: [standard, 'code: 1/mine.py:on_attacked']
network: 'code: 1/mine.py:SmallResNet'
attacks: ['code: 1/mine.py:all_darker']
dataset: data
epochs: 6
batch_size: 30
learning_rate: 0.02
attacked: 10
"""
GIVEN = "PARAMETERS=../my own/experiment.yaml"
NAMES = ("standard", "on-attacked")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project, and beside it the user's folder: a file of parameters, one of code, pictures."""
    project = copy(tmp_path_factory.mktemp("own") / "project")
    own = project.parent / "my own"
    (own / "code: 1").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "mine.py", own / "code: 1")
    put_pictures(own / "data")
    (own / "experiment.yaml").write_text(SETTINGS)
    return project


def report(project):
    done = make(project, "report", GIVEN, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr


def folder(project):
    (found,) = (project / "report/build").glob("experiment-*")
    return found


def runs(project):
    """Return the weights of the kept trainings by method, and their histories but for the time."""
    found = {}
    for path in sorted((project / "report/build/runs").iterdir()):
        state, record = checkpoints.load(path / checkpoints.NAME)
        tensors = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
        history = [[row[figure] for figure in FIGURES] for row in record["history"]]
        found[path.name.rpartition("-")[0]] = tensors | {"history": repr(history).encode()}
    return found


@pytest.fixture(scope="module")
def built(project):
    """The report, made by a make that was killed in a training of one's own and started again."""
    log = project.parent / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["make", "report", GIVEN],
            cwd=project,
            env=environment(project, OMP_NUM_THREADS="1"),
            start_new_session=True,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    places = project / "report/build/runs"
    wait_for(lambda: any(places.glob("on-attacked-*/checkpoint.safetensors")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not [*at_work(project)])
    (path,) = places.glob("on-attacked-*/checkpoint.safetensors")
    _, record = checkpoints.load(path)
    report(project)
    assert 1 <= len(record["history"]) <= 6
    return runs(project)


def test_killed_and_resumed_it_has_the_bits_of_one_that_was_not(project, built, tmp_path):
    """The other trains without make, notebooks and checkpoints to resume."""
    script = """
import sys, torch
from pathlib import Path
from advlib.experiment import parameters
from advlib.experiment.subject import resolve_subject
torch.set_num_threads(1)
resolve_subject(parameters.resolve(sys.argv[1])).open_models()
"""
    file = project.parent / "my own" / "experiment.yaml"
    given = environment(project, OMP_NUM_THREADS="1", PYTHONPATH=str(project))
    given["ADVLIB_RUNS"] = str(tmp_path / "report/build/runs")
    subprocess.run([sys.executable, "-c", script, str(file)], env=given, check=True, cwd=project)
    assert runs(tmp_path) == built
    assert built.keys() == {*NAMES}
    assert any("running_mean" in name for name in built["on-attacked"])


def test_the_report_is_about_what_was_brought(project, built):
    place = folder(project)
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


def test_its_tables_are_in_the_order_given(project, built):
    found = collect_from(read_chapters(folder(project) / "notebooks"))
    assert [*found["tbl-transfer-error"].index] == [*NAMES]
    assert [*found["tbl-transfer-error"].columns] == [*NAMES]
    assert [*found["tbl-robustness"].columns] == [*NAMES]
    assert "all-darker" in found["tbl-robustness"].index
    settings = found["tbl-settings"].loc["value"]
    assert (settings["network"], settings["dataset"]) == ("SmallResNet (mine.py)", "data")
    assert found["tbl-classes"].index.tolist() == ["ant", "bee", "cat & dog", "all"]


def test_a_changed_file_trains_its_own_alone(project, built):
    """And executes the notebooks again; a second make has nothing to do."""
    before = time.time_ns()
    report(project)
    executed = folder(project) / "notebooks"
    assert all(path.stat().st_mtime_ns < before for path in executed.glob("*.ipynb"))
    place = project.parent / "my own" / "code: 1"
    code = (place / "mine.py").read_text(encoding="utf-8").replace("alone", "alone, as before")
    methods, file = place / "methods.py", place.parent / "experiment.yaml"
    file.write_text(SETTINGS.replace("mine.py:on_attacked", "methods.py:on_attacked"))
    # another content of the file is another folder
    other = project / "report/build" / folder_name(str(file), {})
    target = other / "notebooks" / "3-training-on-attacked.ipynb"
    kept = project / "report/build/runs"
    before = len([*kept.iterdir()])
    for text, trainings in ((code, 1), (f"{code}# changed\n", 2), (f"{code}# changed\n", 2)):
        if not methods.exists() or methods.read_text(encoding="utf-8") != text:
            methods.write_text(text, encoding="utf-8")
        done = make(project, str(target.relative_to(project)), GIVEN, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        assert "standard training" not in done.stdout
        assert len([*kept.iterdir()]) == before + trainings
    assert "training: epoch" not in done.stdout
    assert "as before" in target.read_text(encoding="utf-8")
