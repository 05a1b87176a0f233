"""The chapter on the size of the perturbation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advlib import apgd, evaluate, fgsm
from advlib.attacks import random_signs
from advlib.data import Dataset
from advlib.show import figures, tables
from advlib.show.captions import Numbers
from advlib.show.figures import ABREAST, draw_panels, new_figure, styled, write_name
from advlib.show.words import escape, number

SIZES = (0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
"""Sizes of the perturbation, on the training scale; where all images are turned, it ends."""
ATTACKS = ("random signs", "FGSM", "APGD")
STEPS = 20
PAIR = (3, 7)
"""The classes that the logistic regression tells apart, as in Goodfellow et al., if there are so
many."""
PIXELS = 0.25
"""The size of the perturbation there, in pixels of [0, 1]."""


def sweep_sizes(
    models: Mapping[str, nn.Module], data: Dataset, attacked: int, seed: int
) -> pd.DataFrame:
    """Return error and confidence under each attack and size, a row each, until all are turned.

    Columns: model, attack, epsilon, error, confidence, in percent but for epsilon.
    """
    few = data.test.first(attacked)
    images, labels = few.images, few.labels
    given: dict[str, Any] = {"bounds": data.bounds, "seed": seed}
    rows = []
    for name, model in models.items():
        for epsilon in SIZES:
            made = {
                "random signs": random_signs(model, images, labels, epsilon, **given),
                "FGSM": fgsm(model, images, labels, epsilon, **given),
                "APGD": apgd(model, images, labels, epsilon, steps=STEPS, **given),
            }
            found = {attack: evaluate(model, changed, labels) for attack, changed in made.items()}
            rows += [(name, a, epsilon, e.error, e.confidence) for a, e in found.items()]
            if found["APGD"].error == 100:
                break
    return pd.DataFrame(rows, columns=["model", "attack", "epsilon", "error", "confidence"])


def find_full_sizes(swept: pd.DataFrame) -> dict[str, float | None]:
    """Return for each model the first size at which APGD turns every image, if one does."""
    sizes: dict[str, float | None] = {}
    for name, rows in swept[swept["attack"] == "APGD"].groupby("model", sort=False):
        full = rows.loc[rows["error"] == 100, "epsilon"]
        sizes[str(name)] = float(full.iloc[0]) if len(full) else None
    return sizes


def find_errors(swept: pd.DataFrame, epsilon: float) -> dict[str, tuple[float, float, float]]:
    """Return for each model a size, and the errors under random signs and APGD there.

    The largest size of the sweep that is at most epsilon.
    """
    found = {}
    for name, rows in swept[swept["epsilon"] <= epsilon].groupby("model", sort=False):
        last = rows[rows["epsilon"] == rows["epsilon"].max()].set_index("attack")["error"]
        signs, strongest = last[["random signs", "APGD"]]
        found[str(name)] = (float(rows["epsilon"].max()), float(signs), float(strongest))
    return found


def find_gaps(swept: pd.DataFrame) -> dict[str, float]:
    """Return by how many points APGD's error is at most above each other attack's, at any size."""
    errors = swept.pivot_table(index=["model", "epsilon"], columns="attack", values="error")
    return {
        f"APGD over {other}": float((errors["APGD"] - errors[other]).max())
        for other in ATTACKS
        if other != "APGD"
    }


def show_sweep(swept: pd.DataFrame, data: Dataset, attacked: int) -> None:
    """Show error and confidence against the size."""
    images = min(attacked, len(data.test))
    figures.show(
        draw_sweep(swept, data.epsilon_in_pixels(1)),
        "fig-epsilons",
        rf"Error and mean confidence on the first {images:,} test images against the size "
        r"$\epsilon$ of the perturbation, on the training scale below and in pixels above; valid "
        rf"images. APGD takes {STEPS} steps.",
        "For each model a panel of errors and one of confidences, each with a curve for random "
        "signs, one for FGSM and one for APGD, over the size of the perturbation.",
        Numbers(swept, images=images),
    )


@styled
def draw_sweep(swept: pd.DataFrame, pixels: float) -> Figure:
    """Draw a column for each model: error above, confidence below."""
    names = [*dict.fromkeys(swept["model"])]
    bands = -(-len(names) // ABREAST)
    figure = new_figure(0.4 + 3 * bands)
    styles = dict(zip(ATTACKS, ((":", "0.4"), ("--", "C0"), ("-", "C1")), strict=True))
    for name, leftmost, column in draw_panels(figure, names, rows=2):
        for axes, quantity in zip(column, ("error", "confidence"), strict=True):
            if leftmost:
                axes.set_ylabel(f"{quantity} (%)")
            for attack, (line, colour) in styles.items():
                rows = swept[(swept["model"] == name) & (swept["attack"] == attack)]
                axes.plot(
                    rows["epsilon"], rows[quantity], line, color=colour, marker="o", label=attack
                )
            axes.set(ylim=(0, 104))
        above = column[0].secondary_xaxis(
            "top", functions=(lambda x: x * pixels, lambda x: x / pixels)
        )
        above.set_xlabel("pixels")
        column[0].set_title(f"{name} model")
        column[1].set_xlabel(r"$\epsilon$")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def follow_gradient(
    model: nn.Module, image: Tensor, label: Tensor, furthest: float
) -> pd.DataFrame:
    """Return the logits of an image [1, ...] along its gradient's sign, a row for each size."""
    direction = fgsm(model, image, label, 1.0) - image
    sizes = torch.from_numpy(np.linspace(-furthest, furthest, 81)).to(image.dtype)
    with torch.no_grad():
        line = image + sizes.view(-1, *[1] * (image.ndim - 1)) * direction
        logits = torch.cat([model(part) for part in torch.split(line, 27)])
    return pd.DataFrame(logits.double().numpy(), index=sizes.double().numpy())


