"""The last chapter: what was found, and where it comes from."""

from collections.abc import Iterable

import pandas as pd

from advlib.chapters.provenance import Stage
from advlib.chapters.tables import Markup
from advlib.chapters.wording import change, number, percent, write_list
from advlib.methods import METHODS


def lay_out_stages(stages: Iterable[Stage]) -> pd.DataFrame:
    """Lay out executed notebooks: the time of each and of its training, and what it shows."""
    return pd.DataFrame(
        [
            (
                stage.notebook,
                number(stage.seconds, 1),
                number(stage.training_seconds, 1),
                Markup("[" + "; ".join(f"@{label}" for label in stage.labels) + "]"),
            )
            for stage in stages
        ],
        columns=["Notebook", "Seconds", "Training", "Figures and tables"],
    )


def tell_errors(evaluation: pd.DataFrame) -> str:
    """Say the error after the first of the methods, a row each, and how the others change it."""
    (first, before), *rest = evaluation["error"].items()
    return " ".join(
        [
            f"the error after {_training(first)} is {percent(before)}.",
            *(
                f"With {_training(method)} it {change(before, error)}, to {percent(error)}."
                for method, error in rest
            ),
        ]
    )


def tell_confidences(evaluation: pd.DataFrame) -> str:
    """Say the mean confidence on the errors after each method, a row each."""
    confidences = evaluation["confidence_error"].items()
    return write_list(
        [f"{percent(value)} after {_training(method)}" for method, value in confidences]
    )


def _training(method: object) -> str:
    return METHODS[str(method)].title.lower()
