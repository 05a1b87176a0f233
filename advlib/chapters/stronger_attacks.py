"""The chapter on attacks that are stronger than one step."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from advlib import apgd, evaluate, fgsm
from advlib.attacks import slides_fgsm
from advlib.data import Dataset
from advlib.settings import Experiment
from advlib.show import tables
from advlib.show.captions import Numbers
from advlib.show.tables import read_cell
from advlib.show.words import interval, number
from advlib.worst_case import WORST, Robustness

Models = Mapping[str, nn.Module]
LOSSY, EXACT, CLIPPED = "in single precision", "exact", "exact, on valid images"
OF_SLIDES = "as the slides compute it"
"""What `LOSSY` is called where the report is about what the slides' is."""
FEW = 100
"""Images for those of the checks that need attacks of their own."""
HARDLY = 2.0
"""Points, of `FEW` images: so much more is hardly more."""
QUERIES = 300


def show_robustness(found: Robustness, epsilon: float) -> None:
    """Show the errors under each attack, with the interval of the worst case."""
    frame = found.error.map(number)
    frame.insert(0, "Attack", [str(name) for name in found.error.index])
    ends = [
        interval(read_cell(found.low, WORST, str(m)), read_cell(found.high, WORST, str(m)))
        for m in found.error
    ]
    frame.loc["interval"] = ["95 % interval of the worst case", *ends]
    tables.show(
        frame,
        "tbl-robustness",
        rf"Error in percent on the first {found.n:,} test images, valid ones, each value changed by"
        rf" at most $\epsilon = {epsilon:g}$. A column for each model; transfer: the images that"
        " APGD made against the other models. The worst case takes for each image the attack that"
        " turns it, if any does.",
        Numbers(found.error, images=found.n),
    )


def compute_directions(models: Models, data: Dataset, epsilon: float, images: int) -> pd.DataFrame:
    """Return FGSM's errors on so many images: in single precision, exact, and clipped."""
    few = data.test.first(images)
    test, labels = few.images, few.labels
    errors = {}
    for name, model in models.items():
        exact = fgsm(model, test, labels, epsilon)
        made = slides_fgsm(model, test, labels, epsilon), exact, exact.clamp(*data.bounds)
        errors[name] = [evaluate(model, changed, labels).error for changed in made]
    return pd.DataFrame(errors, index=[LOSSY, EXACT, CLIPPED])


def show_directions(
    errors: pd.DataFrame, epsilon: float, images: int, *, of_slides: bool = False
) -> None:
    """Show what single precision and invalid images do to one step's numbers."""
    named = errors.rename(index={LOSSY: OF_SLIDES} if of_slides else {})
    tables.show(
        tables.lay_out(named, "FGSM"),
        "tbl-precision",
        rf"Error in percent on {images:,} test images under FGSM with $\epsilon = {epsilon:g}$:"
        " with the gradient of the log-loss in single precision, unclipped; with the exact"
        " direction; and with that, clipped to valid pixels.",
        Numbers(errors, images=images),
    )


class _Cropped(nn.Module):
    """A model of images [N, C, H, W] that stand in the corner of larger ones."""

    def __init__(self, model: nn.Module, height: int, width: int) -> None:
        super().__init__()
        self.model, self.height, self.width = model, height, width

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images[..., : self.height, : self.width])
        return logits


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
    height, width = images.shape[2:]
    side = max(height, width, 5)  # ART's squares need a square to be in, and some room
    frame = (0, side - width, 0, side - height)
    framed, low, high = (
        pad(each, frame, value=value).numpy()
        for each, value in zip((images, *data.bounds), (0, 0, 1), strict=True)
    )
    classifier = PyTorchClassifier(
        model if height == width == side else _Cropped(model, height, width).eval(),
        nn.CrossEntropyLoss(),
        framed.shape[1:],
        len(data.classes),
        clip_values=(low, high),
        device_type="cpu",
    )
    attack = SquareAttack(classifier, eps=epsilon, max_iter=QUERIES, verbose=False)
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        found = attack.generate(framed, y=np.eye(len(data.classes))[labels])
    finally:
        np.random.set_state(state)
    turned = torch.from_numpy(found[..., :height, :width].copy()).to(images.dtype)
    return evaluate(model, turned, labels).error


