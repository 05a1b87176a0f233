"""The last chapter: what was found, and where it comes from."""

from collections.abc import Iterable, Sequence

import pandas as pd

from advlib.chapters import provenance, tables
from advlib.chapters.provenance import Stage
from advlib.chapters.tables import Markup
from advlib.chapters.wording import change, number, percent, write_list
from advlib.methods import METHODS
from advlib.published import findings, slides


def show_findings() -> None:
    """Show what is wrong in the published numbers."""
    misprints = pd.DataFrame(findings.findings()).rename(columns=str.capitalize)
    tables.show(
        misprints, "tbl-findings", "What is wrong or loose in the published numbers.", align="lrrl"
    )


def show_wording() -> None:
    """Show what is wrong in the slides' words."""
    wording = slides.wording().rename(columns=str.capitalize)
    tables.show(
        wording, "tbl-wording", "What is wrong or loose in the slides' words.", align="llll"
    )


def show_environment() -> None:
    """Show the machine and the software."""
    environment = provenance.environment()
    tables.show(
        pd.DataFrame(environment.items(), columns=["What", "Here"]),
        "tbl-environment",
        "The machine that executed the notebooks, and the software.",
        align="ll",
    )


def show_stages(stages: Sequence[Stage]) -> None:
    """Show executed notebooks, if there are any."""
    if stages:
        tables.show(
            lay_out_stages(stages),
            "tbl-stages",
            "The notebooks of this report: the seconds that executing each took, the seconds of "
            "the training that it shows, on whatever day that ran, and its figures and tables.",
            align="lrrl",
        )


def lay_out_stages(stages: Iterable[Stage]) -> pd.DataFrame:
    """Lay out executed notebooks: the time of each and of its training, and what it shows."""
    return pd.DataFrame(
        [
            (
                stage.notebook,
                number(stage.seconds, 1),
                number(stage.training_seconds, 1),
                Markup(", ".join(_name(label) for label in stage.labels)),
            )
            for stage in stages
        ],
        columns=["Notebook", "Seconds", "Training", "Figures and tables"],
    )


def _name(label: str) -> str:
    """Name a figure or table as a text refers to it."""
    kind, _, name = label.partition("-")
    return f"{'Figure' if kind == 'fig' else 'Table'} *{name}*"


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
