"""What lies in a folder of data: four IDX files, or pictures in a folder for each class.

Found and checked by names and first bytes, before any set-up: standard library only. Contents are
read by `advlib.data.pictures`.
"""

import gzip
import hashlib
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import product
from pathlib import Path

from advlib.kept.files import DamagedFileError

PARTS = ("train", "test")
KINDS = ("images", "labels")
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Of files that are pictures; torchvision's."""
FORMS = (
    "a folder of data has the four IDX files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped (.gz) or not, or pictures as "
    "train/CLASS/*.png and test/CLASS/*.png"
)
_IDX = re.compile(
    r"(?:.*[-_.])?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte(?:\.gz)?"
)
_RANKS = {"images": 3, "labels": 1}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3}
"""By the colour type: grey, colour, palette."""

KNOWN = {
    "MNIST": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "FashionMNIST": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
"""The SHA-256 of known data sets' files, unpacked: of training and of test, images and labels."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """The files of a folder of data: one of the two is filled.

    Attributes
    ----------
    folder : Path
        The folder.
    idx : dict
        By part and kind, such as ``("train", "labels")``: the IDX file.
    pictures : dict
        By part and class, the names of the classes in their order: the pictures.
    """

    folder: Path
    idx: dict[tuple[str, str], Path] = field(default_factory=dict)
    pictures: dict[str, dict[str, list[Path]]] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """All of them."""
        by_class = (paths for part in self.pictures.values() for paths in part.values())
        return [*self.idx.values(), *(path for paths in by_class for path in paths)]


def find_layout(folder: Path) -> Layout:
    """Find a folder's files of data.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    ValueError
        If a file is there twice, a class has no picture, there is one class only, or the classes of
        the two parts differ.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; {FORMS}")
    idx = _find_idx(folder)
    if idx:
        return Layout(folder, idx=idx)
    if missing := [part for part in PARTS if not (folder / part).is_dir()]:
        raise FileNotFoundError(f"{folder} lacks {' and '.join(missing)}; {FORMS}")
    pictures = {part: _find_classes(folder / part) for part in PARTS}
    train, test = (pictures[part].keys() for part in PARTS)
    for part, names in (("train", test - train), ("test", train - test)):
        if names:
            raise ValueError(
                f"{folder / part} lacks the class {', '.join(sorted(names))}, which "
                f"{folder / ('test' if part == 'train' else 'train')} has; both must have the same"
            )
    if len(train) < 2:
        raise ValueError(f"{folder / 'train'} has {len(train)} classes; at least 2 are needed")
    return Layout(folder, pictures=pictures)


def _find_idx(folder: Path) -> dict[tuple[str, str], Path]:
    """Find the four IDX files; none if no file's name is one of theirs."""
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        name = _IDX.fullmatch(path.name)
        if name is None or not path.is_file():
            continue
        key = ("train" if name["part"] == "train" else "test", name["kind"])
        other = found.setdefault(key, path)
        if path.name not in (other.name, f"{other.name}.gz"):
            raise ValueError(
                f"{folder} has two files of {' '.join(key)}, {other.name} and {path.name}; put the "
                "four that belong together in a folder of their own"
            )
    missing = [" ".join(key) for key in product(PARTS, KINDS) if key not in found]
    if found and missing:
        raise FileNotFoundError(f"{folder} lacks the IDX file of {', '.join(missing)}; {FORMS}")
    return found


def _find_classes(part: Path) -> dict[str, list[Path]]:
    """Find the pictures of each class, both sorted by name."""
    found = {}
    for folder in sorted(part.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            paths = sorted(folder.iterdir())
            found[folder.name] = [
                path
                for path in paths
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            ]
            if not found[folder.name]:
                raise ValueError(
                    f"{folder} has no picture ({', '.join(SUFFIXES)}): add some, or remove this "
                    "class from train and test"
                )
    return found


def read_shape(layout: Layout) -> Shape | None:
    """Read the shape [C, H, W] of a folder's images from the first bytes of a file or two.

    None where that does not say it: of pictures other than PNG.

    Raises
    ------
    DamagedFileError
        If a file is not what its name says, or the IDX files do not fit each other.
    """
    if layout.idx:
        sizes = {key: _read_sizes(path, key[1]) for key, path in layout.idx.items()}
        for part in PARTS:
            images, labels = (sizes[part, kind][0] for kind in KINDS)
            if not 0 < images == labels:
                raise DamagedFileError(
                    f"{layout.idx[part, 'images']} has {images} images and "
                    f"{layout.idx[part, 'labels']} {labels} labels; they must be as many, and at "
                    "least one"
                )
        train, test = (sizes[part, "images"][1:] for part in PARTS)
        if train != test or 0 in train:
            raise DamagedFileError(
                f"the images of {layout.idx['train', 'images']} are {_write(train)} and those of "
                f"{layout.idx['test', 'images']} {_write(test)}; all must be of one size"
            )
        return (1, *train)  # type: ignore[return-value]
    first = layout.files[0]
    with first.open("rb") as file:
        head = file.read(26)
    if first.suffix.lower() != ".png" or head[:8] != _PNG:
        return None
    if len(head) < 26:
        raise DamagedFileError(
            f"{first} is no picture that can be read (it ends early); replace it or remove it"
        )
    width, height, _, colour = struct.unpack(">IIBB", head[16:26])
    return (_PNG_CHANNELS[colour], height, width) if colour in _PNG_CHANNELS else None


def recognize(folder: Path) -> str | None:
    """Return the name of a known data set whose four IDX files a folder has."""
    layout = find_layout(folder)
    if not layout.idx or read_shape(layout) != (1, 28, 28):
        return None
    sums = []
    for key in product(PARTS, KINDS):
        path = layout.idx[key]
        with _open_unpacked(path) as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    return find_known(sums)


def find_known(checksums: Sequence[str]) -> str | None:
    """Return the known data set that has four files of these SHA-256, in the order of `KNOWN`."""
    return next((name for name, sums in KNOWN.items() if sums == tuple(checksums)), None)


def count_training(layout: Layout) -> int:
    """Count the images that train: those of the training part but for the validation's."""
    if layout.idx:
        images = _read_sizes(layout.idx["train", "images"], "images")[0]
    else:
        images = sum(map(len, layout.pictures["train"].values()))
    return images - count_held_out(images)


def count_held_out(images: int) -> int:
    """Return how many of so many training images of one's own validate."""
    return 5_000 if images >= 50_000 else max(1, images // 10)


def _write(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _read_sizes(path: Path, kind: str) -> tuple[int, ...]:
    """Read how many values an IDX file of bytes has along each axis."""
    rank = _RANKS[kind]
    try:
        with _open_unpacked(path) as file:
            head = file.read(4 + 4 * rank)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(f"{path} is damaged ({error}); get the file again") from error
    if head[:4] != bytes([0, 0, 8, rank]) or len(head) != 4 + 4 * rank:
        raise DamagedFileError(f"{path} is not a whole IDX file of {kind}; get it again")
    return struct.unpack(f">{rank}I", head[4:])


def digest_files(layout: Layout) -> str:
    """Return a digest that changes where a file is added, removed, renamed or written anew."""
    lines = []
    for path in sorted(layout.files):
        about = path.stat()
        lines.append(f"{path.relative_to(layout.folder)}\0{about.st_size}\0{about.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _open_unpacked(path: Path) -> gzip.GzipFile | BufferedReader:
    """Open a file's content: what is gzipped its first two bytes say, not its name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")
