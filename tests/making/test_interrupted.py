"""Trainings that are killed at any moment, and folders that cannot be written."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from engine import assert_same_history, random_data, same_bits, threads
from torch import nn

import advlib
from advlib.kept import checkpoints

EPOCHS = 8
SETUP = f"""
import logging, os, random, signal, sys, time
from pathlib import Path
import advlib
from advlib.kept import checkpoints
from engine import after_each_epoch, random_data

logging.basicConfig(filename=os.environ["LOG"], level="INFO", format="%(message)s")

def train(folder):
    data = random_data(60, 20)
    return advlib.train(advlib.LeNet(), data, method="adversarial", epochs={EPOCHS}, run=folder)
"""


@pytest.fixture(scope="module")
def expected() -> tuple[nn.Module, pd.DataFrame]:
    """The training that is never interrupted, with one thread as in the child processes."""
    model = advlib.LeNet()
    with threads(1):
        history = advlib.train(model, random_data(60, 20), method="adversarial", epochs=EPOCHS)
    return model, history


def start(script: str, *arguments: object, progress: object = os.devnull) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ["PYTHONPATH"]])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "LOG": str(progress),
    }
    command = [sys.executable, "-c", SETUP + script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def assert_as_expected(folder: Path, expected: tuple[nn.Module, pd.DataFrame]) -> None:
    """Check a finished run's folder: its weights, its history, and that nothing else is left."""
    model, history = expected
    state, record = checkpoints.load(folder / checkpoints.NAME)
    found = advlib.LeNet()
    found.load_state_dict(state)
    assert same_bits(found, model)
    found_history = pd.DataFrame(record["history"])
    assert_same_history(found_history, history)
    assert (folder / "history.csv").read_text() == found_history.to_csv(index=False)
    assert {path.name for path in folder.iterdir()} == {".lock", checkpoints.NAME, "history.csv"}


# A process that has advlib imported forks trainings, each killed at another moment, until one ends.
KILLS = """
folder, chance = Path(sys.argv[1]), random.Random(sys.argv[2])
steps = 0

def die_at(last):
    '''Have this process kill itself in a step of the writing of a file.'''
    def step():
        global steps
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1
    write, sync, replace = Path.write_bytes, os.fsync, os.replace
    def write_bytes(path, content):
        write(path, content[: len(content) // 2])
        step()
        write(path, content)
    def fsync(descriptor):
        step()
        sync(descriptor)
    def replaces(source, target):
        step()
        replace(source, target)
        step()
    Path.write_bytes, os.fsync, os.replace = write_bytes, fsync, replaces

def fork(last):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at(last)
            train(folder)
            code = 0
        finally:
            os._exit(code)
    return child

# each step of the first write, then later ones; the first four keep nothing of their epoch
plan = [(step, None) for step in (0, 1, 2, 3, 4, 6, 9)]
plan += [(None, chance.uniform(0.005, 0.2)) for _ in range(5)] + [(12, None)]
for step, seconds in plan + 50 * [(8, None)]:
    child = fork(step)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    path = folder / checkpoints.NAME
    finished = len(checkpoints.load(path)[1]["history"]) if path.exists() else 0
    print(code, finished, flush=True)
    if code != -signal.SIGKILL:
        sys.exit(code)
"""


def test_killed_at_each_step_of_a_write_and_at_random_moments(
    tmp_path: Path, expected: tuple[nn.Module, pd.DataFrame]
) -> None:
    process = start(KILLS, tmp_path / "run", 0)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    ends = [[int(word) for word in line.split()] for line in output.splitlines()]
    finished = [epochs for _, epochs in ends]
    assert finished[:5] == [0, 0, 0, 1, 2], "a write counts when the file has its name, not before"
    assert finished == sorted(finished)
    assert finished[-1] == EPOCHS
    assert [code for code, _ in ends[:-1]] == [-signal.SIGKILL] * (len(ends) - 1)
    assert_as_expected(tmp_path / "run", expected)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


# An epoch is finished; then writes fail, by a limit and by modes, and so does a read.
REFUSED = """
import resource, shutil
folder = Path(sys.argv[1])
class Stopped(Exception): pass
def stop(epoch): raise Stopped
def attempt(name, folder):
    try:
        train(folder)
    except OSError as error:
        print(name, type(error).__name__, error.errno, error, flush=True)
try:
    with after_each_epoch(stop):
        train(folder)
except Stopped:
    pass
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
attempt("limit", folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
shutil.copytree(folder, folder.with_name("secret"))
(folder / ".lock").chmod(0o666)
folder.chmod(0o555)
(folder.with_name("secret") / checkpoints.NAME).chmod(0)
for path in (folder.with_name("secret"), folder.with_name("secret") / ".lock"):
    path.chmod(0o777)
if not os.getuid():
    os.setuid(65534)
attempt("folder", folder)
attempt("parent", folder / "new")
attempt("file", folder.with_name("secret"))
print("epochs", len(checkpoints.load(folder / checkpoints.NAME)[1]["history"]), flush=True)
"""


def test_what_cannot_be_written_is_a_clear_error_and_costs_nothing(
    open_folder: Path, expected: tuple[nn.Module, pd.DataFrame]
) -> None:
    folder = open_folder / "run"
    process = start(REFUSED, folder)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    limit, refused, parent, file, epochs = output.splitlines()
    assert limit.startswith("limit OSError 27 "), "EFBIG"
    assert refused.startswith("folder PermissionError 13 ")
    assert parent.startswith("parent PermissionError 13 ")
    for line in (refused, parent):
        assert str(folder) in line
    # not called damaged, with the advice to remove it
    assert file.startswith("file PermissionError 13 ")
    assert checkpoints.NAME in file
    assert epochs == "epochs 1"
    folder.chmod(0o755)
    with threads(1):
        advlib.train(
            advlib.LeNet(), random_data(60, 20), method="adversarial", epochs=EPOCHS, run=folder
        )
    assert_as_expected(folder, expected)
