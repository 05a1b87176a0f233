"""The published numbers of the slides, as they are printed and corrected.

`slides.json` holds the numbers as they are printed, in percent, the later revision's beside
them, and where they come from. `advlib.published.findings` computes what is wrong in them.
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from advlib.kept.folders import PUBLISHED
from advlib.settings import declared

CONTENT: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
"""All of `slides.json`, to be read only."""
METHODS = tuple(CONTENT["evaluation"])
TRANSFER_ORDER = tuple(CONTENT["transfer"]["order"])
"""The models of the transfer tables, in their order."""
IMAGES = tuple(CONTENT["evaluation"]["standard"])
FIGURES = tuple(CONTENT["evaluation"]["standard"]["clean"])
TRANSFER_FIGURES = ("error", "confidence_error")
IDENTITY_TOLERANCE = 0.01
"""How far two-decimal figures can be off the identity, in points. Three rounded confidences each
add up to half a hundredth, the two of the parts in proportion to their rates, which sum to one;
rates over 10,000 images are exact."""

ANY = {"attacked", "methods", "seed"}
SLACK = 1e-9
"""For the rounding of float arithmetic; far below the last printed digit."""


def evaluation(method: str, *, corrected: bool = False) -> dict[str, dict[str, float]]:
    """Return a method's evaluation table by images and figure, in percent.

    Where `corrected`, a misprinted figure is replaced by the later revision's.
    """
    _one_of("method", method, METHODS)
    table = {images: dict(column) for images, column in CONTENT["evaluation"][method].items()}
    if corrected:
        checked = confidence_identity()
        for images in checked.loc[(checked["method"] == method) & ~checked["holds"], "images"]:
            table[images]["confidence"] = _revised_confidence(method, images)
    return table


def _revised_confidence(method: str, images: str) -> float:
    """Return the later revision's figure, or without one what the identity gives."""
    revised = CONTENT["later_revision"].get(f"evaluation.{method}.{images}.confidence")
    computed = _expected_confidence(CONTENT["evaluation"][method][images])
    return round(computed, 2) if revised is None else float(revised)


def _expected_confidence(column: Mapping[str, float]) -> float:
    correct, error = column["correct"] / 100, column["error"] / 100
    return correct * column["confidence_correct"] + error * column["confidence_error"]


def transfer(figure: str, *, corrected: bool = False) -> pd.DataFrame:
    """Return the transfer table of a figure in percent: row under test, column attacked.

    Where `corrected`, misprinted cells are replaced by the later revision's.
    """
    _one_of("figure", figure, TRANSFER_FIGURES)
    cells = CONTENT["transfer"][figure]
    if corrected:
        cells = CONTENT["later_revision"].get(f"transfer.{figure}", cells)
    return pd.DataFrame(cells, index=list(TRANSFER_ORDER), columns=list(TRANSFER_ORDER))


def curves(method: str) -> pd.DataFrame:
    """Return what the eye reads off the slides' training curves: quantity, split, first, last.

    Errors are in percent. The train curve is of the images that `advlib.methods` names.
    """
    _one_of("method", method, METHODS)
    rows = [
        # The plots' errors are fractions.
        (quantity, split, *(value * (1 if quantity == "objective" else 100) for value in ends))
        for quantity, splits in CONTENT["curves_read_off_the_figures"][method].items()
        for split, ends in splits.items()
    ]
    return pd.DataFrame(rows, columns=["quantity", "split", "first", "last"])


def goodfellow() -> pd.DataFrame:
    """Return figures of Goodfellow et al. (arXiv:1412.6572) on MNIST at epsilon 0.25, in percent.

    Epsilon is in pixels of [0, 1]. The confidence is the mean, the adversarially trained network's
    on its errors; NaN where it is not quoted.
    """
    table = CONTENT["goodfellow2014"]
    return pd.DataFrame(table["rows"], columns=table["columns"])


def wording() -> pd.DataFrame:
    """Return the slides' slips of wording: columns where, printed, corrected, problem."""
    return pd.DataFrame(CONTENT["wording"])


def settings() -> dict[str, Any]:
    """Return the settings of the published experiment by the names of our parameters."""
    return dict(CONTENT["settings"])


def applies(settings: Mapping[str, object]) -> bool:
    """Tell whether the published numbers are of the experiment with these settings.

    Any seed and any methods will do, and a setting that is left out does not count. One that the
    slides do not know must have its default, which is theirs.
    """
    theirs = {name: each.default for name, each in declared().items()} | CONTENT["settings"]
    ours = {name: settings[name] for name in theirs.keys() - ANY if name in settings}
    if ours.get("images") == CONTENT["split"]["train"]:
        ours["images"] = None
    return all(value == theirs[name] for name, value in ours.items())


def published_method(method: str, settings: Mapping[str, object]) -> str | None:
    """Return the method whose published numbers stand beside ours; None where none do."""
    return method if applies(settings) and method in METHODS else None


def order_transfer(methods: Iterable[str]) -> list[str]:
    """Return methods as the transfer tables have them: those of the slides in their order there."""
    methods = list(methods)
    return list(TRANSFER_ORDER) if methods == list(METHODS) else methods


def order_chapters(methods: Iterable[str]) -> list[str]:
    """Return methods as the chapters have them; the inverse of `order_transfer`."""
    methods = list(methods)
    return list(METHODS) if methods == list(TRANSFER_ORDER) else methods


def confidence_identity() -> pd.DataFrame:
    """Check that each confidence is the mean of its two parts, weighted by their rates.

    A row per column of the evaluation tables; holds allows for rounding (see
    `IDENTITY_TOLERANCE`).
    """
    rows = []
    for method, images in itertools.product(METHODS, IMAGES):
        column = CONTENT["evaluation"][method][images]
        computed = _expected_confidence(column)
        difference = column["confidence"] - computed
        holds = abs(difference) <= IDENTITY_TOLERANCE + SLACK
        rows.append((method, images, column["confidence"], computed, difference, holds))
    names = ["method", "images", "printed", "computed", "difference", "holds"]
    return pd.DataFrame(rows, columns=names)


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}, not {value!r}")
