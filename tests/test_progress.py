"""A training's progress: the log, and the line in a terminal or a notebook that goes again."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from engine import Noisy, random_data
from kernels import execute_by_hand

import advlib

TRAINING = f"""
import sys, warnings
sys.path.insert(0, {str(Path(__file__).parent)!r})
warnings.simplefilter("always")
import advlib
from engine import Noisy, after_each_epoch, random_data

def train(**settings):
    settings = {{"method": "mixed", "epochs": 3}} | settings
    advlib.train(Noisy(), random_data(), **settings)

def fail(epoch):
    if epoch == 2:
        raise ZeroDivisionError
"""
FIRST = r"mixed: +0/3 \[\d\d:\d\d<\?\]"
LAST = r" 3/3 \[.*, objective \d\.\d{4}, validation error \d+\.00 %\]"
FAILING = "with after_each_epoch(fail):\n    train()"


def test_a_line_of_the_log_for_each_epoch_and_no_other_where_nobody_looks_on(caplog, capfd):
    caplog.set_level("INFO", "advlib")
    history = advlib.train(Noisy(), random_data(), method="mixed", epochs=3)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        assert line.startswith(f"mixed training: epoch {epoch} of 3, objective ")
        row = history.iloc[epoch - 1]
        assert f"{row['objective_train']:.4f}" in line
        assert f"{row['top1_error_validation']:.2f} %" in line
        assert line.endswith(" s left" if epoch < 3 else ", done")
    assert capfd.readouterr() == ("", "")


def in_a_terminal(script, **environment):
    """Run a script and return all that it writes to a terminal of 80 columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [sys.executable, "-c", TRAINING + script]
    process = subprocess.Popen(command, stderr=theirs, env={**os.environ, **environment})
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 1000)
        except OSError:  # it has ended
            break
    os.close(ours)
    process.wait()
    return written.decode()


def screen(written):
    """Return what a terminal shows in the end: its lines, as far as something stands there."""
    lines = []
    for line in written.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return [line for line in lines if line]


def test_a_script_in_a_terminal_shows_a_line_and_leaves_nothing():
    written = in_a_terminal("train()")
    first, *later = [part for part in written.split("\r") if part.strip()]
    assert re.fullmatch(FIRST, first), "at once"
    assert {*re.findall("[0-3]/3", "".join(later))} == {"1/3", "2/3", "3/3"}
    assert re.search(LAST, later[-1])
    assert all(len(part) < 80 for part in (first, *later))
    assert screen(written) == []


def test_an_error_takes_the_line_away_too():
    shown = screen(in_a_terminal(FAILING))
    assert shown[0] == "Traceback (most recent call last):"
    assert shown[-1] == "ZeroDivisionError"


def test_a_log_on_the_same_terminal_stays_whole():
    written = in_a_terminal("import logging; logging.basicConfig(level='INFO'); train()")
    assert "0/3" in written
    lines = screen(written)
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        assert line.startswith(f"INFO:advlib:mixed training: epoch {epoch} of 3, objective ")


def test_no_line_where_tqdm_is_to_show_none():
    assert in_a_terminal("train()", TQDM_DISABLE="1") == ""


def test_a_notebook_shows_a_line_and_keeps_nothing():
    """A display stays, with nothing in it: no cell can take one back.

    Without ipywidgets there is no line, and no warning.
    """
    missing = "sys.modules['ipywidgets'] = None; train()"
    there = "del sys.modules['ipywidgets'], sys.modules['tqdm.notebook']"
    off = "import os; os.environ['TQDM_DISABLE'] = '1'; train()"
    cells = TRAINING, missing, there, "train(); print('after')", FAILING, off
    notebook, shown = execute_by_hand(*cells)
    assert "mixed" in shown[0], notebook
    assert [cell.outputs for cell in notebook.cells[:3]] == [[], [], []]
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    empty, after, failed, error = outputs
    assert empty == failed == {"output_type": "display_data", "data": {}, "metadata": {}}
    assert after.text == "after\n"
    assert error.ename == "ZeroDivisionError"


def test_a_notebook_that_papermill_or_nbval_executes_shows_no_line():
    """They say that nobody can answer `input` there."""
    notebook, shown = execute_by_hand(TRAINING, "train()", input_allowed=False)
    assert shown == []
    assert [cell.outputs for cell in notebook.cells] == [[], []]
