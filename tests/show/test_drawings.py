"""The pictures that more than one notebook draws, by the pixels in them."""

import numpy as np
import pytest

from advlib.show.drawings import draw_bands


@pytest.mark.parametrize(("columns", "lines"), [(2, 1), (13, 1), (26, 2), (62, 5)])
def test_each_column_of_a_band_has_its_images_and_its_name(columns, lines):
    random = np.random.default_rng(0)
    bands = [(random.uniform(0.2, 1, (3, columns, 1, 4, 6)), [*map(str, range(columns))])] * 2
    figure, written = draw_bands(bands)
    assert [[text.get_text() for text in names] for names in written] == [bands[0][1]] * 2
    panels = iter(figure.axes)
    wide = -(-columns // lines)
    for start in range(0, columns, wide):
        for images, _ in bands:
            drawn = np.asarray(next(panels).images[0].get_array())
            assert drawn.shape == (3 * (4 + 4), wide * (6 + 4))
            cells = drawn.reshape(3, 8, wide, 10)[:, 2:-2, :, 2:-2].transpose(0, 2, 1, 3)
            here = images[:, start : start + wide, 0]
            np.testing.assert_array_equal(cells[:, : here.shape[1]], here)
            assert not cells[:, here.shape[1] :].any()  # white: there is no such column
    assert next(panels, None) is None


def test_colours_stay():
    image = np.random.default_rng(0).uniform(size=(3, 4, 6))
    figure, _ = draw_bands([(image[None, None], ["a"])], on_paper=False)
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(drawn[2:-2, 2:-2], np.moveaxis(image, 0, -1))
    assert (drawn[:2] == 1).all()


def test_a_band_has_several_rows_of_names():
    images = np.full((1, 20, 1, 4, 6), 0.5)
    rows = {name: [f"{name}{column}" for column in range(20)] for name in "ab"}
    figure, written = draw_bands([(images, rows)])
    assert [[text.get_text() for text in row] for row in written] == [*rows.values()]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for row in written for text in row]
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)
