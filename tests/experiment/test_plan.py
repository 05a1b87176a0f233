"""What make is told of an experiment: before any set-up, in one line, from what is there."""

import subprocess
import sys
from pathlib import Path

import pytest
from toys import cell, write_notebook

from advlib.experiment import parameters, plan
from advlib.experiment.plan import find_chapters, find_parameters, plan_chapters
from advlib.kept.folders import NOTEBOOKS, PROJECT
from advlib.settings import Experiment, declared


def run(*arguments):
    # -S: no site-packages, as before any set-up.
    command = [sys.executable, "-S", "-m", "advlib.experiment.plan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)


def test_command_line_needs_the_standard_library_only():
    done = run("EPSILON=0.2", "EPOCHS=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("@@")[:2] == [
        "name := seed-epochs5-epsilon0.2",
        "methods := standard mixed adversarial",
    ]


def test_what_takes_longest_begins_first():
    """Begun last it would be executed alone, when all others have ended."""
    (line,) = [each for each in run().stdout.split("@@") if each.startswith("chapters := ")]
    names = [Path(each).stem for each in line.split()[2:]]
    assert {*names[:3]} == {f"3-training-{method}" for method in Experiment.methods}
    assert names[3] == "6-stronger-attacks"
    assert names.index("4-transfer") < names.index("7-confidence")  # another chapter waits for it


def test_chapters_are_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    for name in ("10-last", "9-nine", "2-b", "2-a", "explore", "README"):
        (tmp_path / f"{name}.ipynb").touch()
    (tmp_path / "3-no-notebook.txt").touch()
    monkeypatch.setattr(plan, "NOTEBOOKS", tmp_path)
    assert [path.stem for path in find_chapters()] == ["2-a", "2-b", "9-nine", "10-last"]


def test_a_chapter_names_the_settings_that_it_takes():
    for chapter in find_chapters():
        assert find_parameters(chapter) <= {*declared(), "method", "shown", "executed"}
    assert find_parameters(NOTEBOOKS / "1-data.ipynb") == {"dataset", "images", "epsilon"}


def test_what_is_executed_after_what():
    def plan_for(*methods):
        experiment = Experiment(methods=methods)
        return {each.target.stem: each for each in plan_chapters(Path("out"), experiment)}

    found = plan_for("standard", "mixed")
    after = {name: [path.stem for path in each.after] for name, each in found.items()}
    trainings = ["3-training-standard", "3-training-mixed"]
    names = [path.stem for path in find_chapters()]
    place = names.index("3-training")
    assert [*found] == [*names[:place], *trainings, *names[place + 1 :]]
    *behind, last = names[place + 1 :]
    assert all(after[name] == trainings for name in behind)
    assert [path.stem for path in found[last].reads] == ["1-data", "4-results", "4-transfer"]
    assert after["2-adversarial-examples"] == trainings[:1]
    assert found["2-adversarial-examples"].options == "-p shown standard"
    assert not any(after[name] for name in ("1-data", *trainings))
    options = [found[name].options for name in trainings]
    assert options == ["-p method standard", "-p method mixed --left-out once"]
    assert found["3-training-mixed"].source == NOTEBOOKS / "3-training.ipynb"
    others = plan_for("a/b.py:my_own", "mixed")
    (first,) = others["2-adversarial-examples"].after
    assert (first.stem, others[first.stem].options) == ("3-training-my-own", "-p method my-own")
    assert others["2-adversarial-examples"].options == "-p shown my-own"


def test_a_chapter_that_reads_the_others_is_last_and_executed_again(tmp_path, monkeypatch):
    """Make has the others among what it is made from, not only before it."""
    sources = {
        "1-reads": 'executed = ""',
        "2-training": 'method = "standard"',
        "3-all": "epochs = 3",
    }
    (tmp_path / "notebooks").mkdir()
    for name, source in sources.items():
        write_notebook(tmp_path / "notebooks", name, cell(source=source, tags=("parameters",)))
    for name, place in {"PROJECT": tmp_path, "NOTEBOOKS": tmp_path / "notebooks"}.items():
        monkeypatch.setattr(plan, name, place)
    monkeypatch.setattr(plan, "find_files", lambda _: set())
    folder, experiment = tmp_path / "build" / "notebooks", Experiment(methods=("mixed",))
    *others, last = plan_chapters(folder, experiment)
    assert [each.target.stem for each in others] == ["2-training-mixed", "3-all"]
    assert last.target == folder / "1-reads.ipynb"
    assert last.options == "-p executed ../build/notebooks"
    assert last.reads == tuple(each.target for each in others)
    assert not any(each.reads for each in others)


def test_a_parameter_in_the_environment_is_told(monkeypatch, capsys):
    monkeypatch.setenv("EPSILON", "0.3")
    monkeypatch.setenv("SEED", "1")
    assert plan.main(["SEED=2"]) == 0
    assert capsys.readouterr().err.count("note: EPSILON in the environment is not read") == 1
    assert parameters.main(["--replicate", "SEEDS=2"]) == 0
    assert "write make replicate EPSILON=0.3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"), [("4-transfer-Copy1", "both show tbl-own"), ("4-a copy", "rename it")]
)
def test_a_copy_is_no_chapter(name, words, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "NOTEBOOKS", tmp_path)
    shows = cell(source='tables.show(found, "tbl-own")')
    write_notebook(tmp_path, "4-transfer", shows)
    write_notebook(tmp_path, "9-mine", cell(source='mine.show(report.tables.get("tbl-own", 0))'))
    plan.plan_chapters(tmp_path, Experiment())
    write_notebook(tmp_path, name, shows)
    with pytest.raises(ValueError, match=words):
        plan.plan_chapters(tmp_path, Experiment())
