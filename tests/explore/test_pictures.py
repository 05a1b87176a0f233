"""Pictures of one's own, made from MNIST's digits: what comes back is the digit."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import advlib
from advlib.explore.pictures import (
    COMPARED,
    JUDGED,
    UnreadablePictureError,
    bring_to_form,
    find_usual_distance,
    judge,
    measure_distance,
    read_digit,
)

DATA = advlib.load_data("MNIST", images=COMPARED)
FIRST, COUNT = 3000, 20


def digit(index: int) -> Any:
    return DATA.to_pixels(DATA.test.images[index])[0].double().numpy().clip(0, 1)


def write(pixels: Any, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8), mode).save(file, "PNG")
    return file.getvalue()


def large(pixels: Any, times: int = 9) -> Any:
    """A digit drawn large, and not in the middle."""
    return np.pad(np.kron(pixels, np.ones((times, times))), ((20, 70), (60, 5)))


def dark_on_light(pixels: Any) -> bytes:
    return write(1 - large(pixels))


def light_on_dark(pixels: Any) -> bytes:
    return write(large(pixels))


def transparent_dark(pixels: Any) -> bytes:
    ink = large(pixels)
    return write(np.stack([0 * ink, 0 * ink, 0 * ink, ink], 2), "RGBA")


def transparent_light(pixels: Any) -> bytes:
    ink = large(pixels)
    return write(np.stack([0 * ink + 1, 0 * ink + 1, 0 * ink + 1, ink], 2), "RGBA")


def sixteen_bits(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(((1 - large(pixels)) * 65535).round().astype(np.uint16)).save(file, "PNG")
    return file.getvalue()


def palette(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(dark_on_light(pixels))).convert("P").save(file, "PNG")
    return file.getvalue()


def from_a_camera(pixels: Any) -> bytes:
    return write(1 - large(pixels, 80))


def from_a_scanner(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray((large(pixels, 80) * 65535).round().astype(np.uint16)).save(file, "PNG")
    return file.getvalue()


def as_it_is(pixels: Any) -> bytes:
    return write(pixels)


@pytest.mark.parametrize(
    "draw",
    [
        *(dark_on_light, light_on_dark, transparent_dark, transparent_light),
        *(sixteen_bits, palette, as_it_is),
    ],
)
def test_a_digit_comes_back_in_the_datas_form(draw: Any) -> None:
    for index in range(FIRST, FIRST + COUNT):
        picture = bring_to_form(draw(digit(index)), "digit.png", DATA)
        assert np.abs(picture.steps[-2].pixels - digit(index)).mean() < 0.005
        expected = DATA.test.images[[index]]
        assert picture.image.shape == expected.shape
        assert picture.image.dtype == expected.dtype
        model = advlib.pretrained("standard")
        assert int(model(picture.image).argmax()) == int(model(expected).argmax())


def test_the_steps_are_told() -> None:
    steps = bring_to_form(dark_on_light(digit(FIRST)), "digit.png", DATA).steps
    words = " | ".join(step.words for step in steps)
    for part in ("317 × 342", "grey", "inverted", "cropped", "20 × 20", "mass", "training scale"):
        assert part in words
    assert max(steps[4].pixels.shape) == 20
    assert steps[5].pixels.shape == (28, 28)
    steps = bring_to_form(light_on_dark(digit(FIRST)), "digit.png", DATA).steps
    assert "already" in steps[2].words


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(dark_on_light(digit(FIRST)))
    picture = bring_to_form(path.read_bytes(), "mine.png", DATA)
    assert torch.equal(read_digit(path, DATA), picture.image)


@pytest.mark.parametrize("draw", [from_a_camera, from_a_scanner])
def test_a_large_picture_is_made_smaller_first(draw: Any) -> None:
    picture = bring_to_form(draw(digit(FIRST)), "digit.png", DATA)
    assert picture.steps[0].words == "as read, 2305 × 2330, made smaller, 769 × 777"
    assert picture.steps[0].pixels.shape == (777, 769, 3)
    assert np.abs(picture.steps[-2].pixels - digit(FIRST)).mean() < 0.01


BLANK = np.ones((50, 40))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no PNG"),
        (b"GIF89a and no more", "no PNG"),
        (write(BLANK)[:60], "cannot be read"),
        (write(BLANK), "shows nothing"),
        (write(np.ones((7000, 6000))), "at most 40 million"),
    ],
    ids=["empty", "no PNG", "cut off", "blank", "too large"],
)
def test_what_is_no_picture_of_a_digit_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(UnreadablePictureError, match=r"x\.png") as caught:
        bring_to_form(content, "x.png", DATA)
    assert words in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 2)])
def test_odd_shapes_do_not_fail(shape: tuple[int, int]) -> None:
    pixels = np.zeros(shape)
    pixels.flat[-1] = 1
    assert bring_to_form(write(pixels), "x.png", DATA).image.isfinite().all()


def test_the_distance_is_to_the_nearest_training_image() -> None:
    assert measure_distance(DATA.train.images[[7]], DATA) == pytest.approx(0, abs=1e-2)
    pixels = DATA.to_pixels(DATA.train.images).double()
    image = DATA.test.images[[5000]]
    every = (pixels - DATA.to_pixels(image).double()).square().sum((1, 2, 3)).sqrt()
    assert measure_distance(image, DATA) == pytest.approx(float(every.min()), rel=1e-4)


def test_few_other_test_images_are_said_to_look_like_no_digit() -> None:
    """One of a hundred of those that set the distance, and about as many of the others."""
    usual = find_usual_distance(DATA)
    others = range(JUDGED, JUDGED + 300)
    far = sum(measure_distance(DATA.test.images[[n]], DATA) > usual for n in others)
    assert far <= 12


def test_what_looks_like_no_digit_is_said_to() -> None:
    noise = np.random.default_rng(0).random((28, 28))
    checks = np.kron(np.indices((7, 7)).sum(0) % 2, np.ones((8, 8)))
    for pixels in (noise, checks):
        similar, word = judge(bring_to_form(write(pixels), "x.png", DATA), DATA)
        assert not similar
        assert "not to be believed" in word
        assert word.startswith("x.png ")
    similar, word = judge(bring_to_form(dark_on_light(digit(FIRST)), "x.png", DATA), DATA)
    assert similar
    assert "no promise" in word
