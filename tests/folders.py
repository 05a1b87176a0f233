"""Folders of data that tests draw: pictures in a folder for each class, and IDX files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from advlib.data.idx import FILES

Pixels = npt.NDArray[np.uint8]


def idx_bytes(values: npt.ArrayLike) -> bytes:
    """Write an IDX file: two zero bytes, 8 for uint8, the rank, the sizes, the values."""
    array = np.asarray(values, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def draw(label: int, shape: tuple[int, ...], random: np.random.Generator) -> Pixels:
    """Draw an image of a class, uint8: the class's own pattern, and noise."""
    pattern = np.random.default_rng(label).integers(0, 2, shape)
    return (150 * pattern + random.integers(0, 100, shape)).astype(np.uint8)


def put_pictures(
    folder: Path,
    classes: tuple[str, ...] = ("ant", "bee", "cat & dog"),
    train: int = 40,
    test: int = 10,
    shape: tuple[int, ...] = (12, 16, 3),
) -> Path:
    """Draw pictures of each class, the same each time."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for label, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(draw(label, shape, random))
                image.save(folder / part / name / f"{number}.png")
    return folder


def put_idx(
    folder: Path,
    classes: int = 26,
    train: int = 260,
    test: int = 78,
    size: tuple[int, int] = (16, 16),
    prefix: str = "",
    gzipped: bool = False,
    test_is_sorted: bool = False,
) -> Path:
    """Draw IDX files whose labels begin at 1, the same each time."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count) % classes
        labels = (
            np.sort(labels) if test_is_sorted and part == "test" else random.permutation(labels)
        )
        images = [draw(int(label), size, random) for label in labels]
        for kind, values in (("images", np.array(images)), ("labels", labels + 1)):
            name, content = prefix + FILES[part, kind], idx_bytes(values)
            path = folder / (f"{name}.gz" if gzipped else name)
            path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder
