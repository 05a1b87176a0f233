"""Make the environment `.venv`, or check the one that is active. Standard library only.

    python3 .make/environment.py make      .venv from requirements.lock, with advlib in it
    python .make/environment.py check      is what advlib needs in this Python?

The file `.venv/ready` is written last and says what the environment was made from, so a half-made
one is known. Whatever this program starts ends with it, and with the make that started it. uv
installs the packages, in a third of pip's time and from where pip is told to take them; where it
cannot, pip does.
"""

import ast
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).absolute().parents[1]))
from advlib.kept import parent

FOLDER = Path(".venv")
READY = FOLDER / "ready"
LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
# on Linux torch brings CUDA; elsewhere it is small
NEEDED_GB = 7 if sys.platform == "linux" else 2
CHECKED = ("torch", "torchvision", "numpy", "pandas", "papermill", "nbconvert", "ipykernel")
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
# what pip may be told, and what tells uv the same; nothing where it is all one to what is installed
FOR_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "retries": "UV_HTTP_RETRIES",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "no-cache-dir": "UV_NO_CACHE",
    **dict.fromkeys(("break-system-packages", "config-file", "disable-pip-version-check"), ""),
    **dict.fromkeys(("no-color", "no-input", "no-python-version-warning", "progress-bar"), ""),
    **dict.fromkeys(("quiet", "require-virtualenv", "root-user-action", "verbose"), ""),
}


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
        options = ("--quiet", "--no-deps", "--no-build-isolation")
        run_module("pip", "install", *options, "--editable", ".")
        READY.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    say(f"set-up: done, {FOLDER} is ready")


def create() -> None:
    """Make the environment from nothing and install what the lock names."""
    say(
        f"set-up: making {FOLDER} with Python {sys.version.split()[0]}: once, about"
        f" {NEEDED_GB} GB on disk, 1 to 5 minutes and the time of the download"
    )
    make_empty()
    if free_gb() < NEEDED_GB:
        say(f"set-up: warning: only {free_gb():.1f} GB are free here")
    trouble = install_with_uv()
    if trouble:
        say(f"set-up: {trouble}: pip installs")
        rest = FOLDER / LOCK.name
        rest.write_text(re.sub("(?m)^uv==.*", "", LOCK.read_text(encoding="utf-8")), "utf-8")
        run_module(
            *("pip", "install", "--requirement", str(rest)),
            hint="torch 2.14.1 has wheels for Python 3.11 to 3.14 on Linux and on Macs with Apple's"
            " processors; the download needs a network, and the disk its place",
        )


def make_empty() -> None:
    """Make an environment with nothing but pip, in place of what is there."""
    if FOLDER.exists():
        say(f"set-up: removing the old or unfinished {FOLDER}")
        remove(FOLDER)
    try:
        venv.create(FOLDER, symlinks=True)
    except OSError as error:
        sys.exit(f"error: {FOLDER} could not be made: {error}")
    run_module("ensurepip", hint="Debian and Ubuntu have it in the package python3-venv")


def install_with_uv() -> str:
    """Install what the lock names with uv; return why not, when it cannot be."""
    told = told_to_pip()
    unknown = sorted(told.keys() - FOR_UV.keys())
    if unknown:
        return f"pip is told {' and '.join(unknown)}, which uv would not heed"
    settings = {FOR_UV[name]: text for name, text in told.items() if FOR_UV[name]}
    wheel = [f"uv=={version}" for version in pinned("uv")]
    get = ("pip", "install", "--quiet", "--no-deps", "--only-binary=uv", *wheel)
    if not wheel or not run(python(), "-m", *get):
        return "uv cannot be had"
    uv = (str(FOLDER / "bin" / "uv"), "pip", "install", "--python", python())
    # from all indexes alike and compiled, as by pip; quiet, or it warns of a cache on another disk
    options = ("--quiet", "--index-strategy=unsafe-best-match", "--compile-bytecode")
    if run(*uv, *options, "--requirement", str(LOCK), **settings):
        return ""
    make_empty()  # pip would believe what is half there
    return "uv failed"


def told_to_pip() -> dict[str, str]:
    """Return what pip's files and environment tell it, by its options' names."""
    command = [python(), "-m", "pip", "config", "list"]
    listed = subprocess.run(
        command, env=surroundings(), stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    found = {"cert": os.environ.get("REQUESTS_CA_BUNDLE", "")}  # pip hears that too
    for section in ("global", "install", ":env:"):  # the later wins
        for name, text in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed, re.MULTILINE):
            between = "," if name == "find-links" else " "
            found[name] = between.join(ast.literal_eval(text).split()) or found.get(name, "")
    return {name: text for name, text in found.items() if text}


def pinned(name: str) -> list[str]:
    """Return the versions of a package that the lock names, for one Python or another."""
    return re.findall(rf"^{name}==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


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


def run_module(name: str, *arguments: str, hint: str = "") -> None:
    """Run a module with the environment's Python, or stop."""
    if not run(python(), "-m", name, *arguments):
        sys.exit(f"error: the set-up failed in {name}" + (f" ({hint})" if hint else ""))


def run(*command: str, **settings: str) -> bool:
    """Run a command, saying twice a minute that it still does; return whether it succeeded."""
    start, free = time.monotonic(), free_gb()
    process = subprocess.Popen(
        [python(), parent.__file__, *command],  # it ends with this process
        env={**surroundings(), **settings, "ADVLIB_MAKE": str(os.getpid())},
        close_fds=False,  # the lock goes with it
    )
    while True:
        try:
            return process.wait(timeout=30) == 0
        except subprocess.TimeoutExpired:
            seconds, written = time.monotonic() - start, max(free - free_gb(), 0)
            say(f"set-up: {seconds:.0f} s, about {written:.1f} of {NEEDED_GB} GB written")


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
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt needs no traceback
    parent.end_with_make()
    {"make": make, "check": check}[sys.argv[1]]()
