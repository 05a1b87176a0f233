"""One epoch of a training."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from advlib.attacks import fgsm
from advlib.methods import Batch, Method, Outcome


@dataclass(frozen=True)
class Training:
    """A training's checked settings; the names are those of `train`."""

    name: str
    method: Method
    epochs: int
    epsilon: float
    alpha: float
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    seed: int

    def deciding(self) -> dict[str, Any]:
        """The settings that the numbers depend on."""
        names = ("epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "seed")
        values = {name: getattr(self, name) for name in (*self.method.uses, *names)}
        return {"method": self.name, **values}


def derived_seed(*parts: object) -> int:
    """Derive a seed from others and from names, such as ``derived_seed(0, "mixed", "weights")``."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def train_epoch(
    model: nn.Module, images: Tensor, labels: Tensor, training: Training, epoch: int
) -> tuple[list[float], list[float]]:
    """Train one epoch; return the figures on the clean and on the adversarial images."""
    optimizer = torch.optim.SGD(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        foreach=True,
    )
    parameters = optimizer.param_groups[0]["params"]
    # One small tensor, changed in place: small ones kept from each step would lie between the large
    # ones that a step frees, and the C library could not give that memory out again.
    totals = torch.zeros(2, 4, dtype=torch.float64, device=images.device)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derived_seed(training.seed, epoch, "noise"))
        for batch in _batches(model, images, labels, training, epoch):
            step = training.method.gradients(model, batch, training.epsilon, training.alpha)
            for parameter, gradient in zip(parameters, step.gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            for total, outcome in zip(totals, (step.clean, step.adversarial), strict=True):
                if outcome is not None:
                    total += _sums(outcome)
    clean, adversarial = totals.tolist()
    return _means(*clean), _means(*adversarial)


def _batches(
    model: nn.Module, images: Tensor, labels: Tensor, training: Training, epoch: int
) -> Iterator[Batch]:
    """The epoch's minibatches, reshuffled."""
    n = len(images)
    generator = torch.Generator().manual_seed(derived_seed(training.seed, epoch, "order"))
    if not training.method.epochwise:
        order = torch.randperm(n, generator=generator).to(images.device)
        for chosen in torch.split(order, training.batch_size):
            yield Batch(images[chosen], labels[chosen])
        return
    stale = fgsm(model, images, labels, training.epsilon)
    order = torch.randperm(2 * n, generator=generator).to(images.device)
    for chosen in torch.split(order, training.batch_size):
        perturbed, chosen = chosen >= n, chosen % n
        batch = images[chosen]
        batch[perturbed] = stale[chosen[perturbed]]
        yield Batch(batch, labels[chosen], perturbed)


def _sums(outcome: Outcome) -> Tensor:
    """Over a minibatch: the objective, the top-1 and the top-5 errors, and the number of images."""
    objective, rank = outcome
    top1, top5 = (rank >= 1).sum(), (rank >= 5).sum()
    return torch.stack([objective.double().sum(), top1, top5, torch.ones_like(rank).sum()])


def _means(objective: float, top1: float, top5: float, images: float) -> list[float]:
    """The mean objective and the errors in percent; NaN where there were no images."""
    if not images:
        return [math.nan] * 3
    return [objective / images, 100 * top1 / images, 100 * top5 / images]
