"""Attacks: small changes of an image, made from a model's gradient, that raise the model's loss."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advlib._care import (
    NotFiniteError,
    check_classes,
    check_labels,
    check_work,
    logits_of,
    restored,
)
from advlib.settings import check

Bounds = tuple[float | Tensor, float | Tensor]


def perturb(images: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """FGSM (Goodfellow et al. 2014, section 4): images + epsilon * sign(gradient)."""
    return torch.add(images, gradient.sign(), alpha=epsilon)


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    bounds: Bounds | None = None,
    target_labels: Tensor | None = None,
    batch_size: int = 200,
) -> Tensor:
    r"""Make adversarial images with the fast gradient sign method.

    .. math:: x_{adv} = x + \epsilon \, \mathrm{sign}(\nabla_x J(\theta, x, y))

    J is the softmax log-loss. The sum is rounded once, with epsilon in the images' dtype; where
    the gradient is zero the pixel stays as it is. The model is attacked in the mode it is given
    in: evaluation mode (``model.eval()``) is right for measuring, training mode is what a training
    sees (with batch norm an image's gradient then depends on its batch). The model's mode,
    parameters, ``requires_grad`` flags, ``.grad`` and buffers, the random state and `images` are
    left as found.

    Parameters
    ----------
    model : Module
        Any module that returns logits of shape [N, classes].
    images : Tensor
        Floating point, finite, of shape [N, ...], on the model's device.
    labels : Tensor
        The true labels, int64 of shape [N].
    epsilon : float, optional
        The largest change of a value, in the images' unit; at least 0.
    bounds : tuple, optional
        The lowest and the highest value allowed, numbers or tensors that broadcast to an image.
        The adversarial images are clipped to them; by default they are not clipped.
    target_labels : Tensor, optional
        Labels that the model is to be led to, int64 of shape [N]: the images then go down the
        gradient of the loss on these, ``x - epsilon * sign(...)``.
    batch_size : int, optional
        How many images are attacked at once. The largest that fits is best on a GPU; on a CPU 200
        was the fastest for LeNet.

    Returns
    -------
    Tensor
        The adversarial images: shape, dtype and device of `images`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above. The message names it, its value and what is allowed.

    References
    ----------
    I. J. Goodfellow, J. Shlens, C. Szegedy, "Explaining and harnessing adversarial examples",
    arXiv:1412.6572, 2014, section 4.
    """
    epsilon, batch_size = check("epsilon", epsilon), check("batch_size", batch_size)
    check_work(model, images, labels)
    given, towards = {"labels": labels}, epsilon
    if target_labels is not None:
        check_labels(target_labels, images, "target_labels")
        given["target_labels"], towards = target_labels, -epsilon
    limits = None if bounds is None else _checked_bounds(bounds, images)

    # A caller inside torch.no_grad or torch.inference_mode gets its images too.
    with restored(model, images.device), torch.inference_mode(False), torch.enable_grad():
        clean = images.detach()
        adversarial = torch.empty_like(clean)
        for start in range(0, len(clean), batch_size):
            part = slice(start, start + batch_size)
            gradient = _gradient(model, clean[part], part, given)
            adversarial[part] = perturb(clean[part], gradient, towards)
    return adversarial if limits is None else adversarial.clamp_(*limits)


@dataclass(frozen=True)
class Attack:
    """An attack: a function as `fgsm` is, and its perturbation in words."""

    make: Callable[..., Tensor]
    perturbation: str


ATTACKS = {"fgsm": Attack(fgsm, "signs of the gradient")}
"""The attacks of the report."""


def _gradient(model: nn.Module, images: Tensor, part: slice, given: dict[str, Tensor]) -> Tensor:
    """The gradient, with respect to the images, of the loss on the last of the labels given."""
    leaf = images.clone().requires_grad_()  # copies are no inference tensors
    logits = logits_of(model, leaf.clone())  # a copy, for a model that works in place
    for name, labels in given.items():  # all of them: the first batch shows one out of range
        check_classes(labels, logits.shape[1], name)
    *_, towards = given.values()
    gradient = None
    if logits.requires_grad:
        # A sum, so that an image's gradient does not depend on the number of images beside it.
        loss = cross_entropy(logits, towards[part].clone(), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    if gradient is None:
        raise ValueError("model must return logits that can be differentiated by its images")
    if gradient.isnan().any():
        raise NotFiniteError("model has gradients that are NaN: has its training diverged?")
    return gradient


def _checked_bounds(bounds: object, images: Tensor) -> tuple[Tensor, Tensor]:
    """The two bounds as tensors of the images' dtype on their device."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"bounds must be a pair (low, high), not {bounds!r}")
    for bound in bounds:
        if isinstance(bound, bool) or not isinstance(bound, Real | Tensor):
            raise TypeError(f"bounds must be numbers or tensors, not {bound!r}")
    low, high = (torch.as_tensor(b, dtype=images.dtype, device=images.device) for b in bounds)
    try:
        low, high = (bound.expand_as(images[:1]) for bound in (low, high))
    except RuntimeError:
        raise ValueError(
            f"bounds must be numbers or broadcast to an image of shape {list(images.shape[1:])},"
            f" not of shapes {list(low.shape)} and {list(high.shape)}"
        ) from None
    if not (low < high).all():  # false for NaN
        raise ValueError(f"bounds must be (low, high) with low below high, not {bounds!r}")
    return low, high
