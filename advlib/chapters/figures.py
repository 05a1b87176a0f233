"""The report's figures: matplotlib figures in one style, at the width of its text."""

import base64
import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from advlib.chapters.captions import publish

WIDTH = 6.3
"""Width of the report's text in inches."""
SCREEN, SHARPNESS = 96, 1.5
"""Pixels to an inch in a browser, and how many the PNG has for each."""

BLUE, VERMILLION = "#0072B2", "#D55E00"  # of Okabe and Ito's palette, safe for colour-blind readers

# STIX comes with matplotlib, so that a figure looks the same on every machine.
STYLE: dict[Any, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILLION]),
    "image.cmap": "gray_r",
    "image.interpolation": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "advlib",
}

LOOK: list[Any] = ["default", STYLE]
styled = mpl.style.context(LOOK)
"""Has a function draw in this style, whatever a matplotlibrc says."""

Array = npt.NDArray[np.float64]


def show(
    figure: Figure,
    label: str,
    caption: str,
    alt: str,
    data: pd.DataFrame | None = None,
    seconds: float | None = None,
) -> None:
    """Display a figure, with all that the report needs to know of it.

    The report sets it as SVG; as PNG it shows also in a notebook that is not trusted.

    Parameters
    ----------
    figure
        The figure; it is closed.
    label
        "fig-" and its name.
    caption
        Its caption, in Markdown.
    alt
        Its text alternative: what a reader who cannot see it should know.
    data
        The numbers that it shows.
    seconds
        How long the training took whose numbers it shows.

    Raises
    ------
    ValueError
        If no font of the figure has one of its characters, or something is missing.
    """
    from matplotlib import pyplot as plt

    file, picture = io.StringIO(), io.BytesIO()
    with mpl.style.context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("error", r"Glyph \d+ .*missing from")
        try:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        except UserWarning as warning:
            raise ValueError(f"{label}: {warning}; write it in other letters") from None
        figure.savefig(picture, format="png", dpi=SCREEN * SHARPNESS, metadata={"Software": None})
    width = round(SCREEN * figure.get_figwidth())
    plt.close(figure)
    svg = file.getvalue()
    content = {
        "image/svg+xml": svg[svg.index("<svg") :],
        "image/png": base64.b64encode(picture.getvalue()).decode(),
        "text/plain": alt,
    }
    publish(
        *("figure", label, caption, content, data, alt, seconds),
        metadata={"image/png": {"width": width}},
    )


def new_figure(height: float) -> Figure:
    """Begin a figure as wide as the text; its height is in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def draw_image(axes: Axes, image: Array, limits: tuple[float, float] = (0, 1)) -> AxesImage:
    """Draw an image without its axes; values beyond the limits become black or white."""
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    return axes.imshow(image, vmin=limits[0], vmax=limits[1])


def draw_mosaic(axes: Axes, cells: Array, names: Sequence[str]) -> None:
    """Draw [rows, columns, H, W] images as one, with a name under each column."""
    gap = 2
    cells = np.pad(cells, ((0, 0), (0, 0), (gap, gap), (gap, gap)))
    rows, columns, height, width = cells.shape
    draw_image(axes, cells.transpose(0, 2, 1, 3).reshape(rows * height, columns * width))
    axes.set_xticks(np.arange(columns) * width + width / 2 - 0.5, names)
    axes.tick_params(length=0, pad=1)
