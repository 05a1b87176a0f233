"""Copies of the project in which the real `make` runs with this Python."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from advlib.data.idx import CHECKSUMS, FILES
from advlib.kept.files import sha256, write_checksums

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis")
OWN = ("ADVLIB_RUNS", "IPYTHONDIR", "MAKEFLAGS", "MAKELEVEL", "OMP_NUM_THREADS", "PYTHONPATH")
TRAINING, REST = 160, 100
"""Images that train, and that validate and test each, in a small project."""


def copy(folder: Path) -> Path:
    """Copy the project."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return folder


def small(folder: Path) -> Path:
    """Copy the project with so few images that the processes' starts take most of the time."""
    copy(folder)
    mnist = folder / "advlib" / "mnist"
    checksums = {}
    for name in FILES.values():
        with gzip.open(mnist / f"{name}.gz") as file:
            images = "images" in name
            head = bytearray(file.read(16 if images else 8))
            count = TRAINING + REST if "train" in name else REST
            content = file.read(count * (28 * 28 if images else 1))
        head[4:8] = count.to_bytes(4, "big")
        (folder / "plain").write_bytes(head + content)
        checksums[name] = sha256(folder / "plain")
        with gzip.open(mnist / f"{name}.gz", "wb") as file:
            file.write((folder / "plain").read_bytes())
    (folder / "plain").unlink()
    write_checksums(mnist / CHECKSUMS, checksums)
    code = folder / "advlib" / "data" / "__init__.py"
    text = code.read_text(encoding="utf-8")
    changed = text.replace("\nVALIDATION_IMAGES = 5_000\n", f"\nVALIDATION_IMAGES = {REST}\n")
    assert changed != text
    code.write_text(changed, encoding="utf-8")
    return folder


def environment(project: Path, **changes: str) -> dict[str, str]:
    """Return this Python for `make`, and nothing else of this process's surroundings."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    own = {"PYTHON": sys.executable, "ADVLIB_CACHE": str(project / "cache")}
    return kept | own | changes


def at_work(project: Path) -> Iterator[int]:
    """Yield the processes whose working directory is in the project."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve().is_relative_to(project):
                yield int(path.name)
        except OSError:
            continue


def make(
    project: Path, *arguments: str, umask: int = -1, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run `make` to its end."""
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=environment(project, **changes),
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
