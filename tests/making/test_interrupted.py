"""Trainings that are killed in each step of a write, and a disk that is full."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from engine import after_each_epoch, assert_same_history, random_data, same_bits, threads

import advlib
from advlib.kept import checkpoints

EPOCHS = 8


@pytest.fixture(scope="module")
def expected():
    """The training that is never interrupted, with one thread as in the child processes."""
    model = advlib.LeNet()
    with threads(1):
        history = advlib.train(model, random_data(60, 20), method="adversarial", epochs=EPOCHS)
    return model, history


def assert_as_expected(folder, expected):
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


# A process that has advlib imported forks trainings, each killed in another step, until one ends.
KILLS = """
import os, signal, sys
from pathlib import Path
import advlib
from advlib.kept import checkpoints
from engine import random_data

folder, epochs, steps = Path(sys.argv[1]), int(sys.argv[2]), 0

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
            model, data = advlib.LeNet(), random_data(60, 20)
            advlib.train(model, data, method="adversarial", epochs=epochs, run=folder)
            code = int("torch._dynamo" in sys.modules)  # whose import takes two seconds
        finally:
            os._exit(code)
    return child

# each step of the first write, then later ones; the first four keep nothing of their epoch
for step in [0, 1, 2, 3, 4, 6, 9, 12] + 50 * [8]:
    code = os.waitstatus_to_exitcode(os.waitpid(fork(step), 0)[1])
    path = folder / checkpoints.NAME
    finished = len(checkpoints.load(path)[1]["history"]) if path.exists() else 0
    print(code, finished, flush=True)
    if code != -signal.SIGKILL:
        sys.exit(code)
"""


def test_killed_in_each_step_of_a_write_it_loses_no_more_than_an_epoch(tmp_path, expected):
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "run"), str(EPOCHS)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ends = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    finished = [epochs for _, epochs in ends]
    assert finished[:5] == [0, 0, 0, 1, 2], "a write counts when the file has its name, not before"
    assert finished == sorted(finished)
    assert finished[-1] == EPOCHS
    assert [code for code, _ in ends[:-1]] == [-signal.SIGKILL] * (len(ends) - 1)
    assert_as_expected(tmp_path / "run", expected)


def test_a_full_disk_is_a_clear_error_and_costs_nothing(tmp_path, expected):
    """A limit on the size of files stands for it, from the first epoch's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))

    def train():
        with threads(1):
            data = random_data(60, 20)
            advlib.train(advlib.LeNet(), data, method="adversarial", epochs=EPOCHS, run=tmp_path)

    try:
        with after_each_epoch(fill), pytest.raises(OSError) as caught:  # noqa: PT011
            train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert len(checkpoints.load(tmp_path / checkpoints.NAME)[1]["history"]) == 1
    train()
    assert_as_expected(tmp_path, expected)
