"""Our results as tables of numbers, and the published ones set against them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from advlib import curves, published, results
from advlib.evaluation import Evaluation, wilson_interval

WORDS = {
    "correct": "share of correct predictions",
    "error": "error",
    "confidence": "mean confidence",
    "confidence_correct": "mean confidence on the correct predictions",
    "confidence_error": "mean confidence on the errors",
}
"""The five figures of an evaluation, for sentences."""

TRANSFER_LABELS = {"error": "tbl-transfer-error", "confidence_error": "tbl-transfer-confidence"}
"""Where the two tables of the transfer are found."""


def evaluation_data(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Return evaluations in full precision: a row each, with the five figures and n, the images."""
    rows = [asdict(evaluation) for evaluation in evaluations.values()]
    return pd.DataFrame(rows, index=list(evaluations))[[*published.FIGURES, "n"]]


def error_interval(row: "pd.Series[float]") -> tuple[float, float]:
    """Return the 95 % interval of the error in a row of `evaluation_data`, in percent."""
    return wilson_interval(round(row["error"] * row["n"] / 100), int(row["n"]))


def readings_data(history: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the first and last values of our training curves and of the slides'."""
    slides = published.curves(method)
    return curves.ends(history, method).merge(
        slides, on=["quantity", "split"], suffixes=("", "_published"), validate="one_to_one"
    )


def epochwise_readings() -> dict[str, pd.DataFrame]:
    """Return the reference run's evaluations of mixed training by its two readings, if it has both.

    Returns
    -------
    dict
        `evaluation_data` with adversarial images "per minibatch" and "per epoch", or nothing.
    """
    labels = {
        "per minibatch": "tbl-evaluation-mixed",
        "per epoch": "tbl-evaluation-mixed-epochwise",
    }
    try:
        reference = results.collect("")
    except FileNotFoundError:
        return {}
    found = {name: reference[label] for name, label in labels.items() if label in reference}
    return found if len(found) == len(labels) else {}


def settings_found(found: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the settings that results were made with.

    Parameters
    ----------
    found
        Results by label, as `advlib.results.collect` returns them.

    Returns
    -------
    dict
        The parameters' values by name; None, which a table cannot hold, again where it has NaN.
    """
    row = found["tbl-settings"].astype(object).iloc[0]
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def published_gaps(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set every published percentage, misprints corrected, against ours.

    The diagonals of the transfer tables are left out, because they repeat the evaluations.

    Parameters
    ----------
    found
        Results by label, as `advlib.results.collect` returns them.

    Returns
    -------
    pandas.DataFrame
        Columns ours, published, where (in words) and difference (in points); a row per number.
    """
    parts = []
    for method in published.METHODS:
        theirs = pd.DataFrame(published.evaluation(method, corrected=True)).T
        part = _beside(found[f"tbl-evaluation-{method}"], theirs)
        part["where"] = [f"{WORDS[b]} of {method} training on {a} images" for a, b in part.index]
        parts.append(part)
    for figure, label in TRANSFER_LABELS.items():
        part = _beside(found[label], published.transfer(figure, corrected=True))
        words = f"{WORDS[figure]} of the {{}} model on the {{}} model's images"
        part["where"] = [words.format(*models) for models in part.index]
        parts.append(part[[tested != attacked for tested, attacked in part.index]])
    gaps = pd.concat(parts, ignore_index=True)
    return gaps.assign(difference=gaps["ours"] - gaps["published"])


def _beside(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of two tables beside each other; the second's rows and columns count."""
    same = ours.loc[list(theirs.index), list(theirs.columns)]
    return pd.DataFrame({"ours": same.stack(), "published": theirs.stack()})
