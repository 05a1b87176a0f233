"""Make the environment `.venv`, or check the one that is active. Standard library only.

    python3 .make/environment.py make      .venv from requirements.lock, with advlib in it
    python .make/environment.py check      is what advlib needs in this Python?

The file `.venv/ready` is written last and says what the environment was made from, so a half-made
one is known. Whatever this program starts ends with it, and with the make that started it. uv
installs the packages, in a third of pip's time; where pip is told an index of its own, pip does.
"""

import hashlib
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).absolute().parents[1]))
from advlib.kept.parent import end_with_make, take_turn

FOLDER = Path(".venv")
READY = FOLDER / "ready"
LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
CHECKED = ("torch", "torchvision", "numpy", "pandas", "papermill", "nbconvert", "ipykernel")
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
OWN_INDEX = r"(?m)^(global|install|:env:)\.((extra-)?index-url|find-links|no-index|proxy|cert)="


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


def make() -> None:
    """Make or renew the environment, unless another make has done it meanwhile."""
    take_turn(".venv.lock")  # a killed set-up's pip, which may still write, has the turn too
    wanted, found = made_from(), made()
    if found == wanted:
        READY.touch()
        return
    READY.unlink(missing_ok=True)
    if found[:2] != wanted[:2]:
        create()
    say(f"set-up: advlib into {FOLDER}")
    options = ("--no-deps", "--no-build-isolation")
    run(python(), "-m", "pip", "install", *options, "--editable", ".")
    READY.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    say(f"set-up: done, {FOLDER} is ready")


def create() -> None:
    """Make the environment from nothing and install what the lock names."""
    # on Linux torch brings CUDA; elsewhere it is small
    gigabytes = 7 if sys.platform == "linux" else 2
    say(
        f"set-up: making {FOLDER} with Python {sys.version.split()[0]}: once, about"
        f" {gigabytes} GB on disk, 1 to 5 minutes and the time of the download"
    )
    make_empty()
    pip, locked = (python(), "-m", "pip", "install"), ("--requirement", str(LOCK))
    hint = (
        "torch 2.14.1 has wheels for Python 3.11 to 3.14 on Linux and on Macs with Apple's"
        " processors; the download needs a network, and the disk its place"
    )
    if has_own_index() or not pinned("uv"):
        run(*pip, *locked, hint=hint)
    else:
        run(*pip, "--no-deps", *(f"uv=={version}" for version in pinned("uv")))
        uv = (str(FOLDER / "bin" / "uv"), "pip", "install", "--python", python())
        run(*uv, "--compile-bytecode", *locked, hint=hint)


def has_own_index() -> bool:
    """Tell whether pip is told where to take packages from, which uv would not hear."""
    command = [python(), "-m", "pip", "config", "list"]
    listed = subprocess.run(
        command, env=surroundings(), stdout=subprocess.PIPE, text=True, check=False
    )
    return re.search(OWN_INDEX, listed.stdout) is not None


def make_empty() -> None:
    """Make an environment with nothing but pip, in place of what is there."""
    if FOLDER.exists():
        say(f"set-up: removing the old or unfinished {FOLDER}")
    try:
        venv.create(FOLDER, clear=True, symlinks=True)
    except OSError as error:
        sys.exit(f"error: {FOLDER} could not be made: {error}")
    hint = "Debian and Ubuntu have it in the package python3-venv"
    run(python(), "-m", "ensurepip", hint=hint)


def pinned(name: str) -> list[str]:
    """Return the versions of a package that the lock names, for one Python or another."""
    return re.findall(rf"^{name}==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def run(*command: str, hint: str = "") -> None:
    """Run a command, saying twice a minute that it still does, or show what it said and stop."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        # the lock goes with it
        process = subprocess.Popen(
            command, env=surroundings(), close_fds=False, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    say(f"set-up: {time.monotonic() - start:.0f} s")
        finally:
            process.kill()
        said.seek(0)
        if process.returncode:
            say(said.read().decode(errors="replace"))
    if process.returncode:
        words = " ".join(command[1:4]) + (f" ({hint})" if hint else "")
        sys.exit(f"error: the set-up failed in {words}")


def surroundings() -> dict[str, str]:
    """Return the environment variables without those that would send pip or Python elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def check() -> None:
    """Say what this Python lacks of what advlib needs; another version is worth a word only."""
    missing = []
    for name in CHECKED:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        wanted = pinned(name)
        if version.split("+")[0] not in wanted:
            say(f"note: {name} {version} is installed, {' or '.join(wanted)} is what advlib pins")
    if missing:
        sys.exit(
            f"error: {sys.executable} lacks {', '.join(missing)}: pip install -r {LOCK}"
            " && pip install -e ."
        )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what runs is ended first
    signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    end_with_make(lambda: os.kill(os.getpid(), signal.SIGTERM))
    {"make": make, "check": check}[sys.argv[1]]()
