"""Data sets of small images, split and scaled: the slides' way, or the plain one.

The last 5,000 training images validate, a tenth of a user's own where there are fewer than 50,000.
From every image in pixels of [0, 1] the mean image of the training images is subtracted. Of grey
images of 28 x 28 pixels in IDX files, such as MNIST's, one affine map then takes the minimum and
the maximum of the first training image to 0 and 1, and all the others to about that range. What
comes out is the training scale.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from advlib.data import idx
from advlib.data import pictures as folder_data
from advlib.kept.layout import count_held_out
from advlib.settings import DATASETS, check

VALIDATION_IMAGES = 5_000
SLIDES, PLAIN = "slides", "plain"
"""The two kinds of preprocessing."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes
    ----------
    images : torch.Tensor
        float32 [N, C, H, W], on the training scale.
    labels : torch.Tensor
        int64 [N], from 0 on.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, images: int) -> "Split":
        """Return the first of them, with their labels; all where there are no more."""
        return Split(self.images[:images], self.labels[:images])


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
        images.
    preprocessing : str
        ``"slides"``, with `low` and `high` from the first training image, or ``"plain"``: 0 and 1.
    pictures : bool
        Whether it came as pictures in folders, not as IDX files.
    evenly : tuple of str
        Those of ``"train"`` and ``"test"`` in which every beginning has each class by its share, in
        an order that the content fixes. The others are in the order of their file.
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
    preprocessing: str = SLIDES
    pictures: bool = False
    evenly: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest valid pixel on the training scale: float32 [C, H, W]."""
        black = torch.zeros(self.mean_image.shape, device="cpu")
        return self.to_inputs(black), self.to_inputs(black + 1)

    def to_inputs(self, pixels: Tensor) -> Tensor:
        """Take pixels to the training scale; the inverse of `to_pixels`.

        Parameters
        ----------
        pixels : torch.Tensor
            Floating point, [..., C, H, W]; [0, 1] is black to white.

        Returns
        -------
        torch.Tensor
            Of the same shape, dtype and device.

        Raises
        ------
        TypeError, ValueError
            If `pixels` is not such a tensor.
        """
        mean = self._mean_like("pixels", pixels)
        return (pixels - mean - self.low) / (self.high - self.low)

    def to_pixels(self, images: Tensor) -> Tensor:
        """Take images on the training scale to pixels; the inverse of `to_inputs`.

        Parameters
        ----------
        images : torch.Tensor
            Floating point, [..., C, H, W].

        Returns
        -------
        torch.Tensor
            Of the same shape, dtype and device; adversarial images may lie outside of [0, 1].

        Raises
        ------
        TypeError, ValueError
            If `images` is not such a tensor.
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
        ``train/CLASS/*.png`` and ``test/CLASS/*.png``, grey or colour, all of one size. Pictures
        are put in an order that their content fixes, in which every part of it that is used has
        each class by its share.
    folder : path-like, optional
        With a data set's name: a folder with its four IDX files, gzipped or not. If it has a file
        SHA256SUMS, they are checked against it. Without a folder MNIST comes with this package,
        and the others are downloaded once; both are kept in the cache folder (`cache_folder`).
    images : int, optional
        How many training images to use, the first ones. The mean image and the scale stay those of
        all.

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
        content = idx.read_known(name, folder)
    elif folder is None:
        content = folder_data.read_folder(Path(name))
    else:
        raise ValueError(f"folder goes with the name of a data set; {name!r} is a folder itself")
    return _prepare(content, images)


def _prepare(content: idx.Content, images: int | None) -> Dataset:
    """Split and scale a data set."""
    pixels, labels = content.train
    held_out = count_held_out(len(labels)) if content.own else VALIDATION_IMAGES
    count = len(labels) - held_out
    if count < 1:
        raise ValueError(
            f"{content.first} has {len(labels)} images; more than {held_out} are needed, because "
            f"the last {held_out} validate"
        )
    if images is not None and images > count:
        raise ValueError(
            f"images must be at most {count}, all that {content.name} has, not {images}"
        )
    used = count if images is None else images
    mean = _mean(pixels[:count])
    slides = not content.pictures and pixels.shape[1:] == (1, 28, 28)
    low, high = _ends(pixels[0], mean, content.first) if slides else (0.0, 1.0)
    parts = (pixels[:used], labels[:used]), (pixels[count:], labels[count:]), content.test
    train, validation, test = (
        Split(_scaled(images, mean, low, high), classes.clone()) for images, classes in parts
    )
    return Dataset(
        name=content.name,
        classes=content.classes,
        train=train,
        validation=validation,
        test=test,
        mean_image=mean,
        low=low,
        high=high,
        fingerprint=folder_data.digest([*content.checksums, str(used)]),
        preprocessing=SLIDES if slides else PLAIN,
        pictures=content.pictures,
        evenly=content.evenly,
    )


def _mean(pixels: Tensor) -> Tensor:
    """Return the mean image of uint8 [N, C, H, W] in pixels of [0, 1]."""
    total = pixels.numpy().sum(axis=0, dtype=np.int64)  # whole numbers: exact
    return torch.from_numpy(total / (255 * len(pixels)))


def _ends(first: Tensor, mean: Tensor, source: Path) -> tuple[float, float]:
    """Return the two ends of the slides' training scale."""
    less = first.double() / 255 - mean
    low, high = less.min().item(), less.max().item()
    if low == high:
        raise ValueError(
            f"{source}: the first image less the mean image is the same everywhere, so that there "
            "is no scale"
        )
    return low, high


def _scaled(pixels: Tensor, mean: Tensor, low: float, high: float) -> Tensor:
    """Take uint8 [N, C, H, W] to float32 of this shape, rounded once."""
    images = torch.empty(pixels.shape, dtype=torch.float32, device="cpu")
    # A part at a time: all of them in float64 would take twice the memory of the result.
    for start in range(0, len(pixels), 500):
        part = pixels[start : start + 500].double() / 255
        images[start : start + 500] = (part - mean - low) / (high - low)
    return images
