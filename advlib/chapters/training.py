"""The chapter on the network, the settings and one training."""

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import nn

from advlib.architecture import architecture_table
from advlib.chapters.layers import list_layers, show_layers
from advlib.chapters.matter_words import name_part
from advlib.data import Dataset
from advlib.evaluation import FIGURES
from advlib.kept.names import name_method, split_own
from advlib.lenet import LeNet
from advlib.published import slides
from advlib.published.comparison import (
    BRACKETS,
    CORRECTED,
    QUANTITIES,
    error_interval,
    readings_data,
    write_published,
)
from advlib.settings import Experiment, Training, declared, name_data, repeats_slides
from advlib.show import figures, tables
from advlib.show.figures import new_figure, styled
from advlib.show.tables import Markup
from advlib.show.words import (
    interval,
    number,
    write_setting,
)

IMAGES = {"clean images": "", "attacked images": "_adversarial"}
"""The two kinds of images of a history, with the ends of their columns' names."""


def show_architecture(network: nn.Module, data: Dataset) -> None:
    """Show a network's layers: as the slides do, where they are such that it can be done."""
    try:
        if not isinstance(network, LeNet) and type(network) is not nn.Sequential:
            raise TypeError("its layers may be called in another order")
        channels, height, width = data.mean_image.shape
        architecture = architecture_table(network, (channels, height, width))
    except TypeError:
        show_layers(list_layers(network, data))
        return
    tables.show(
        tables.lay_out(architecture, "layer", str),
        "tbl-architecture",
        "The network. Column 0 is the input, the last column the softmax log-loss. *rf* is the "
        "receptive field of an output value on the input image; memory is that of one image and of "
        "the parameters, in 32-bit numbers.",
        architecture,
    )


def show_settings(experiment: Experiment) -> None:
    """Show the settings, where it is about the same beside the published experiment's."""
    beside = repeats_slides(vars(experiment))
    whose = "this report and of the published experiment" if beside else "this report"
    table = lay_out_settings(experiment)
    tables.show(
        table if beside else table.drop(columns="Published experiment"),
        "tbl-settings",
        rf"The settings of {whose}. $\epsilon$ is on the "
        "training scale ([preprocessing](1-data.ipynb#Preprocessing)).",
        settings_data(experiment),
        align="llrr" if beside else "llr",
    )


def show_curves(history: pd.DataFrame | None, method: str) -> None:
    """Show a training's curves; nothing of a model that was trained elsewhere."""
    if history is None:
        return
    all_three = len(find_quantities(history)) == len(QUANTITIES)
    drawn = "objective, top-1 and top-5 error" if all_three else "objective and top-1 error"
    figures.show(
        draw_curves(history),
        f"fig-curves-{method}",
        f"{name_part(method, {})}: {drawn} by epoch, on clean images above and on images "
        "attacked by the fast gradient sign method below. Solid: training, running mean over the "
        "epoch. Dashed: validation, at the end of the epoch.",
        f"{'Six' if all_three else 'Four'} panels with curves over {len(history)} epochs: {drawn}, "
        "on clean and on attacked images.",
        history.drop(columns="seconds"),
        seconds=history["seconds"].sum(),
    )


def show_readings(history: pd.DataFrame | None, method: str, published_method: str | None) -> None:
    """Show the ends of the curves beside the published ones, where there are any."""
    if published_method is None or history is None:
        return
    readings = readings_data(history, published_method)
    tables.show(
        lay_out_readings(readings),
        f"tbl-curves-{method}",
        f"{name_part(method, {})}: the ends of the curves. The published values were read off "
        "the slides' plots by eye, so that a difference would mean little.",
        readings,
    )


def show_evaluation(
    evaluation: pd.DataFrame,
    method: str,
    epsilon: float,
    published_method: str | None,
    weights: str | None = None,
) -> None:
    """Show a model's figures on clean and adversarial images, beside the published ones."""
    part, n = name_part(method, {"weights": weights}), int(evaluation["n"].iloc[0])
    tables.show(
        lay_out_evaluation(evaluation, published_method),
        f"tbl-evaluation-{method}",
        rf"{part}: the {n:,} test images, clean, and perturbed against this model with "
        rf"$\epsilon = {epsilon:g}$. In percent; the interval is by "
        "[Wilson](https://doi.org/10.1080/01621459.1927.10502953). "
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
            f"made once an epoch, beside the published numbers. In percent. {CORRECTED}",
        )


