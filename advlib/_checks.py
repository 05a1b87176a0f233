"""What images, labels, bounds and models must be."""

import sys
import warnings
from contextlib import suppress
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from advlib._state import is_training, kept_modes, restored

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class NotFiniteError(ValueError):
    """A model's logits or gradients have NaN in them."""


def check_images(images: Any, name: str = "images") -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(images).__name__}")
    if images.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor, not {images.layout}")
    if images.dtype not in FLOATING:
        raise TypeError(
            f"{name} must be of a floating dtype ({', '.join(map(str, FLOATING))}), not"
            f" {images.dtype}; convert the bytes of a picture with data.to_inputs(images / 255), or"
            " to the scale that the model expects"
        )
    if images.is_meta:
        raise ValueError(f"{name} must be a tensor with values, not on the device meta")
    if images.ndim < 2 or not images.numel():
        raise ValueError(f"{name} must be of shape [N, ...] and not empty, not {[*images.shape]}")
    low, high = images.detach().aminmax()  # NaN if any value is, and no temporary tensor
    if not (low.isfinite() and high.isfinite()):
        raise ValueError(f"{name} must be finite, not from {low} to {high}")


def check_labels(labels: Any, images: Tensor, name: str = "labels") -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(labels).__name__}")
    if labels.dtype != torch.int64:
        raise TypeError(f"{name} must be of dtype torch.int64, not {labels.dtype}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{name} must be of shape [{len(images)}], not {[*labels.shape]}")
    if labels.device != images.device:
        raise ValueError(f"{name} must be on the images' {images.device}, not on {labels.device}")
    if labels.min() < 0:
        raise ValueError(f"{name} must be at least 0, not {labels.min()}")


def check_classes(labels: Tensor, classes: int, name: str = "labels") -> None:
    if labels.max() >= classes:
        raise ValueError(
            f"{name} must be from 0 to {classes - 1}, as the model has {classes} classes, not"
            f" {labels.max()}"
        )


def check_model(model: object, name: str = "model") -> None:
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise TypeError(f"{name} must be a torch.nn.Module, not {model!r} ({kind})")


def check_fit(
    images: Tensor, model: nn.Module, name: str = "images", model_name: str = "model"
) -> None:
    """Check that images have a model's dtype; one without numbers takes every dtype."""
    tensors = [*model.parameters(), *model.buffers()]
    its = {str(each.dtype) for each in tensors if each.is_floating_point()}
    if its and str(images.dtype) not in its:
        raise TypeError(
            f"{name} must be of the dtype of {model_name}, not {images.dtype}; {model_name} has"
            f" {', '.join(sorted(its))}: convert one of them with .to(dtype)"
        )


def check_work(model: Any, images: Any, labels: object, name: str = "model") -> None:
    """Check what an attack and an evaluation are given."""
    check_images(images)
    check_model(model, name)
    check_fit(images, model, model_name=name)
    check_labels(labels, images)
    if not is_training() and _depends_on_mode(model, images[:2]):
        warn(
            f"{name} is in training mode, in which it says another thing than in evaluation mode:"
            " what is random, as dropout, or depends on the batch, as batch norm; model.eval() is"
            " right for measuring"
        )


def _depends_on_mode(model: nn.Module, images: Tensor) -> bool:
    """Is it, or a part of it, in training mode, and says there what it does not in evaluation?"""
    if not any(module.training for module in model.modules()):
        return False
    said: list[Tensor] = []
    # what fails here fails again where it is told
    with kept_modes(model), torch.no_grad(), suppress(Exception):
        for _ in range(2):
            with restored(model, images.device, seed=0):
                said.append(model(images.clone()))
            model.eval()
        given, evaluated = said
        return not torch.allclose(given, evaluated, rtol=1e-3, atol=1e-3, equal_nan=True)
    return False


def check_adversarial(
    adversarial: object, images: Tensor, epsilon: float, bounds: object, name: str
) -> None:
    """Check what a caller's own attack made of images."""
    if not isinstance(adversarial, Tensor) or adversarial.shape != images.shape:
        raise ValueError(
            f"{name} must return images of shape {[*images.shape]}, not"
            f" {[*adversarial.shape] if isinstance(adversarial, Tensor) else adversarial!r}"
        )
    rounding = 8 * torch.finfo(images.dtype).eps * max(1.0, float(images.abs().max()) + epsilon)
    distance = float((adversarial - images).abs().max())
    if not distance <= epsilon + rounding:
        raise ValueError(
            f"{name} must stay within epsilon, {epsilon:g}, of the images, not move a value by"
            f" {distance:g}: errors under it would be no worst case of that epsilon"
        )
    try:
        check_bounds(bounds, adversarial)
    except ValueError as error:
        raise ValueError(f"{name} must stay within the bounds: {error}") from None


