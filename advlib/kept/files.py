"""Files that are written whole or not at all, checksums, locks, and the user's cache folder."""

import errno
import hashlib
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PREFIX, _RANDOM_BYTES = ".part-", 4
_CURES = {
    errno.EACCES: "allow to write there, or choose another folder",
    errno.EPERM: "allow to write there, or choose another folder",
    errno.ENOSPC: "free some space there and run again",
    errno.EDQUOT: "free some space there and run again",
    errno.EFBIG: "allow larger files (ulimit -f) and run again",
    errno.EROFS: "choose a folder that can be written",
}


class DamagedFileError(ValueError):
    """A file does not hold what it should; the message names the file and the remedy."""


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all.

    The block writes the temporary path that it is given, beside `path` and with its suffix. When it
    ends well the file is synced and renamed; when it raises, `path` is as it was. The system's
    errors name `path` and say what to do.
    """
    path = Path(path)
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}-{path.name}")
    try:
        with name_in_errors(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Have the system's errors of what cannot be written name the file and say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CURES:
            raise
        words = f"{error.strerror}; the file could not be written, what was there before is kept: "
        raise OSError(error.errno, words + _CURES[error.errno], str(path)) from error


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no sync of it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: str | os.PathLike[str], name: str = "*") -> None:
    """Remove what killed writers left in `folder`, of all files or of those of one name.

    Call it only with the lock on the folder, or on the files of that name.
    """
    for leftover in Path(folder).glob(f"{_PREFIX}{'?' * 2 * _RANDOM_BYTES}-{name}"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes to a file, whole or not at all (see `replace_file`)."""
    with replace_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with its line ends as they are, whole or not at all (see `replace_file`)."""
    write_bytes(path, text.encode())


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


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checksums(
    path: str | os.PathLike[str], remedy: str = "get the file again"
) -> dict[str, str]:
    """Read a file as ``sha256sum`` writes it: from a file's name to its SHA-256.

    Raises
    ------
    DamagedFileError
        If a line is not a checksum and a name; the message gives the `remedy`.
    """
    checksums = {}
    for line in Path(path).read_bytes().splitlines():
        checksum, _, name = line.decode(errors="replace").partition(" ")
        if len(checksum) != 64 or not name:
            raise DamagedFileError(
                f"{path} is damaged: a line is not a SHA-256 and a file's name; {remedy}"
            )
        checksums[name.lstrip(" *")] = checksum.lower()
    return checksums


def write_checksums(path: str | os.PathLike[str], checksums: Mapping[str, str]) -> None:
    """Write a file that `read_checksums` and ``sha256sum --check`` read."""
    write_bytes(path, checksum_lines(checksums))


def checksum_lines(checksums: Mapping[str, str]) -> bytes:
    """Return what `read_checksums` and ``sha256sum --check`` read."""
    return "".join(f"{checksum}  {name}\n" for name, checksum in checksums.items()).encode()


@contextmanager
def seal_file(path: Path) -> Iterator[Path]:
    """Write a file like `replace_file`, and its SHA-256 to a hidden file beside it.

    One writer at a time: what killed ones have left of the two files is removed.
    """
    for each in (path, _seal_of(path)):
        remove_temporaries(path.parent, each.name)
    with replace_file(path) as temporary:
        yield temporary
        _sync(temporary)  # the seal is replaced when all of the file is on the disk
        write_checksums(_seal_of(path), {path.name: sha256(temporary)})


def check_seal(path: Path) -> None:
    """Raise a `DamagedFileError` if a file is not what its seal says; one without is believed."""
    sealed = _seal_of(path)
    remedy = f"remove {path} and {sealed}, and make it again"
    if sealed.exists() and read_checksums(sealed, remedy).get(path.name) != sha256(path):
        raise DamagedFileError(f"{path} is not what was written, it is damaged or edited; {remedy}")


def _seal_of(path: Path) -> Path:
    return path.with_name(f".{path.stem}.sha256")


@contextmanager
def lock(path: str | os.PathLike[str], wait: float = 0) -> Iterator[None]:
    """Hold a lock that one process at a time can have, after waiting for it some seconds.

    The lock is the operating system's: it ends with the block or the process, however that dies.
    The empty file stays.

    Raises
    ------
    TimeoutError
        If another process, or another part of this one, holds it all that time.
    """
    from filelock import FileLock, Timeout

    # A soft lock, filelock's fallback, is a file that outlives its process.
    held = FileLock(path, timeout=wait, fallback_to_soft=False)
    try:
        held.acquire()
    except Timeout:
        raise TimeoutError(
            f"{path} is locked: another process is at work in this folder; wait until it ends"
        ) from None
    try:
        yield
    finally:
        held.release()


@contextmanager
def hold_lock(path: str | os.PathLike[str], on_wait: Callable[[], object]) -> Iterator[None]:
    """Hold a lock, after waiting for it without limit; `on_wait` is called once before a wait."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path))
        except TimeoutError:
            on_wait()
            stack.enter_context(lock(path, wait=math.inf))
        yield


def cache_folder() -> Path:
    """Return the folder for what can be made again, $ADVLIB_CACHE or the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("ADVLIB_CACHE")
    return Path(chosen).absolute() if chosen else user_cache_path("advlib", appauthor=False)
