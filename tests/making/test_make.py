"""The Makefile: what is remade when something changes, and what it says to what cannot be.

Most tests give it a PYTHON that writes down what it is asked and makes empty files, so that they
test the map and take no time; the runner itself is tested in tests/experiment/test_runner.py.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from kernels import TRAINING, exists, wait_for, write

from advlib.kept.folders import PROJECT as ROOT
from advlib.settings import Experiment, declared

CHAPTERS = {
    "1-data": "notebooks/1-data.ipynb",
    "2-adversarial-examples": "notebooks/2-adversarial-examples.ipynb",
    "3-training-standard": "notebooks/3-training.ipynb",
    "3-training-mixed": "notebooks/3-training.ipynb",
    "3-training-adversarial": "notebooks/3-training.ipynb",
    "4-transfer": "notebooks/4-transfer.ipynb",
}
MATTER = {"front-matter": "report/front-matter.ipynb", "back-matter": "report/back-matter.ipynb"}
SOURCES = CHAPTERS | MATTER
TRAININGS = [name for name in CHAPTERS if name.startswith("3-")]
AFTER_ALL = {*MATTER, "report"}

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
    : >"$5/report.html" && : >"$5/report.pdf" ;;
"-m advlib.results.compare") ;;
*) exec {python} "$@" ;;
esac
"""


@dataclass
class Project:
    """A copy of the project in which `make` runs the stand-in for Python."""

    folder: Path

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=clean_environment() | {"PYTHON": str(self.folder / "python")} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def log(self) -> list[str]:
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def made(self, *arguments: str) -> list[str]:
        """Make the report and return what was executed, in order."""
        result = self.make("report", *arguments)
        assert result.returncode == 0, result.stderr
        return [line for line in self.log() if not line.endswith(" done")]


def clean_environment() -> dict[str, str]:
    """Return the environment without what an outer make or user sets for this project."""
    own = {"PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PARAMETERS"}
    own |= {name.upper() for name in declared(Experiment)}
    return {name: value for name, value in os.environ.items() if name not in own}


