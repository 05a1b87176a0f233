"""What a notebook begins with."""

import gc
import os
from collections.abc import Mapping

import torch
from IPython import get_ipython
from IPython.display import Markdown, display, publish_display_data

from advlib.experiment.kernel import share_cores
from advlib.experiment.pace import hear_warnings, show_log
from advlib.experiment.parameters import resolve
from advlib.experiment.subject import Subject, resolve_subject
from advlib.kept.folders import PARAMETERS
from advlib.settings import Experiment, declared
from advlib.show import words

GARBAGE = 700, 10, 10
"""Python's own thresholds of when it looks for garbage; the runner's kernels begin with others."""


def open_experiment(names: Mapping[str, object]) -> Subject:
    """Return what a notebook's experiment is about, from its ``globals()``.

    Settings that the notebook does not name are the report's; in a notebook that is opened by hand
    those of the set ``quick``, which is then said. It computes from here on with as many threads as
    in `make report`, so that it has the same numbers to the last digit, and knows `%%say`.

    Raises
    ------
    TypeError, ValueError
        If a setting is not allowed, or in a report is another than the report's.
    """
    torch.set_num_threads(share_cores())
    if shell := get_ipython():
        words.load_ipython_extension(shell)
    report = os.environ.get(PARAMETERS)
    named = {name: names[name] for name in declared(Experiment) if name in names}
    experiment = resolve(report or "quick", named)
    if report:
        gc.freeze()  # what is imported stays; from here on garbage is looked for as ever
        gc.set_threshold(*GARBAGE)
        show_log()
        hear_warnings(publish_warning)
        if changed := _differ(experiment, resolve(report)):
            raise ValueError(f"{', '.join(changed)}: another value than the report's")
    elif shell:
        quick = [name for name in _differ(experiment, Experiment()) if name not in named]
        said = ", ".join(f"`{name} = {getattr(experiment, name)!r}`" for name in quick)
        told = f"All other settings are those of `parameters/quick.yaml`: {said}"
        display(Markdown(f"{told}; the rest is as in the slides."))
    return resolve_subject(experiment)


def publish_warning(said: str) -> None:
    """Display a warning where it is heard; the report has all of them in its abstract."""
    text, about = f"**Beware:** {words.escape(said)}.", {"kind": "warning", "words": said}
    publish_display_data({"text/markdown": text, "text/plain": text}, metadata={"advlib": about})


def _differ(one: Experiment, other: Experiment) -> list[str]:
    return [name for name, value in vars(one).items() if value != vars(other).get(name, value)]
