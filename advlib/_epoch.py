"""One epoch of a training."""

import math

import torch
from torch import Tensor, nn

from advlib.keeping.seeds import derived_seed, seeded
from advlib.methods import Method, Outcome
from advlib.settings import Training


def train_epoch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    method: Method,
    settings: Training,
    epoch: int,
) -> tuple[list[float], list[float]]:
    """Train one epoch; return the figures on the clean and on the adversarial images."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # The fused update reads memory in its order, whatever the strides say.
    contiguous = all(parameter.is_contiguous() for parameter in parameters)
    optimizer = torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        foreach=not contiguous,
        fused=contiguous,
    )
    # One small tensor, changed in place: small ones kept from each step would lie between the large
    # ones that a step frees, and the C library could not give that memory out again.
    totals = torch.zeros(2, 3, dtype=torch.float64, device=images.device)
    counts = [0, 0]
    order = torch.Generator().manual_seed(derived_seed(settings.seed, epoch, "order"))
    with seeded(derived_seed(settings.seed, epoch, "noise"), images.device):
        for batch in method.batches(model, images, labels, settings, order):
            step = method.step(model, batch, settings)
            for parameter, gradient in zip(parameters, step.gradients, strict=True):
                parameter.grad = gradient.contiguous()
            optimizer.step()
            for i, outcome in enumerate((step.clean, step.adversarial)):
                if outcome is not None:
                    totals[i] += _sums(outcome)
                    counts[i] += len(outcome.rank)
    clean, adversarial = map(_means, totals.tolist(), counts)
    return clean, adversarial


def _sums(outcome: Outcome) -> Tensor:
    """Over a minibatch: the objective, the top-1 and the top-5 errors."""
    objective, rank = outcome
    errors = (rank[:, None] >= rank.new_tensor([1, 5])).sum(0)
    return torch.cat([objective.sum(0, keepdim=True, dtype=torch.float64), errors])


def _means(sums: list[float], images: int) -> list[float]:
    """The mean objective and the errors in percent; NaN where there were no images."""
    if not images:
        return [math.nan] * 3
    objective, top1, top5 = sums
    return [objective / images, 100 * top1 / images, 100 * top5 / images]