def copy_project(folder: Path) -> None:
    """Copy what the Makefile reads; data files only by their names."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in (".make", "report/style", "notebooks/parameters", "notebooks/methods"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "advlib").rglob("*"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".py", ".json") or path.parent.name == "mnist":
            shutil.copy(path, target)
        elif path.is_file():
            target.touch()
    for source in SOURCES.values():
        shutil.copy(ROOT / source, folder / source)


def prepared(folder: Path) -> Project:
    """Copy the project to a folder, with a stand-in for Python."""
    copy_project(folder)
    script = folder / "python"
    log = shlex.quote(str(folder / "log"))
    script.write_text(FAKE.format(log=log, python=shlex.quote(sys.executable)), encoding="utf-8")
    script.chmod(0o755)
    return Project(folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh copy, in a folder with a space and letters that are not ASCII."""
    folder = tmp_path / "schöner Ordner é"
    folder.mkdir()
    return prepared(folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy with a finished report, for tests that leave it finished."""
    project = prepared(tmp_path_factory.mktemp("built"))
    project.made("PARAMETERS=quick")
    return project


def test_first_all_then_nothing(project: Project) -> None:
    made = project.made("PARAMETERS=quick")
    assert sorted(made) == sorted([*SOURCES, "report"])
    assert made[-1] == "report"
    assert set(made[-3:-1]) == set(MATTER)
    assert made.index("4-transfer") > max(made.index(name) for name in TRAININGS)
    assert made.index("2-adversarial-examples") > made.index("3-training-standard")
    assert (project.folder / "report/build/quick/report.pdf").exists()
    assert project.made("PARAMETERS=quick") == []


def test_notebooks_run_side_by_side_and_in_order(project: Project) -> None:
    result = project.make("report", BESIDE="2")
    assert result.returncode == 0, result.stderr
    log = project.log()
    done = [log.index(f"{name} done") for name in TRAININGS]
    assert max(done) < log.index("4-transfer")
    assert log.index("3-training-standard done") < log.index("2-adversarial-examples")
    assert min(done) > max(log.index(name) for name in TRAININGS[:2])  # two at once at least
    assert max(log.index(f"{name} done") for name in CHAPTERS) < min(
        log.index(name) for name in MATTER
    )
    assert log[-1] == "report"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("advlib/report/typeset.py", {"report"}),
        ("report/style/report.css", {"report"}),
        ("report/back-matter.ipynb", {"back-matter", "report"}),
        ("notebooks/4-transfer.ipynb", {"4-transfer", *AFTER_ALL}),
        ("advlib/data/__init__.py", {*SOURCES, "report"}),
        ("requirements.lock", {*SOURCES, "report"}),
        ("advlib/experiment/plan.py", set()),
    ],
)
def test_a_change_reruns_what_is_made_from_it(
    path: str, expected: set[str], built: Project
) -> None:
    (built.folder / path).touch()
    assert set(built.made("PARAMETERS=quick")) == expected


def test_methods_are_chosen_and_each_has_its_notebook(project: Project) -> None:
    made = project.made("PARAMETERS=quick", "METHODS=mixed-epochwise,standard")
    trainings = ["3-training-mixed-epochwise", "3-training-standard"]
    assert sorted(made) == sorted({*CHAPTERS} - {*TRAININGS} | {*trainings, *AFTER_ALL})
    assert max(map(made.index, trainings)) < made.index("4-transfer")
    build = project.folder / "report" / "build"
    assert [path.name for path in build.iterdir()] == ["quick-methodsmixed-epochwise+standard"]
    text = (*build.glob("*/parameters.yaml"),)[0].read_text()
    assert "methods:\n- mixed-epochwise\n- standard\n" in text


def test_a_new_chapter_is_a_notebook_and_a_removed_one_leaves_nothing(project: Project) -> None:
    """The report's chapters are those whose names begin with a number, in its order."""
    project.made("PARAMETERS=quick")
    chapter = project.folder / "notebooks" / "10-more.ipynb"
    shutil.copy(project.folder / "notebooks" / "1-data.ipynb", chapter)
    shutil.copy(chapter, chapter.with_name("explore.ipynb"))
    assert set(project.made("PARAMETERS=quick")) == {"10-more", *AFTER_ALL}
    chapter.unlink()
    assert "10-more" not in project.made("PARAMETERS=quick", "SEED=1")
    (project.folder / "notebooks" / "4-transfer.ipynb").touch()
    project.made("PARAMETERS=quick")
    executed = project.folder / "report/build/quick/notebooks"
    assert {path.stem for path in executed.glob("*.ipynb")} == {*SOURCES}


def test_a_lost_report_is_set_again(built: Project) -> None:
    (built.folder / "report/build/quick/report.pdf").unlink()
    assert built.made("PARAMETERS=quick") == ["report"]


def test_parameters_rerun_only_when_they_change(project: Project) -> None:
    project.made("PARAMETERS=quick")
    chosen = project.folder / "notebooks/parameters/quick.yaml"
    chosen.touch()
    (project.folder / "notebooks/parameters/seed.yaml").touch()
    assert project.made("PARAMETERS=quick") == []
    chosen.write_text(chosen.read_text().replace("epochs: 3", "epochs: 4"))
    assert set(project.made("PARAMETERS=quick")) == {*SOURCES, "report"}


def test_changed_parameters_go_into_a_folder_of_their_own(project: Project) -> None:
    """What is in the environment is no parameter."""
    result = project.make("report", "PARAMETERS=quick", "EPSILON=0.20", "EPOCHS=5", SEED="1")
    assert result.returncode == 0, result.stderr
    project.log()
    build = project.folder / "report" / "build"
    assert [path.name for path in build.iterdir()] == ["quick-epochs5-epsilon0.2"]
    text = (build / "quick-epochs5-epsilon0.2" / "parameters.yaml").read_text()
    assert "epsilon: 0.2\n" in text
    assert "epochs: 5\n" in text
    assert project.made("PARAMETERS=quick", "EPOCHS=5", "EPSILON=.2") == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("EPSILN=0.2", "no parameter 'EPSILN'; there are PARAMETERS, DATASET, IMAGES, NETWORK"),
        ("EPSILON=-1", "EPSILON must be a finite number of at least 0, not '-1'"),
        ("EPSILON=0.1 0.2", "not '0.1 0.2'"),
        ("EPSILON=$(shell touch broken)", "EPSILON must be"),
        ("PARAMETERS=nosuch", "PARAMETERS must be one of quick, seed"),
        ("folder=x", "no parameter 'folder'"),
    ],
)
def test_wrong_parameters_stop_before_any_work(
    argument: str, message: str, project: Project
) -> None:
    before = sorted(project.folder.iterdir())
    for python in (str(project.folder / "python"), ""):
        result = project.make("report", argument, PYTHON=python)
        assert result.returncode == 2
        assert message in result.stderr
        assert "stopped before any work" in result.stderr
        assert result.stdout == ""
    assert sorted(project.folder.iterdir()) == before  # no .venv, no build folder


