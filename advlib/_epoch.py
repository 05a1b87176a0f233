"""One epoch of a training."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from advlib import _checks
from advlib._state import derived_seed, frozen, kept_modes, restored, seeded
from advlib.attacks import perturb
from advlib.evaluation import BATCH_SIZE, Errors, errors
from advlib.methods import Batch, Method, Outcome, differentiate
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


def validate(
    model: nn.Module, images: Tensor, labels: Tensor, settings: Training, epoch: int
) -> tuple[Errors, Errors]:
    """Return the figures on the clean images and on the same attacked as in training."""
    with seeded(derived_seed(settings.seed, epoch, "validation"), images.device):
        clean = errors(model, images, labels)
    with seeded(derived_seed(settings.seed, epoch, "attack"), images.device), frozen(model):
        batches = zip(*(torch.split(each, BATCH_SIZE) for each in (images, labels)), strict=True)
        attacked = torch.cat([_attack(model, Batch(*batch), settings.epsilon) for batch in batches])
        return clean, errors(model, attacked, labels)


def _attack(model: nn.Module, batch: Batch, epsilon: float) -> Tensor:
    """Perturb a batch as the methods do."""
    gradient = differentiate(model, batch, of_images=True).of_images
    assert gradient is not None
    return perturb(batch.images, gradient, epsilon)


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


def check_training(model: Any, data: Any, batch_size: int, passes: int = 1) -> None:
    """Check what a training is given: the data, and the model on two images of each part.

    An epoch goes through the training images in so many passes.
    """
    for part in ("train", "validation"):
        split = getattr(data, part, None)
        if split is None:
            raise TypeError(f"data must be a Dataset, not {type(data).__name__}")
        _checks.check_rules(_checks.IMAGES, f"data.{part}.images", split.images)
        _checks.check_labels(split.labels, split.images, f"data.{part}.labels")
    _checks.check_rules(_checks.MODEL, "model", model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameters to train (none requires a gradient)")
    _check_modes(model)
    device = next(model.parameters()).device
    for part in ("train", "validation"):
        split = getattr(data, part)
        images = split.images[:2].to(device)
        _checks.check_rules(_checks.FITTING, f"data.{part}.images", images, model, "model")
        with kept_modes(model), restored(model, device), torch.inference_mode(False):
            classes = _checks.count_classes(model.eval(), images)
        _checks.check_classes(split.labels, classes, f"data.{part}.labels")
    with kept_modes(model):
        images = data.train.images
        _checks.check_last(model.train(), images, batch_size, device=device, times=passes)


def _check_modes(model: nn.Module) -> None:
    """Refuse a model without a training and an evaluation mode: one that `torch.export` made."""
    with kept_modes(model):
        try:
            model.train().eval()
        except NotImplementedError as error:
            raise TypeError(
                "model must be a module that can be put in training and evaluation mode, not one"
                f" that was exported ({error}); train the model that it was exported from"
            ) from error
