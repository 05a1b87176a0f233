"""The four IDX files of a data set: bundled with the package, downloaded, or in a user's folder.

torchvision reads and downloads them. What is bundled or downloaded is kept unpacked in the cache
folder, checked before every use and made again when it is damaged.
"""

import contextlib
import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from advlib.data import known as downloads
from advlib.kept.files import (
    DamagedFileError,
    cache_folder,
    lock,
    read_checksums,
    remove_temporaries,
    replace_file,
    sha256,
    write_checksums,
)
from advlib.kept.folders import MNIST
from advlib.kept.layout import KNOWN

if TYPE_CHECKING:  # make looks for the data each time, and torch takes seconds
    from torch import Tensor

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = 10
CHECKSUMS = "SHA256SUMS"
GZIP = b"\x1f\x8b"
BUNDLED = MNIST
FILES = TRAIN + TEST
# What torchvision's reader raises on a file that is not IDX or is cut short.
_NOT_IDX = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


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
    """Return the names of a known data set's classes."""
    # torchvision's names of MNIST's classes are "0 - zero" and so on.
    return tuple(str(label).split(" - ")[0] for label in downloads.find_class(name).classes)


def _forms(folder: Path, file: str) -> tuple[Path, Path]:
    return folder / file, folder / f"{file}.gz"


def _which_files() -> str:
    return f"the folder must have the files {', '.join(FILES)}, each gzipped (.gz) or not"


@dataclass(frozen=True, eq=False)
class Content:
    """A data set as its files have it.

    Attributes
    ----------
    name : str
        Its name.
    classes : tuple of str
        The names of the classes.
    train, test : tuple of torch.Tensor
        Images, uint8 [N, C, H, W], and their labels, int64 [N], counted from 0.
    checksums : list of str
        Of what decides all this.
    first : Path
        The file of the first training image.
    own : bool
        Whether it is a user's own, and not one of the known data sets.
    pictures : bool
        Whether it has pictures, not IDX files.
    evenly : tuple of str
        Those of "train" and "test" that are not in their file's order, but in one in which every
        beginning has each class by its share.
    """

    name: str
    classes: tuple[str, ...]
    train: "tuple[Tensor, Tensor]"
    test: "tuple[Tensor, Tensor]"
    checksums: list[str]
    first: Path
    own: bool = False
    pictures: bool = False
    evenly: tuple[str, ...] = ()


def read_known(name: str, folder: str | os.PathLike[str] | None) -> Content:
    """Read a known data set, 28 x 28 pixels and ten classes; folder and errors as for `find`.

    Raises
    ------
    DamagedFileError
        If a file is not what its name says, not what the folder's SHA256SUMS records, or known to
        be of another data set than `name`.
    """
    source = find(name, folder)
    parts: list[tuple[Tensor, Tensor]] = []
    checksums = []
    for files in (TRAIN, TEST):
        images, labels = (next(p for p in _forms(source, file) if p.is_file()) for file in files)
        pixels, values, sums = read_pair(images, labels, name=name)
        if pixels.shape[1:] != (28, 28):
            raise DamagedFileError(f"{images}: images must be 28 x 28, not {[*pixels.shape[1:]]}")
        if values.max() >= CLASSES:
            raise DamagedFileError(
                f"{labels}: labels must be from 0 to {CLASSES - 1}, not {values.max()}"
            )
        parts.append((pixels.unsqueeze(1), values))
        checksums += sums
    return Content(name, classes(name), parts[0], parts[1], checksums, source / TRAIN[0])


def read_pair(images: Path, labels: Path, *, name: str = "") -> "tuple[Tensor, Tensor, list[str]]":
    """Read images, uint8 [N, H, W], their labels, int64 [N], and the SHA-256 of both contents.

    Raises
    ------
    DamagedFileError
        If a file is not what its name says, or not what the SHA256SUMS beside it records.
    """
    pixels, pixels_checksum = _read(images, "images", name)
    values, labels_checksum = _read(labels, "labels", name)
    if not 0 < len(pixels) == len(values):
        raise DamagedFileError(
            f"{images} has {len(pixels)} images and {labels.name} {len(values)} labels; they must "
            "be as many, and at least one"
        )
    return pixels, values, [pixels_checksum, labels_checksum]


def _read(source: Path, kind: str, name: str) -> "tuple[Tensor, str]":
    from torchvision.datasets import mnist

    file = source.name.removesuffix(".gz")
    read = mnist.read_image_file if kind == "images" else mnist.read_label_file
    recorded = source.with_name(CHECKSUMS)
    expected = read_checksums(recorded).get(file) if recorded.is_file() else None
    with _unpacked(source) as path:
        checksum = sha256(path)
        if expected not in (None, checksum):
            raise DamagedFileError(
                f"{source} is damaged: its content does not have the SHA-256 that "
                f"{recorded} records; get the file again"
            )
        known = _find_known(source, checksum) if name else ""
        if known not in ("", name):
            raise DamagedFileError(
                f"{source} is not of {name}: it is a file of {known}; load it as {known}, or get"
                f" {name}'s"
            )
        try:
            return read(str(path)), checksum
        except _NOT_IDX as error:
            raise DamagedFileError(
                f"{source} is not a whole IDX file of {kind}; get it again "
                f"({type(error).__name__}: {error})"
            ) from error


def _find_known(source: Path, checksum: str) -> str:
    """Return the data set that a file is known to be of, by its SHA-256 unpacked or its MD5 packed.

    Empty if it is none's: a user may have data of their own.
    """
    known = (name for name, checksums in KNOWN.items() if checksum in checksums)
    return next(known, "") or downloads.find_packed(source)


@contextlib.contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """Give the path of an IDX file that is not gzipped, for torchvision reads no other.

    What it is its first two bytes say, not its name: a browser may unpack a file and leave that.
    """
    with source.open("rb") as file:
        if file.read(2) != GZIP:
            yield source
            return
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary) / "plain"
        _gunzip(source, plain, "get the file again")
        yield plain


def _gunzip(packed: Path, plain: Path, remedy: str) -> None:
    try:
        with gzip.open(packed) as source, plain.open("wb") as target:
            while part := source.read(1 << 20):
                target.write(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DamagedFileError(f"{packed} is damaged ({problem}); {remedy}") from error


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
                    downloads.download(name, folder, FILES, _which_files())
                    sums = {file: sha256(folder / file) for file in FILES}
                    write_checksums(folder / CHECKSUMS, sums)
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
