"""The images of a user's folder: read, checked, and put in an order that their content fixes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from advlib.data import idx
from advlib.data.idx import Content
from advlib.kept.files import DamagedFileError
from advlib.kept.layout import KINDS, KNOWN, PARTS, Layout, find_known, find_layout, read_shape

_MODES = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}
"""The modes of pictures that can be read, and as what they are."""


def read_folder(folder: Path) -> Content:
    """Read a folder's four IDX files or its pictures.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    DamagedFileError, ValueError
        If a file is damaged, or the files do not fit each other.
    """
    layout = find_layout(folder)
    read_shape(layout)  # whose checks take no time
    return _read_idx(layout) if layout.idx else _read_pictures(layout)


def _read_idx(layout: Layout) -> Content:
    """Read four IDX files; a part whose labels are sorted is put in an even order."""
    read = {part: idx.read_pair(*(layout.idx[part, kind] for kind in KINDS)) for part in PARTS}
    checksums = [checksum for _, _, sums in read.values() for checksum in sums]
    first = layout.idx["train", "images"]
    if name := find_known(checksums):
        train, test = ((pixels.unsqueeze(1), values) for pixels, values, _ in read.values())
        return Content(name, idx.classes(name), train, test, checksums, first)
    labels = {part: torch.unique(read[part][1]) for part in PARTS}
    if not torch.equal(labels["train"], labels["test"]):
        raise DamagedFileError(
            f"{layout.idx['train', 'labels']} has the labels {_list(labels['train'])}, and "
            f"{layout.idx['test', 'labels']} {_list(labels['test'])}; both must have the same"
        )
    if len(labels["train"]) < 2:
        raise DamagedFileError(f"{layout.idx['train', 'labels']} has one class; 2 are needed")
    parts: list[tuple[Tensor, Tensor]] = []
    evenly = []
    for part, (pixels, values, _) in read.items():
        images, classes = pixels.unsqueeze(1), torch.searchsorted(labels["train"], values)
        if bool((classes.diff() >= 0).all()):
            images, classes = order_evenly(images, classes)
            evenly.append(part)
        parts.append((images, classes))
    return Content(
        name=_name(layout),
        classes=tuple(map(str, labels["train"].tolist())),
        train=parts[0],
        test=parts[1],
        checksums=["own", *checksums],
        first=first,
        own=True,
        evenly=tuple(evenly),
    )


def _name(layout: Layout) -> str:
    name = layout.folder.resolve().name
    return f"./{name}" if name in KNOWN else name


def _list(labels: Tensor) -> str:
    return ", ".join(map(str, labels.tolist()))


def digest(parts: Sequence[str]) -> str:
    """Return the SHA-256 of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def order_evenly(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Order images so that every beginning, and every end, has each class by its share.

    Within a class they are ordered by the SHA-256 of their pixels: names decide nothing.
    """
    place = np.empty(len(labels))
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0].tolist()
        members.sort(key=lambda i: hashlib.sha256(images[i].numpy().tobytes()).digest())
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = torch.from_numpy(np.lexsort((labels.numpy(), place)))
    return images[order], labels[order]


def _read_pictures(layout: Layout) -> Content:
    classes = tuple(layout.pictures["train"])
    shape = _decode(layout.files[0]).shape
    parts: list[tuple[Tensor, Tensor]] = []
    checksums = [*classes]
    for by_class in layout.pictures.values():
        images, labels = order_evenly(*_read_part(by_class, shape, layout.files[0]))
        parts.append((images, labels))
        for tensor in (images, labels):
            content = hashlib.sha256(str([*tensor.shape]).encode())
            content.update(tensor.numpy().tobytes())
            checksums.append(content.hexdigest())
    return Content(
        name=_name(layout),
        classes=classes,
        train=parts[0],
        test=parts[1],
        checksums=checksums,
        first=layout.files[0],
        own=True,
        pictures=True,
        evenly=PARTS,
    )


def _read_part(
    by_class: Mapping[str, Sequence[Path]], shape: tuple[int, ...], first: Path
) -> tuple[Tensor, Tensor]:
    """Read pictures, uint8 [N, C, H, W], and their labels, all of the first one's shape."""
    paths = [(path, label) for label, paths in enumerate(by_class.values()) for path in paths]
    images = torch.empty(len(paths), *shape, dtype=torch.uint8, device="cpu")
    for index, (path, _) in enumerate(paths):
        picture = _decode(path)
        if picture.shape != shape:
            raise DamagedFileError(
                f"{path} is {_describe(picture.shape)}, and {first} {_describe(shape)}; all "
                "pictures must be of one size, and all grey or all colour"
            )
        images[index] = torch.from_numpy(picture)
    return images, torch.tensor([label for _, label in paths], device="cpu")


def _describe(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} and {'grey' if channels == 1 else 'colour'}"


def _decode(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Read a picture, uint8 [C, H, W]."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode not in _MODES:
                raise DamagedFileError(
                    f"{path} has pixels of the mode {picture.mode}; pictures must be grey or "
                    "colour (RGB) with 8 bits for each value and no transparency: save it so"
                )
            mode = _MODES[picture.mode]
            pixels = np.array(picture if picture.mode == mode else picture.convert(mode))
    except DamagedFileError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DamagedFileError(
            f"{path} is no picture that can be read ({error}); replace it or remove it"
        ) from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
