import base64
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from advlib.kept.folders import FONTS
from advlib.show import figures
from advlib.show.captions import WIDTH
from advlib.show.drawings import draw_bands


def show(figure, data=None):
    figures.show(figure, "fig-x", "A *caption*", "What it shows", data)


def test_show_gives_the_figure_with_its_label_and_then_its_caption(outputs):
    show(figures.new_figure(1), pd.DataFrame({"epoch": [1, 2], "error": [4.0, np.nan]}))
    figure, caption = outputs
    about = figure.about
    assert set(figure.data) == {"image/svg+xml", "image/png", "text/plain"}
    assert base64.b64decode(figure.data["image/png"]).startswith(b"\x89PNG")
    assert (about["kind"], about["alt"]) == ("figure", "What it shows")
    assert about["data"]["data"] == [[1, 4.0], [2, None]]
    assert caption.data["text/markdown"] == "**Figure *x*.** A *caption*"


@pytest.mark.parametrize(
    ("label", "caption", "alt", "message"),
    [("tbl-x", "c", "a", "'fig-'"), ("fig-x", " ", "a", "caption"), ("fig-x", "c", "", "alt")],
)
def test_show_refuses_a_figure_that_the_report_cannot_use(label, caption, alt, message):
    with pytest.raises(ValueError, match=message):
        figures.show(Figure(), label, caption, alt)


def test_figures_are_the_same_svg_each_time_at_the_text_s_width(outputs):
    for _ in range(2):
        show(draw_bands([(np.eye(8).reshape(1, 2, 1, 4, 8), "ab")])[0])
    first, _, second, _ = (output.data.get("image/svg+xml", "") for output in outputs)
    assert first == second
    assert ET.fromstring(first).get("width") == f"{72 * WIDTH:g}pt"


def test_a_figure_has_the_typeface_of_the_text_and_no_small_letters(outputs):
    figure = figures.new_figure(1)
    axes = figure.subplots()
    axes.set(title="A title", xlabel=r"$\epsilon$ in pixels")
    show(figure)
    for text in figure.findobj(Text):
        found = Path(font_manager.findfont(text.get_fontproperties()))
        assert found.is_relative_to(FONTS), text
    axes.text(0, 0, "small", fontsize=7)
    with pytest.raises(ValueError, match="under 8 points"):
        show(figure)


def test_names_are_short_and_no_formulas():
    assert figures.write_name("Ankle boot") == "Ankle boot"
    assert figures.write_name("$x$") == r"\$x\$"
    first, second = (figures.write_name(f"species number {n:03}") for n in (1, 2))
    assert first != second
    assert len(first) <= 14
