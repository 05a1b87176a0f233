"""Copies of the project in which the real `make` runs with this Python."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis")
OWN = ("ADVLIB_RUNS", "IPYTHONDIR", "MAKEFLAGS", "MAKELEVEL", "OMP_NUM_THREADS", "PYTHONPATH")


def copy(folder):
    """Copy the project."""
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED)))


def environment(project, **changes):
    """Return this Python for `make`, and nothing else of this process's surroundings."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    own = {"PYTHON": sys.executable, "ADVLIB_CACHE": str(project / "cache")}
    return kept | own | changes


def at_work(project):
    """Yield the processes whose working directory is in the project."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve().is_relative_to(project):
                yield int(path.name)
        except OSError:
            continue


def wait_for(condition):
    """Wait as long as it takes: the end is there for what never comes, however busy the machine."""
    end = time.monotonic() + 600
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def make(project, *arguments, umask=-1, **changes):
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
