"""The chapter on the network, the settings and one training."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import nn

from advlib.architecture import architecture_table
from advlib.chapters import figures, tables
from advlib.chapters.figures import new_figure, styled
from advlib.chapters.tables import BRACKETS, Markup, write_published
from advlib.chapters.wording import interval, number, percent, write_list, write_setting
from advlib.evaluation import FIGURES
from advlib.experiment import results
from advlib.keeping.folders import METHOD_TEXTS
from advlib.methods import find_method
from advlib.published import slides
from advlib.published.comparison import (
    QUANTITIES,
    error_interval,
    name_curve,
    readings_data,
    training_curve,
)
from advlib.settings import Experiment, declared


def describe_method(name: str) -> str:
    """Return the section about a training method: its title, and the text of its file."""
    text = (METHOD_TEXTS / f"{name}.md").read_text(encoding="utf-8")
    return f"# {find_method(name).title}\n\n{text}"


def show_architecture(network: nn.Module) -> None:
    """Show a network's layers."""
    architecture = architecture_table(network)
    tables.show(
        tables.lay_out(architecture, "layer", str),
        "tbl-architecture",
        "The network. Column 0 is the input, the last column the softmax log-loss. *rf* is the "
        "receptive field of an output value on the input image; memory is that of one image and of "
        "the parameters, in 32-bit numbers.",
        architecture,
    )


def show_settings(experiment: Experiment) -> None:
    """Show the settings beside the published experiment's."""
    tables.show(
        lay_out_settings(experiment),
        "tbl-settings",
        r"The settings of this report and of the published experiment. $\epsilon$ is on the "
        "training scale ([preprocessing](1-data.ipynb#Preprocessing)).",
        settings_data(experiment),
        align="llrr",
    )


def describe_expectations(experiment: Experiment) -> str:
    """Say what a reader may expect of these settings, by the reference run's numbers."""
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


def show_curves(history: pd.DataFrame, method: str) -> None:
    """Show a training's curves."""
    figures.show(
        draw_curves(history, method),
        f"fig-curves-{method}",
        f"{find_method(method).title}: objective, top-1 and top-5 error by epoch. Solid: "
        f"{name_curve(method)}, running mean over the epoch. Dashed: validation, at the end of the "
        "epoch.",
        f"Three panels with a training and a validation curve over {len(history)} epochs: "
        "objective, top-1 error and top-5 error.",
        history.drop(columns="seconds"),
        seconds=history["seconds"].sum(),
    )


def show_readings(history: pd.DataFrame, method: str, published_method: str | None) -> None:
    """Show the ends of the curves beside the published ones, where there are any."""
    if published_method is None:
        return
    readings = readings_data(history, published_method)
    tables.show(
        lay_out_readings(readings),
        f"tbl-curves-{method}",
        f"{find_method(method).title}: the ends of the curves. The published values were read off "
        "the slides' plots by eye, so that a difference would mean little.",
        readings,
    )


def show_evaluation(
    evaluation: pd.DataFrame, method: str, epsilon: float, published_method: str | None
) -> None:
    """Show a model's figures on clean and adversarial images, beside the published ones."""
    tables.show(
        lay_out_evaluation(evaluation, published_method),
        f"tbl-evaluation-{method}",
        rf"{find_method(method).title}: the {int(evaluation['n'].iloc[0]):,} test images, clean, "
        rf"and perturbed against this model with $\epsilon = {epsilon:g}$. In percent; the "
        "interval is by [Wilson](https://doi.org/10.1080/01621459.1927.10502953). "
        + note_corrections(published_method),
        evaluation,
    )


def show_epochwise(readings: Mapping[str, pd.DataFrame]) -> None:
    """Show the two readings of mixed training, where there are any."""
    if readings:
        tables.show(
            lay_out_epochwise(readings),
            "tbl-epochwise",
            "Reference results: mixed training with adversarial images made for each minibatch and "
            "made once an epoch, beside the published numbers. In percent.",
        )


def settings_data(settings: Experiment) -> pd.DataFrame:
    """Return settings as a table of one row, a column each; NaN where there is no limit."""
    values = {name: getattr(settings, name) for name in _shown()}
    values = {name: float("nan") if value is None else value for name, value in values.items()}
    return pd.DataFrame([values], index=["value"])


