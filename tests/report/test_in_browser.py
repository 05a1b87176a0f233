"""The page in a real browser: readable at every width, light and dark, by mouse and keyboard."""

import numpy as np
import pytest
from toys import books, cell, shown, table, text

from advlib.show import figures

WIDTHS = (320, 768, 1180, 1366)
"""One for each of the style's lay-outs, most of them next to where another begins."""
WIDE = """| Model | Images | Group: one value | Group: another value | Words |
|:---|:---|---:|---:|:---|
| standard | clean | 1.23456789012345 | 2.34567890123456 | many words, as no line holds them |
| | published | 1.23456789012345 | 2.34567890123456 | few |
| mixed | clean | 1.23456789012345 | 2.34567890123456 | few |"""


def draw(monkeypatch):
    """A cell with a figure of panels that share an axis, a legend for all, and an image."""
    content = []
    monkeypatch.setattr(figures, "publish", lambda *a, **b: content.append(a[3]))
    figure = figures.new_figure(2)
    panels = [column[0] for _, _, column in figures.draw_panels(figure, ["a", "b", "c"])]
    for axes in panels[:2]:
        axes.plot([0, 1], [0, 100], label="a line")
    figures.draw_image(panels[2], np.eye(8)[None])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    figures.show(figure, "fig-panels", "Panels.", "Lines.")
    about = {"kind": "figure", "label": "fig-panels", "caption": "Panels.", "alt": "Lines."}
    return cell(*shown(about, content[0]), source="draw()")


@pytest.fixture(scope="module")
def looked(ask_browser):
    """What is to be said of a small report at each width, and of its use."""
    content = books()
    with pytest.MonkeyPatch.context() as patch:
        content["1-data"] += [draw(patch), table("wide", body=WIDE)]
    content["1-data"].append(text("Figure *panels* and Table *wide* are wide."))
    return ask_browser("look_at_page.py", content, *WIDTHS)


@pytest.mark.parametrize("window", [*(f"{width} light" for width in WIDTHS), f"{WIDTHS[-1]} dark"])
def test_at_each_width_nothing_is_covered_cut_or_out_of_reach(window, looked):
    found = looked[window]
    assert found["contents"] == []
    assert found["mark"] is None, "the contents mark where one is"
    assert found["covered"] == [], "by the contents"
    assert found["overlap"] == []
    assert found["hidden"] == [], "without a cue"
    assert found["sideways"] == [0, 0], "the page does not scroll to the side"
    assert found["cut"] == [], "code is wrapped"
    assert found["axe"] == []


def test_nothing_is_white_in_the_dark_and_the_reader_chooses(looked):
    assert looked["brightest, light"] == 255
    assert looked["brightest, dark"] < 245, "also without the script"
    assert looked["swapped"] == 255, "also without the script"


def test_the_page_is_used(looked):
    used = looked["use"]
    assert "Harnessing adversarial examples" in used["work"][0]
    assert used["figure"][1] > 0, "its preview is the picture"
    assert used["folded"] == 0
    assert used["copied"].strip() == "show_figure('digits')"
    assert looked["said"] == [], "no request, nothing on the console"
