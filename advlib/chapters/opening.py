"""What a chapter begins with: its settings, its data, and how it writes."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from IPython.display import Markdown

from advlib.chapters.wording import change, escape, interval, number, percent, write_list
from advlib.data import Dataset, load_data
from advlib.experiment.kernel import share_cores
from advlib.settings import DATASETS, Experiment

__all__ = [
    "Markdown",
    "change",
    "escape",
    "interval",
    "number",
    "open_experiment",
    "percent",
    "write_list",
]


def open_experiment(names: Mapping[str, object]) -> tuple[Experiment, Dataset]:
    """Return an experiment's settings, checked, and its data, from a notebook's ``globals()``.

    The notebook computes from here on with as many threads as in `make report`, so that it has the
    same numbers to the last digit.
    """
    torch.set_num_threads(share_cores())
    experiment = Experiment.chosen(names)
    data = load_data(experiment.dataset, images=experiment.images)
    if data.name in DATASETS:  # in whatever folder it lies
        experiment = replace(experiment, dataset=data.name)
    return experiment, data
