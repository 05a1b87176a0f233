"""Make the environment `.venv`, or check the one that is active. Standard library only.

    python3 .make/environment.py make      .venv from requirements.lock, with advlib in it
    python .make/environment.py check      is what advlib needs in this Python?

The file `.venv/ready` is written last and says what the environment was made from, so a half-made
one is known. Whatever this program starts ends with it, and with the make that started it.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(".venv")
READY = FOLDER / "ready"
LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
# on Linux torch brings CUDA; elsewhere it is small
NEEDED_GB = 7 if sys.platform == "linux" else 2
CHECKED = ("torch", "torchvision", "numpy", "pandas", "papermill", "nbconvert", "ipykernel")


def say(text: str) -> None:
    print(text, flush=True)


def made_from() -> tuple[str, str, str]:
    """Return what decides the environment: its folder, the lock, the project's metadata."""
    digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (LOCK, PROJECT))
    return (str(Path.cwd().resolve()), *digests)  # type: ignore[return-value]


def made() -> tuple[str, ...]:
    """Return what the environment that is there was made from; nothing when it is half made."""
    try:
        found = tuple(READY.read_text(encoding="utf-8").splitlines())
        works = subprocess.run([python(), "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return ()
    return found if works.returncode == 0 else ()


def python() -> str:
    return str(FOLDER.absolute() / "bin" / "python")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time through; the lock is the system's.

    It ends with this process and with those that it starts: a killed set-up's pip may still write.
    """
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: another make is setting up {FOLDER}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make() -> None:
    """Make or renew the environment, unless another make has done it meanwhile."""
    with locked(Path(".venv.lock")):
        wanted, found = made_from(), made()
        if found == wanted:
            READY.touch()
            return
        READY.unlink(missing_ok=True)
        if found[:2] != wanted[:2]:
            create()
        say(f"set-up: advlib into {FOLDER}")
        run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
        READY.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    say(f"set-up: done, {FOLDER} is ready")


def create() -> None:
    """Make the environment from nothing and install what the lock names."""
    if FOLDER.exists():
        say(f"set-up: removing the old or unfinished {FOLDER}")
        remove(FOLDER)
    say(
        f"set-up: making {FOLDER} with Python {sys.version.split()[0]}: once, about"
        f" {NEEDED_GB} GB on disk, 2 to 5 minutes and the time of the download"
    )
    if free_gb() < NEEDED_GB:
        say(f"set-up: warning: only {free_gb():.1f} GB are free here")
    try:
        venv.create(FOLDER, symlinks=True)
    except OSError as error:
        sys.exit(f"error: {FOLDER} could not be made: {error}")
    run("ensurepip", hint="Debian and Ubuntu have it in the package python3-venv")
    run(
        *("pip", "install", "--requirement", str(LOCK)),
        hint="torch 2.14.1 has wheels for Python 3.11 to 3.14 on Linux and on Macs with Apple's"
        " processors; the download needs a network, and the disk its place",
    )


def free_gb() -> float:
    return shutil.disk_usage(".").free / 1e9


def remove(folder: Path) -> None:
    """Remove a folder, also while a process that is about to end still writes in it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.5)
    shutil.rmtree(folder)


def run(module: str, *arguments: str, hint: str = "") -> None:
    """Run a module with the environment's Python, saying twice a minute that it still does."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    this = [python(), str(Path(__file__).absolute())]
    start, free = time.monotonic(), free_gb()
    process = subprocess.Popen(
        [*this, "run", str(os.getpid()), module, *arguments],
        env={**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        close_fds=False,  # the lock goes with it
    )
    while True:
        try:
            status = process.wait(timeout=30)
            break
        except subprocess.TimeoutExpired:
            seconds, written = time.monotonic() - start, max(free - free_gb(), 0)
            say(f"set-up: {seconds:.0f} s, about {written:.1f} of {NEEDED_GB} GB written")
    if status:
        sys.exit(f"error: the set-up failed in {module}" + (f" ({hint})" if hint else ""))


# they would send pip or Python elsewhere
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")


def end_with(parent: int) -> None:
    """End this process soon after its parent has ended, killed or not."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check() -> None:
    """Say what this Python lacks of what advlib needs; another version is worth a word only."""
    text = LOCK.read_text(encoding="utf-8")
    missing = []
    for name in CHECKED:
        pinned = re.findall(rf"^{name}==(\S+)", text, re.MULTILINE)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if version.split("+")[0] not in pinned:
            say(f"note: {name} {version} is installed, {' or '.join(pinned)} is what advlib pins")
    if missing:
        sys.exit(
            f"error: {sys.executable} lacks {', '.join(missing)}: pip install -r {LOCK}"
            " && pip install -e ."
        )


def main(arguments: list[str]) -> None:
    if arguments[0] == "run":
        end_with(int(arguments[1]))
        sys.argv = arguments[2:]
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)
    else:
        end_with(int(os.environ.get("ADVLIB_MAKE") or os.getppid()))
        {"make": make, "check": check}[arguments[0]]()


if __name__ == "__main__":
    main(sys.argv[1:])
