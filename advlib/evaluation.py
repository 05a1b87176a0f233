"""Evaluation: error and confidence of a model, transfer between models, and rates' intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advlib._checks import (
    check_adversarial,
    check_classes,
    check_last,
    check_work,
    count_classes,
    logits_of,
    warn,
)
from advlib._state import derived_seed, kept_modes, restored
from advlib.attacks import fgsm
from advlib.methods import ranks
from advlib.settings import check

BATCH_SIZE = 200
"""Images at once: on a CPU the fastest for LeNet; on a GPU the largest that fits is."""
BINS = 15
"""Of confidence: how finely it is compared with the accuracy."""


def figure(heading: str, words: str) -> Any:
    """Declare a figure of an evaluation: its heading in tables and its words in sentences."""
    return field(metadata={"heading": heading, "words": words})


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model does on a set of images, in percent.

    Attributes
    ----------
    correct, error : float
        The share of the images that are correctly predicted, and of those that are not.
    confidence : float
        The mean, over all images, of the largest softmax output.
    confidence_correct, confidence_error : float
        The same over the correctly predicted images and over the errors; NaN if there are none.
    n : int
        The number of images.
    """

    correct: float = figure("Correct", "share of correct predictions")
    error: float = figure("Error", "error")
    confidence: float = figure("Confidence", "mean confidence")
    confidence_correct: float = figure(
        "Confidence, correct", "mean confidence on the correct predictions"
    )
    confidence_error: float = figure("Confidence, errors", "mean confidence on the errors")
    n: int = field()


FIGURES = {each.name: each.metadata for each in fields(Evaluation) if each.metadata}
"""The figures of an evaluation, in the slides' order."""
UNITS = {"n": "images", **dict.fromkeys(FIGURES, "%")}


class Errors(NamedTuple):
    """The mean objective (softmax log-loss) and the errors in percent over a set of images."""

    objective: float
    top1_error: float
    top5_error: float


@dataclass(frozen=True, eq=False)
class Transfer:
    """Each model on the adversarial images made against each, in percent.

    Attributes
    ----------
    error, confidence_error : DataFrame
        The error and the mean confidence on the errors (NaN if there are none). A row is the model
        under test, a column the model that the images were made against.
    n : int
        The number of images.
    """

    error: pd.DataFrame
    confidence_error: pd.DataFrame
    n: int


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Measure a model's error and confidence.

    The model is run in the mode it is given in (``model.eval()`` is right for measuring) and left
    as found, like `images` and the random state.

    Parameters
    ----------
    model : Module
        Any module that returns logits of shape [N, classes].
    images : Tensor
        Floating point, finite, of shape [N, ...], on the model's device.
    labels : Tensor
        The true labels, int64 of shape [N].
    seed : int, optional
        Of what a model draws that is random (dropout in training mode, noise): another stream than
        an attack's of the same seed.
    batch_size : int, optional
        How many images are run at once.

    Returns
    -------
    Evaluation
        The five figures in percent, averaged in float64, and N.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. The message names it, its value and what is allowed.
    """
    confidence, correct = measure_images(model, images, labels, seed=seed, batch_size=batch_size)
    n, hits = len(correct), int(correct.sum())
    return Evaluation(
        correct=100 * hits / n,
        error=100 * (n - hits) / n,
        confidence=100 * confidence.mean().item(),
        confidence_correct=100 * confidence[correct].mean().item(),
        confidence_error=100 * confidence[~correct].mean().item(),
        n=n,
    )


def errors(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = BATCH_SIZE
) -> Errors:
    """Measure a model's mean objective, top-1 and top-5 error; arguments are as for `evaluate`."""
    per_image = _measure(model, images, labels, batch_size, _ranks, 3)
    objective, top1, top5 = per_image.mean(0).tolist()
    return Errors(objective, 100 * top1, 100 * top5)