def settings_data(settings: Experiment) -> pd.DataFrame:
    """Return settings as a table of one row, a column each; NaN where there is no limit."""
    names = [name for name in declared() if name in {*_shown(settings), "attacked", "methods"}]
    values = {name: _name_value(name, getattr(settings, name)) for name in names}
    values = {name: float("nan") if value is None else value for name, value in values.items()}
    return pd.DataFrame([values], index=["value"])


def lay_out_settings(settings: Experiment) -> pd.DataFrame:
    """Lay out settings, one a line, beside those of the published experiment."""
    theirs, shown = slides.settings(), _shown(settings)
    return pd.DataFrame(
        {
            "Setting": [each["words"] for each in shown.values()],
            "Symbol": [Markup(each["symbol"]) for each in shown.values()],
            "This report": [
                write_setting(_name_value(name, getattr(settings, name))) for name in shown
            ],
            "Published experiment": [
                write_setting(theirs[name]) if name in theirs else "not stated" for name in shown
            ],
        }
    )


def _name_value(name: str, value: Any) -> Any:
    """Name what is the user's own without the path of this machine."""
    own = split_own(value)
    if name == "network" and own:
        return f"{own[1]} ({PurePath(own[0]).name})"
    if name == "weights" and value is not None:
        return PurePath(value).name
    if name == "methods":
        return ", ".join(map(name_method, value))
    return name_data(value) if name == "dataset" else value


def _shown(settings: Experiment) -> dict[str, Mapping[str, Any]]:
    """The settings with a line in the table; the others are said where they count."""
    elsewhere = {"attacked", "methods"}
    if settings.weights is None:
        elsewhere.add("weights")
    else:  # what the trainings were like is not known
        elsewhere |= {"images", *declared(Training)} - {"seed"}
    return {name: each.metadata for name, each in declared().items() if name not in elsewhere}


def find_quantities(history: pd.DataFrame) -> dict[str, str]:
    """Return what curves are drawn of: not of a top-5 error that is always zero.

    With five classes or fewer it cannot be anything else.
    """
    five = history.filter(like="top5_error").fillna(0).to_numpy().any()
    return {name: title for name, title in QUANTITIES.items() if five or name != "top5_error"}


@styled
def draw_curves(history: pd.DataFrame) -> Figure:
    """Draw `find_quantities` over the epochs: clean images above, attacked below.

    Where no attacked image was trained on, there is no such training curve.
    """
    figure = new_figure(3.6)
    marker = "o" if len(history) <= 10 else ""
    quantities = find_quantities(history)
    rows = figure.subplots(2, len(quantities), sharex=True)
    for row, (images, ending) in zip(rows, IMAGES.items(), strict=True):
        for axes, name in zip(row, quantities, strict=True):
            for part, line in (("train", "-"), ("validation", "--")):
                values = history[f"{name}_{part}{ending}"]
                axes.plot(history["epoch"], values, marker=marker, linestyle=line)
            axes.update_datalim([(history["epoch"].iloc[0], 0)])  # every panel begins at zero
            axes.autoscale_view()
            axes.set_ylim(bottom=0)
        row[0].set_ylabel(images)
    for top, axes, title in zip(*rows, quantities.values(), strict=True):
        top.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    figure.align_ylabels()
    names = ("training", "validation")
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
    printed, right = (slides.evaluation("mixed", corrected=on) for on in (False, True))
    columns = {"": _headings()}
    for images in slides.IMAGES:
        name = images.capitalize()
        for reading, data in readings.items():
            ours = data.loc[images].reindex(list(FIGURES))
            columns[f"{name}: {reading}"] = [*map(number, ours)]
        both = [(printed[images].get(figure), right[images].get(figure)) for figure in FIGURES]
        columns[f"{name}: published"] = [write_published(math.nan, *pair)[0] for pair in both]
    return pd.DataFrame(columns)


def _headings() -> list[str]:
    return [each["heading"] for each in FIGURES.values()]
