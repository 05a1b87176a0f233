"""Pictures in a folder for each class, in an order that their content fixes."""

import hashlib
import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from advlib.data.idx import FORMS, PARTS, Bytes, Part
from advlib.kept.files import DamagedFileError, list_files

Samples = list[tuple[Path, int]]
"""Pictures and their labels."""
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Of files that are pictures; torchvision's."""
_MODES = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}
"""The modes of pictures that can be read, and as what they are."""


def find_pictures(folder: Path) -> tuple[tuple[str, ...], dict[str, Samples]]:
    """Find the names of the classes and the pictures of both parts, both in the order of names."""
    if missing := [part for part in PARTS if not (folder / part).is_dir()]:
        raise FileNotFoundError(f"{folder} lacks {' and '.join(missing)}; {FORMS}")
    found = {part: _list_classes(folder / part) for part in PARTS}
    if differing := sorted(found["train"].keys() ^ found["test"].keys()):
        raise ValueError(
            f"{folder} has the class {differing[0]} in one of train and test only; both must have "
            "the same"
        )
    if len(found["train"]) < 2:
        raise ValueError(
            f"{folder / 'train'} has {len(found['train'])} classes; at least 2 are needed"
        )
    for part, classes in found.items():
        if empty := [name for name, paths in classes.items() if not paths]:
            raise ValueError(
                f"{folder / part / empty[0]} has no picture ({', '.join(SUFFIXES)}): add some, or "
                "remove this class from train and test"
            )
    samples = {
        part: [(path, label) for label, paths in enumerate(classes.values()) for path in paths]
        for part, classes in found.items()
    }
    return tuple(found["train"]), samples


_OF_SYSTEMS = (".ipynb_", ".git", ".DS_", ".Trash", "._")
"""What hidden files and folders begin with that programs make."""


def _list_classes(part: Path) -> dict[str, list[Path]]:
    """List the pictures by class, also those in folders below; another file is refused.

    So is a picture that is hidden; hidden things of programs are left out.
    """
    names = sorted(path.name for path in part.iterdir() if path.is_dir())
    classes: dict[str, list[Path]] = {name: [] for name in names if not name.startswith(".")}
    for path in [path for name in names for path in list_files(part / name)]:
        places = path.relative_to(part).parts
        hidden = [name for name in places if name.startswith(".")]
        if any(name.startswith(_OF_SYSTEMS) for name in hidden):
            continue
        if path.suffix.lower() in SUFFIXES and hidden:
            raise ValueError(
                f"{path}: {hidden[0]} begins with a dot, as what is hidden does: rename it or"
                " remove it"
            )
        if path.suffix.lower() not in SUFFIXES and not hidden:
            raise ValueError(
                f"{path} has the ending of no picture that is read ({', '.join(SUFFIXES)}): save it"
                " as one, or remove it"
            )
        if not hidden:
            classes[places[0]].append(path)
    return classes


def read_parts(samples: dict[str, Samples]) -> tuple[Part, Part, list[str]]:
    """Read the training and the test part in even order, and the SHA-256 of what is in them."""
    first = samples["train"][0][0]
    train, test = (order_evenly(*_read(samples[part], first)) for part in PARTS)
    checksums = []
    for values in (*train, *test):
        content = hashlib.sha256(str([*values.shape]).encode())
        content.update(values.tobytes())
        checksums.append(content.hexdigest())
    return train, test, checksums


def order_evenly(images: Bytes, labels: npt.NDArray[np.int64]) -> Part:
    """Order images so that every beginning, and every end, has each class by its share.

    Within a class they are ordered by the SHA-256 of their pixels: names decide nothing.
    """
    place = np.empty(len(labels))
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label).tolist()
        members.sort(key=lambda i: hashlib.sha256(images[i].tobytes()).digest())
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.lexsort((labels, place))
    return images[order], labels[order]


def _read(samples: Samples, first: Path) -> Part:
    """Read pictures and their labels, all of the first one's shape."""
    shape = _decode(first).shape
    images = np.empty((len(samples), *shape), np.uint8)
    for index, (path, _) in enumerate(samples):
        picture = _decode(path)
        if picture.shape != shape:
            raise DamagedFileError(
                f"{path} has {[*picture.shape]} channels, rows and columns, and {first} "
                f"{[*shape]}; all pictures must be of one size, and all grey or all colour"
            )
        images[index] = picture
    return images, np.array([label for _, label in samples], np.int64)


def open_picture(
    content: bytes, formats: tuple[str, ...] | None = None, largest: int = 10**9
) -> Image.Image:
    """Read a picture of one frame and so many pixels, turned as its camera was held.

    Its `info` has the "bits" of each value, of which Pillow leaves 8 of a colour without a word.
    Errors are Pillow's, or a ValueError.
    """
    with Image.open(io.BytesIO(content), formats=formats) as picture:
        if (frames := getattr(picture, "n_frames", 1)) != 1:
            raise ValueError(f"it has {frames} frames, and one is wanted")
        if picture.width * picture.height > largest:
            raise ValueError(f"it has more than {largest // 10**6} million pixels")
        picture.load()
        picture.info["bits"] = _read_bits(content, picture)
        return ImageOps.exif_transpose(picture)


def _decode(path: Path) -> Bytes:
    """Read a picture, [C, H, W]."""
    content = path.read_bytes()
    try:
        picture = open_picture(content)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DamagedFileError(
            f"{path} is no picture that can be read ({error}); replace it or remove it"
        ) from error
    bits = picture.info["bits"]
    if picture.mode not in _MODES or bits > 8 or "transparency" in picture.info:
        raise DamagedFileError(
            f"{path} has pixels of the mode {picture.mode} and {bits} bits; pictures must be grey"
            " or colour (RGB) with 8 bits for each value and no transparency: save it so"
        )
    pixels = np.array(picture.convert(_MODES[picture.mode]))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _read_bits(content: bytes, picture: Image.Image) -> int:
    """Return the bits of each value."""
    if content[1:4] == b"PNG":
        return content[24]
    if content[:2] in (b"P3", b"P6"):  # PPM says the largest value after width and height
        return int(re.sub(rb"#[^\n]*", b"", content[:1000]).split()[3]).bit_length()
    return int(max(getattr(picture, "tag_v2", {}).get(258, (8,))))
