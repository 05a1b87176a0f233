"""The published numbers of the slides, as they are printed and corrected.

`slides.json` holds the numbers as they are printed, in percent, the later revision's beside
them, and where they come from. The report's back matter checks them.
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from advlib.kept.folders import PUBLISHED
from advlib.settings import Words, declared

CONTENT: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
"""All of `slides.json`, to be read only."""
METHODS = tuple(CONTENT["evaluation"])
TRANSFER_ORDER = tuple(CONTENT["transfer"]["order"])
"""The models of the transfer tables, in their order."""
TRANSFER_FIGURES = ("error", "confidence_error")
TOLERANCE = 0.01 + 1e-9
"""How far rounding to two decimals can take a mean confidence from that of its parts, in points:
three confidences by half a hundredth each, the two parts' by their shares; rates are exact."""
ANY = {"attacked", "attacks", "methods", "seed"}


def evaluation(method: str, *, corrected: bool = False) -> dict[str, dict[str, float]]:
    """Return a method's evaluation table by images and figure, in percent.

    Where `corrected`, a misprinted figure is replaced by the later revision's.
    """
    table = {images: dict(column) for images, column in CONTENT["evaluation"][method].items()}
    for images, column in table.items() if corrected else ():
        parts = (column[part] / 100 * column[f"confidence_{part}"] for part in ("correct", "error"))
        if abs(column["confidence"] - sum(parts)) > TOLERANCE:
            revised = CONTENT["later_revision"][f"evaluation.{method}.{images}.confidence"]
            column["confidence"] = float(revised)
    return table


def transfer(figure: str, *, corrected: bool = False) -> pd.DataFrame:
    """Return the transfer table of a figure in percent: row under test, column attacked.

    Where `corrected`, misprinted cells are replaced by the later revision's.
    """
    cells = CONTENT["transfer"][figure]
    if corrected:
        cells = CONTENT["later_revision"].get(f"transfer.{figure}", cells)
    return pd.DataFrame(cells, index=list(TRANSFER_ORDER), columns=list(TRANSFER_ORDER))


def curves(method: str) -> pd.DataFrame:
    """Return what the eye reads off the slides' training curves: quantity, split, first, last.

    Errors are in percent. The train curve is of the images that `advlib.methods` names.
    """
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


def settings() -> dict[str, Any]:
    """Return the settings of the published experiment by the names of our parameters."""
    return dict(CONTENT["settings"])


def applies(settings: Mapping[str, Any]) -> bool:
    """Tell whether there are published numbers of the experiment with these settings."""
    known = {*METHODS} & {*settings.get("methods", METHODS)}
    return bool(known) and not differ(settings)


def differ(settings: Mapping[str, Any]) -> dict[str, object]:
    """Return the published experiment's settings, of those that are other ones here.

    Any seed and any methods will do, and a setting that is left out does not count. One that the
    slides do not know must have its default, which is theirs.
    """
    theirs = {name: each.default for name, each in declared().items()} | CONTENT["settings"]
    theirs = {name: value for name, value in theirs.items() if name not in declared(Words)}
    ours = {name: settings[name] for name in theirs.keys() - ANY if name in settings}
    for name, part in {"images": "train", "tested": "test"}.items():
        if ours.get(name) == CONTENT["split"][part]:
            ours[name] = None
    return {name: theirs[name] for name in theirs if name in ours and ours[name] != theirs[name]}
