"""Folders of data that tests draw: pictures in a folder for each class, and IDX files."""

import gzip
import struct

import numpy as np
from PIL import Image

from advlib.data.idx import FILES


def idx_bytes(values):
    """Write an IDX file: two zero bytes, 8 for uint8, the rank, the sizes, the values."""
    array = np.asarray(values, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def draw(label, shape, random):
    """Draw an image of a class, uint8: the class's own pattern, and noise."""
    pattern = np.random.default_rng(label).integers(0, 2, shape)
    return (150 * pattern + random.integers(0, 100, shape)).astype(np.uint8)


def put_pictures(folder, classes=("ant", "bee", "cat & dog"), train=40, test=10, shape=(12, 16, 3)):
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
    folder,
    classes=26,
    train=260,
    test=78,
    size=(16, 16),
    prefix="",
    gzipped=False,
    test_is_sorted=False,
):
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
