"""What a chapter begins with: its settings, its data, and how it writes."""

from collections.abc import Mapping

from IPython.display import Markdown

from advlib.chapters.wording import change, escape, interval, number, percent
from advlib.data import Dataset, load_data
from advlib.settings import Experiment

__all__ = [
    "Markdown",
    "change",
    "escape",
    "interval",
    "number",
    "open_experiment",
    "percent",
]


def open_experiment(names: Mapping[str, object]) -> tuple[Experiment, Dataset]:
    """Return an experiment's settings, checked, and its data, from a notebook's ``globals()``."""
    experiment = Experiment.chosen(names)
    return experiment, load_data(experiment.dataset, images=experiment.images)
