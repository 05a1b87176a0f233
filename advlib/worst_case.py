"""Models under many attacks, and the worst case of all."""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from advlib._checks import check_bounds, mixes_images
from advlib._progress import show_steps
from advlib.attacks import ATTACKS, Bounds, Make, apgd
from advlib.evaluation import (
    BATCH_SIZE,
    check_models,
    make_safely,
    measure_images,
)
from advlib.intervals import wilson_interval
from advlib.settings import SEED, WHOLE, check

WORST, LAST = "worst case", "last search"
TRANSFERRED = "APGD, log-odds"
"""The attack whose images are tried on the other models."""
RESTARTS = 3
"""Of the last search; see `last_search`."""


@dataclass(frozen=True, eq=False)
class Robustness:
    """What attacks do to models: DataFrames, a row for each attack and a column for each model.

    Attributes
    ----------
    error, low, high : DataFrame
        The error in percent, and its 95 % interval (Wilson). The last row is the worst case: an
        image counts as an error if it is one under any attack. The row before it is the last
        search, of the images that all others leave.
    passes, seconds : DataFrame
        Passes of an image with its gradient, on average over the images, and the time: what the
        attack cost. Transfer's are those of the images made against the other models.
    n : int
        The number of images.
    wrong : dict
        For each row and model, such as ``"FGSM", "standard"``, which images are misclassified:
        bool [n].
    """

    error: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    passes: pd.DataFrame
    seconds: pd.DataFrame
    n: int
    wrong: dict[tuple[str, str], Tensor]


def list_attacks(steps: int = 50) -> dict[str, Make]:
    """Return the attacks of `robustness` by name."""
    return {name: row.with_steps(steps) for name, row in ATTACKS.items()}


class Effort(NamedTuple):
    """How long the attacks of the report's chapter on stronger ones search."""

    steps: int
    queries: int
    """Of Square, for each image."""
    draws: int
    """Of random signs, for each image."""


def choose_effort(images: int) -> Effort:
    """Return how long those attacks search, each on so many images."""
    return Effort(50, 1_000, 100) if images > 200 else Effort(20, 200, 20)


def last_search(steps: int = 50) -> Make:
    """Return the attack that ends `robustness` of so many steps, on what all others leave."""
    return partial(apgd, loss="difference", steps=2 * steps, restarts=RESTARTS)


