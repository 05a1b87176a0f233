"""One byte is changed, anywhere in what a report and its trainings leave: noticed or made again."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from engine import random_data
from test_make import SOURCES, prepared
from toys import METHODS, books, write

import advlib
from advlib.experiment.runner import main
from advlib.kept import files
from advlib.report.__main__ import main as typeset
from advlib.report.building import build

SUMMARY = Path(__file__).parents[2] / ".make" / "summary.py"
EVALUATION = '"","error"\n"clean",1.5\n"adversarial",97.25\n'


def flip(path: Path, chance: random.Random, until: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    bit = chance.choice((0, 1, 2, 3, 4, 6, 7))  # 5 is a letter's case, which a checksum may have
    content[chance.randrange(until or len(content))] ^= 1 << bit
    path.write_bytes(content)


def summary(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SUMMARY), str(folder), *METHODS]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """What `advlib.report` leaves, in small."""
    results = tmp_path / "results"
    results.mkdir()
    texts = {f"tbl-evaluation-{method}.csv": EVALUATION.encode() for method in METHODS}
    for folder, contents in (
        (tmp_path, {"report.html": b"<html>", "report.pdf": b"%PDF"}),
        (results, texts | {"fig-curves.csv": b'"","a"\n"0",1\n'}),
    ):
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        sums = {name: files.sha256(folder / name) for name in contents}
        files.write_checksums(folder / "SHA256SUMS", sums)
    return tmp_path


def test_the_summary_of_a_whole_report(finished: Path) -> None:
    said = summary(finished)
    assert (said.returncode, said.stderr) == (0, "")
    assert "mixed               1.50 %       97.25 %\n" in said.stdout
    assert str(finished / "report.pdf") in said.stdout


@pytest.mark.parametrize(
    "name",
    [
        *("report.html", "report.pdf", "SHA256SUMS", "results/SHA256SUMS"),
        *("results/tbl-evaluation-mixed.csv", "results/fig-curves.csv"),
    ],
)
def test_make_names_a_damaged_file_of_a_report_and_the_remedy(name: str, finished: Path) -> None:
    flip(finished / name, random.Random(name))
    said = summary(finished)
    assert said.returncode == 1
    assert said.stdout == "", "no number of a damaged report is shown"
    assert str(finished / name) in said.stderr
    assert f"Remove {finished / 'report.html'} and make the report again" in said.stderr
    assert "Traceback" not in said.stderr
    (finished / name).unlink()
    assert summary(finished).returncode == 1


def test_what_another_make_is_writing_is_no_damage(finished: Path) -> None:
    part = finished / ".part-1234-report.html"
    part.touch()
    assert summary(finished).returncode == 0
    part.unlink()


def test_the_summary_has_the_methods_that_it_is_asked_for(finished: Path) -> None:
    def rows(*methods: str) -> str:
        command = [sys.executable, str(SUMMARY), str(finished), *methods]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    lines = [line.split() for line in rows("mixed", "standard").splitlines()]
    assert [line[0] for line in lines if "%" in line] == ["mixed", "standard"]
    assert "%" not in rows()
    assert "report.pdf" in rows()
    assert rows("another") == "", "its table is not there"


def test_make_notices_checksums_that_were_cut(finished: Path) -> None:
    """At the end of a line, where each that is left is right."""
    for path in (finished / "SHA256SUMS", finished / "results" / "SHA256SUMS"):
        whole = path.read_bytes()
        for lines in (0, 1):
            path.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
            assert str(path) in summary(finished).stderr
        path.write_bytes(whole)
    assert summary(finished).returncode == 0


def test_a_report_comes_with_its_checksums(tmp_path: Path) -> None:
    """Those that sha256sum --check reads, of its documents and of its results."""
    built = build(write(tmp_path / "executed", books()), tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "out" / "results"):
        sums = files.read_checksums(folder / "SHA256SUMS")
        kept = {path.name for path in folder.iterdir() if path.is_file()} - {".lock", "SHA256SUMS"}
        assert sums == {name: files.sha256(folder / name) for name in kept}
    assert built.html.name in files.read_checksums(tmp_path / "out" / "SHA256SUMS")


def test_an_executed_notebook_with_another_byte_is_refused_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever the byte is; and the report that is there stays."""
    executed, chance = write(tmp_path / "executed", books()), random.Random(0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.pdf").write_bytes(b"earlier")
    for path in sorted(executed.glob("*.ipynb")):
        for damaged, until in ((path, None), (path.with_name(f".{path.stem}.sha256"), 64)):
            whole = damaged.read_bytes()
            flip(damaged, chance, until)
            assert typeset([str(executed), str(tmp_path / "out")]) == 1
            said = capsys.readouterr().err
            assert str(damaged) in said
            assert "remove" in said
            assert "make it again" in said
            damaged.write_bytes(whole)
    assert (tmp_path / "out" / "report.pdf").read_bytes() == b"earlier"


def test_a_history_with_another_byte_is_written_anew(tmp_path: Path) -> None:
    """It is for people to read: the checkpoint has its numbers, and only that is read."""
    path, chance = tmp_path / "history.csv", random.Random(0)

    def train() -> str:
        history = advlib.train(advlib.LeNet(), random_data(20, 10), epochs=2, run=tmp_path)
        return history.to_csv(index=False)

    whole = train()
    for _ in range(3):
        flip(path, chance)
        assert train() == whole
        assert path.read_text() == whole


def test_damaged_parameters_are_written_anew_and_all_is_made_again(tmp_path: Path) -> None:
    project, chance = prepared(tmp_path), random.Random(0)
    assert len(project.made("PARAMETERS=quick")) == len(SOURCES) + 1
    path = tmp_path / "report" / "build" / "quick" / "parameters.yaml"
    whole = path.read_bytes()
    flip(path, chance)
    assert len(project.made("PARAMETERS=quick")) == len(SOURCES) + 1
    assert path.read_bytes() == whole
    assert [*path.parent.glob("parameters*")] == [path]


def test_damaged_parameters_are_an_error_of_the_notebook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "parameters.yaml").write_text("epochs: [3")
    source = Path(__file__).parents[2] / "notebooks" / "1-data.ipynb"
    target = tmp_path / "executed" / "1-data.ipynb"
    parameters = ["--parameters", str(tmp_path / "parameters.yaml")]
    assert main([str(source), str(target), *parameters]) == 1
    assert "parameters.yaml" in capsys.readouterr().err
    assert not target.exists()
