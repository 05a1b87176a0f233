"""A picture of one's own, brought to the form of MNIST step by step, and how like MNIST it is.

MNIST's digits are white on black, 20 pixels high or wide, their shape kept, in a field of 28 x 28
with their centre of mass in its middle (Y. LeCun, C. Cortes, C. J. C. Burges, the data's page).
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from advlib.data import Dataset
from advlib.data.pictures import open_picture

SIZE, DIGIT = 28, 20
LARGEST, ENOUGH = 40_000_000, 1000
"""Pixels of a picture, at most, and those of its longer side that are looked at."""
INK = 0.15
"""What is ink: this share of the way from the background to the darkest stroke."""
COMPARED, JUDGED, LEVEL = 10_000, 1_000, 0.99
"""Training images that a picture is compared with, test images that say how far is far, and the
share of these that is not far."""

Pixels: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """A stage of a picture: pixels [H, W] or [H, W, 3] in [0, 1], and what was done."""

    words: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in the data's form, from the file of a name."""

    name: str
    steps: tuple[Step, ...]
    """How it came about, from the picture as read to 28 x 28 pixels."""
    image: Tensor
    """float32 [1, 1, 28, 28], on the training scale."""


def read_digit(file: str | os.PathLike[str], data: Dataset) -> Tensor:
    """Read a PNG of a digit, and bring it to the data's form: float32 [1, 1, 28, 28].

    It may be of any size, dark on light or light on dark, transparent or not.
    """
    return bring_to_form(Path(file).read_bytes(), Path(file).name, data).image


def bring_to_form(content: bytes, name: str, data: Dataset) -> Picture:
    """Take a PNG's bytes to the data's form, with all steps; see `read_digit`."""
    pixels, (width, height) = _decode(content, name)
    colours = _flatten(pixels)
    grey = colours @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    light = background > (grey.min() + grey.max()) / 2
    white_on_black = 1 - grey if light else grey
    ink = (white_on_black - (1 - background if light else background)).clip(0)
    if ink.max() < 0.05:
        raise ValueError(
            f"{name} shows nothing: it is (nearly) one colour; draw a digit on a plain background"
        )
    ink /= ink.max()
    shown = f"{colours.shape[1]} × {colours.shape[0]}"
    smaller = f", made smaller, {shown}" if width > colours.shape[1] else ""
    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fitted = _fit(cropped)
    centred = _centre(fitted)
    image = data.to_inputs(torch.from_numpy(centred).float()[None, None])
    given = image[0, 0].double().numpy()  # to a network; shown from black to white
    steps = (
        Step(f"as read, {width} × {height}{smaller}", colours),
        Step("grey", grey),
        Step("inverted: white on black" if light else "white on black already", white_on_black),
        Step(f"background to black, cropped, {cropped.shape[1]} × {cropped.shape[0]}", cropped),
        Step(f"fitted into 20 × 20: {fitted.shape[1]} × {fitted.shape[0]}", fitted),
        Step("28 × 28, its centre of mass in the middle", centred),
        Step("on the training scale: less the mean image", (given - given.min()) / np.ptp(given)),
    )
    return Picture(name, steps, image)


def _decode(content: bytes, name: str) -> tuple[Pixels, tuple[int, int]]:
    """Read a PNG's bytes to [H, W, 4], red to opacity in [0, 1], and its width and height.

    A large picture is made smaller by a whole number: a square's mean takes the square's place.
    """
    try:
        with open_picture(content, ("PNG",), LARGEST) as picture:
            times = max(1, -(-max(picture.size) // ENOUGH))
            if picture.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                values = Image.fromarray(np.asarray(picture, dtype=np.float32)).reduce(times)
                grey = np.asarray(values, dtype=np.float64) / 65535
                return np.dstack([grey, grey, grey, np.ones_like(grey)]), picture.size
            colours = picture.convert("RGBA").reduce(times)
            return np.asarray(colours, dtype=np.float64) / 255, picture.size
    except UnidentifiedImageError:
        raise ValueError(f"{name} is no PNG; save the picture as PNG") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from None


def _flatten(pixels: Pixels) -> Pixels:
    """Lay a transparent picture on white, or on black where what is drawn is light."""
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    if opacity.min() == 1:
        return colours
    drawn = (colours.mean(2, keepdims=True) * opacity).sum() / max(opacity.sum(), 1e-9)
    return np.asarray(colours * opacity + (drawn < 0.5) * (1 - opacity))


def _fit(ink: Pixels) -> Pixels:
    """Scale to 20 pixels along the longer side, each the mean of what it covers."""
    height, width = ink.shape
    scale = DIGIT / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(ink.astype(np.float32))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(picture.resize(size, how), dtype=np.float64).clip(0, 1)


def _centre(ink: Pixels) -> Pixels:
    """Put it in the field with the centre of mass nearest to the middle, by whole pixels."""
    field = np.zeros((SIZE, SIZE))
    corner = []
    for axis, length in enumerate(ink.shape):
        mass = ink.sum(1 - axis)
        middle = float((mass * np.arange(length)).sum() / mass.sum())
        corner.append(min(max(round(SIZE / 2 - middle), 0), SIZE - length))
    top, left = corner
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return field


def measure_distance(image: Tensor, data: Dataset) -> float:
    """Return the distance from an image [1, 1, 28, 28] to the nearest training image.

    It is Euclidean, in pixels of [0, 1], to the nearest of the first 10,000 training images.
    """
    return float(torch.cdist(data.to_pixels(image).flatten(1), _training_pixels(data)).min())


@cache
def find_usual_distance(data: Dataset) -> float:
    """Return what 99 of 100 test images are nearer than; see `measure_distance`."""
    test = data.to_pixels(data.test.first(JUDGED).images).flatten(1)
    return float(torch.cdist(test, _training_pixels(data)).amin(1).quantile(LEVEL))


@cache
def _training_pixels(data: Dataset) -> Tensor:
    """Pixels of the training images that a picture is compared with, [N, 784]."""
    return data.to_pixels(data.train.first(COMPARED).images).flatten(1)


def judge(picture: Picture, data: Dataset) -> tuple[bool, str]:
    """Tell whether a picture is as near to the training data as digits are, and say it in words."""
    distance, usual = measure_distance(picture.image, data), find_usual_distance(data)
    figures = (
        f"Its distance to the nearest training image is {distance:.1f}; 99 of 100 test images are"
        f" nearer than {usual:.1f}."
    )
    if distance > usual:
        return False, (
            f"{picture.name} does not look like a digit of the training data. {figures} No network"
            " here has learnt anything about such pictures, and a confidence in it is not to be"
            " believed."
        )
    return True, (
        f"{picture.name} is as near to the training data as its own digits are. {figures} That is"
        " no promise that it is a digit, or that a network is right about it."
    )
