"""The training methods: each a small function from a minibatch to the parameter gradients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from advlib._state import derived_seed, frozen
from advlib.attacks import fgsm, perturb
from advlib.settings import RATE, WHOLE, Training, one_of, setting


class Batch(NamedTuple):
    """A minibatch: images [N, ...], labels int64 [N].

    `perturbed`, bool [N], says which images are adversarial ones, where both are shuffled together.
    `epoch` is the training's, the first being 1.
    """

    images: Tensor
    labels: Tensor
    perturbed: Tensor | None = None
    epoch: int = 1


class Outcome(NamedTuple):
    """For each image the objective [N] and the rank [N] of its label among the logits, 0 first."""

    objective: Tensor
    rank: Tensor


class Step(NamedTuple):
    """The gradients to train with, one for each trained parameter, and what the model gave.

    The outcome is that on the images trained on, clean ones, adversarial ones or both.
    """

    gradients: Sequence[Tensor]
    clean: Outcome | None
    adversarial: Outcome | None = None


TakeStep = Callable[[nn.Module, Batch, Any], Step]
"""A training method: (model, batch, settings) to a `Step`; the settings are a
`advlib.settings.Training`, or what a method's row makes of it."""


def standard(model: nn.Module, batch: Batch, settings: Any) -> Step:
    """g = g_clean, the mean gradient on the clean minibatch."""
    clean = differentiate(model, batch)
    return Step(clean.gradients, clean.outcome)


def mixed(model: nn.Module, batch: Batch, settings: Any) -> Step:
    """g = g_clean + g_adversarial: trained on both together, the sum divided by the clean ones."""
    clean, perturbed = attack_as_well(model, batch, settings.epsilon)
    attacked = differentiate(model, perturbed)
    gradients = torch._foreach_add(clean.gradients, attacked.gradients)
    return Step(gradients, clean.outcome, attacked.outcome)


def adversarial(model: nn.Module, batch: Batch, settings: Any) -> Step:
    """g = alpha g_clean + (1 - alpha) g_adversarial (Goodfellow et al. 2014, section 6)."""
    clean, perturbed = attack_as_well(model, batch, settings.epsilon)
    attacked = differentiate(model, perturbed)
    gradients = torch._foreach_lerp(attacked.gradients, clean.gradients, settings.alpha)
    return Step(gradients, clean.outcome, attacked.outcome)


@dataclass(frozen=True, kw_only=True)
class OneStep(Training):
    """The settings of `fast`."""

    fast_step: float = setting(1.25, RATE, r"Step of fast training, in units of $\epsilon$")


def fast(model: nn.Module, batch: Batch, settings: OneStep) -> Step:
    """g = g_adversarial, after one step from a random start (Wong et al. 2020, algorithm 3)."""
    return _on_attacked(model, batch, settings.epsilon, 1, settings.fast_step * settings.epsilon)


@dataclass(frozen=True, kw_only=True)
class ManySteps(Training):
    """The settings of `pgd`."""

    pgd_steps: int = setting(10, WHOLE, "Steps of PGD training")
    pgd_step: float = setting(0.25, RATE, r"Step of PGD training, in units of $\epsilon$")


def pgd(model: nn.Module, batch: Batch, settings: ManySteps) -> Step:
    """g = g_adversarial, after many steps from a random start (Madry et al. 2018, section 2.1)."""
    size = settings.pgd_step * settings.epsilon
    return _on_attacked(model, batch, settings.epsilon, settings.pgd_steps, size)


def _on_attacked(
    model: nn.Module, batch: Batch, epsilon: float, steps: int, step_size: float
) -> Step:
    """Train on a minibatch after so many steps from a random start, within epsilon, unclipped."""
    shift = epsilon * (2 * torch.rand_like(batch.images) - 1)
    with frozen(model):
        for _ in range(steps):
            there = Batch(batch.images + shift, batch.labels)
            gradient = differentiate(model, there, of_images=True).of_images
            assert gradient is not None
            shift = perturb(shift, gradient, step_size).clamp(-epsilon, epsilon)
    attacked = differentiate(model, Batch(batch.images + shift, batch.labels))
    return Step(attacked.gradients, None, attacked.outcome)


def mixed_epochwise(model: nn.Module, batch: Batch, settings: Any) -> Step:
    """g = mean gradient on clean images and on adversarial ones made at the epoch's start."""
    both = differentiate(model, batch)
    assert batch.perturbed is not None
    clean, attacked = (
        Outcome(both.outcome.objective[chosen], both.outcome.rank[chosen])
        for chosen in (~batch.perturbed, batch.perturbed)
    )
    return Step(both.gradients, clean, attacked)


def seed_order(seed: int, epoch: int) -> Generator:
    """Return the random numbers that an epoch of a training is shuffled with."""
    return torch.Generator().manual_seed(derived_seed(seed, epoch, "order"))


def shuffled(
    model: nn.Module, images: Tensor, labels: Tensor, settings: Any, generator: Generator
) -> Iterator[Batch]:
    """The minibatches of an epoch."""
    order = torch.randperm(len(images), generator=generator, device="cpu").to(images.device)
    for chosen in torch.split(order, settings.batch_size):
        yield Batch(images[chosen], labels[chosen])