def check_attacks(
    models: Models, data: Dataset, found: Robustness, experiment: Experiment
) -> pd.DataFrame:
    """Return what should hold if the attacks do their work, and whether it does for each model.

    The checks are those of Carlini et al. 2019, section 3. Columns: check, model, the first and
    the second error in percent, and holds, "yes" or "no".
    """
    epsilon, seed = experiment.attack_epsilon, experiment.seed
    few = data.test.first(FEW)

    def error(model: nn.Module, size: float, steps: int = 50) -> float:
        given: dict[str, Any] = {"steps": steps, "bounds": data.bounds, "seed": seed}
        return evaluate(model, apgd(model, few.images, few.labels, size, **given), few.labels).error

    rows = []
    for name, model in models.items():
        one, transferred, many = (
            read_cell(found.error, row, name) if row in found.error.index else None
            for row in ("FGSM", "transfer", "APGD, log-odds")
        )
        near = error(model, epsilon)
        pairs = {
            "Many steps do more harm than one (APGD, FGSM)": (many, one),
            "Knowing the model does more harm than transfer (APGD, transfer)": (many, transferred),
            f"Without a bound every image is turned (APGD, all; {FEW} images)": (
                *(error(model, _range(data)), 100.0),
            ),
            f"A search without gradients does no more (APGD, Square; {FEW} images)": (
                *(near, search_at_random(model, data, epsilon, seed)),
            ),
            f"Twice the steps hardly turn more (50 steps, 100 steps; {FEW} images)": (
                *(near, error(model, epsilon, steps=100)),
            ),
        }
        # without a second model nothing is transferred
        rows += [(check, name, *pair) for check, pair in pairs.items() if None not in pair]
    checks = pd.DataFrame(rows, columns=["check", "model", "first", "second"])
    more = checks["second"] - checks["first"]
    allowed = checks["check"].str.startswith("Twice").map({True: HARDLY, False: 0.0})
    return checks.assign(holds=(more <= allowed).map({True: "yes", False: "no"}))


def _range(data: Dataset) -> float:
    """An epsilon with which every valid image may be reached."""
    low, high = data.bounds
    return float((high - low).max())


def show_checks(checks: pd.DataFrame) -> None:
    """Show the checks and their outcomes, a row for each check and a column for each model."""
    rows = {}
    for check, each in checks.groupby("check", sort=False):
        pairs = zip(each["model"], each["first"], each["second"], strict=True)
        cells = {
            model: f"{number(first, 1)}, {number(second, 1)}" for model, first, second in pairs
        }
        holds = "yes" if _all_hold(each) else "no"
        rows[check] = {"Check": str(check), **cells, "Holds": holds}
    table = pd.DataFrame([*rows.values()])
    tables.show(
        table,
        "tbl-checks",
        "What should hold if the attacks do their work, after "
        "[Carlini et al.](https://arxiv.org/abs/1902.06705): the two errors that each check"
        f" compares, in percent, for each model. Of the last, {number(HARDLY, 0)} points count as"
        " hardly.",
        checks,
        align="l" + "r" * (table.shape[1] - 2) + "l",
    )


def tell_checks(checks: pd.DataFrame) -> str:
    """Say how many checks hold for all models, and which do not."""
    by_check = [
        (str(check), _all_hold(each)) for check, each in checks.groupby("check", sort=False)
    ]
    failed = [check[0].lower() + check[1:] for check, holds in by_check if not holds]
    held = len(by_check) - len(failed)
    told = f"Of the {len(by_check)} checks of Table *checks*, {held} hold."
    return told + (f" Not so: {'; '.join(failed)}." if failed else "")


def _all_hold(checks: pd.DataFrame) -> bool:
    return bool((checks["holds"] == "yes").all())
