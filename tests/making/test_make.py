"""The Makefile: what is remade when something changes, and what it says to what cannot be.

Most tests give it a PYTHON that writes down what it is asked and makes empty files, so that they
test the map and take no time; the runner itself is tested in tests/experiment/test_runner.py.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import projects
import pytest
from kernels import TRAINING, exists, write
from projects import wait_for

from advlib.kept.folders import NOTEBOOKS
from advlib.settings import Experiment

TRAININGS = [f"3-training-{method}" for method in Experiment.methods]
CHAPTERS = {path.stem for path in NOTEBOOKS.glob("[0-9]-*.ipynb")} - {"3-training"} | {*TRAININGS}
MATTER = {"front-matter", "back-matter"}
AFTER_ALL = MATTER | {"report"}
ALL = CHAPTERS | AFTER_ALL
"""What a report is made of: each is executed, or set, once."""

FAKE = """#!/bin/sh
# stands for Python: logs what would be executed and makes its files empty
log() {{ echo "$*" >>{log}; }}
case "$1 $2" in
"-m advlib.experiment.runner")
    name=$(basename "$4" .ipynb)
    log "$name"
    [ "$name" != "$FAIL" ] || exit 1
    case $name in 3-*)  # with BESIDE, a training waits until so many have begun
        for _ in $(seq 6000); do
            [ "$(grep -c '^3-training-[a-z]*$' {log})" -lt "${{BESIDE:-0}}" ] || break
            sleep 0.1
        done ;;
    esac
    mkdir -p "$(dirname "$4")" && : >"$4" && log "$name done" ;;
"-m advlib.report")
    log report
    : >"$4/report.html" && : >"$4/report.pdf" ;;
"-m advlib.published.summary") ;;
*) exec {python} "$@" ;;
esac
"""


@dataclass
class Project:
    """A copy of the project in which `make` runs the stand-in for Python."""

    folder: Path

    def environment(self, **changes):
        return projects.environment(self.folder, PYTHON=str(self.folder / "python")) | changes

    def make(self, *arguments, **changes):
        return projects.make(self.folder, *arguments, **self.environment(**changes))

    def log(self):
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def made(self, *arguments, **changes):
        """Make the quick report and return what was executed, in order; make said how many."""
        result = self.make("report", "PARAMETERS=quick", *arguments, **changes)
        assert result.returncode == 0, result.stderr
        made = [line for line in self.log() if not line.endswith(" done")]
        said = re.search(r"(\d+) to execute", result.stdout)
        assert (int(said[1]) if said else 0) == len({*made} - {"report"})
        return made

    def put_python(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def prepared(folder):
    """Copy the project to a folder, with a stand-in for Python."""
    project = Project(projects.copy(folder))
    log = shlex.quote(str(folder / "log"))
    project.put_python("python", FAKE.format(log=log, python=shlex.quote(sys.executable)))
    return project


@pytest.fixture
def project(tmp_path):
    return prepared(tmp_path / "schöner Ordner é")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy with a finished report, for tests that leave it finished; the folder's name is odd."""
    project = prepared(tmp_path_factory.mktemp("built") / "schöner Ordner é")
    project.made()
    return project


def test_all_is_made_side_by_side_and_in_order_then_nothing(project):
    result = project.make("report", "PARAMETERS=quick", BESIDE="2")
    assert result.returncode == 0, result.stderr
    log = project.log()
    assert sorted(line for line in log if not line.endswith(" done")) == sorted(ALL)
    done = {name: log.index(f"{name} done") for name in CHAPTERS}
    trained = [done[name] for name in TRAININGS]
    assert min(trained) > max(map(log.index, TRAININGS[:2]))  # two at once at least
    assert max(trained) < log.index("4-transfer")
    assert done["3-training-standard"] < log.index("2-adversarial-examples")
    assert max(done.values()) < min(map(log.index, MATTER))
    assert log[-1] == "report"
    assert (project.folder / "report/build/quick/report.pdf").exists()
    assert project.made() == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("report/build/quick/report.pdf", {"report"}),
        ("advlib/report/typeset.py", {"report"}),
        ("report/style/report.css", {"report"}),
        ("report/back-matter.ipynb", {"back-matter", "report"}),
        ("notebooks/4-transfer.ipynb", {"4-transfer", "9-luck-or-law", *AFTER_ALL}),
        ("advlib/data/__init__.py", ALL - {"8-illusions"}),  # which shows committed results
        ("requirements.lock", ALL),
        ("advlib/experiment/plan.py", set()),
        ("notebooks/parameters/quick.yaml", set()),
    ],
)
def test_a_change_reruns_what_is_made_from_it(path, expected, built):
    if path.endswith(".pdf"):
        (built.folder / path).unlink()
    else:
        (built.folder / path).touch()
    assert set(built.made()) == expected