def check_bounds(bounds: object, images: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the bounds of images as tensors of their dtype and device; the images are within."""
    if bounds is None:
        return None
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"bounds must be a pair (low, high), not {bounds!r}")
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, Real | Tensor):
            raise TypeError(f"bounds must be numbers or tensors, not {bound!r}")
    ends = [torch.as_tensor(b, dtype=images.dtype, device=images.device).detach() for b in bounds]
    try:
        low, high = (bound.expand_as(images[:1]) for bound in ends)
    except RuntimeError:
        raise ValueError(
            f"bounds must be numbers or broadcast to an image of shape {[*images.shape[1:]]},"
            f" not of shapes {[*ends[0].shape]} and {[*ends[1].shape]}"
        ) from None
    if not (low < high).all():  # false for NaN
        raise ValueError(f"bounds must be (low, high) with low below high, not {bounds!r}")
    below, above = low[0] - images.detach().amin(0), images.detach().amax(0) - high[0]
    if (below > _rounding(low[0])).any() or (above > _rounding(high[0])).any():
        raise ValueError(
            "images must be within the bounds, not {:.6g} below them or {:.6g} above: they reach"
            " from {:.6g} to {:.6g}".format(
                *(max(float(far.max()), 0) for far in (below, above)), *images.detach().aminmax()
            )
        )
    return low, high


def _rounding(bound: Tensor) -> Tensor:
    """How far a value may lie beyond a bound by rounding alone; nothing is beyond an infinite."""
    size = torch.where(bound.isfinite(), bound.abs(), 1.0)
    return 8 * torch.finfo(bound.dtype).eps * size.clamp(min=1)


def count_classes(model: nn.Module, images: Tensor, name: str = "model") -> int:
    """Count a model's classes, on two images: batch norm in training mode needs two."""
    with restored(model, images.device), torch.no_grad():
        return logits_of(model, images[:2].clone(), name).shape[1]


def mixes_images(model: nn.Module) -> bool:
    """Whether batch norm, by the batch's statistics, makes what it says of an image the batch's."""
    return any(
        _normalizes_batches(m) and (m.training or getattr(m, "running_mean", None) is None)
        for m in model.modules()
    )


def _normalizes_batches(module: nn.Module) -> bool:
    scripted = str(getattr(module, "original_name", ""))
    return isinstance(module, nn.modules.batchnorm._BatchNorm) or scripted.startswith("BatchNorm")


def check_last(
    model: nn.Module,
    images: Tensor,
    batch_size: int,
    *,
    device: torch.device | None = None,
    times: int = 1,
) -> None:
    """Refuse a last minibatch of one image, after so many passes, where batch norm takes none."""
    left = times * len(images) % batch_size
    if (left != 1 and batch_size != 1) or not mixes_images(model):
        return
    image = images[-1:].to(device or images.device, copy=True)
    with restored(model, image.device), torch.no_grad():
        try:
            model(image)
        except (ValueError, RuntimeError, torch.jit.Error) as error:
            raise ValueError(
                f"batch_size must be another than {batch_size}: it leaves a last minibatch of one"
                " image, which the model's batch norm does not take without statistics of its own"
                f" ({error})"
            ) from error


def logits_of(model: nn.Module, images: Tensor, name: str = "model") -> Tensor:
    """Run a model, which may change the images, and check that it returns logits [N, classes]."""
    try:
        logits = model(images)
    except (torch.OutOfMemoryError, NotFiniteError):
        raise
    except (RuntimeError, ValueError, AssertionError, torch.jit.Error) as error:
        shape = [*images.shape]
        raise ValueError(f"{name} does not take images of shape {shape}: {error}") from error
    if not (isinstance(logits, Tensor) and logits.is_floating_point()):
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"{name} must return a floating-point tensor of logits, not {kind}")
    if logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 1:
        raise ValueError(
            f"{name} must return logits of shape [{len(images)}, classes] for {len(images)} images,"
            f" not {[*logits.shape]}"
        )
    if logits.isnan().any():
        raise NotFiniteError(f"{name} returns logits that are NaN: has its training diverged?")
    _warn_of_probabilities(logits.detach(), name)
    return logits


def _warn_of_probabilities(logits: Tensor, name: str) -> None:
    """Warn of a model that ends in a softmax or a sigmoid: gradients vanish where it is sure."""
    if logits.shape[1] < 2 or logits.min() < 0 or logits.max() > 1:
        return
    # a few logits may happen to lie there, and not sum to 1
    if logits.numel() >= 100 or ((logits.sum(1) - 1).abs() < 1e-2).all():
        warn(
            f"{name} returns numbers from 0 to 1 alone, as probabilities are. Attacks and"
            " confidences need logits; leave its last softmax or sigmoid out, or it looks more"
            " robust than it is"
        )


def warn(words: str) -> None:
    """Warn once for each line that calls advlib."""
    warnings.warn(words, stacklevel=_levels_to_the_caller())


def _levels_to_the_caller() -> int:
    """How far up the line is that called advlib: for each such line Python shows a warning once."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "advlib":
        frame, level = frame.f_back, level + 1
    return level