def transfer(
    models: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    attack: Callable[..., Tensor] = fgsm,
    batch_size: int = BATCH_SIZE,
) -> Transfer:
    """Test each model on the adversarial images made against each.

    The images are made once for each model.

    Parameters
    ----------
    models : Mapping
        The models by their names, all with the same number of classes.
    images, labels, batch_size
        As for `evaluate`.
    epsilon : float, optional
        As for `advlib.fgsm`.
    attack : callable, optional
        What makes the images, called like `advlib.fgsm`.

    Returns
    -------
    Transfer
        The errors and the mean confidences on them, in percent: row = model under test, column =
        model attacked.

    Raises
    ------
    TypeError, ValueError
        If there are no models, their numbers of classes differ, or an argument is not as above.
    """
    epsilon = check("epsilon", epsilon)
    batch_size = check("batch_size", batch_size)
    check_models(models, images, labels)
    if not callable(attack):
        raise TypeError(f"attack must be a function, such as advlib.pgd, not {attack!r}")
    tests = {}
    for attacked, model in models.items():
        given = {"batch_size": batch_size}
        adversarial = make_safely(attack, "attack", model, images, labels, epsilon, **given)
        for tested, other in models.items():
            tests[tested, attacked] = evaluate(other, adversarial, labels, batch_size=batch_size)

    def table(figure: str) -> pd.DataFrame:
        cells = {on: {of: getattr(tests[of, on], figure) for of in models} for on in models}
        return pd.DataFrame(cells).rename_axis(index="under test", columns="attacked")

    return Transfer(table("error"), table("confidence_error"), len(images))


def make_safely(
    attack: Callable[..., Tensor],
    name: str,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    **given: Any,
) -> Tensor:
    """Call an attack, perhaps a caller's own, and check what it gives.

    Whatever it does to the model's mode and buffers and to what it is given is undone.
    """
    with kept_modes(model), restored(model, images.device):
        adversarial = attack(model, images.clone(), labels.clone(), epsilon, **given)
    check_adversarial(adversarial, images, epsilon, given.get("bounds"), name)
    return adversarial


