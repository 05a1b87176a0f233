"""How far a report is: counted by runners side by side, and about how long it takes."""

import json
import logging
import re
import subprocess
import sys
import time

import pytest

from advlib.experiment import pace, plan
from advlib.experiment.plan import find_chapters
from advlib.kept.folders import NOTEBOOK, PARAMETERS, PROJECT

NEW = {"done": False, "trains": False, "stage": 0, "work": 1}
RUNNER = """
import sys
from pathlib import Path
from advlib.experiment import pace
for notebook in sys.argv[2:]:
    with pace.hear(Path(sys.argv[1]), notebook, done=True) as standing:
        print(standing.count, flush=True)
"""


@pytest.fixture
def parameters(tmp_path):
    return tmp_path / "parameters.yaml"


def test_runners_side_by_side_count_each_notebook_once(parameters):
    names = [str(i) for i in range(60)]
    pace.begin(parameters, dict.fromkeys(names, NEW) | {"up to date": NEW | {"done": True}})
    with (parameters.parent / "said").open("w") as said:  # one terminal for all
        runners = [
            subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(parameters), *names[i::3]],
                cwd=PROJECT,
                stdout=said,
            )
            for i in range(3)
        ]
        assert [runner.wait() for runner in runners] == [0, 0, 0]
    lines = (parameters.parent / "said").read_text().splitlines()
    assert lines == [f"[{i:2}/61]" for i in range(2, 62)]


def left(parameters, **known):
    pace.begin(parameters, known)
    with pace.hear(parameters) as standing:
        return standing.left


def test_the_time_left_is_known_when_each_training_was_timed(parameters):
    """Trainings of 100 s of which 90 are left, on them three of 50 s, side by side, then two."""
    training = NEW | {"trains": True, "work": 20}
    timed = training | {"begun": True, "at": time.time(), "seconds": 100, "share": 0.1}
    after = NEW | {"stage": 1, "work": 10}
    others = {"b": after, "c": after, "d": after, "e": NEW | {"stage": 2, "work": 6}}
    assert left(parameters, a=training, **others) == ""
    assert left(parameters, a=timed, a2=training, **others) == ""
    assert re.search("about 3 min left", left(parameters, a=timed, **others))  # 90 + 50 + 30 s
    assert re.search("about 3 min left", left(parameters, a=timed, a2=timed, **others))
    kept = training | {"done": True}
    assert re.search("about 3 min left", left(parameters, a=timed, a2=kept, **others))
    assert left(parameters, a=timed | {"done": True}) == ""  # nothing is left
    assert left(parameters, a=timed, other={"begun": True, "done": False}) == ""  # unplanned


def test_the_log_shows_a_line_in_a_while_and_the_last(parameters, monkeypatch, capsys):
    monkeypatch.setenv(PARAMETERS, str(parameters))
    monkeypatch.setenv(NOTEBOOK, "a")
    pace.begin(parameters, {"a": NEW | {"trains": True, "begun": True}})
    terminal = pace._Terminal()
    for share, words in (
        (0.25, "1, 0 min 30 s left"),
        (0.5, "2, 0 min 20 s left"),
        (1.0, "3, done"),
    ):
        record = logging.makeLogRecord({"msg": words, "share": share})
        terminal.handle(record)
    shown = capsys.readouterr().err.splitlines()
    assert [line.strip()[0] for line in shown] == ["1", "3"]
    assert shown[0].endswith("; in all about 30 s left")
    known = [json.loads(line) for line in parameters.with_name(pace.FILE).read_text().splitlines()]
    assert [line.get("seconds") for line in known] == [None, 40, 40]  # what is not shown counts


def test_silence_is_broken_once(parameters, monkeypatch, capsys):
    monkeypatch.setattr(pace, "SILENCE", 0.5)
    pace.begin(parameters, {"a": NEW | {"begun": True}, "b": NEW})
    with pace.no_silence(parameters), pace.no_silence(parameters):  # two runners
        time.sleep(0.8)
    assert capsys.readouterr().out == "    at work: a\n"


def test_each_notebook_of_a_report_is_planned(tmp_path, monkeypatch, capsys):
    """Which are to execute, of a report that is begun, is in tests/making/test_make.py."""
    monkeypatch.setattr(plan, "BUILD", tmp_path)
    monkeypatch.setattr(plan, "PROJECT", tmp_path.parent)
    (tmp_path / "quick").mkdir()
    assert plan.main(["--begin", "PARAMETERS=quick"]) == 0
    count = len(find_chapters()) + 4  # one of them three times, and what is before and after
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path.name}/quick: {count} notebooks, {count} to execute, ")
    lines = (tmp_path / "quick" / pace.FILE).read_text().splitlines()
    about = {line["notebook"]: line for line in map(json.loads, lines)}
    assert [name for name, line in about.items() if line["trains"]] == [
        f"3-training-{method}" for method in ("standard", "mixed", "adversarial")
    ]
    assert {about[name]["stage"] for name in ("front-matter", "back-matter")} == {2}
    assert about["2-adversarial-examples"]["stage"] == 1
