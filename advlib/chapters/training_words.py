"""What the chapter on trainings says about one: its text, and sentences from its numbers."""

import inspect
import math
import re

import pandas as pd
from torch import nn

from advlib.chapters.matter_words import name_part
from advlib.experiment.subject import load_method, load_own
from advlib.kept.folders import METHOD_TEXTS
from advlib.published import slides
from advlib.published.comparison import error_interval
from advlib.results import tables as results
from advlib.settings import Experiment, read_origin, repeats_slides
from advlib.show.tables import read_cell
from advlib.show.words import (
    change,
    change_to,
    escape,
    interval,
    percent,
    place,
    place_beside,
    write_list,
)

OF_SLIDES = "<!-- of the slides -->"
"""In a method's text: what follows is left out where the report is not about what theirs is."""


def describe_method(name: str, experiment: Experiment) -> str:
    """Return the section about a training method: its title, and the text of its file.

    Of a user's own it is the docstring, as it is. Of a model that was trained elsewhere nothing is
    known.
    """
    heading = f"# {name_part(name, vars(experiment))}\n\n"
    if experiment.weights is not None:
        file = f"{experiment.origins[name].name}.safetensors"
        return f"{heading}The weights of this model are those of {escape(file)}."
    origin = experiment.origins.get(name)
    if origin is None or origin.file is None:
        text = (METHOD_TEXTS / f"{name}.md").read_text(encoding="utf-8")
        about, of_slides = text.partition(OF_SLIDES)[::2]
        return heading + about + of_slides * repeats_slides(vars(experiment))
    text = (
        f"This method is `{origin.name}` in the file {escape(origin.file.name)}, a function of the"
        " model, a minibatch and the settings."
    )
    return heading + text + describe_docstring(inspect.getdoc(load_method(origin).step) or "")


def describe_docstring(text: str) -> str:
    """Return what a docstring says, paragraph by paragraph, with no sign in it as markup."""
    paragraphs = [escape(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return "".join(f"\n\n{part}" for part in ["It says of itself:", *paragraphs] if paragraphs)


def describe_network(network: nn.Module, experiment: Experiment) -> str:
    """Say which network a user's own is, and what it says of itself."""
    own = read_origin(experiment.network)
    if own.file is None:
        return ""
    text = inspect.getdoc(load_own(own)) or ""
    if inspect.getdoc(nn.Module) == text:  # inherited
        text = ""
    return f"The network is `{own.name}` in the file {escape(own.file.name)}." + describe_docstring(
        text
    )


def describe_expectations(experiment: Experiment) -> str:
    """Say what a reader may expect of these settings, by the reference run's numbers."""
    if not repeats_slides(vars(experiment)):
        return ""
    if slides.applies(vars(experiment)):
        return "The settings of this report are those of the published experiment."
    reference = results.collect("")
    names = [name for name in slides.METHODS if f"tbl-evaluation-{name}" in reference]
    found = {name: reference[f"tbl-evaluation-{name}"]["error"] for name in names}
    errors = [
        f"{percent(float(error['adversarial']), 0)} after {name} training"
        for name, error in found.items()
    ]
    text = (
        "The settings of this report are not those of the published experiment, whose numbers are "
        "therefore left out. In the reference run of this project, with the published settings, "
        f"the error on adversarial images is {write_list(errors)}."
    )
    fewer = experiment.epochs < Experiment.epochs or experiment.images is not None
    return text + fewer * " With fewer images and epochs expect the same order, and less effect."


def describe_curves(history: pd.DataFrame | None, method: str) -> str:
    """Say where a training leads: on clean validation images, and on attacked ones."""
    if history is None:
        return ""
    clean, attacked, trained = (
        history[f"top1_error_{part}"].tolist()
        for part in ("validation", "validation_adversarial", "train_adversarial")
    )
    lowest = min(clean)
    best = ", its lowest"
    if clean[-1] > lowest:
        best = f"; it was at its lowest, {percent(lowest)}, after epoch {1 + clean.index(lowest)}"
    moved = change_to(attacked[0], attacked[-1], "between the first epoch and the last")
    if math.isnan(trained[-1]):
        return (
            "No attacked image was trained on. On the clean validation images the error of Figure"
            f" *curves-{method}* ends at {percent(clean[-1])}{best}. On the same images under"
            f" attack it {moved}."
        )
    return (
        f"In Figure *curves-{method}* the error on attacked validation images {moved}, which is"
        f" {place_beside(attacked[-1], trained[-1])} that on the attacked images"
        f" trained on. On the clean ones it ends at {percent(clean[-1])}{best}."
    )


def describe_evaluation(evaluation: pd.DataFrame, method: str, published_method: str | None) -> str:
    """Say what the attack does to the test images, and how near the published number is."""
    (before, after), (unforced, forced) = (
        [read_cell(evaluation, images, figure) for images in ("clean", "adversarial")]
        for figure in ("error", "confidence_error")
    )
    text = f"By Table *evaluation-{method}* the error {change(before, after)} under attack."
    if not math.isnan(forced - unforced):
        text += (
            f" On what is then misclassified the mean confidence is {percent(forced)},"
            f" {place_beside(forced, unforced)} that on the errors among clean images."
        )
    if published_method is None:
        return text
    theirs = slides.evaluation(published_method, corrected=True)["adversarial"]["error"]
    low, high = error_interval(evaluation.T["adversarial"])
    return (
        f"{text} The published adversarial error, {percent(theirs)}, {place(theirs, low, high)} the"
        f" 95 % interval of ours, {interval(low, high)}."
    )
