"""The report's figures: matplotlib figures in one style, at the width of its text."""

import base64
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from advlib.kept.folders import FONTS
from advlib.show.captions import WIDTH, Numbers, publish

SHOWN = 65
"""Of so many classes there are images in a figure."""
HIGHEST = 8.0
"""What fits on a page, in inches."""
SMALLEST = 8
"""Letters of fewer points are not read with ease."""
SCREEN, SHARPNESS = 96, 1.5
"""Pixels to an inch in a browser, and how many the PNG has for each."""

# Okabe and Ito's palette, safe for colour-blind readers; grey for its yellow, too light on paper
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#000000", "#777777"),
)
BLUE, VERMILLION = COLOURS[:2]
CURVES = tuple(
    {"color": colour, "linestyle": line, "marker": marker}
    for colour, line, marker in zip(COLOURS, ("-", "--", ":", "-.") * 2, "osD^vPX*", strict=True)
)
"""How the curves of up to eight models are told apart: by colour, line and marker."""
ABREAST = 4
"""Panels beside each other; more go into further rows."""

FONT = "Libertinus Serif"
"""The report's typeface. It comes with advlib, so that a figure looks the same on every machine."""
for _file in sorted(FONTS.glob("*.otf")):
    font_manager.fontManager.addfont(_file)
    # before one of the same name that the system may have
    font_manager.fontManager.ttflist.insert(0, font_manager.fontManager.ttflist.pop())

STYLE: dict[Any, Any] = {
    "font.family": [FONT, "STIXGeneral"],  # which has letters of other scripts
    "mathtext.fontset": "custom",
    **dict.fromkeys(("mathtext.rm", "mathtext.cal"), FONT),
    "mathtext.it": f"{FONT}:italic",
    "mathtext.bf": f"{FONT}:bold",
    "mathtext.fallback": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
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
    "axes.prop_cycle": cycler(color=COLOURS),
    "image.cmap": "gray_r",
    "image.interpolation": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "advlib",
}

LOOK: list[Any] = ["default", STYLE]
"""This style, whatever a matplotlibrc says."""

Array = npt.NDArray[np.float64]


