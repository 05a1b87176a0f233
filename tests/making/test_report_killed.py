"""`make report`, really run: killed at any moment, and two at once.

ADVLIB_KILLS asks for more kills than the few that every run of the tests can afford.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from engine import FIGURES
from kernels import exists, wait_for
from projects import TRAINING, at_work, environment, small

from advlib.experiment import parameters
from advlib.kept import checkpoints
from advlib.results import tables as results
from advlib.settings import Experiment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
KILLS = int(os.environ.get("ADVLIB_KILLS", "3"))
SEED = int(os.environ.get("ADVLIB_SEED", "0"))
PARAMETERS = ("PARAMETERS=quick", f"IMAGES={TRAINING}", "EPOCHS=3", "BATCH_SIZE=20")
NAME = f"quick-batch_size20-epochs3-images{TRAINING}"
METHODS = Experiment().methods
# What the never interrupted experiment gives, without make, notebooks and checkpoints to resume.
EXPERIMENT = f"""
import sys
from functools import partial
from pathlib import Path
import pandas as pd
import torch
from advlib import evaluate, fgsm, load_data, runs, transfer
from advlib.experiment import parameters
from advlib.results import tables as results

torch.set_num_threads(1)
as_the_slides = partial(fgsm, loss="log-loss")
given = dict(images={TRAINING}, epochs=3, batch_size=20)
settings = parameters.resolve("quick", given)
data = load_data(settings.dataset, images=settings.images)
test, labels, epsilon = data.test.images, data.test.labels, settings.epsilon
trained = {{name: runs.trained(name, data, settings) for name in settings.methods}}
tables = {{}}
for name, run in trained.items():
    attacked = evaluate(run.model, as_the_slides(run.model, test, labels, epsilon), labels)
    both = {{"clean": evaluate(run.model, test, labels), "adversarial": attacked}}
    tables["tbl-evaluation-" + name] = pd.DataFrame(map(vars, both.values()), index=[*both])
models = {{name: trained[name].model for name in ("standard", "adversarial", "mixed")}}
transferred = transfer(models, test, labels, epsilon, attack=as_the_slides)
tables["tbl-transfer-error"] = transferred.error
tables["tbl-transfer-confidence"] = transferred.confidence_error
results.write(tables, Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("killed") / "project")


def begin(project: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start `make` in a process group of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(
            ["make", *arguments],
            cwd=project,
            env=environment(project),
            start_new_session=True,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Return a finished run: its weights, and its history but for the seconds."""
    state, record = checkpoints.load(folder / checkpoints.NAME)
    history = pd.read_csv(folder / "history.csv")
    told = pd.DataFrame(record["history"])[FIGURES]
    pd.testing.assert_frame_equal(history[FIGURES], told, check_exact=True)
    tensors = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
    return tensors | {"history": told.to_csv().encode()}


def tables(folder: Path) -> dict[str, bytes]:
    """Return a folder's results by name; the histories without their seconds."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        frame = results.from_csv(path.read_text(encoding="utf-8"))
        found[path.stem] = results.to_csv(frame.drop(columns="seconds", errors="ignore")).encode()
    return found


@pytest.fixture(scope="module")
def expected(project: Path) -> tuple[dict[str, dict[str, bytes]], dict[str, bytes]]:
    """The runs and tables of an experiment that is never interrupted."""
    folder = project / "uninterrupted"
    changes = {"ADVLIB_RUNS": str(folder / "runs"), "PYTHONPATH": str(project)}
    command = [sys.executable, "-c", EXPERIMENT, str(folder / "results")]
    subprocess.run(command, cwd=project, env=environment(project, **changes), check=True)
    runs = {path.name: contents(path) for path in (folder / "runs").iterdir()}
    assert len(runs) == len(METHODS)
    return runs, tables(folder / "results")


def test_a_report_killed_at_any_moment_goes_on_to_the_same_bits(
    project: Path, expected: tuple[dict[str, dict[str, bytes]], dict[str, bytes]]
) -> None:
    """By its last, two at once make it whole."""
    chance, log, orphans = random.Random(SEED), project / "log", list[int]()
    for kill in range(KILLS):
        make, told = begin(project, log, "report", *PARAMETERS), count_lines(log)
        wait_for(lambda: not any(map(exists, orphans)))  # noqa: B023
        lines, seconds = chance.randrange(6), chance.uniform(0, 2)
        wait_for(lambda: count_lines(log) >= told + lines or make.poll() is not None)  # noqa: B023
        time.sleep(seconds)
        alone = kill % 2 == 0
        print(f"seed {SEED}: {lines} lines and {seconds:.2f} s, {'make' if alone else 'group'}")
        ended = make.poll() is not None
        if not ended:
            (os.kill if alone else os.killpg)(make.pid, signal.SIGKILL)
        make.wait()
        orphans = [*at_work(project)]
        print(f"  {'had ended' if ended else 'killed'}, {len(orphans)} left for the moment")
    both = [begin(project, project / f"log{i}", "report", *PARAMETERS) for i in range(2)]
    said = [make.wait() for make in both]
    wait_for(lambda: not [*filter(exists, [*orphans, *at_work(project)])])
    texts = [(project / f"log{i}").read_text() for i in range(2)]
    assert said == [0, 0], "\n".join(texts)
    check_whole(project, expected)
    executed = re.findall(rf"^report/build/{NAME}/notebooks/(\S+)\.ipynb$", "".join(texts), re.M)
    assert len(executed) == len(set(executed)), "the second takes what the first has made"


def test_two_reports_at_once_share_a_training(project: Path) -> None:
    """How many images are attacked in the report is nothing to a training."""
    before = {*(project / "report" / "build").glob("runs/*")}
    epochs = 5
    makes, logs = [], [project / "log-a", project / "log-b"]
    for log, attacked in zip(logs, (20, 30), strict=True):
        given = ["PARAMETERS=quick", "IMAGES=100", f"EPOCHS={epochs}", f"ATTACKED={attacked}"]
        name = parameters.folder_name(*parameters.read_arguments(given))
        target = f"report/build/{name}/notebooks/3-training-standard.ipynb"
        makes.append((begin(project, log, target, *given), target))
    said = [make.wait() for make, _ in makes]
    text = "".join(log.read_text() for log in logs)
    assert said == [0, 0], text
    assert len({*(project / "report" / "build").glob("runs/*")} - before) == 1
    assert text.count(": epoch ") == epochs, "trained once, whoever did it"
    assert all((project / target).is_file() for _, target in makes)


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def check_whole(
    project: Path, expected: tuple[dict[str, dict[str, bytes]], dict[str, bytes]]
) -> None:
    """Check that a report is there with the expected numbers, and nothing half made."""
    build = project / "report" / "build"
    runs, written = expected
    assert {path.name: contents(path) for path in (build / "runs").iterdir()} == runs
    found = tables(build / NAME / "results")
    assert written.items() <= found.items()
    for method in METHODS:
        assert f"fig-curves-{method}" in found
    assert (build / NAME / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert (build / NAME / "report.pdf").read_bytes().rstrip().endswith(b"%%EOF")
    kept = {".ipynb", ".lock", ".csv", ".json", ".safetensors", ".html", ".pdf", ".yaml"}
    for path in build.rglob("*"):
        good = path.is_dir() or path.suffix in kept or path.name in (".lock", ".turn", "SHA256SUMS")
        assert good, path
        assert not path.name.startswith(".part-"), path
        assert ".failed" not in path.name, path
