"""The four IDX files of a data set: bundled with the package, downloaded, or in a user's folder.

torchvision reads and downloads them. What is bundled or downloaded is kept unpacked in the cache
folder, checked before every use and made again when it is damaged.
"""

import contextlib
import gzip
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor

from advlib.keeping.files import (
    DamagedFileError,
    cache_folder,
    lock,
    read_checksums,
    remove_temporaries,
    replace_file,
    sha256,
    write_checksums,
)
from advlib.keeping.folders import MNIST

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = 10
CHECKSUMS = "SHA256SUMS"
BUNDLED = MNIST
FILES = TRAIN + TEST
# What torchvision's reader raises on a file that is not IDX or is cut short.
_NOT_IDX = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
_NO_NETWORK = (RuntimeError, URLError, ConnectionError, TimeoutError, HTTPException)


def find(name: str, folder: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a data set's four files: the user's, or the cache's, filled if need be.

    Raises
    ------
    TypeError, FileNotFoundError
        If the user's folder is no path, is not there, or lacks a file.
    DamagedFileError, RuntimeError, OSError
        If a bundled file is damaged, a download fails, or the cache cannot be written.
    """
    if folder is None:
        return _cached(name)
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path, not {folder!r} ({type(folder).__name__})")
    folder = Path(folder)
    missing = [file for file in FILES if not any(path.is_file() for path in _forms(folder, file))]
    if missing:
        problem = f"lacks {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise FileNotFoundError(f"{folder} {problem}; {_which_files()}")
    return folder


def classes(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes."""
    # torchvision's names of MNIST's classes are "0 - zero" and so on.
    return tuple(str(label).split(" - ")[0] for label in _torchvision_class(name).classes)


def _torchvision_class(name: str) -> Any:
    import torchvision.datasets  # late: it takes a second or two

    return getattr(torchvision.datasets, name)


def _forms(folder: Path, file: str) -> tuple[Path, Path]:
    return folder / file, folder / f"{file}.gz"


def _which_files() -> str:
    return f"the folder must have the files {', '.join(FILES)}, each gzipped (.gz) or not"


def read_pair(folder: Path, files: tuple[str, str]) -> tuple[Tensor, Tensor, list[str]]:
    """Read images, uint8 [N, 28, 28], their labels, int64 [N], and the SHA-256 of both files.

    Raises
    ------
    DamagedFileError
        If a file is not what its name says, or not what the folder's SHA256SUMS records.
    """
    (pixels, pixels_checksum), (labels, labels_checksum) = (_read(folder, file) for file in files)
    path = folder / files[0]
    if pixels.shape[1:] != (28, 28):
        raise DamagedFileError(f"{path}: images must be 28 x 28, not {list(pixels.shape[1:])}")
    if not 0 < len(pixels) == len(labels):
        raise DamagedFileError(
            f"{path} has {len(pixels)} images and {files[1]} {len(labels)} labels; they must be as "
            "many, and at least one"
        )
    if labels.max() >= CLASSES:
        raise DamagedFileError(
            f"{folder / files[1]}: labels must be from 0 to {CLASSES - 1}, not {labels.max()}"
        )
    return pixels, labels, [pixels_checksum, labels_checksum]


def _read(folder: Path, file: str) -> tuple[Tensor, str]:
    from torchvision.datasets import mnist

    read = mnist.read_image_file if "images" in file else mnist.read_label_file
    source = next(path for path in _forms(folder, file) if path.is_file())
    recorded = folder / CHECKSUMS
    expected = read_checksums(recorded).get(file) if recorded.is_file() else None
    with _unpacked(source) as path:
        checksum = sha256(path)
        if expected not in (None, checksum):
            raise DamagedFileError(
                f"{source} is damaged: its content does not have the SHA-256 that "
                f"{recorded} records; get the file again"
            )
        try:
            return read(str(path)), checksum
        except _NOT_IDX as error:
            raise DamagedFileError(
                f"{source} is not a whole IDX file of {file.split('-')[1]}; get it again "
                f"({type(error).__name__}: {error})"
            ) from error


@contextlib.contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Give the path of an IDX file that is not gzipped, for torchvision reads no other."""
    if source.suffix != ".gz":
        yield source
        return
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / source.stem
        _gunzip(source, plain, "get the file again")
        yield plain


def _gunzip(packed: Path, plain: Path, remedy: str) -> None:
    try:
        with gzip.open(packed) as source, plain.open("wb") as target:
            while part := source.read(1 << 20):
                target.write(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(f"{packed} is damaged ({error}); {remedy}") from error


def _cached(name: str) -> Path:
    """Return the folder of the cache that has the data set's files, made again if damaged."""
    folder = cache_folder() / "data" / name
    if _intact(name, folder):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder / ".lock", wait=600):
            if not _intact(name, folder):
                remove_temporaries(folder)
                if name == "MNIST":
                    _unpack_bundled(folder)
                else:
                    _download(name, folder)
    except TimeoutError:
        raise
    except OSError as error:
        raise OSError(
            f"cannot write the data set {name} to {folder} ({error}); the environment variable "
            "ADVLIB_CACHE names another folder"
        ) from error
    return folder


def _intact(name: str, folder: Path) -> bool:
    try:
        expected = read_checksums((BUNDLED if name == "MNIST" else folder) / CHECKSUMS)
        return all(sha256(folder / file) == expected.get(file) for file in FILES)
    except (FileNotFoundError, NotADirectoryError, DamagedFileError):
        return False


def _unpack_bundled(folder: Path) -> None:
    remedy = "install advlib again, or restore the file with git"
    for path in (BUNDLED / CHECKSUMS, *(BUNDLED / f"{file}.gz" for file in FILES)):
        if not path.is_file():
            raise DamagedFileError(f"{path} is missing; {remedy}")
    expected = read_checksums(BUNDLED / CHECKSUMS, remedy)
    for file in FILES:
        packed = BUNDLED / f"{file}.gz"
        with replace_file(folder / file) as temporary:
            _gunzip(packed, temporary, remedy)
            if sha256(temporary) != expected.get(file):
                raise DamagedFileError(
                    f"{packed} is damaged: its content does not have the SHA-256 that "
                    f"{BUNDLED / CHECKSUMS} records; {remedy}"
                )


def _download(name: str, folder: Path) -> None:
    # a name that remove_temporaries knows
    with tempfile.TemporaryDirectory("-download", ".part-", folder) as temporary:
        try:
            with _quiet_unless_terminal():
                made = _torchvision_class(name)(temporary, train=False, download=True)
        except _NO_NETWORK as error:
            raise RuntimeError(
                f"{name} could not be downloaded ({' '.join(str(error).split())}). Without a "
                f'network, pass the folder that has it: load_data("{name}", folder=...); '
                + _which_files()
            ) from error
        for file in FILES:
            with replace_file(folder / file) as target:
                os.replace(Path(made.raw_folder) / file, target)
    write_checksums(folder / CHECKSUMS, {file: sha256(folder / file) for file in FILES})


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    """Keep torchvision's progress bars out of notebooks and logs."""
    if sys.stderr.isatty():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