def show_line(logits: pd.DataFrame, classes: tuple[str, ...], label: int) -> None:
    """Show the logits along the gradient's signs."""
    figures.show(
        draw_line(logits, classes, label),
        "fig-line",
        "The logits of one test image along the signs of its gradient, after Goodfellow et al., "
        r"figure 4: at $\epsilon = 0$ it is the image, to the right the attack. The true class is "
        "solid; it and the one that is predicted in the end, if that is another, are named.",
        f"A curve for each of the {len(classes)} classes over the size of the perturbation; that of"
        f" the true class, {classes[label]}, is solid.",
        logits.rename(columns=dict(enumerate(classes))),
    )


@styled
def draw_line(logits: pd.DataFrame, classes: tuple[str, ...], label: int) -> Figure:
    """Draw one curve for each class."""
    figure = new_figure(2.3)
    axes = figure.subplots()
    for column in range(logits.shape[1]):
        true = column == label
        axes.plot(
            logits.index,
            logits[column],
            "-" if true else "--",
            color="C1" if true else "C0",
            alpha=1 if true else 0.55,
            linewidth=1.8 if true else 0.9,
        )
    last = logits.iloc[-1]
    for column in {label, int(last.to_numpy().argmax())}:
        axes.text(
            1.02 * logits.index[-1],
            last[column],
            write_name(classes[column]),
            va="center",
            fontsize=8,
        )
    axes.axvline(0, color="0.7", linewidth=0.6)
    axes.set(xlabel=r"$\epsilon$", ylabel="logit")
    return figure


def measure_straightness(logits: pd.DataFrame) -> float:
    """Return the share of the logits' variance, in percent, that a straight line explains.

    Of the attack's side, from the image on, and over all classes together.
    """
    part = logits[logits.index >= 0]
    x, y = part.index.to_numpy(), part.to_numpy()
    slope, start = np.polyfit(x, y, 1)
    rest = y - (np.outer(x, slope) + start)
    return float(100 * (1 - rest.var(axis=0).sum() / y.var(axis=0).sum()))


def regress_pair(data: Dataset) -> pd.DataFrame:
    """Return the error of a logistic regression on two classes, clean and under FGSM, in percent.

    In pixels. Of a linear model FGSM is the exact worst case: the margin falls by epsilon times the
    sum of the absolute weights (Goodfellow et al., section 5); both are computed.
    """
    first, second = find_pair(data)
    parts = {}
    for name, split in (("train", data.train), ("test", data.test)):
        chosen = (split.labels == first) | (split.labels == second)
        pixels = data.to_pixels(split.images[chosen]).flatten(1).double()
        parts[name] = pixels, (split.labels[chosen] == second).long()
    features = parts["train"][0]
    model = nn.Linear(features.shape[1], 2, device=features.device).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def compute_loss() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(features), parts["train"][1])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(compute_loss)  # type: ignore[no-untyped-call]
    pixels, labels = parts["test"]
    with torch.no_grad():
        weights = model.weight[1] - model.weight[0]
        logits = model(pixels)
        margin = (logits[:, 1] - logits[:, 0]) * (2 * labels - 1)
        bound = margin - PIXELS * weights.abs().sum()
    attacked = fgsm(model, pixels, labels, PIXELS)
    errors = {
        "clean": evaluate(model, pixels, labels).error,
        "FGSM": evaluate(model, attacked, labels).error,
        "by the margins": 100 * float((bound <= 0).double().mean()),
    }
    return pd.DataFrame({"error": errors})


def find_pair(data: Dataset) -> tuple[int, int]:
    """Return the two classes that the regression tells apart: `PAIR`, or the most frequent two."""
    counts = data.train.labels.bincount(minlength=len(data.classes))
    if max(PAIR) < len(counts) and counts[list(PAIR)].all():
        return PAIR
    first, second = sorted(counts.argsort(descending=True, stable=True)[:2].tolist())
    return first, second


def introduce_regression(data: Dataset) -> str:
    """Say where a step of FGSM is exact, and who has shown it with what."""
    first, second = (escape(data.classes[index]) for index in find_pair(data))
    theirs, here = "threes and\nsevens", ""
    if data.name != "MNIST":
        theirs = "two classes of\nother images"
        here = f"Here the two classes are {first} and {second}."
    return rf"""
Of a linear model the step of FGSM is no approximation. A logistic regression with weights $w$ tells
two classes apart by the sign of $w^\top x + b$; the perturbation that harms it most is
$\epsilon \operatorname{{sign}}(w)$ against the true class, and takes $\epsilon \lVert w \rVert_1$
from the margin of every image. [Goodfellow et al.](https://arxiv.org/abs/1412.6572) do this with
{theirs}, at $\epsilon = {PIXELS:g}$ in pixels, and find that an error of 1.6 % becomes one of 99 %.
{here}"""


def show_regression(errors: pd.DataFrame, data: Dataset) -> None:
    """Show the logistic regression's errors."""
    first, second = (escape(data.classes[index]) for index in find_pair(data))
    tables.show(
        tables.lay_out(errors.rename(columns={"error": "Error"}), "Images", number),
        "tbl-regression",
        f"A logistic regression that tells {first} from {second}: error in percent on the test "
        rf"images, clean, under FGSM with $\epsilon = {PIXELS:g}$ in pixels, and by the margins "
        "that such a perturbation leaves at worst.",
        errors,
    )