@pytest.mark.slow
def test_what_is_executed_and_what_is_up_to_date(project: Project) -> None:
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


def test_two_makes_on_one_report_take_turns(project: Project) -> None:
    command = ["make", "report", "PARAMETERS=quick"]
    env = clean_environment() | {"PYTHON": str(project.folder / "python"), "BESIDE": "2"}
    both = [
        subprocess.Popen(command, cwd=project.folder, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("waiting: another make holds" in text for text in said) == [False, True]
    log = [line for line in project.log() if not line.endswith(" done")]
    assert sorted(log) == sorted([*SOURCES, "report"])


def test_a_failing_notebook_stops_the_report(project: Project) -> None:
    result = project.make("report", FAIL="3-training-mixed")
    assert result.returncode == 2
    log = project.log()
    assert "3-training-mixed" in log
    assert not {"3-training-mixed done", "4-transfer", *MATTER} & {*log}
    assert not {"4-transfer", "report", *MATTER} & set(log)
    # what succeeded is not run again
    made = {*project.made()}
    assert {"3-training-mixed", "4-transfer", *AFTER_ALL} <= made
    assert not {name for name in CHAPTERS if f"{name} done" in log} & made


def test_a_wrong_python_is_refused(project: Project) -> None:
    old = project.folder / "old"
    old.write_text("#!/bin/sh\necho 3.8.20\n")
    old.chmod(0o755)
    result = project.make("report", PYTHON="./old")
    assert result.returncode == 2
    assert "PYTHON must be Python 3.11 or newer, not './old' (3.8.20)" in result.stderr


def test_a_python_without_the_packages_is_told_what_to_install(project: Project) -> None:
    bare = project.folder / "bare"
    bare.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    bare.chmod(0o755)
    result = project.make("report", PYTHON="./bare")
    assert result.returncode == 2
    assert "lacks torch, torchvision" in result.stderr
    assert "pip install -r requirements.lock && pip install -e ." in result.stderr
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize(("answer", "stays"), [("\n", True), ("y\n", False)])
def test_clean_asks_on_a_terminal(answer: str, stays: bool, project: Project) -> None:
    project.made("PARAMETERS=quick")
    runs = project.folder / "report" / "build" / "runs"
    (runs / "standard-1234").mkdir(parents=True)
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    subprocess.run(
        ["make", "clean"],
        cwd=project.folder,
        env=clean_environment(),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    os.close(ours)
    os.close(theirs)
    assert runs.exists() is stays
    assert not (project.folder / "report" / "build" / "quick").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "whole_group"),
    [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, True)],
)
def test_a_killed_make_leaves_no_kernel_at_work(
    how: signal.Signals, whole_group: bool, project: Project
) -> None:
    """With a real runner and kernel; the kernel is in a process group of its own."""
    write(project.folder / "notebooks" / "1-data.ipynb", "seed = 0", TRAINING)
    target = "report/build/quick/notebooks/1-data.ipynb"
    make = subprocess.Popen(
        ["make", target, "PARAMETERS=quick"],
        cwd=project.folder,
        env=clean_environment() | {"PYTHON": sys.executable},
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


def test_a_runner_whose_make_is_gone_before_it_looks_ends(tmp_path: Path) -> None:
    """As after a kill while it still imports: the parent is then another process already."""
    source = write(tmp_path / "a.ipynb", "seed = 0", TRAINING)
    (tmp_path / "parameters.yaml").write_text("seed: 1")
    target = tmp_path / "executed" / "a.ipynb"
    command = [sys.executable, "-m", "advlib.experiment.runner", str(source), str(target)]
    command += ["--parameters", str(tmp_path / "parameters.yaml")]
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = subprocess.run(
        command, env=os.environ | {"ADVLIB_MAKE": str(gone.pid)}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert not target.exists()
