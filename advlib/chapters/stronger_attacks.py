"""The chapter on attacks that are stronger than the slides' one step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from advlib import apgd, evaluate, fgsm
from advlib.attacks import ATTACKS
from advlib.chapters import tables
from advlib.chapters.wording import interval, number
from advlib.data import Dataset
from advlib.settings import Experiment
from advlib.under_attack import WORST, Robustness

Models = Mapping[str, nn.Module]
AS_THE_SLIDES, EXACT, CLIPPED = "as the slides compute it", "exact", "exact, on valid images"
FEW = 100
"""Images for those of the checks that need attacks of their own."""
QUERIES = 300


def show_robustness(found: Robustness, epsilon: float) -> None:
    """Show the errors under each attack, with the interval of the worst case."""
    frame = found.error.map(number)
    frame.insert(0, "Attack", [str(name) for name in found.error.index])
    ends = [interval(_cell(found.low, WORST, m), _cell(found.high, WORST, m)) for m in found.error]
    frame.loc["interval"] = ["95 % interval of the worst case", *ends]
    tables.show(
        frame,
        "tbl-robustness",
        rf"Error in percent on the first {found.n:,} test images, valid ones, each value changed by"
        rf" at most $\epsilon = {epsilon:g}$. A column for each model; transfer: the images that"
        " APGD made against the other models. The worst case takes for each image the attack that"
        " turns it, if any does.",
        found.error,
    )


def compute_directions(models: Models, data: Dataset, epsilon: float, images: int) -> pd.DataFrame:
    """Return FGSM's errors on so many images: as the slides compute it, exact, and clipped."""
    few = data.test.first(images)
    test, labels = few.images, few.labels
    errors = {}
    for name, model in models.items():
        exact = fgsm(model, test, labels, epsilon)
        made = ATTACKS["fgsm"].make(model, test, labels, epsilon), exact, exact.clamp(*data.bounds)
        errors[name] = [evaluate(model, changed, labels).error for changed in made]
    return pd.DataFrame(errors, index=[AS_THE_SLIDES, EXACT, CLIPPED])


def show_directions(errors: pd.DataFrame, epsilon: float, images: int) -> None:
    """Show what single precision and invalid images do to one step's numbers."""
    tables.show(
        tables.lay_out(errors, "FGSM"),
        "tbl-precision",
        rf"Error in percent on {images:,} test images under FGSM with $\epsilon = {epsilon:g}$:"
        " with the gradient of the log-loss in single precision, unclipped; with the exact"
        " direction; and with that, clipped to valid pixels.",
        errors,
    )


def search_at_random(model: nn.Module, data: Dataset, epsilon: float, seed: int) -> float:
    """Return the error in percent under Square (Andriushchenko et al. 2020), ART's, on few images.

    It takes no gradient: what it turns and gradients do not would show that these are masked.
    """
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import PyTorchClassifier

    few = data.test.first(FEW)
    images, labels = few.images, few.labels
    if epsilon == 0:  # which ART does not take
        return evaluate(model, images, labels).error
    low, high = (bound.numpy() for bound in data.bounds)
    classifier = PyTorchClassifier(
        model,
        nn.CrossEntropyLoss(),
        tuple(images.shape[1:]),
        len(data.classes),
        clip_values=(low, high),
        device_type="cpu",
    )
    attack = SquareAttack(classifier, eps=epsilon, max_iter=QUERIES, verbose=False)
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        found = attack.generate(images.numpy(), y=np.eye(len(data.classes))[labels])
    finally:
        np.random.set_state(state)
    return evaluate(model, torch.from_numpy(found).to(images.dtype), labels).error


def check_attacks(
    models: Models, data: Dataset, found: Robustness, experiment: Experiment
) -> pd.DataFrame:
    """Return what should hold if the attacks do their work, and whether it does for each model.

    The checks are those of Carlini et al. 2019, section 3. Columns: check, a pair of numbers as
    text for each model, and holds.
    """
    epsilon, seed = experiment.attack_epsilon, experiment.seed
    few = data.test.first(FEW)

    def error(model: nn.Module, size: float, steps: int = 50) -> float:
        given: dict[str, Any] = {"steps": steps, "bounds": data.bounds, "seed": seed}
        return evaluate(model, apgd(model, few.images, few.labels, size, **given), few.labels).error

    strongest = {m: _cell(found.error, "APGD, log-odds", m) for m in models}
    rows: dict[str, dict[str, tuple[float, float]]] = {
        "Many steps do more harm than one (APGD, FGSM)": {
            m: (strongest[m], _cell(found.error, "FGSM", m)) for m in models
        },
        "Knowing the model does more harm than transfer (APGD, transfer)": {
            m: (strongest[m], _cell(found.error, "transfer", m) if len(models) > 1 else 0.0)
            for m in models
        },
        f"Without a bound every image is turned (APGD, all; {FEW} images)": {
            m: (error(model, _range(data)), 100.0) for m, model in models.items()
        },
        f"A search without gradients does no more (APGD, Square; {FEW} images)": {
            m: (error(model, epsilon), search_at_random(model, data, epsilon, seed))
            for m, model in models.items()
        },
        f"Twice the steps hardly turn more (50 steps, 100 steps; {FEW} images)": {
            m: (error(model, epsilon), error(model, epsilon, steps=100))
            for m, model in models.items()
        },
    }
    *others, last = rows
    holds = {name: all(first >= second for first, second in rows[name].values()) for name in others}
    holds[last] = all(second - first <= 2 for first, second in rows[last].values())
    cells = {
        name: {m: f"{number(a, 1)}, {number(b, 1)}" for m, (a, b) in pairs.items()}
        for name, pairs in rows.items()
    }
    checks = pd.DataFrame(cells).T
    checks.insert(0, "Check", checks.index)
    checks["Holds"] = ["yes" if holds[name] else "no" for name in checks.index]
    return checks.reset_index(drop=True)


def _cell(frame: pd.DataFrame, row: str, column: object) -> float:
    return float(frame.to_dict()[column][row])


def _range(data: Dataset) -> float:
    """An epsilon with which every valid image may be reached."""
    low, high = data.bounds
    return float((high - low).max())


def show_checks(checks: pd.DataFrame) -> None:
    """Show the checks and their outcomes."""
    tables.show(
        checks,
        "tbl-checks",
        "What should hold if the attacks do their work, after "
        "[Carlini et al.](https://arxiv.org/abs/1902.06705): the two errors that each check"
        " compares, in percent, for each model. Of the last, two points count as hardly.",
        align="l" + "r" * (checks.shape[1] - 2) + "l",
    )
