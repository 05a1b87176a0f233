"""What the front and the back matter say of an experiment: its subject, the slides' or another."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from advlib.methods import METHODS
from advlib.settings import repeats_slides
from advlib.show.tables import read_cell
from advlib.show.words import escape, percent, write_list

COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
Found = Mapping[str, pd.DataFrame]
Chosen = Mapping[str, Any]
"""An experiment's settings as its results have them, see `settings_found`."""
COURSE_PROJECT = "[course project](style/references.bib#meucci2017)"


def is_trained(settings: Chosen) -> bool:
    """Tell whether the report's models were trained for it, and not elsewhere."""
    return settings.get("weights") is None


def name_part(method: str, settings: Chosen) -> str:
    """Return the heading of a method's part of the report."""
    if not is_trained(settings):
        return f"Model {method}"
    known = METHODS.get(method)
    return known.title if known else f"{method[:1].upper()}{method[1:]} training"


def name_training(method: object, settings: Chosen) -> str:
    """Name a method in a sentence: mixed training, or the mixed model."""
    if not is_trained(settings):
        return f"the {method} model"
    title = name_part(str(method), settings)
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def say_after(method: object, settings: Chosen) -> str:
    """Return "after mixed training", or "with the mixed model"."""
    return f"{'after' if is_trained(settings) else 'with'} {name_training(method, settings)}"


def name_network(settings: Chosen) -> str:
    """Name the network in a sentence."""
    network = settings.get("network", "LeNet").partition(" (")[0]  # without its file
    return "a small network" if network == "LeNet" else f"the network {escape(network)}"


def write_subtitle(methods: Sequence[str], settings: Chosen) -> str:
    """Return the report's subtitle."""
    network, dataset = name_network(settings), escape(settings["dataset"])
    if not is_trained(settings):
        word = "model" if len(methods) == 1 else "models"
        return f"The {word} {write_list(methods)} of {network} on {dataset}"
    names = [name_training(method, settings) for method in methods]
    if all(" training" in name for name in names):
        names = [name.replace(" training", "") for name in names]
        names[-1] += " training"
    title = f"{write_list(names)} of {network} on {dataset}"
    return title[:1].upper() + title[1:]


def begin_abstract(methods: Sequence[str], settings: Chosen) -> str:
    """Say what the report is about, up to its results."""
    network, dataset = name_network(settings), escape(settings["dataset"])
    about = (
        f"This report repeats a {COURSE_PROJECT} on adversarial examples, from raw data to tables."
        if repeats_slides({**settings, "methods": methods})
        else "This report measures what they do, from raw data to tables."
    )
    if network == "a small network":
        network = "a small convolutional network"
    if is_trained(settings):
        ways = f"in {COUNTS[len(methods) - 1]} way{'s' * (len(methods) > 1)}"
        subject = f"{network[0].upper()}{network[1:]} is trained on {dataset} {ways},"
    else:
        models = f"{COUNTS[len(methods) - 1].capitalize()} model{'s' * (len(methods) > 1)}"
        is_are = "is" if len(methods) == 1 else "are"
        subject = f"{models} of {network}, trained elsewhere, {is_are} run on {dataset},"
    return f"{about} {subject}"


def tell_attacked(evaluations: Found, settings: Chosen) -> str:
    """Say the error on adversarial images of each method, and the confidence on these errors."""
    parts: list[str] = []
    for method, frame in evaluations.items():
        error, confidence = (
            percent(read_cell(frame, "adversarial", figure))
            for figure in ("error", "confidence_error")
        )
        words = METHODS[method].words if is_trained(settings) and method in METHODS else ""
        after = f"{say_after(method, settings)}{f', {words}' if words else ''}"
        if parts:
            parts.append(f"{after}, {error} and {confidence}")
        elif is_trained(settings):
            parts.append(
                f"{after}, its error on adversarial images is {error}, with a mean confidence of"
                f" {confidence} on these errors"
            )
        else:
            parts.append(
                f"the error {after} on adversarial images is {error}, with a mean confidence of"
                f" {confidence} on these errors"
            )
    return "; ".join(parts)


def tell_published(methods: Sequence[str], settings: Chosen, *, applies: bool) -> str:
    """Say whether published numbers stand beside ours, where there are any of this subject."""
    if not repeats_slides({**settings, "methods": methods}):
        return ""
    if applies:
        return "Every published number stands beside ours."
    return "The settings are not those of the published experiment, whose numbers are left out."
