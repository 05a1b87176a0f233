"""The last chapter: what was found, and where it comes from."""

from collections.abc import Iterable, Sequence

import pandas as pd

from advlib.chapters.matter_words import Chosen, Found, name_training, say_after
from advlib.published import findings, slides
from advlib.report import provenance
from advlib.report.provenance import Stage
from advlib.settings import repeats_slides
from advlib.show import tables
from advlib.show.tables import Markup, read_cell
from advlib.show.words import change_to, number, percent, write_list
from advlib.worst_case import STEP, WORST


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


def tell_errors(evaluation: pd.DataFrame, settings: Chosen) -> str:
    """Say the error after the first of the methods, a row each, and how the others change it."""
    (first, before), *rest = evaluation["error"].items()
    told = [
        f"With {name_training(method, settings)} it {change_to(before, error)}."
        for method, error in rest
    ]
    return " ".join([f"the error {say_after(first, settings)} is {percent(before)}.", *told])


def tell_confidences(evaluation: pd.DataFrame, settings: Chosen) -> str:
    """Say the mean confidence on the errors after each method, a row each."""
    confidences = evaluation["confidence_error"].items()
    return write_list([f"{percent(value)} {say_after(m, settings)}" for m, value in confidences])


def tell_what_holds(found: Found, methods: Sequence[str], settings: Chosen) -> str:
    """Say what the later chapters leave of what one step shows, each by its numbers."""
    parts = [_tell_step(found, methods, settings), _tell_defences(found, methods, settings)]
    parts += [_tell_calibration(found, methods, settings), _tell_transfer(found, methods)]
    return "\n\n".join(part for part in parts if part)


def _tell_step(found: Found, methods: Sequence[str], settings: Chosen) -> str:
    first, precision = methods[0], found["tbl-precision"]
    lossy, exact, valid = (percent(error) for error in precision[first])
    ours = repeats_slides({**settings, "methods": methods})
    how = "As the slides compute it" if ours else "In single precision"
    return (
        f"**Does one step fool the {first} model?** {how}, {lossy} of the"
        " images in Table *precision* are misclassified; with the direction that single precision"
        f" hides, {exact}; with valid pixels only, {valid}."
    )


def _tell_defences(found: Found, methods: Sequence[str], settings: Chosen) -> str:
    """Compare what a method wins by one step and by the worst case, on the same valid images."""
    first, *others = methods
    if not others:
        return ""
    worst = {m: read_cell(found["tbl-robustness"], WORST, m) for m in methods}
    step = {m: read_cell(found["tbl-robustness"], STEP, m) for m in methods}
    ours = repeats_slides({**settings, "methods": methods})
    told = [
        f"With {name_training(m, settings)} the error"
        f" {change_to(step[first], step[m], 'by one step')}, and in the worst case it"
        f" {change_to(worst[first], worst[m])}:"
        f" {_judge((step[first], step[m]), (worst[first], worst[m]), ours=ours)}."
        for m in others
    ]
    asked = "Does training on adversarial images help?" if ours else "What is left of a defence?"
    measured = "The slides measure it" if ours else "The tables before measure it"
    return (
        f"**{asked}** {measured} by one step on images that need not be valid; Table *robustness*"
        " has that step and the worst case of many attacks, both on the same valid images."
        f" {' '.join(told)}"
    )


def _judge(step: tuple[float, float], worst: tuple[float, float], *, ours: bool) -> str:
    """Say what the worst case leaves of what one step shows; each is an error and what it fell to.

    Where most of what is won is lost, it does not hold, however much it was.
    """
    by_step, by_worst = step[0] - step[1], worst[0] - worst[1]
    claim = "the claim" if ours else "what is won"
    if by_step <= 0:
        return "one step shows no gain"
    if by_worst <= 0:
        return f"{claim} does not hold"
    if by_worst < by_step / 2:
        return f"{claim} does not hold, of the gain {percent(100 * by_worst / by_step, 0)} is left"
    if worst[1] <= step[1]:
        return f"{claim} holds in full"
    left = f"{number(worst[1] / step[1], 1)} times the error" if step[1] else "an error"
    return f"{claim} holds, but {left} is left"


def _tell_calibration(found: Found, methods: Sequence[str], settings: Chosen) -> str:
    def distance(method: str, images: str) -> float:
        return read_cell(found["tbl-calibration"], f"{method}, {images}", "calibration_error")

    told = [
        f"{number(distance(m, 'adversarial'), 1)} points {say_after(m, settings)}" for m in methods
    ]
    clean = max(distance(m, "clean") for m in methods)
    asked = "Is a defended model's confidence worth more?"
    if not repeats_slides({**settings, "methods": methods}):
        asked = "What is confidence worth?"
    return (
        f"**{asked}** On images attacked by one step the"
        f" distance of confidence and accuracy is {write_list(told)} (Table *calibration*); on"
        f" clean images it is at most {number(clean, 1)}."
    )


def _tell_transfer(found: Found, methods: Sequence[str]) -> str:
    robust = found["tbl-robustness"]
    if "transfer" not in robust.index:
        return ""
    told = [
        f"{percent(read_cell(robust, 'transfer', m))} of the {m} model"
        f" ({percent(read_cell(robust, WORST, m))} in the worst case, with the model known)"
        for m in methods
    ]
    return (
        "**Is it enough not to give the model away?** Valid images that APGD made against the other"
        f" models lead to an error of {write_list(told)}."
    )