def show(
    figure: Figure,
    label: str,
    caption: str,
    alt: str,
    numbers: Numbers | pd.DataFrame | None = None,
    seconds: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Display a figure, with all that the report needs to know of it, and close it.

    The report sets it as SVG; as PNG it shows also in a notebook that is not trusted. `label` is
    "fig-" and its name, `caption` is Markdown, `alt` is what a reader who cannot see it should
    know, `numbers` are those that it shows, `seconds` what the training took that gave them, and
    `more` what else there is of it, by media type.
    A ValueError says that something is missing, that no font has one of its characters, or that
    some are too small to read.
    """
    from matplotlib import pyplot as plt

    sizes = [float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_text()]
    if min(sizes, default=SMALLEST) < SMALLEST:
        raise ValueError(f"{label}: no letter under {SMALLEST} points, not {min(sizes):g}")
    file, picture = io.StringIO(), io.BytesIO()
    with mpl.style.context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("error", r"Glyph \d+ .*missing from")
        try:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        except UserWarning as warning:
            raise ValueError(f"{label}: {warning}; write it in other letters") from None
        figure.set_layout_engine("none")  # it is laid out
        figure.savefig(picture, format="png", dpi=SCREEN * SHARPNESS, metadata={"Software": None})
    width = round(SCREEN * figure.get_figwidth())
    plt.close(figure)
    svg = file.getvalue()
    content = {
        "image/svg+xml": svg[svg.index("<svg") :],
        "image/png": base64.b64encode(picture.getvalue()).decode(),
        "text/plain": alt,
        **(more or {}),
    }
    shown = {"image/png": {"width": width}}
    about: dict[str, Any] = {"alt": alt, "seconds": seconds}
    publish("figure", label, caption, content, numbers, metadata=shown, **about)


def new_figure(height: float) -> Figure:
    """Begin a figure as wide as the text; its height is in inches, at most `HIGHEST`.

    From here on matplotlib draws in the report's style: a notebook's cell need not ask for it.
    """
    mpl.style.use(LOOK)
    return Figure(figsize=(WIDTH, min(height, HIGHEST)), layout="constrained")


def draw_panels(
    figure: Figure, names: Sequence[str], rows: int = 1, heights: Sequence[float] | None = None
) -> Iterator[tuple[str, bool, Any]]:
    """Yield for each name whether it is the first of a band, and its column of so many panels.

    The panels of a column are equally high, or as `heights` says.
    """
    bands = [names[start : start + ABREAST] for start in range(0, len(names), ABREAST)]
    places = figure.subfigures(len(bands), 1, squeeze=False)[:, 0] if len(bands) > 1 else [figure]
    for place, band in zip(places, bands, strict=True):
        columns = len(names) if len(bands) == 1 else ABREAST
        shared: dict[str, Any] = {"sharex": "col", "sharey": "row", "height_ratios": heights}
        panels = place.subplots(rows, columns, **shared, squeeze=False)
        for axes in panels[:, len(band) :].flat:
            axes.set_visible(False)
        for name, column in zip(band, panels.T, strict=False):
            yield name, name == band[0], column


def draw_image(
    axes: Axes, image: Array, limits: tuple[float, float] = (0, 1), *, on_paper: bool = True
) -> AxesImage:
    """Draw an image [C, H, W] without its axes; values beyond the limits become the nearest.

    A grey one is drawn as ink `on_paper`, the larger the darker, or the larger the lighter.
    """
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    low, high = limits
    if len(image) == 1:
        return axes.imshow(image[0], vmin=low, vmax=high, cmap="gray_r" if on_paper else "gray")
    return axes.imshow(np.clip((np.moveaxis(image, 0, -1) - low) / (high - low), 0, 1))


def blank(shape: tuple[int, ...], *, on_paper: bool) -> Array:
    """Return white images [..., C, H, W]."""
    return np.full(shape, 0.0 if on_paper and shape[-3] == 1 else 1.0)


def draw_mosaic(
    axes: Axes,
    cells: Array,
    names: Mapping[str, Sequence[str]],
    apart: float,
    *,
    on_paper: bool = True,
) -> list[list[Text]]:
    """Draw [rows, columns, C, H, W] images as one; return the names under the columns, drawn.

    The names are rows, so many inches `apart`, each with what stands before it.
    """
    gap = 2
    rows, columns, channels, height, width = (
        n + 2 * gap * (i > 2) for i, n in enumerate(cells.shape)
    )
    framed = blank((rows, columns, channels, height, width), on_paper=on_paper)
    framed[..., gap:-gap, gap:-gap] = cells
    whole = framed.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    draw_image(axes, whole, on_paper=on_paper)
    foot, written = rows * height - 0.5, list[list[Text]]()
    for number, (label, row) in enumerate(names.items()):
        down: dict[str, Any] = {"va": "top", "fontsize": mpl.rcParams["xtick.labelsize"]}
        down |= {"textcoords": "offset points", "xytext": (0, -72 * apart * number - 1)}
        if label:
            axes.annotate(f"{write_name(label)}  ", (-0.5, foot), ha="right", **down)
        turn = 90 * _must_turn(row, columns)
        places = (np.arange(len(row)) + 0.5) * width - 0.5
        drawn: list[Text] = [
            axes.annotate(write_name(name), (place, foot), ha="center", rotation=turn, **down)
            for name, place in zip(row, places, strict=True)
        ]
        written.append(drawn)
    return written


LONGEST, LETTER = 14, 0.054
"""The letters of a name in a figure that are shown, and about how wide one is, in inches."""


def write_name(name: str) -> str:
    """Write a name of somebody's own in a figure: no formula, and not long."""
    if len(name) > LONGEST:
        name = f"{name[: LONGEST // 2]}\N{HORIZONTAL ELLIPSIS}{name[1 - LONGEST // 2 :]}"
    return name.replace("$", r"\$")


def _longest(names: Sequence[str]) -> float:
    """The width of the longest name, in inches."""
    return LETTER * min(LONGEST, max(map(len, names), default=0))


def _must_turn(names: Sequence[str], columns: int) -> bool:
    """Whether names are wider than their columns in a figure of the text's width."""
    return _longest(names) > WIDTH / columns


def measure_column(columns: int) -> float:
    """Return the width of an image in a row of so many, in inches."""
    return min(WIDTH / columns, 1.2)


def measure_names(names: Sequence[str], columns: int) -> float:
    """Return the height of names under their columns, in inches."""
    return 0.1 + _longest(names) if _must_turn(names, columns) else 0.18


def divide(count: int, most: int = 13) -> list[range]:
    """Divide columns among as few rows as have at most so many each, about equally."""
    size = -(-count // -(-count // most))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