def test_changed_parameters_go_into_a_folder_of_their_own(built):
    """There each method has its notebook. What is in the environment is no parameter."""
    methods = "METHODS=mixed-epochwise,standard"
    made = built.made(methods, "EPSILON=0.20", "EPOCHS=5", SEED="1")
    trainings = ["3-training-mixed-epochwise", "3-training-standard"]
    assert sorted(made) == sorted(ALL - {*TRAININGS} | {*trainings})
    assert max(map(made.index, trainings)) < made.index("4-transfer")
    name = "quick-epochs5-epsilon0.2-methodsmixed-epochwise+standard"
    text = (built.folder / "report/build" / name / "parameters.yaml").read_text()
    for line in ("methods:\n- mixed-epochwise\n- standard", "epsilon: 0.2", "epochs: 5", "seed: 0"):
        assert f"{line}\n" in text
    assert built.made("EPOCHS=5", "EPSILON=.2", methods) == []


def test_a_new_chapter_is_a_notebook_and_a_removed_one_leaves_nothing(built):
    """The report's chapters are those whose names begin with a number, in its order."""
    chapter = built.folder / "notebooks" / "10-more.ipynb"
    like = (built.folder / "notebooks" / "1-data.ipynb").read_text(encoding="utf-8")
    chapter.write_text(re.sub("(fig|tbl)-", r"\1-more-", like), encoding="utf-8")
    assert set(built.made()) == {"10-more", *AFTER_ALL}
    chapter.unlink()
    (built.folder / "notebooks" / "4-transfer.ipynb").touch()
    assert "10-more" not in built.made()
    executed = built.folder / "report/build/quick/notebooks"
    assert {path.stem for path in executed.glob("*.ipynb")} == CHAPTERS | MATTER


def test_changed_values_of_parameters_rerun_all(built):
    chosen = built.folder / "notebooks/parameters/quick.yaml"
    chosen.write_text(re.sub(r"epochs: \d+", "epochs: 9", chosen.read_text()))
    assert set(built.made()) == ALL


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("EPSILON=0.1 0.2", "not '0.1 0.2'"),
        ("EPSILON=$(shell touch broken)", "EPSILON must be"),
        ("folder=x", "not 'folder'"),
    ],
)
def test_wrong_parameters_stop_before_any_work(argument, message, built):
    before = sorted(built.folder.iterdir())
    result = built.make("report", argument, PYTHON="")
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert "stopped before any work" in result.stderr
    assert sorted(built.folder.iterdir()) == before  # no .venv, and nothing is executed
    assert built.log() == []


def test_a_copy_of_a_chapter_stops_before_any_work(built):
    chapter = built.folder / "notebooks" / "4-transfer.ipynb"
    copy = chapter.with_stem("4-transfer-Copy1")
    copy.write_bytes(chapter.read_bytes())
    before = sorted(built.folder.iterdir())
    result = built.make("report", PYTHON="")
    copy.unlink()
    assert result.returncode == 2
    assert "if one is a copy, remove it" in result.stderr
    assert sorted(built.folder.iterdir()) == before  # no .venv


