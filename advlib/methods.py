"""The training methods: each a small function from a minibatch to the parameter gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class Batch(NamedTuple):
    """A minibatch: images [N, ...], labels int64 [N].

    `perturbed`, bool [N], says which images are adversarial ones in `mixed_epochwise`; else None.
    """

    images: Tensor
    labels: Tensor
    perturbed: Tensor | None = None


class Outcome(NamedTuple):
    """For each image the objective [N] and the rank [N] of its label among the logits, 0 first."""

    objective: Tensor
    rank: Tensor


class Step(NamedTuple):
    """The gradients to train with, one for each trained parameter, and what the model gave."""

    gradients: Sequence[Tensor]
    clean: Outcome
    adversarial: Outcome | None = None


Gradients = Callable[[nn.Module, Batch, float, float], Step]
"""A training method: (model, batch, epsilon, alpha) to a `Step`."""


def standard(model: nn.Module, batch: Batch, epsilon: float, alpha: float) -> Step:
    """g = g_clean, the mean gradient on the clean minibatch."""
    clean = differentiate(model, batch)
    return Step(clean.gradients, clean.outcome)


def mixed(model: nn.Module, batch: Batch, epsilon: float, alpha: float) -> Step:
    """g = g_clean + g_adversarial: trained on both together, the sum divided by the clean ones."""
    clean, attacked = _clean_and_adversarial(model, batch, epsilon)
    gradients = torch._foreach_add(clean.gradients, attacked.gradients)
    return Step(gradients, clean.outcome, attacked.outcome)


def adversarial(model: nn.Module, batch: Batch, epsilon: float, alpha: float) -> Step:
    """g = alpha g_clean + (1 - alpha) g_adversarial (Goodfellow et al. 2014, section 6)."""
    clean, attacked = _clean_and_adversarial(model, batch, epsilon)
    gradients = torch._foreach_lerp(attacked.gradients, clean.gradients, alpha)
    return Step(gradients, clean.outcome, attacked.outcome)


def mixed_epochwise(model: nn.Module, batch: Batch, epsilon: float, alpha: float) -> Step:
    """g = mean gradient on clean images and on adversarial ones made at the epoch's start."""
    both = differentiate(model, batch)
    assert batch.perturbed is not None
    clean, attacked = (
        Outcome(both.outcome.objective[chosen], both.outcome.rank[chosen])
        for chosen in (~batch.perturbed, batch.perturbed)
    )
    return Step(both.gradients, clean, attacked)


@dataclass(frozen=True)
class Method:
    """A training method by name.

    Attributes
    ----------
    gradients : callable
        What is done with a minibatch.
    uses : tuple of str
        Which of ``epsilon`` and ``alpha`` decide the training.
    epochwise : bool
        Whether an epoch goes through all images twice: clean, and as adversarial images that are
        made at its start.
    """

    gradients: Gradients
    uses: tuple[str, ...] = ("epsilon", "alpha")
    epochwise: bool = False


METHODS = {
    "standard": Method(standard, uses=()),
    "mixed": Method(mixed, uses=("epsilon",)),
    "adversarial": Method(adversarial),
    "mixed-epochwise": Method(mixed_epochwise, uses=("epsilon",), epochwise=True),
}


class Pass(NamedTuple):
    """A pass forward and back; the gradients are those of the minibatch's mean objective."""

    gradients: list[Tensor]
    of_images: Tensor | None
    outcome: Outcome


def differentiate(model: nn.Module, batch: Batch, *, of_images: bool = False) -> Pass:
    """Differentiate the mean softmax log-loss of a minibatch.

    Parameters
    ----------
    model : Module
        Any module that returns logits.
    batch : Batch
        The minibatch.
    of_images : bool, optional
        Whether the gradient with respect to the images is wanted too; the same pass back gives it.

    Returns
    -------
    Pass
        The gradients with respect to the parameters that require one, that with respect to the
        images or None, and what the model gave.
    """
    images = batch.images.detach().requires_grad_(of_images)
    wanted = [p for p in model.parameters() if p.requires_grad] + [images] * of_images
    logits = model(images)
    objective = cross_entropy(logits, batch.labels, reduction="none")
    gradients = list(torch.autograd.grad(objective.mean(), wanted, materialize_grads=True))
    gradient = gradients.pop() if of_images else None
    outcome = Outcome(objective.detach(), ranks(logits.detach(), batch.labels))
    return Pass(gradients, gradient, outcome)


def perturb(images: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """FGSM (Goodfellow et al. 2014, section 4): images + epsilon * sign(gradient)."""
    return torch.add(images, gradient.sign(), alpha=epsilon)


def ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """Count, for each image, the classes that come before its label.

    Parameters
    ----------
    logits : Tensor
        [N, classes]; among equal ones the lower class comes first.
    labels : Tensor
        int64 [N].

    Returns
    -------
    Tensor
        int64 [N]: 0 where the label is the prediction.
    """
    own = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & lower)).sum(1)


def _clean_and_adversarial(model: nn.Module, batch: Batch, epsilon: float) -> tuple[Pass, Pass]:
    """The clean pass, whose gradient makes the perturbation too, and the pass on the perturbed."""
    clean = differentiate(model, batch, of_images=True)
    assert clean.of_images is not None
    images = perturb(batch.images, clean.of_images, epsilon)
    return clean, differentiate(model, Batch(images, batch.labels))
