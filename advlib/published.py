"""The published numbers of the slides, as they are printed and corrected.

`published.json` holds the numbers as they are printed, in percent, the later revision's beside
them, and where they come from. `advlib.findings` computes what is wrong in them.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

METHODS = ("standard", "mixed", "adversarial")
TRANSFER_ORDER = ("standard", "adversarial", "mixed")
"""The models of the transfer tables, in their order."""
FIGURES = ("correct", "error", "confidence", "confidence_correct", "confidence_error")
IMAGES = ("clean", "adversarial")
TRANSFER_FIGURES = ("error", "confidence_error")
IDENTITY_TOLERANCE = 0.01
"""How far two-decimal figures can be off the identity, in points. Three rounded confidences each
add up to half a hundredth, the two of the parts in proportion to their rates, which sum to one;
rates over 10,000 images are exact."""

CONTENT: dict[str, Any] = json.loads(
    (Path(__file__).parent / "published.json").read_text(encoding="utf-8")
)
"""All of `published.json`, to be read only."""
SLACK = 1e-9
"""For the rounding of float arithmetic; far below the last printed digit."""


def evaluation(method: str, *, corrected: bool = False) -> dict[str, dict[str, float]]:
    """Return a method's evaluation table.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    corrected : bool
        Whether a misprinted figure is replaced by the later revision's.

    Returns
    -------
    dict
        By images (`IMAGES`), then by figure (`FIGURES`), in percent.

    Raises
    ------
    ValueError
        If there is no such method.
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
    """Return a transfer table.

    Parameters
    ----------
    figure : str
        ``"error"`` or ``"confidence_error"``.
    corrected : bool
        Whether misprinted cells are replaced by the later revision's.

    Returns
    -------
    pandas.DataFrame
        Percent; a row is the model under test, a column the model that the images were made
        against.

    Raises
    ------
    ValueError
        If there is no such figure.
    """
    _one_of("figure", figure, TRANSFER_FIGURES)
    cells = CONTENT["transfer"][figure]
    if corrected:
        cells = CONTENT["later_revision"].get(f"transfer.{figure}", cells)
    return pd.DataFrame(cells, index=list(TRANSFER_ORDER), columns=list(TRANSFER_ORDER))


def curves(method: str) -> pd.DataFrame:
    """Return what the eye reads off the slides' training curves.

    Parameters
    ----------
    method : str
        One of `METHODS`.

    Returns
    -------
    pandas.DataFrame
        A row per curve, with the columns quantity (objective, top1_error or top5_error), split
        (train or validation), first and last (epoch); errors in percent. The slides' train curve
        is of the clean images for standard training, of the adversarial images for adversarial
        training, and the sum of both for mixed training.

    Raises
    ------
    ValueError
        If there is no such method.
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
    """Return the figures of Goodfellow et al. (arXiv:1412.6572) on MNIST at epsilon 0.25.

    Returns
    -------
    pandas.DataFrame
        Columns model, training, made_against (the model that the adversarial images are made
        against), error and confidence (mean; the adversarially trained network's, on its errors),
        in percent; NaN where not quoted. Epsilon is in pixels of [0, 1].
    """
    table = CONTENT["goodfellow2014"]
    return pd.DataFrame(table["rows"], columns=table["columns"])


def wording() -> pd.DataFrame:
    """Return the slides' slips of wording: columns where, printed, corrected, problem."""
    return pd.DataFrame(CONTENT["wording"])


def settings() -> dict[str, Any]:
    """Return the settings of the published experiment by the names of our parameters."""
    return dict(CONTENT["settings"])


def applies(parameters: Mapping[str, object]) -> bool:
    """Tell whether the published numbers are of the experiment with these parameters.

    Parameters
    ----------
    parameters : mapping
        Some or all of the parameters; one that is left out does not count. Any seed and method
        will do.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If there is no such parameter.
    """
    published = settings()
    for name in parameters:
        _one_of("parameter", name, (*published, "seed", "method"))
    given = {name: parameters[name] for name in published if name in parameters}
    if given.get("images") == CONTENT["split"]["train"]:
        given["images"] = None
    return all(value == published[name] for name, value in given.items())


def confidence_identity() -> pd.DataFrame:
    """Check that each confidence is the mean of its two parts, weighted by their rates.

    Returns
    -------
    pandas.DataFrame
        A row per column of the evaluation tables: method, images, printed, computed, difference
        (in points) and holds, which allows for rounding (`IDENTITY_TOLERANCE`).
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