@pytest.mark.slow
def test_what_is_executed_and_what_is_up_to_date(project):
    """With a real runner: outputs alone change nothing, make -B executes all the same."""
    source = project.folder / "notebooks" / "1-data.ipynb"
    write(source, "seed = 0", "print(file=open('times', 'a'))")
    by_hand = source.read_text().replace('"outputs": []', '"outputs": [{}]')
    changed = source.read_text().replace("print(", "print( ")
    target = "report/build/quick/notebooks/1-data.ipynb"
    for text, options, times in (("", "", 1), ("", "", 1), (by_hand, "", 1), (changed, "", 2),
                                 ("", "-B", 3)):  # fmt: skip
        if text:
            source.write_text(text)
        result = project.make(target, "PARAMETERS=quick", *options.split(), PYTHON=sys.executable)
        assert result.returncode == 0, result.stderr
        assert (project.folder / "notebooks" / "times").read_text() == "\n" * times


def test_two_makes_on_one_report_take_turns(project):
    command, env = ["make", "report", "PARAMETERS=quick"], project.environment(BESIDE="2")
    both = [
        subprocess.Popen(command, cwd=project.folder, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("waiting: another make holds" in text for text in said) == [False, True]
    assert sorted(line for line in project.log() if not line.endswith(" done")) == sorted(ALL)


def test_a_failing_notebook_stops_the_report(project):
    result = project.make("report", "PARAMETERS=quick", FAIL="3-training-mixed")
    assert result.returncode == 2
    log = {*project.log()}
    assert "3-training-mixed" in log
    assert not {"3-training-mixed done", "4-transfer", *AFTER_ALL} & log
    # what succeeded is not run again
    assert {*project.made()} == {name for name in ALL if f"{name} done" not in log}


def test_a_wrong_python_is_refused(built):
    built.put_python("old", "echo 3.8.20")
    result = built.make("report", PYTHON="./old")
    assert result.returncode == 2
    assert "PYTHON must be Python 3.11 or newer, not './old' (3.8.20)" in result.stderr


def test_a_python_without_the_packages_is_told_what_to_install(built):
    built.put_python("bare", f'exec {shlex.quote(sys.executable)} -S "$@"')
    result = built.make("report", PYTHON="./bare")
    assert result.returncode == 2
    assert "lacks torch, torchvision" in result.stderr
    assert "pip install -r requirements.lock && pip install -e ." in result.stderr
    assert not (built.folder / ".venv").exists()


@pytest.mark.parametrize(("answer", "stays"), [("\n", True), ("y\n", False)])
def test_clean_asks_on_a_terminal(answer, stays, project):
    project.made()
    build = project.folder / "report" / "build"
    (build / "runs" / "standard-1234").mkdir(parents=True)
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    subprocess.run(
        ["make", "clean"],
        cwd=project.folder,
        env=project.environment(),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    os.close(ours)
    os.close(theirs)
    assert (build / "runs").exists() is stays
    assert not (build / "quick").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "whole_group"),
    [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, True)],
)
def test_a_killed_make_leaves_no_kernel_at_work(how, whole_group, project):
    """With a real runner and kernel; the kernel is in a process group of its own."""
    write(project.folder / "notebooks" / "1-data.ipynb", "seed = 0", TRAINING)
    target = "report/build/quick/notebooks/1-data.ipynb"
    make = subprocess.Popen(
        ["make", target, "PARAMETERS=quick"],
        cwd=project.folder,
        env=project.environment(PYTHON=sys.executable),
        start_new_session=True,
        # what runs in a shell's background ignores it, and so would make
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    alive = project.folder / "notebooks" / "alive"
    wait_for(lambda: alive.exists() and alive.read_text())
    kernel = int(alive.read_text().split()[0])
    assert exists(kernel)
    (os.killpg if whole_group else os.kill)(make.pid, how)
    make.wait()
    wait_for(lambda: not exists(kernel))
    assert not (project.folder / target).exists()


def test_what_sees_that_its_make_is_gone_already_ends():
    """As after a kill while it still imports: the parent is then another process."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    script = "import time; from advlib.kept.parent import *; end_with_make(); time.sleep(600)"
    env = os.environ | {"ADVLIB_MAKE": str(gone.pid)}
    done = subprocess.run([sys.executable, "-c", script], env=env, check=False)
    assert done.returncode == 1
