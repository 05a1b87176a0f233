"""Files on a disk that is really full: a file system of a few MB, in a mount namespace."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from advlib.kept import files

MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o "size=$0" none "$1" && shift && exec "$@"'
# What every script begins with: a way to fill the disk, and to attempt what fails then.
BEGIN = """
import json, os, sys
from pathlib import Path
import pandas as pd
disk = Path.cwd()
filler = disk / "filler"

def fill(free):
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    os.truncate(filler, max(0, filler.stat().st_size - free) // 4096 * 4096)

def found():
    paths = [path for path in disk.rglob("*") if path.is_file() and path != filler]
    return {str(path.relative_to(disk)): path.read_bytes().hex() for path in paths}

def attempt(do):
    before, said = found(), None
    try:
        do()
    except OSError as error:
        said = str(error)
    print(json.dumps({"said": said, "untouched": found() == before, "names": [*before]}))
    filler.unlink()
    do()
"""


def on_a_small_disk(size: str, script: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """Run a script in a file system of its own, and return what it prints."""
    if (
        not shutil.which("unshare")
        or subprocess.run([*MOUNTS, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip(
            "no file system can be mounted here: unshare --user --mount is missing or refused"
        )
    folder.mkdir(exist_ok=True)
    here = str(Path(__file__).parents[1])
    path = os.pathsep.join([here, os.environ["PYTHONPATH"]])
    python = [sys.executable, "-c", f"import os; os.chdir({str(folder)!r})\n" + BEGIN + script]
    done = subprocess.run(
        [*MOUNTS, "sh", "-c", MOUNT, size, str(folder), *python, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def assert_clear(result: dict[str, Any], place: Path) -> None:
    """Check that an error says what, where and what to do, and that all is as it was."""
    assert "No space left on device" in result["said"]
    assert str(place) in result["said"]
    assert result["untouched"]
    assert not [name for name in result["names"] if files._PREFIX in name]


CHECKPOINT = """
import advlib
from advlib.kept import checkpoints
from engine import after_each_epoch, random_data

class Stopped(Exception): pass
def stop(epoch): raise Stopped
def train():
    return advlib.train(advlib.LeNet(), random_data(20, 10), epochs=2, run=disk / "run")

try:
    with after_each_epoch(stop):
        train()
except Stopped:
    pass
assert len(checkpoints.load(disk / "run" / checkpoints.NAME)[1]["history"]) == 1
fill(100_000)
attempt(train)
assert len(checkpoints.load(disk / "run" / checkpoints.NAME)[1]["history"]) == 2
"""


def test_a_checkpoint(tmp_path: Path) -> None:
    result = on_a_small_disk("8m", CHECKPOINT, tmp_path)
    assert_clear(result, tmp_path / "run" / "checkpoint.safetensors")


RESULTS = """
from advlib.kept import files
from advlib.results import tables as results
def frames(number):
    wide = pd.DataFrame({"a": [float(number)] * 2000})
    return {"tbl-a": wide, f"tbl-{number}": wide, "tbl-z": wide}

results.write(frames(1), disk / "results")
fill(40_000)  # enough for some of the files
attempt(lambda: results.write(frames(2), disk / "results"))
sums = files.read_checksums(disk / "results" / "SHA256SUMS")
assert sums == {name: files.sha256(disk / "results" / name) for name in sums}
assert {path.stem for path in (disk / "results").glob("*.csv")} == {"tbl-a", "tbl-2", "tbl-z"}
"""


def test_results(tmp_path: Path) -> None:
    result = on_a_small_disk("1m", RESULTS, tmp_path)
    assert_clear(result, tmp_path / "results")


REPORT = """
from advlib.report.building import build
from toys import books, write
from advlib.results import tables as results
content, executed = books(), Path(sys.argv[1])
build(write(executed, content), disk)
content["1-data"].pop()
write(executed, content)
fill(400_000)  # enough for the results, not for the documents
attempt(lambda: build(executed, disk))
assert "fig-digits.csv" not in {path.name for path in (disk / "results").iterdir()}
"""


def test_a_report(tmp_path: Path) -> None:
    result = on_a_small_disk("8m", REPORT, tmp_path / "disk", tmp_path / "executed")
    assert_clear(result, tmp_path / "disk" / "report.")