def shuffled_among_adversarial(
    model: nn.Module, images: Tensor, labels: Tensor, settings: Any, generator: Generator
) -> Iterator[Batch]:
    """The minibatches of an epoch that goes through all images twice: clean, and attacked now."""
    n = len(images)
    make = partial(fgsm, loss="log-loss", seed=generator.initial_seed())
    size = 200 + (n % 200 == 1)  # no image is left alone
    stale = make(model, images, labels, settings.epsilon, batch_size=size)
    order = torch.randperm(2 * n, generator=generator, device="cpu").to(images.device)
    for chosen in torch.split(order, settings.batch_size):
        perturbed, chosen = chosen >= n, chosen % n
        batch = images[chosen]
        batch[perturbed] = stale[chosen[perturbed]]
        yield Batch(batch, labels[chosen], perturbed)


@dataclass(frozen=True)
class Method:
    """A training method: one row."""

    step: TakeStep
    """What is done with a minibatch."""
    title: str = ""
    """Its name in the report; the report's text about it is ``notebooks/methods/NAME.md``."""
    words: str = ""
    """What it trains on."""
    curve: tuple[str, ...] = ("clean", "adversarial")
    """What its training curve shows: "clean", "adversarial", or the sum of both."""
    unused: tuple[str, ...] = ()
    """Settings that decide nothing in it."""
    batches: Callable[..., Iterator[Batch]] = shuffled
    """The minibatches of an epoch."""
    passes: int = 1
    """How often these go through the images."""
    settings: type[Training] = Training
    """`advlib.settings.Training`, or a class made from it with settings of its own, such as
    ``steps: int = 7``: an argument of `advlib.train`, and a parameter of make."""

    def __post_init__(self) -> None:
        if "__dataclass_fields__" not in vars(self.settings):  # a plain class, as one writes it
            dataclass(frozen=True, kw_only=True)(self.settings)

    def deciding(self, settings: Training) -> dict[str, Any]:
        """Return the settings that its numbers depend on."""
        return {name: value for name, value in vars(settings).items() if name not in self.unused}


METHODS = {
    "standard": Method(
        standard, "Standard training", "on clean images alone", curve=("clean",), unused=("alpha",)
    ),
    "mixed": Method(
        mixed, "Mixed training", "on clean and adversarial images together", unused=("alpha",)
    ),
    "adversarial": Method(
        adversarial,
        "Adversarial training",
        "with a weighted sum of both gradients",
        curve=("adversarial",),
    ),
    "mixed-epochwise": Method(
        mixed_epochwise,
        "Mixed training, epoch by epoch",
        "on adversarial images made once an epoch",
        unused=("alpha",),
        batches=shuffled_among_adversarial,
        passes=2,
    ),
    "fast": Method(
        fast,
        "Fast adversarial training",
        "on adversarial images made by one step from a random start",
        curve=("adversarial",),
        unused=("alpha",),
        settings=OneStep,
    ),
    "pgd": Method(
        pgd,
        "PGD training",
        "on adversarial images made by many steps",
        curve=("adversarial",),
        unused=("alpha",),
        settings=ManySteps,
    ),
}


def find_method(name: object) -> Method:
    """Return a method by its name."""
    return METHODS[one_of(METHODS).check("method", name)]


class Pass(NamedTuple):
    """A pass forward and back; the gradients are those of the minibatch's mean objective."""

    gradients: list[Tensor]
    of_images: Tensor
    """Empty where it was not asked for."""
    outcome: Outcome


def differentiate(model: nn.Module, batch: Batch, *, of_images: bool = False) -> Pass:
    """Differentiate the mean softmax log-loss of a minibatch by the trained parameters.

    With `of_images` the same pass back gives the gradient of the images too.
    """
    images = batch.images.detach().requires_grad_(of_images)
    wanted = [p for p in model.parameters() if p.requires_grad] + [images] * of_images
    logits = model(images.clone())  # it may work in place
    objective = cross_entropy(logits, batch.labels, reduction="none")
    gradients = list(torch.autograd.grad(objective.mean(), wanted, materialize_grads=True))
    gradient = gradients.pop() if of_images else images.new_empty(0)
    outcome = Outcome(objective.detach(), ranks(logits.detach(), batch.labels))
    return Pass(gradients, gradient, outcome)


def ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """Count for each image the classes before its label; among equals the lower comes first."""
    own = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & lower)).sum(1)


def attack_as_well(model: nn.Module, batch: Batch, epsilon: float) -> tuple[Pass, Batch]:
    """Differentiate by a minibatch and, with the same pass, make its adversarial images.

    The direction is the log-loss's in the images' precision, as the slides compute it, and not the
    exact one of `advlib.fgsm`: the pass is shared with the update. Rounding spoils it where a model
    is very confident, which the models that are trained with it are not.
    """
    clean = differentiate(model, batch, of_images=True)
    return clean, Batch(perturb(batch.images, clean.of_images, epsilon), batch.labels)
