"""A figure's SVG as a part of the page: in its colours, light or dark, and in panels that wrap."""

import base64
import io
import re
from html import escape

import numpy as np
from PIL import Image

BOX = re.compile(r'<g id="axes_\d+">\s*<g id="patch_\d+">\s*<path d="([^"]*)"')
"""What matplotlib writes first of a panel: its rectangle."""
NARROW, TICK = 20, 5
"""Points: a panel less wide is a colour bar beside another; ticks reach so far out of a panel."""


def draw(label: str, alt: str, svg: str, png: str = "") -> str:
    """Return HTML of a figure: matplotlib's SVG, and the same as PNG, in base64.

    Greys are mixed from the page's colours of ink and paper, and images in grey on white are marked
    as ink. With the PNG, panels beside each other become pictures of their own, beside each other
    where there is room; those that share an axis have it drawn again where there is none.
    """
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    columns, bottom = _find_panels(svg, png, width, height)
    inner = _colour(_name(inner, label), _is_ink(svg))
    parts, first = [], f'<g id="{label}-all">{inner}</g>'
    for left, right, axis in columns:
        again = f'<use href="#{label}-all"/>'
        shared = _window("axis", axis[0], 0, axis[1] - axis[0], bottom, again) if axis else ""
        here = _window("", left, 0, right - left, bottom, first)
        wide = right - left + (axis[1] - axis[0] if axis else 0)
        parts.append(f'<span style="--w:{right - left:g};--n:{wide:g}">{shared}{here}</span>')
        first = again
    if bottom < height:  # no wider than what is there, so that it need not be small
        seen = _read(png)
        scale = seen.shape[1] / width
        inked = np.flatnonzero((seen[round(bottom * scale) :] < 250).any(axis=(0, 2))) / scale
        left, right = inked[0] - 1, inked[-1] + 1
        parts.append(_window("foot", left, bottom, right - left, height - bottom, first))
    panels = "".join(parts)
    return f'<div class="panels" role="img" aria-label="{escape(alt)}">{panels}</div>'


def _window(name: str, x: float, y: float, width: float, height: float, content: str) -> str:
    """Return a part of a picture as a picture."""
    box = f'class="{name}" viewBox="{x:g} {y:g} {width:g} {height:g}"'
    size = f'style="--w:{width:g};--h:{height:g}"'
    return f'<svg {box} {size} aria-hidden="true">{content}</svg>'


def _name(svg: str, label: str) -> str:
    """Keep the identifiers that are referred to, each with the figure's label in front."""
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("xlink:href", "href")
    used = {*re.findall(r'(?:href="|url\()#([^")]+)', svg)}
    name = re.compile(r' id="([^"]*)"')
    svg = name.sub(lambda each: f' id="{label}-{each[1]}"' if each[1] in used else "", svg)
    return re.sub(r'((?:href="|url\()#)', rf"\1{label}-", svg)


def _colour(svg: str, ink: bool) -> str:
    """Mix greys from ink and paper; mark images that are ink on paper."""

    def mix(grey: re.Match[str]) -> str:
        share = round(int(grey[1], 16) / 2.55)
        ends = {0: "var(--ink)", 100: "var(--paper)"}
        return ends.get(share, f"color-mix(in srgb,var(--paper) {share}%,var(--ink))")

    svg = svg.replace('" style="fill: #ffffff"/>', '" style="fill: none"/>')  # the paper itself
    svg = re.sub(r"#([0-9a-f]{2})\1\1\b", mix, svg)
    return svg.replace("<image ", '<image class="ink" ') if ink else svg


def _is_ink(svg: str) -> bool:
    """Whether a figure's images are grey, and more paper than ink."""
    images = re.findall(r'href="data:image/png;base64,([^"]*)"', svg)
    pixels = [_read(image).reshape(-1, 3) for image in images]
    every = np.concatenate(pixels) if pixels else np.zeros((1, 3), int)
    return bool(np.ptp(every, axis=1).max() <= 2 and every.mean() > 127)


def _read(png: str) -> np.ndarray:
    """Return a PNG in base64 as pixels [height, width, 3] on white."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"), int)


Column = tuple[float, float, tuple[float, float] | None]


def _find_panels(svg: str, png: str, width: float, height: float) -> tuple[list[Column], float]:
    """Return the columns of panels, and where they end and what is common to all begins.

    Of each column its left and right end, and those of the axis that it shares with another.
    """
    whole: tuple[list[Column], float] = [(0, width, None)], height
    boxes = [
        np.array(re.findall(r"[-\d.]+", box), float).reshape(-1, 2) for box in BOX.findall(svg)
    ]
    wide = [box for box in boxes if np.ptp(box[:, 0]) >= NARROW]
    starts = sorted({round(box[:, 0].min()) for box in wide})
    if len(starts) < 2 or not png:
        return whole
    drawn = _read(png).min(axis=2) < 250
    scale = drawn.shape[1] / width
    lowest, bottom = max(box[:, 1].max() for box in boxes), height
    if re.search(r'\n  <g id="legend_', svg):  # of the whole figure, below all
        gap = _find_gap(~drawn[round(lowest * scale) :].any(axis=1), inside=True)
        bottom = lowest + gap / scale if gap else lowest
    empty = ~drawn[: round(bottom * scale)].any(axis=0)
    cuts = [0.0]
    for after in starts[1:]:
        ends = [box[:, 0].max() for box in boxes if round(box[:, 0].min()) < after]
        begin = max((end for end in ends if end < after + 1), default=after)
        gap = _find_gap(empty[round(begin * scale) : round(after * scale)])
        if not gap or bottom == lowest:
            return whole
        cuts.append(begin + gap / scale)
    columns, axis = list[Column](), None
    for start, left, right in zip(starts, cuts, [*cuts[1:], width], strict=True):
        own = not empty[round(left * scale) : max(0, round((start - TICK) * scale))].all()
        axis = (left, float(start)) if own else axis
        columns.append((left, right, None if own else axis))
    return columns, bottom


def _find_gap(empty: np.ndarray, *, inside: bool = False) -> float:
    """Return the middle of the widest run of empty lines, or of those between others; else 0."""
    edges = np.flatnonzero(np.diff(empty.astype(int), prepend=0, append=0)).reshape(-1, 2)
    runs = [run for run in edges if not inside or (run[0] > 0 and run[1] < len(empty))]
    return float(np.mean(max(runs, key=np.ptp))) if runs else 0
