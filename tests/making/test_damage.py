"""One byte is changed, anywhere in what a report and its trainings leave: noticed or made again."""

import random
from pathlib import Path

import pytest
from engine import random_data
from test_make import ALL, prepared
from toys import books, write

import advlib
from advlib.experiment.runner import main
from advlib.kept import files
from advlib.report.building import build


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    bit = chance.choice((0, 1, 2, 3, 4, 6, 7))  # 5 is a letter's case, which a checksum may have
    content[chance.randrange(len(content))] ^= 1 << bit
    path.write_bytes(content)


def test_a_report_comes_with_its_checksums(tmp_path: Path) -> None:
    """Those that sha256sum --check reads, of its documents and of its results."""
    build(write(tmp_path / "executed", books()), tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "out" / "results"):
        sums = files.read_checksums(folder / "SHA256SUMS")
        kept = {path.name for path in folder.iterdir() if path.is_file()} - {".lock", "SHA256SUMS"}
        assert sums == {name: files.sha256(folder / name) for name in kept}


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
    project = prepared(tmp_path / "project")
    project.made()
    path = project.folder / "report" / "build" / "quick" / "parameters.yaml"
    whole = path.read_bytes()
    flip(path, random.Random(0))
    assert {*project.made()} == ALL
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
