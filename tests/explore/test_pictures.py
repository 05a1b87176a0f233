"""Pictures of one's own, made from MNIST's digits: what comes back is the digit."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

import advlib
from advlib.explore.pictures import (
    COMPARED,
    JUDGED,
    bring_to_form,
    find_usual_distance,
    judge,
    measure_distance,
)

FIRST, COUNT = 3000, 10


@cache  # and not at import: each of pytest's workers imports all files, for one to run this
def load():
    return advlib.load_data("MNIST", images=COMPARED)


def digit(index):
    return load().to_pixels(load().test.images[index])[0].double().numpy().clip(0, 1)


def write(pixels, mode="L", *, kind=np.uint8):
    """Write a PNG of pixels in [0, 1], of the array's mode, or as Pillow changes it to another."""
    image = Image.fromarray((pixels * np.iinfo(kind).max).round().astype(kind))
    file = io.BytesIO()
    (image if kind == np.uint16 else image.convert(mode)).save(file, "PNG")
    return file.getvalue()


def large(pixels, times=9):
    """A digit drawn large, and not in the middle."""
    return np.pad(np.kron(pixels, np.ones((times, times))), ((20, 70), (60, 5)))


def with_opacity(ink, colour):
    return write(np.stack([*[0 * ink + colour] * 3, ink], 2), "RGBA")


DRAWN = {
    "dark on light": lambda digit: write(1 - large(digit)),
    "light on dark": lambda digit: write(large(digit)),
    "transparent, dark": lambda digit: with_opacity(large(digit), 0),
    "transparent, light": lambda digit: with_opacity(large(digit), 1),
    "16 bits": lambda digit: write(1 - large(digit), kind=np.uint16),
    "palette": lambda digit: write(1 - large(digit), "P"),
    "as it is": write,
}
LARGE = {
    "from a camera": lambda digit: write(1 - large(digit, 80)),
    "from a scanner": lambda digit: write(large(digit, 80), kind=np.uint16),
}


@pytest.mark.parametrize("draw", DRAWN)
def test_a_digit_comes_back_in_the_datas_form(draw):
    for index in range(FIRST, FIRST + COUNT):
        picture = bring_to_form(DRAWN[draw](digit(index)), "digit.png", load())
        assert np.abs(picture.steps[-2].pixels - digit(index)).mean() < 0.005
        expected = load().test.images[[index]]
        assert picture.image.shape == expected.shape
        assert picture.image.dtype == expected.dtype
        model = advlib.pretrained("standard")
        assert int(model(picture.image).argmax()) == int(model(expected).argmax())


@pytest.mark.parametrize("draw", LARGE)
def test_a_large_picture_is_made_smaller_first(draw):
    picture = bring_to_form(LARGE[draw](digit(FIRST)), "digit.png", load())
    assert picture.steps[0].pixels.shape == (777, 769, 3)
    assert np.abs(picture.steps[-2].pixels - digit(FIRST)).mean() < 0.01


BLANK = np.ones((50, 40))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"GIF89a and no more", write(BLANK)[:60], write(BLANK)),
        write(np.ones((7000, 6000))),
    ],
    ids=["empty", "no PNG", "cut off", "blank", "too large"],
)
def test_what_is_no_picture_of_a_digit_is_refused(content):
    with pytest.raises(ValueError, match=r"x\.png"):
        bring_to_form(content, "x.png", load())


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 2)])
def test_odd_shapes_do_not_fail(shape):
    pixels = np.zeros(shape)
    pixels.flat[-1] = 1
    assert bring_to_form(write(pixels), "x.png", load()).image.isfinite().all()


def test_the_distance_is_to_the_nearest_training_image():
    assert measure_distance(load().train.images[[7]], load()) == pytest.approx(0, abs=1e-2)
    pixels = load().to_pixels(load().train.images).double()
    image = load().test.images[[5000]]
    every = (pixels - load().to_pixels(image).double()).square().sum((1, 2, 3)).sqrt()
    assert measure_distance(image, load()) == pytest.approx(float(every.min()), rel=1e-4)


def test_few_other_test_images_are_said_to_look_like_no_digit():
    """One of a hundred of those that set the distance, and about as many of the others."""
    usual = find_usual_distance(load())
    others = range(JUDGED, JUDGED + 150)
    far = sum(measure_distance(load().test.images[[n]], load()) > usual for n in others)
    assert far <= 7


def test_what_looks_like_no_digit_is_said_to():
    noise = np.random.default_rng(0).random((28, 28))
    checks = np.kron(np.indices((7, 7)).sum(0) % 2, np.ones((8, 8)))
    drawn = noise, checks, 1 - large(digit(FIRST))
    found = [judge(bring_to_form(write(each), "x.png", load()), load())[0] for each in drawn]
    assert found == [False, False, True]
