"""Make the environment `.venv`, or check the one that is active. Standard library only.

    python3 .make/environment.py make report test    .venv with advlib and what these extras need
    python .make/environment.py check                is what advlib needs in this Python?

Versions are those of requirements.lock. The file `.venv/ready` is written last and says what the
environment was made from, so a half-made one is known. Whatever this program starts ends with it,
and with the make that started it. uv installs the packages, in a third of pip's time; where pip is
told an index of its own, pip does.

On Linux the package index has torch with the libraries of CUDA alone. Without a GPU, and where pip
is told no index, uv is asked for torch's build for the CPU first. TORCH=cpu wants that one in any
case, TORCH=index never.
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
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).absolute().parents[1]))
from advlib.kept.parent import end_with_make, take_turn

FOLDER = Path(".venv")
PYTHON = str(FOLDER.absolute() / "bin" / "python")
PIP = PYTHON, "-m", "pip", "install"
UV = str(FOLDER / "bin" / "uv"), "pip", "install", "--python", PYTHON, "--compile-bytecode"
READY = FOLDER / "ready"
LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
CHECKED = ("torch", "torchvision", "numpy", "pandas", "papermill", "nbconvert", "ipykernel")
CPU = ("--torch-backend", "cpu", "--no-deps", "torch", "torchvision")
"""A pair, from one place."""
GPU = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg")
"""One of these is there where a GPU of NVIDIA's is; the last on Windows' Linux."""
LOCKED = ("--constraint", str(LOCK))
HINT = (
    "torch 2.14.1 has wheels for Python 3.11 to 3.14 on Linux and on Macs with Apple's"
    " processors; the download needs a network, and the disk its place"
)
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
OWN_INDEX = r"(?m)^(global|install|:env:)\.((extra-)?index-url|find-links|no-index|proxy|cert)="
say = partial(print, flush=True)


def made() -> list[str]:
    """Return what `.venv/ready` says of the environment that is there; of a half-made one nothing.

    Line by line: its folder, the digests of the lock and of the project's metadata, which decide
    it, the extras, and where torch is from.
    """
    try:
        found = READY.read_text(encoding="utf-8").splitlines()
        works = subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return []
    return found if works.returncode == 0 and len(found) == 5 else []


def make(*extras: str) -> None:
    """Make or renew the environment, unless another make has done it meanwhile."""
    asked = os.environ.get("TORCH", "")
    if asked not in ("", "cpu", "index"):
        sys.exit(f"error: TORCH must be cpu or index, not {asked!r}")
    take_turn(".venv.lock")  # a killed set-up's pip, which may still write, has the turn too
    digests = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (LOCK, PROJECT))
    wanted, found = [str(Path.cwd().resolve()), *digests], made()
    fits = found[:2] == wanted[:2] and asked in ("", found[4])
    there = set(found[3].split()) if fits else set()
    if found[:3] == wanted and fits and there >= set(extras):
        READY.touch()
        return
    READY.unlink(missing_ok=True)
    torch = found[4] if fits else create(asked)
    everything = sorted(there | set(extras))
    say(f"set-up: advlib into {FOLDER}, with what {' and '.join(everything)} need")
    install("--no-build-isolation", "--editable", f".[{','.join(everything)}]", hint=HINT)
    READY.write_text("\n".join([*wanted, " ".join(everything), torch, ""]), encoding="utf-8")
    say(f"set-up: done, {FOLDER} is ready")


def create(asked: str) -> str:
    """Make an environment in which only advlib and what it needs are missing.

    Return where torch is from: "cpu" if its build for the CPU is there, "index" if it is to come.
    """
    say(f"set-up: making {FOLDER} with Python {sys.version.split()[0]}: once, some minutes")
    make_empty()
    pip, cuda = by_pip(), sys.platform == "linux"
    automatic = not asked and not pip and cuda and not any(map(os.path.exists, GPU))
    if asked == "cpu" or not pip:
        run(*PIP, "--no-deps", *(f"uv=={v}" for v in pinned("uv")))
    if pinned("setuptools"):  # which builds advlib
        install("setuptools")
    if asked == "cpu" or (automatic and answers(*UV, *CPU, "--dry-run", *LOCKED)):
        say("set-up: torch for the CPU; 2 GB on disk in the end")
        run(*UV, *CPU, *LOCKED, hint="TORCH=index takes torch from the package index")
        return "cpu"
    if automatic:
        say("set-up: torch's build for the CPU cannot be reached")
    say(
        "set-up: "
        + ("3.3 GB to download, 7 GB on disk: torch with CUDA" if cuda else "2 GB on disk")
    )
    return "index"


def install(*what: str, hint: str = "") -> None:
    """Install packages in the lock's versions."""
    run(*(PIP if by_pip() else UV), *LOCKED, *what, hint=hint)


def by_pip() -> bool:
    """Tell whether pip is told where to take packages from, which uv would not hear."""
    command = [PYTHON, "-m", "pip", "config", "list"]
    listed = subprocess.run(
        command, env=surroundings(), stdout=subprocess.PIPE, text=True, check=False
    )
    return re.search(OWN_INDEX, listed.stdout) is not None or not pinned("uv")


def make_empty() -> None:
    """Make an environment with nothing but pip, in place of what is there."""
    if FOLDER.exists():
        say(f"set-up: removing the old or unfinished {FOLDER}")
    try:
        venv.create(FOLDER, clear=True, symlinks=True)
    except OSError as error:
        sys.exit(f"error: {FOLDER} could not be made: {error}")
    hint = "Debian and Ubuntu have it in the package python3-venv"
    run(PYTHON, "-m", "ensurepip", hint=hint)


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


def answers(*command: str) -> bool:
    """Tell whether a command that changes nothing succeeds within seconds."""
    quick = {**surroundings(), "UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
    return subprocess.run(command, env=quick, capture_output=True, check=False).returncode == 0


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
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