def robustness(
    models: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    bounds: Bounds | None = None,
    attacks: Mapping[str, Make] | None = None,
    steps: int = 50,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> Robustness:
    """Attack each model in many ways, and take the worst for each image.

    The rows: no attack; those of `advlib.attacks.ATTACKS`; transfer, the images that APGD made
    against each other model (if there is one); and attacks of your own. A line shows how far it is.

    Parameters
    ----------
    models : Mapping
        The models by their names, all with the same number of classes.
    images, labels : Tensor
        As for `advlib.evaluate`.
    epsilon : float, optional
        As for `advlib.fgsm`.
    bounds : tuple, optional
        The lowest and the highest value allowed, such as ``data.bounds``: what no image can be
        should not count.
    attacks : Mapping, optional
        Attacks of your own by their names, called like `advlib.fgsm`, with copies of the images.
    steps : int, optional
        How many steps those take that take some.
    seed, batch_size : int, optional
        As for `advlib.fgsm`.

    Returns
    -------
    Robustness
        Errors with their intervals, and what each attack cost.

    Raises
    ------
    TypeError, ValueError
        If there are no models, their numbers of classes differ, an attack is no function, has a
        name that is taken or returns what is no such images, is further than epsilon from them or
        outside the bounds, or an argument is not as above.
    """
    epsilon, batch_size = check("epsilon", epsilon), check("batch_size", batch_size)
    steps, seed = WHOLE.check("steps", steps), SEED.check("seed", seed)
    check_models(models, images, labels)
    check_bounds(bounds, images)
    # the caller's first: what is wrong with them is found before the long work
    rows = _add_own(list_attacks(steps), attacks)
    given = {"bounds": bounds, "seed": seed, "batch_size": batch_size}
    wrong: dict[tuple[str, str], Tensor] = {}
    cost: dict[tuple[str, str], tuple[float, float]] = {}
    made: dict[str, Tensor] = {}
    every = torch.ones_like(labels, dtype=torch.bool)

    def test(row: str, name: str, adversarial: Tensor, chosen: Tensor = every) -> None:
        _, correct = measure_images(
            models[name], adversarial, labels[chosen], seed=seed, batch_size=batch_size
        )
        found = wrong.setdefault((row, name), torch.zeros(len(images), dtype=torch.bool))
        found[chosen.cpu()] |= ~correct

    def run(row: str, name: str, attack: Make, chosen: Tensor = every) -> Tensor:
        report(f"{row} on {name}", f"robustness: {row} on {name}")
        model, part = models[name], images[chosen]
        with _counted(model) as (seen, counted):
            begin = time.perf_counter()
            named = f"attacks[{row!r}]"
            adversarial = make_safely(attack, named, seen, part, labels[chosen], epsilon, **given)
            seconds = time.perf_counter() - begin
        test(row, name, adversarial, chosen)
        cost[row, name] = counted[0] / len(images), seconds
        return adversarial

    with show_steps("robustness", (len(rows) + 1) * len(models)) as report:
        for name in models:
            test("none", name, images)
            cost["none", name] = 0.0, 0.0
            for row, attack in rows.items():
                adversarial = run(row, name, attack)
                if row == TRANSFERRED:
                    made[name] = adversarial
        order = ["none", *list_attacks(), *(["transfer"] if len(models) > 1 else [])]
        for name in models:
            others = [other for other in models if other != name]
            for other in others:
                test("transfer", name, made[other])
            costs = [cost[TRANSFERRED, other] for other in others]
            cost["transfer", name] = sum(c[0] for c in costs), sum(c[1] for c in costs)
        order += [row for row in rows if row not in order]
        for name, model in models.items():
            stand = ~torch.stack([wrong[row, name] for row in order]).any(0).to(labels.device)
            # a few images of a model that tells them apart only together would be others
            if stand.any() and not mixes_images(model):
                run(LAST, name, last_search(steps), stand)
            else:
                report(f"{LAST} on {name}")
                wrong[LAST, name], cost[LAST, name] = torch.zeros_like(stand).cpu(), (0.0, 0.0)
    return _tabulate([*order, LAST], [*models], wrong, cost, len(images))


def find_illusions(found: Robustness) -> dict[str, str]:
    """Return the models whose error under one step says nothing of their robustness, and why.

    What needs less misleads more images than the model's own step: images made against other models
    (``"transfer"``) or ``"random signs"``; or the worst case is more than half of all images and
    more than three times the error under the step (``"many steps"``). "More" is by an exact test of
    the same images. See Athalye et al. 2018, section 3.1: gradient masking.
    """
    reasons = {}
    for name in [name for row, name in found.wrong if row == WORST]:
        step, worst = found.wrong["FGSM", name], found.wrong[WORST, name]
        many = worst.double().mean() > max(3 * float(step.double().mean()), 0.5)
        if many and _is_more(worst, step):
            reasons[name] = "many steps"
        for row in ("random signs", "transfer"):
            other = found.wrong.get((row, name))
            if other is not None and _is_more(other, step):
                reasons[name] = row
    return reasons


def _is_more(one: Tensor, other: Tensor) -> bool:
    """Is one surely true of more images than the other? McNemar's exact test, at 2.5 %."""
    more, less = int((one & ~other).sum()), int((other & ~one).sum())
    n = more + less
    return bool(sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n < 0.025)


def _add_own(rows: dict[str, Make], own: Mapping[str, Make] | None) -> dict[str, Make]:
    """Put the caller's attacks, which must be called as all are, before the rows."""
    for name, attack in (own or {}).items():
        if name in rows or name in ("none", "transfer", LAST, WORST):
            raise ValueError(f"attacks must have names of their own, not {name!r}")
        if not callable(attack):
            raise TypeError(f"attacks[{name!r}] must be a function, not {attack!r}")
        try:
            signature = inspect.signature(attack)
        except (TypeError, ValueError):  # of a function that does not say what it takes
            continue
        try:
            signature.bind("model", "images", "labels", "epsilon", bounds=0, seed=0, batch_size=0)
        except TypeError as error:
            raise TypeError(
                f"attacks[{name!r}] must take (model, images, labels, epsilon) and, by name,"
                f" bounds, seed and batch_size (**_ takes what it has no use for): {error}"
            ) from None
    return {**(own or {}), **rows}


@contextmanager
def _counted(model: nn.Module) -> Iterator[tuple[nn.Module, list[int]]]:
    """Count the images that a model is run on with gradients, while inside."""
    count = [0]

    def see(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        count[0] += len(given[0]) if torch.is_grad_enabled() else 0

    if isinstance(model, torch.jit.ScriptModule):  # it takes no hook itself
        mode, model = model.training, nn.Sequential(model)
        model.training = mode
    handle = model.register_forward_pre_hook(see)
    try:
        yield model, count
    finally:
        handle.remove()


def _tabulate(
    order: list[str],
    names: list[str],
    wrong: dict[tuple[str, str], Tensor],
    cost: dict[tuple[str, str], tuple[float, float]],
    n: int,
) -> Robustness:
    """Return the tables, the worst case last."""
    for name in names:
        wrong[WORST, name] = torch.stack([wrong[row, name] for row in order]).any(0)
        spent = [cost[row, name] for row in order if row != "transfer"]
        cost[WORST, name] = sum(s[0] for s in spent), sum(s[1] for s in spent)
    rows = [*order, WORST]

    def table(value: Callable[[str, str], float]) -> pd.DataFrame:
        cells = {name: {row: value(row, name) for row in rows} for name in names}
        return pd.DataFrame(cells).rename_axis(index="attack", columns="model")

    def errors(row: str, name: str) -> int:
        return int(wrong[row, name].sum())

    return Robustness(
        error=table(lambda *at: 100 * errors(*at) / n),
        low=table(lambda *at: wilson_interval(errors(*at), n)[0]),
        high=table(lambda *at: wilson_interval(errors(*at), n)[1]),
        passes=table(lambda *at: cost[at][0]),
        seconds=table(lambda *at: cost[at][1]),
        n=n,
        wrong=wrong,
    )
