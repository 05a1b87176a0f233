"""The panel as a picture that is stored with the notebook: for where no kernel runs."""

import io
import warnings
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from advlib.data import Dataset
from advlib.explore.attacking import Outcome, Result
from advlib.explore.drawing import colour_change, summarize
from advlib.show.figures import BLUE, VERMILLION, Array, draw_image, styled
from advlib.show.words import percent

WIDTH, HEIGHT, SHARPNESS = 8.0, 4.6, 110
"""In inches, and pixels to an inch: small enough to be stored."""


@styled
def draw_stored(result: Result, data: Dataset) -> bytes:
    """Return what the panel shows as a PNG."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    upper, lower = halves
    clean, adversarial = (
        np.asarray(data.to_pixels(each))[0] for each in (result.sample.image, result.adversarial)
    )
    choice, true = result.choice, data.classes[result.sample.label]
    titles = (
        f"{_place(result)}, class {true}",
        f"+ perturbation, $\\epsilon$ = {choice.epsilon:.3f}",
        f"= {choice.attack} on {choice.model}",
    )
    change = np.moveaxis(colour_change((adversarial - clean)[0]), -1, 0)
    images: tuple[Array, ...] = clean, change, adversarial
    for axes, image, title in zip(upper.subplots(1, 3), images, titles, strict=True):
        draw_image(axes, image)
        axes.set_title(title)
    plots = lower.subplots(1, len(result.outcomes), squeeze=False)[0]
    for axes, (name, outcome) in zip(plots, result.outcomes.items(), strict=True):
        _draw_outcome(axes, name, outcome, data.classes)
    plots[0].set_ylabel("probability before (blue), after")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter of a file's name that no font has
        figure.savefig(file, format="png", dpi=SHARPNESS, metadata={"Software": None})
    return file.getvalue()


def write_stored(result: Result, data: Dataset) -> str:
    """Return what the panel shows as text."""
    choice, true = result.choice, data.classes[result.sample.label]
    head = (
        f"{_place(result)}, class {true}; {choice.attack} on {choice.model},"
        f" epsilon {choice.epsilon:.3f}. {summarize(result)}"
    )
    lines = [
        f"{name}: {outcome}"
        if isinstance(outcome, str)
        else f"{name}: {_predictions(outcome, data.classes, ' before, ')} after"
        for name, outcome in result.outcomes.items()
    ]
    return "\n".join([head, *lines])


def _place(result: Result) -> str:
    source = result.sample.source
    return f"Test image {source}" if isinstance(source, int) else source.replace("$", r"\$")


def _predictions(outcome: Outcome, classes: tuple[str, ...], between: str) -> str:
    rows: tuple[Tensor, ...] = tuple(outcome.probabilities)
    return between.join(
        f"{classes[int(row.argmax())]} at {percent(100 * float(row.max()), 1)}" for row in rows
    )


def _draw_outcome(axes: Axes, name: str, outcome: Outcome | str, classes: tuple[str, ...]) -> None:
    axes.set_ylim(0, 1)
    if isinstance(outcome, str):
        axes.set_title(name)
        axes.text(0.5, 0.5, "no result", ha="center", transform=axes.transAxes)
        return
    axes.set_title(f"{name}: {outcome.verdict}\n{_predictions(outcome, classes, ' → ')}")
    places = np.arange(len(classes))
    for shift, row, colour in zip(
        (-0.2, 0.2), outcome.probabilities, (BLUE, VERMILLION), strict=True
    ):
        axes.bar(places + shift, np.asarray(row), width=0.4, color=colour)
    axes.set_xticks(places, classes, rotation=0 if max(map(len, classes)) <= 3 else 90)
    axes.get_xticklabels()[outcome.label].set_fontweight("bold")
