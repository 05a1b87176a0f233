"""One byte is changed, anywhere in what a report and its trainings leave: noticed or made again."""

import random
from pathlib import Path

from engine import random_data
from toys import books, write

import advlib
from advlib.kept import files
from advlib.report.building import build


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
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        assert train() == whole
        assert path.read_text() == whole
