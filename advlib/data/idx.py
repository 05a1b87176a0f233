"""IDX files, the format of MNIST: four of them are a data set, each gzipped or not."""

import gzip
import hashlib
import math
import re
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from advlib.kept.files import DamagedFileError, read_checksums

Bytes = npt.NDArray[np.uint8]
Part = tuple[Bytes, npt.NDArray[np.int64]]
"""Images, [N, C, H, W], and their labels, [N]."""
Files = dict[tuple[str, str], Path]
"""The four files by part and kind."""
PARTS = ("train", "test")
FILES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
FORMS = (
    f"a folder of data has the four IDX files {', '.join(FILES.values())}, gzipped (.gz) or not, or"
    " pictures as train/CLASS/*.png and test/CLASS/*.png"
)
CHECKSUMS = "SHA256SUMS"
_NAME = re.compile(
    r"(?:.*[-_.])?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(?:\.gz)?"
)


def find_files(folder: Path) -> Files:
    """Find a folder's four IDX files, in the order of `FILES`; none if no file is named as one."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; {FORMS}")
    found: Files = {}
    for path in sorted(folder.iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is None or not path.is_file():
            continue
        key = ("train" if name["part"] == "train" else "test", name["kind"])
        other = found.setdefault(key, path)
        if path.name == f"{other.name}.gz" and unpack(path) != unpack(other):
            raise ValueError(
                f"{other} and {path.name} have different contents: remove the one that is not meant"
            )
        if path.name not in (other.name, f"{other.name}.gz"):
            raise ValueError(
                f"{folder} has two files of {' '.join(key)}, {other.name} and {path.name}; put the "
                "four that belong together in a folder of their own"
            )
    missing = [file for key, file in FILES.items() if key not in found]
    if found and missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; {FORMS}")
    return {key: found[key] for key in FILES} if found else {}


def read_parts(files: Files) -> tuple[Part, Part, list[str]]:
    """Read the training and the test part, and the SHA-256 of what is in the four files."""
    parts: list[Part] = []
    checksums: list[str] = []
    for part in PARTS:
        paths = files[part, "images"], files[part, "labels"]
        images, labels = _read(paths[0], 3, checksums), _read(paths[1], 1, checksums)
        if not 0 < len(images) == len(labels):
            raise DamagedFileError(
                f"{paths[0]} has {len(images)} images and {paths[1].name} {len(labels)} labels; "
                "they must be as many, and at least one"
            )
        parts.append((images[:, None], labels.astype(np.int64)))
    (train, _), (test, _) = parts
    if train.shape[1:] != test.shape[1:] or 0 in train.shape:
        raise DamagedFileError(
            f"the images of {files['train', 'images']} are {[*train.shape[2:]]} and those of "
            f"{files['test', 'images']} {[*test.shape[2:]]}; all must be of one size"
        )
    return parts[0], parts[1], checksums


def _read(path: Path, rank: int, checksums: list[str]) -> Bytes:
    """Read a file: two zero bytes, 8 for bytes, the rank, the sizes, and the values."""
    content = unpack(path)
    checksums.append(hashlib.sha256(content).hexdigest())
    recorded = path.with_name(CHECKSUMS)
    sums = read_checksums(recorded) if recorded.is_file() else {}
    if sums.get(path.name.removesuffix(".gz"), checksums[-1]) != checksums[-1]:
        raise DamagedFileError(
            f"{path} is damaged: its content does not have the SHA-256 that {recorded} records; "
            "get the file again"
        )
    start = 4 + 4 * rank
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if content[:4] != bytes([0, 0, 8, rank]) or len(content) != start + math.prod(sizes):
        kind = {3: "images", 1: "labels"}[rank]
        raise DamagedFileError(f"{path} is not a whole IDX file of {kind}; get it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def unpack(path: Path) -> bytes:
    """Return a file's content; whether it is gzipped its first two bytes say, not its name."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); get the file again") from error