def lay_out_settings(settings: Experiment) -> pd.DataFrame:
    """Lay out settings, one a line, beside those of the published experiment."""
    theirs, shown = slides.settings(), _shown()
    return pd.DataFrame(
        {
            "Setting": [each["words"] for each in shown.values()],
            "Symbol": [Markup(each["symbol"]) for each in shown.values()],
            "This report": [write_setting(getattr(settings, name)) for name in shown],
            "Published experiment": [
                write_setting(theirs[name]) if name in theirs else "not stated" for name in shown
            ],
        }
    )


def _shown() -> dict[str, Mapping[str, Any]]:
    """The settings with a line in the table; the others are said where they count."""
    elsewhere = {"attacked", "methods"}
    return {name: each.metadata for name, each in declared().items() if name not in elsewhere}


@styled
def draw_curves(history: pd.DataFrame, method: str) -> Figure:
    """Draw objective, top-1 and top-5 error over the epochs, on training and validation images."""
    figure = new_figure(2.2)
    marker = "o" if len(history) <= 10 else ""
    for axes, (name, title) in zip(figure.subplots(1, 3), QUANTITIES.items(), strict=True):
        axes.plot(history["epoch"], training_curve(history, method, name), marker=marker)
        axes.plot(history["epoch"], history[f"{name}_validation"], marker=marker, linestyle="--")
        axes.set(xlabel="epoch", title=title)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    names = (name_curve(method), "validation, clean images")
    figure.legend(figure.axes[0].lines, names, loc="outside lower center", ncols=2)
    return figure


def lay_out_readings(data: pd.DataFrame) -> pd.DataFrame:
    """Lay out `readings_data`; the slides' values have as many digits as an eye can read."""
    names = [
        f"{QUANTITIES[quantity].capitalize()}, {split}"
        for quantity, split in zip(data["quantity"], data["split"], strict=True)
    ]
    columns = {"Curve": names}
    for end in ("first", "last"):
        name, theirs = f"{end.capitalize()} epoch", data[f"{end}_published"]
        columns[f"{name}: ours"] = [number(value, 3) for value in data[end]]
        columns[f"{name}: published"] = [f"{value:.3g}" for value in theirs]
    return pd.DataFrame(columns)


def lay_out_evaluation(data: pd.DataFrame, published_method: str | None = None) -> pd.DataFrame:
    """Lay out an evaluation as the slides do: the figures by clean and adversarial images.

    With a method whose published numbers are known, they stand beside `evaluation_data`. A
    misprinted one has its correction in brackets, and the difference is to the correction.
    """
    columns = {"": [*_headings(), "Error, 95 % interval"]}
    for images, ours in data.iterrows():
        name = str(images).capitalize()
        cells = [*map(number, ours[list(FIGURES)]), interval(*error_interval(ours))]
        if published_method is None:
            columns[name] = cells
            continue
        printed, right = (
            slides.evaluation(published_method, corrected=corrected)[str(images)]
            for corrected in (False, True)
        )
        pairs = [write_published(ours[f], printed.get(f), right.get(f)) for f in FIGURES]
        published, apart = zip(*pairs, strict=True)
        columns[f"{name}: ours"] = cells
        columns[f"{name}: published"] = [*published, ""]
        columns[f"{name}: difference"] = [*apart, ""]
    return pd.DataFrame(columns)


def note_corrections(published_method: str | None) -> str:
    """Return the end of an evaluation table's caption: what its brackets are, if it has any."""
    if published_method is None:
        return ""
    printed = slides.evaluation(published_method)
    return BRACKETS if printed != slides.evaluation(published_method, corrected=True) else ""


def lay_out_epochwise(readings: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lay out the evaluations of mixed training's readings beside the published numbers."""
    theirs = slides.evaluation("mixed")
    columns = {"": _headings()}
    for images in slides.IMAGES:
        name = images.capitalize()
        for reading, data in readings.items():
            ours = data.loc[images].reindex(list(FIGURES))
            columns[f"{name}: {reading}"] = [*map(number, ours)]
        printed = [theirs[images].get(figure) for figure in FIGURES]
        columns[f"{name}: published"] = ["" if p is None else number(p) for p in printed]
    return pd.DataFrame(columns)


def _headings() -> list[str]:
    return [each["heading"] for each in FIGURES.values()]
