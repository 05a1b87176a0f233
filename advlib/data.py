"""Data sets of 28 x 28 digits or garments, split and scaled as in the slides.

The last 5,000 training images validate. From every image in pixels of [0, 1] the mean image of the
training images is subtracted; one affine map then takes the minimum and the maximum of the first
training image to 0 and 1, and all the others to about that range: the training scale.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from advlib.keeping import idx
from advlib.settings import check

VALIDATION_IMAGES = 5_000


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes
    ----------
    images : torch.Tensor
        float32 [N, 1, 28, 28], on the training scale.
    labels : torch.Tensor
        int64 [N], from 0 to 9.
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
        One of `advlib.settings.DATASETS`.
    classes : tuple of str
        The names of the ten classes.
    train, validation, test : Split
        The three parts.
    mean_image : torch.Tensor
        float64 [1, 28, 28], in pixels of [0, 1]: the mean of all training images, those that
        `load_data`'s `images` leaves out included.
    low, high : float
        What is 0 and 1 on the training scale, in pixels after the subtraction of `mean_image`.
    fingerprint : str
        SHA-256 of what decides the data: the contents of the files and the number of training
        images.
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

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest valid pixel on the training scale: float32 [1, 28, 28]."""
        black = torch.zeros(self.mean_image.shape, device="cpu")
        return self.to_inputs(black), self.to_inputs(black + 1)

    def to_inputs(self, pixels: Tensor) -> Tensor:
        """Take pixels to the training scale; the inverse of `to_pixels`.

        Parameters
        ----------
        pixels : torch.Tensor
            Floating point, [..., 1, 28, 28]; [0, 1] is black to white.

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
            Floating point, [..., 1, 28, 28].

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
            raise ValueError(
                f"{argument} must have the shape [..., 1, 28, 28], not {list(images.shape)}"
            )
        return self.mean_image.to(images.dtype).to(images.device)


def load_data(
    name: str = "MNIST", folder: str | os.PathLike[str] | None = None, images: int | None = None
) -> Dataset:
    """Load a data set, split and scaled as in the slides.

    Parameters
    ----------
    name : str
        One of `advlib.settings.DATASETS`.
    folder : path-like, optional
        A folder with the four IDX files of the data set, gzipped or not. If it has a file
        SHA256SUMS, they are checked against it. Without a folder MNIST comes with this package,
        and the others are downloaded once; both are kept in the cache folder (`cache_folder`).
    images : int, optional
        How many training images to use, the first ones. The mean image and the scale stay those of
        all.

    Returns
    -------
    Dataset
        The data, in memory: 220 MB for 70,000 images.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.
    DamagedFileError
        If a file is damaged or not what its name says; a ValueError.
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    RuntimeError
        If a data set cannot be downloaded.
    OSError
        If the cache folder cannot be written.
    """
    name, images = check("dataset", name), check("images", images)
    source = idx.find(name, folder)
    pixels, labels, checksums = idx.read_pair(source, idx.TRAIN)
    count = len(labels) - VALIDATION_IMAGES
    if count < 1:
        raise ValueError(
            f"{source / idx.TRAIN[0]} has {len(labels)} images; more than {VALIDATION_IMAGES} are "
            f"needed, because the last {VALIDATION_IMAGES} validate"
        )
    if images is not None and images > count:
        raise ValueError(f"images must be at most {count}, all that {name} has, not {images}")
    used = count if images is None else images
    mean, low, high = _scale(pixels[:count], source)
    train = Split(_scaled(pixels[:used], mean, low, high), labels[:used].clone())
    validation = Split(_scaled(pixels[count:], mean, low, high), labels[count:].clone())
    del pixels
    pixels, labels, test_checksums = idx.read_pair(source, idx.TEST)
    return Dataset(
        name=name,
        classes=idx.classes(name),
        train=train,
        validation=validation,
        test=Split(_scaled(pixels, mean, low, high), labels),
        mean_image=mean,
        low=low,
        high=high,
        fingerprint=_fingerprint(*checksums, *test_checksums, str(used)),
    )


def _scale(pixels: Tensor, source: Path) -> tuple[Tensor, float, float]:
    """Return the mean image in pixels and the two ends of the training scale."""
    total = pixels.numpy().sum(axis=0, dtype=np.int64)  # whole numbers: exact
    mean = torch.from_numpy(total / (255 * len(pixels))).unsqueeze(0)
    first = pixels[0].double() / 255 - mean
    low, high = first.min().item(), first.max().item()
    if low == high:
        raise ValueError(
            f"{source / idx.TRAIN[0]}: the first image less the mean image is the same everywhere, "
            "so that there is no scale"
        )
    return mean, low, high


def _scaled(pixels: Tensor, mean: Tensor, low: float, high: float) -> Tensor:
    """Take uint8 [N, 28, 28] to float32 [N, 1, 28, 28], rounded once."""
    images = torch.empty(len(pixels), 1, 28, 28, dtype=torch.float32, device="cpu")
    # A part at a time: all of them in float64 would take twice the memory of the result.
    for start in range(0, len(pixels), 500):
        part = pixels[start : start + 500].unsqueeze(1).double() / 255
        images[start : start + 500] = (part - mean - low) / (high - low)
    return images


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
