"""Files that are written whole or not at all, checksums, locks, and the user's cache folder."""

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PREFIX = ".part-"


class DamagedFileError(ValueError):
    """A file does not hold what it should; the message names the file and the remedy."""


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all.

    The block writes the temporary path that it is given, beside `path` and with its suffix. When it
    ends well the file is synced and renamed; when it raises, `path` is as it was. The system's
    errors name `path`.
    """
    path = Path(path)
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        words = f"{error.strerror}; the file could not be written, what was there before is kept"
        raise OSError(error.errno, words, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    if os.name != "nt":  # Windows cannot open a folder, and needs no sync of it
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: str | os.PathLike[str]) -> None:
    """Remove what killed writers left in `folder`; call it only with the lock on the folder."""
    for leftover in Path(folder).glob(f"{_PREFIX}????????-*"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes to a file, whole or not at all (see `replace_file`)."""
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replace_files(contents: Mapping[Path, bytes]) -> Iterator[None]:
    """Write several files, each whole or not at all; when one cannot be written, none is replaced.

    The block runs when all is on the disk, under temporary names; after it, if it does not raise,
    the files get their names, in this order.
    """
    with ExitStack() as stack:
        for path, content in reversed([*contents.items()]):
            temporary = stack.enter_context(replace_file(path))
            temporary.write_bytes(content)
            _sync(temporary)
        yield


def list_files(folder: str | os.PathLike[str], within: frozenset[Path] = frozenset()) -> list[Path]:
    """Return all files below a folder, also below links, but for those that lead in a circle."""
    real, found = Path(folder).resolve(), list[Path]()
    if real.is_dir() and real not in within:
        for path in sorted(Path(folder).iterdir()):
            found += [path] if path.is_file() else list_files(path, within | {real})
    return found


def read_checksums(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a file as ``sha256sum`` writes it: from a file's name to its SHA-256."""
    checksums = {}
    for line in Path(path).read_bytes().splitlines():
        checksum, _, name = line.decode(errors="replace").partition(" ")
        if len(checksum) != 64 or not name:
            raise DamagedFileError(
                f"{path} is damaged: a line is not a SHA-256 and a file's name; get the file again"
            )
        checksums[name.lstrip(" *")] = checksum.lower()
    return checksums


def checksum_lines(contents: Mapping[str, bytes]) -> bytes:
    """Return what `read_checksums` and ``sha256sum --check`` read, of files' contents by name."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return "".join(f"{checksum}  {name}\n" for name, checksum in sums.items()).encode()


@contextmanager
def lock(path: str | os.PathLike[str], wait: float = 0) -> Iterator[None]:
    """Hold a lock that one process at a time can have, after waiting for it some seconds.

    The lock is the operating system's: it ends with the block or the process, however that dies.
    The empty file stays. A TimeoutError says that another process, or another part of this one,
    holds it all that time.
    """
    from filelock import FileLock, Timeout

    # A soft lock, filelock's fallback, is a file that outlives its process.
    try:
        held = FileLock(path, timeout=wait, fallback_to_soft=False).acquire()
    except Timeout:
        raise TimeoutError(
            f"{path} is locked: another process is at work in this folder; wait until it ends"
        ) from None
    with held:
        yield


def cache_folder() -> Path:
    """Return the folder for what can be made again, $ADVLIB_CACHE or the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("ADVLIB_CACHE")
    return Path(chosen).absolute() if chosen else user_cache_path("advlib", appauthor=False)