def measure_images(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> tuple[Tensor, Tensor]:
    """Return each image's confidence, float64 from 0 to 1, and whether it is correctly predicted.

    Both are [N], on the CPU; arguments and errors are those of `evaluate`.
    """
    per_image = _measure(model, images, labels, batch_size, _confidence, 2, seed)
    return per_image[:, 0], per_image[:, 1] == 1


def _measure(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    figures: Callable[[Tensor, Tensor], Tensor],
    columns: int,
    seed: int = 0,
) -> Tensor:
    """What `figures` makes of each batch's logits and labels, float64 [N, columns], on the CPU."""
    batch_size = check("batch_size", batch_size)
    check_work(model, images, labels)
    check_last(model, images, batch_size)
    # One tensor: small ones kept from each batch would pin the freed activations between them.
    measured = torch.empty(len(images), columns, dtype=torch.float64, device="cpu")
    seed = derived_seed(check("seed", seed), "evaluation")
    with restored(model, images.device, seed), torch.no_grad():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            # A copy, for a model that works in place.
            logits = logits_of(model, images[part].clone())
            check_classes(labels, logits.shape[1])
            measured[part] = figures(logits.cpu().double(), labels[part].cpu())
    return measured


def _confidence(logits: Tensor, labels: Tensor) -> Tensor:
    """The confidence, and 1 where the prediction is correct, else 0."""
    correct = logits.argmax(1) == labels
    return torch.stack([logits.softmax(1).amax(1), correct.double()], dim=1)


def _ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """The objective, and 1 where the label is not the first, not among the first five, else 0."""
    objective = cross_entropy(logits, labels, reduction="none")
    rank = ranks(logits, labels)
    return torch.stack([objective, (rank >= 1).double(), (rank >= 5).double()], dim=1)


def check_models(models: object, images: Tensor, labels: Tensor) -> None:
    """Check all models before any work."""
    if not isinstance(models, Mapping):
        raise TypeError(f"models must be a mapping of names to models, not {type(models).__name__}")
    if not models:
        raise ValueError("models must not be empty")
    classes = {}
    for name, model in models.items():
        check_work(model, images, labels, f"models[{name!r}]")
        classes[name] = count_classes(model, images, f"models[{name!r}]")
    if len(set(classes.values())) > 1:
        raise ValueError(f"models must have the same number of classes, not {classes}")
    check_classes(labels, next(iter(classes.values())))


def warn_of_order(
    model: nn.Module, images: Tensor, labels: Tensor, classes: Sequence[str], name: str
) -> None:
    """Warn where each class's images are taken for one class, in another order than ours.

    The images are at least five of each class, else nothing is said; `name` is the model's.
    """
    logits = _measure(model, images, labels, BATCH_SIZE, lambda z, _: z, len(classes))
    counts = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    counts.index_put_((labels, logits.argmax(1)), torch.tensor(1), accumulate=True)
    most, place = counts.max(1)
    moved = place != torch.arange(len(classes))
    if counts.sum(1).min() < 5 or most[moved].sum() <= 2 * counts.diagonal()[moved].sum():
        return
    order = place.argsort().tolist()
    if sorted(place.tolist()) == [*range(len(classes))] != order:
        theirs = ", ".join(classes[label] for label in order)
        warn(
            f"the outputs of the model {name} fit the classes in another order, {theirs}, than this"
            f" one, {', '.join(classes)}: was it trained on them in that order? Its errors here say"
            " nothing"
        )


def measure_reliability(confidence: Tensor, correct: Tensor, least: int = 1) -> pd.DataFrame:
    """Return for each bin of confidence its mean, the accuracy, and the number of images.

    Arguments and the first two are as in `measure_images`, from 0 to 1. The bins are equally wide
    and counted from 1, (0, 1/15], to 15, (14/15, 1]; those without images are left out. A bin with
    fewer than `least` is merged with the next, and counted as the last of those that are merged.
    """
    certain, hits = confidence.numpy(), correct.double().numpy()
    place = np.clip(np.ceil(certain * BINS).astype(int), 1, BINS)
    ends, held = [], 0
    for number, count in enumerate(np.bincount(place, minlength=BINS + 1)):
        held += count
        if held >= least:
            ends.append(number)
            held = 0
    if held:  # too few that are left over join the last
        ends[-1:] = [BINS]
    place = np.array(ends)[np.searchsorted(ends, place)]
    frame = pd.DataFrame({"confidence": certain, "accuracy": hits, "bin": place})
    grouped = frame.groupby("bin")
    return grouped.mean().assign(n=grouped.size())


def measure_calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Return the expected calibration error in percent (Naeini et al. 2015; Guo et al. 2017).

    The mean, weighted by the number of images, of the distance between confidence and accuracy in
    the bins of `measure_reliability`.
    """
    bins = measure_reliability(confidence, correct)
    distance = (bins["confidence"] - bins["accuracy"]).abs()
    return float(100 * (distance * bins["n"]).sum() / bins["n"].sum())


def measure_risk(confidence: Tensor, correct: Tensor) -> npt.NDArray[np.float64]:
    """Return the error in percent on the k most confident images, for each k from 1 on.

    The arguments are as in `measure_images`.
    """
    order = np.argsort(-confidence.numpy(), kind="stable")
    wrong = 1 - correct.double().numpy()[order]
    risk: npt.NDArray[np.float64] = 100 * np.cumsum(wrong) / np.arange(1, len(order) + 1)
    return risk


def follow_gradient(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    sizes: Sequence[float],
    *,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Return the logits along FGSM's direction, float64 [N, sizes, classes], on the CPU.

    The direction is that at the image; size 0 is the image, and nothing is clipped. Arguments and
    errors are those of `evaluate`.
    """
    classes = count_classes(model, images)
    signs = fgsm(model, images, labels, 1.0, batch_size=batch_size) - images
    lines = [
        _measure(model, images + size * signs, labels, batch_size, lambda z, _: z, classes)
        for size in sizes
    ]
    return torch.stack(lines, dim=1)


def measure_linearity(logits: Tensor, sizes: Sequence[float]) -> Tensor:
    """Return for each image how straight its logits are over the sizes, float64 [N], in percent.

    The share of the logits' variance that a straight line for each class explains (R squared over
    all classes), of what `follow_gradient` gives; 100 where nothing varies.
    """
    x = torch.as_tensor(sizes, dtype=torch.float64)[:, None]
    x = x - x.mean()
    varying = logits - logits.mean(1, keepdim=True)
    slope = (x * varying).sum(1, keepdim=True) / x.square().sum()
    left, whole = ((each**2).sum((1, 2)) for each in (varying - x * slope, varying))
    return 100 * (1 - torch.where(whole > 0, left / whole, 0.0))
