"""Data sets of small images, split and scaled: the slides' way, or the plain one.

The last 5,000 training images validate, a tenth of a user's own where there are fewer than 50,000.
Where `images` of the others train, a draw from these validates, a tenth as many if they suffice.
From every image in pixels of [0, 1] the mean image of the training images is subtracted. Of grey
images of 28 x 28 pixels in IDX files, such as MNIST's, one affine map then takes the minimum and
the maximum of the first training image to 0 and 1, and all the others to about that range. What
comes out is the training scale.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from advlib.data import idx, known, pictures
from advlib.data.idx import Bytes, Part
from advlib.data.pictures import order_evenly
from advlib.kept.files import DamagedFileError
from advlib.settings import DATASETS, check, name_data

VALIDATION_IMAGES = 5_000
SLIDES_SHAPE = (1, 28, 28)
"""Of the images of the known data sets, and of those that are scaled as in the slides."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels."""

    images: Tensor
    """float32 [N, C, H, W], on the training scale."""
    labels: Tensor
    """int64 [N], from 0 on."""

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, images: int) -> "Split":
        """Return the first of them, with their labels; all where there are no more."""
        return Split(self.images[:images], self.labels[:images])

    def sample(self, images: int) -> "Split":
        """Return a fixed draw of so many, each class by its share; all where there are no more.

        It is drawn without replacement, the same each time; a smaller draw is the beginning of a
        larger one. The first images of a file are no sample: MNIST's first 5,000 test images are
        much harder than its last.
        """
        shuffled = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        place = torch.empty(len(self), dtype=torch.float64)
        for label in range(int(self.labels.max()) + 1):
            members = shuffled[self.labels[shuffled] == label]
            place[members] = (torch.arange(len(members)) + 0.5).double() / len(members)
        # members of one place in a random order, for no class should always come first
        chosen = shuffled[place[shuffled].argsort(stable=True)][:images]
        return Split(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set on the training scale, with the way back to pixels.

    Attributes
    ----------
    name : str
        One of `advlib.settings.DATASETS`, or that of the folder.
    classes : tuple of str
        The names of the classes.
    train, validation, test : Split
        The three parts.
    mean_image : torch.Tensor
        float64 [C, H, W], in pixels of [0, 1]: the mean of all training images, those that
        `load_data`'s `images` leaves out included.
    low, high : float
        What is 0 and 1 on the training scale, in pixels after the subtraction of `mean_image`.
    fingerprint : str
        SHA-256 of what decides the data: the contents of the files and the number of training
        images, and of those that validate where these are fewer than could.
    preprocessing : str
        ``"slides"``, with `low` and `high` from the first training image, or ``"plain"``: 0 and 1.
    pictures : bool
        Whether it came as pictures in folders, not as IDX files.
    evenly : bool
        Whether every beginning and every end of its files has each class by its share, in an order
        that the content fixes: those of a known data set are in the order they are published in.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean_image: Tensor
    low: float
    high: float
    fingerprint: str
    preprocessing: str = "slides"
    pictures: bool = False
    evenly: bool = False

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest valid pixel on the training scale: float32 [C, H, W]."""
        black = torch.zeros(self.mean_image.shape, device="cpu")
        return self.to_inputs(black), self.to_inputs(black + 1)

    def to_inputs(self, pixels: Tensor) -> Tensor:
        """Take pixels to the training scale; the inverse of `to_pixels`.

        They are a tensor of floating-point numbers, [..., C, H, W], 0 for black and 1 for white;
        what comes out has their shape, dtype and device.
        """
        mean = self._mean_like("pixels", pixels)
        return (pixels - mean - self.low) / (self.high - self.low)

    def to_pixels(self, images: Tensor) -> Tensor:
        """Take images on the training scale to pixels; the inverse of `to_inputs`.

        Those of adversarial images may lie outside of [0, 1].
        """
        mean = self._mean_like("images", images)
        return images * (self.high - self.low) + self.low + mean

    def epsilon_in_pixels(self, epsilon: float) -> float:
        """Return the distance in pixels of [0, 1] that is `epsilon` on the training scale."""
        return float(check("epsilon", epsilon)) * (self.high - self.low)

    def _mean_like(self, argument: str, images: Tensor) -> Tensor:
        if not isinstance(images, Tensor) or not images.is_floating_point():
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"{argument} must be a tensor of floating-point numbers, not {kind}")
        if images.shape[-3:] != self.mean_image.shape:
            shape = ", ".join(map(str, self.mean_image.shape))
            raise ValueError(
                f"{argument} must have the shape [..., {shape}], not {list(images.shape)}"
            )
        return self.mean_image.to(images.dtype).to(images.device)


def load_data(
    name: str | os.PathLike[str] = "MNIST",
    folder: str | os.PathLike[str] | None = None,
    images: int | None = None,
) -> Dataset:
    """Load a data set, split and scaled.

    Parameters
    ----------
    name : str or path-like
        One of `advlib.settings.DATASETS`, split and scaled as in the slides. Or the path of a
        folder with data of your own: four IDX files as MNIST has them, or pictures as
        ``train/CLASS/*.png`` and ``test/CLASS/*.png``, grey or colour, all of one size. They are
        put in an order that their content fixes, in which every part of it that is used has each
        class by its share.
    folder : path-like, optional
        With a data set's name: a folder with its four IDX files, gzipped or not. If it has a file
        SHA256SUMS, they are checked against it. Without a folder MNIST comes with this package,
        and the others are downloaded once and kept in the cache folder (`cache_folder`).
    images : int, optional
        How many training images to use, the first ones; all of a folder of your own that has fewer.
        A tenth as many validate, of those that are held out for it. The mean image and the scale
        stay those of all.

    Returns
    -------
    Dataset
        The data, in memory: 220 MB for 70,000 images of 28 x 28 pixels.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or the files of a folder do not fit each other.
    DamagedFileError
        If a file is damaged or not what its name says; a ValueError.
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    RuntimeError
        If a data set cannot be downloaded.
    OSError
        If the cache folder cannot be written.
    """
    name = check("dataset", os.fspath(name) if isinstance(name, os.PathLike) else name)
    images = check("images", images)
    if name in DATASETS:
        return _prepare(_read_known(name, folder), images)
    if folder is not None:
        raise ValueError(f"folder goes with the name of a data set; {name!r} is a folder itself")
    return _prepare(_read_own(Path(name)), images)


@dataclass(frozen=True, eq=False)
class _Content:
    """A data set as its files have it; `checksums` are of what decides it."""

    name: str
    classes: tuple[str, ...]
    train: Part
    test: Part
    checksums: list[str]
    own: bool = False
    pictures: bool = False
    evenly: bool = False


def _read_known(name: str, folder: str | os.PathLike[str] | None) -> _Content:
    """Read a known data set, or a user's files in its place."""
    source = known.find_folder(name) if folder is None else Path(folder)
    files = idx.find_files(source)
    if not files:
        raise FileNotFoundError(f"{source} has no IDX files; {idx.FORMS}")
    train, test, checksums = idx.read_parts(files)
    if (found := known.find_name(checksums)) not in (None, name):
        raise DamagedFileError(f"{source} has the files of {found}, not {name}'s; load it as that")
    classes = known.name_classes(name)
    if train[0].shape[1:] != SLIDES_SHAPE:
        raise DamagedFileError(
            f"{files['train', 'images']}: images must be 28 x 28, not {[*train[0].shape[2:]]}"
        )
    if (largest := max(train[1].max(), test[1].max())) >= len(classes):
        raise DamagedFileError(
            f"{source}: labels must be from 0 to {len(classes) - 1}, not {largest}"
        )
    if folder is None or name in (found, known.find_published(source)):
        return _Content(name, classes, train, test, checksums)
    train, test = order_evenly(*train), order_evenly(*test)
    return _Content(name, classes, train, test, checksums, evenly=True)


def _read_own(folder: Path) -> _Content:
    """Read a user's folder: IDX files or pictures."""
    files = idx.find_files(folder)
    name = name_data(str(folder.resolve()))
    if not files:
        classes, samples = pictures.find_pictures(folder)
        train, test, sums = pictures.read_parts(samples)
        sums = [*classes, *sums]
        return _Content(name, classes, train, test, sums, own=True, pictures=True, evenly=True)
    train, test, checksums = idx.read_parts(files)
    if found := known.find_name(checksums):
        return _Content(found, known.name_classes(found), train, test, checksums, own=True)
    values, of_test = np.unique(train[1]), np.unique(test[1])
    if len(values) < 2 or not np.array_equal(values, of_test):
        raise DamagedFileError(
            f"{files['train', 'labels']} has the labels {values.tolist()}, and "
            f"{files['test', 'labels']} {of_test.tolist()}; both must have the same, two or more"
        )
    train, test = (
        order_evenly(part[0], np.searchsorted(values, part[1])) for part in (train, test)
    )
    classes, sums = tuple(map(str, values)), ["own", *checksums]
    return _Content(name, classes, train, test, sums, own=True, evenly=True)


def _prepare(content: _Content, images: int | None) -> Dataset:
    """Split and scale a data set."""
    pixels, labels = content.train
    held_out = VALIDATION_IMAGES
    if content.own and len(labels) < 10 * VALIDATION_IMAGES:
        held_out = max(1, len(labels) // 10)
    count = len(labels) - held_out
    if count < 1:
        raise ValueError(
            f"{content.name} has {len(labels)} training images; more than {held_out} are needed, "
            f"because the last {held_out} validate"
        )
    used = count if images is None else images
    if used > count and not content.own:
        raise ValueError(
            f"images must be at most {count}, all that {content.name} has, not {images}"
        )
    used = min(used, count)
    validating = held_out if used == count else min(held_out, max(1, used // 10))
    mean = pixels[:count].sum(axis=0, dtype=np.int64) / (255 * count)  # of whole numbers: exact
    slides = not content.pictures and pixels.shape[1:] == SLIDES_SHAPE
    first = pixels[0] / 255 - mean
    low, high = (float(first.min()), float(first.max())) if slides else (0.0, 1.0)
    if low == high:
        raise ValueError(
            f"{content.name}: the first image less the mean image is the same everywhere, so that "
            "there is no scale"
        )
    parts = (pixels[:used], labels[:used]), (pixels[count:], labels[count:]), content.test
    train, validation, test = (
        Split(_scaled(images, mean, low, high), torch.from_numpy(classes).clone())
        for images, classes in parts
    )
    if validating < held_out:
        validation = validation.sample(validating)
    counts = [used, validating] if validating < held_out else [used]
    decides = "\n".join([*content.checksums, *map(str, counts)])
    return Dataset(
        name=content.name,
        classes=content.classes,
        train=train,
        validation=validation,
        test=test,
        mean_image=torch.from_numpy(mean),
        low=low,
        high=high,
        fingerprint=hashlib.sha256(decides.encode(errors="surrogateescape")).hexdigest(),
        preprocessing="slides" if slides else "plain",
        pictures=content.pictures,
        evenly=content.evenly,
    )


def _scaled(pixels: Bytes, mean: npt.NDArray[np.float64], low: float, high: float) -> Tensor:
    """Take images to the training scale, float32, rounded once."""
    images = torch.empty(pixels.shape, dtype=torch.float32, device="cpu")
    # A part at a time: all of them in float64 would take twice the memory of the result.
    for start in range(0, len(pixels), 500):
        part = pixels[start : start + 500] / 255
        images[start : start + 500] = torch.from_numpy((part - mean - low) / (high - low))
    return images
