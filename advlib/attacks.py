"""Attacks: small changes of an image, made from a model's gradient, by which it is misled.

All are bounded in the maximum norm and rows over one search (`advlib._search`). Their default loss
is exact where a model is confident, where the gradient of the softmax log-loss is lost to rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from advlib._checks import check_bounds, check_work, logits_of
from advlib._search import (
    Loss,
    attack_in_batches,
    climb,
    climb_adaptively,
    logit_of,
    others,
    share_of_epsilon,
)
from advlib._search import perturb as perturb  # for methods, and methods of one's own
from advlib._state import attack_seed, restored
from advlib.settings import RATE, WHOLE, check

Bounds = tuple[float | Tensor, float | Tensor]
Make = Callable[..., Tensor]
"""Called like `fgsm`: with model, images, labels and epsilon, and by name bounds, seed and
batch_size."""


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """log(sum over j != y of exp z_j) - z_y: rises with the log-loss, and is exact."""
    return others(logits, labels).logsumexp(1) - logit_of(logits, labels)


def log_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The softmax log-loss; its gradient is lost to rounding where a model is confident."""
    return cross_entropy(logits, labels, reduction="none")


def difference(logits: Tensor, labels: Tensor) -> Tensor:
    """max over j != y of z_j - z_y (Carlini and Wagner 2017, f_6): above 0 at an error."""
    return others(logits, labels).amax(1) - logit_of(logits, labels)


LOSSES: dict[str, Loss] = {"log-odds": log_odds, "log-loss": log_loss, "difference": difference}
EACH_CLASS = "difference to each"
"""The loss z_t - z_y, for one after another of the most likely classes t as if each a restart."""


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    bounds: Bounds | None = None,
    target_labels: Tensor | None = None,
    loss: str | Loss = "log-odds",
    restarts: int = 1,
    seed: int = 0,
    batch_size: int = 200,
) -> Tensor:
    r"""Make adversarial images with the fast gradient sign method.

    .. math:: x_{adv} = x + \epsilon \, \mathrm{sign}(\nabla_x J(\theta, x, y))

    J is the softmax log-loss, and the direction is exact: it is that of the log-odds, an increasing
    function of J whose gradient does not underflow. The sum is rounded once, with epsilon in the
    images' dtype; where the gradient is zero the pixel stays as it is. The model is attacked in the
    mode it is given in: evaluation mode (``model.eval()``) is right for measuring, training mode is
    what a training sees (with batch norm an image's gradient then depends on its batch). The
    model's mode, parameters, ``requires_grad`` flags, ``.grad`` and buffers, the random state and
    `images` are left as found.

    Parameters
    ----------
    model : Module
        Any module that returns logits of shape [N, classes].
    images : Tensor
        Floating point, finite, of shape [N, ...], on the model's device, within `bounds`.
    labels : Tensor
        The true labels, int64 of shape [N].
    epsilon : float, optional
        The largest change of a value, in the images' unit; at least 0.
    bounds : tuple, optional
        The lowest and the highest value allowed, numbers or tensors that broadcast to an image,
        such as ``data.bounds``. By default the adversarial images are not clipped.
    target_labels : Tensor, optional
        Labels that the model is to be led to, int64 of shape [N]: the images then go down the
        gradient of the loss on these.
    loss : str or callable, optional
        "log-odds", the exact direction; "log-loss", the same as computed from the softmax, which in
        single precision is lost from a margin of about 17 on (the slides' numbers are made so);
        "difference", the largest other logit less the label's; or a function of logits
        [N, classes] and labels [N] to [N], which is raised.
    restarts : int, optional
        How often the attack is made; for each image what is misclassified counts, else what has the
        larger loss. Of use where something is drawn at random, if only by the model.
    seed : int, optional
        Of what the attack draws, and of what the model draws while it is attacked (dropout in
        training mode, noise). It is another stream than `advlib.evaluate`'s of the same seed: a
        model that is random is then measured with noise that the attack has not seen. What such a
        number says of the model is little: see Athalye et al. 2018, section 5, and average over
        the noise.
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
    A. Athalye, N. Carlini, D. Wagner, "Obfuscated gradients give a false sense of security",
    arXiv:1802.00420, 2018.
    """
    return attack_in_batches(
        model,
        images,
        labels,
        epsilon,
        partial(climb, steps=1),
        bounds=bounds,
        target_labels=target_labels,
        loss=_find_loss(loss, target_labels),
        restarts=restarts,
        seed=seed,
        batch_size=batch_size,
    )


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    steps: int = 20,
    step_size: float | None = None,
    random_start: bool = True,
    stop: bool = True,
    bounds: Bounds | None = None,
    target_labels: Tensor | None = None,
    loss: str | Loss = "log-odds",
    restarts: int = 1,
    seed: int = 0,
    batch_size: int = 200,
) -> Tensor:
    """Make adversarial images by projected gradient descent (Madry et al. 2018, section 2.1).

    From a point drawn uniformly within epsilon, or from the image itself, `steps` steps up the
    loss, each followed by the projection to the box of what is allowed.

    Parameters
    ----------
    model, images, labels, epsilon, bounds, target_labels, loss, restarts, seed, batch_size
        As for `advlib.fgsm`.
    steps : int, optional
        How many steps, each of one gradient.
    step_size : float, optional
        The change of every value in a step; by default 2.5 epsilon / steps, at most epsilon.
    random_start : bool, optional
        Whether it begins at a random point. One step without it is FGSM.
    stop : bool, optional
        Whether an image that is misclassified is not attacked further (from the second step on):
        right for the error, and fast. Its confidence is then that of the boundary. False goes on
        and returns the point of the largest loss, the right one for what is asked of adversarial
        images beside the error.

    Returns, Raises
    ---------------
    As `advlib.fgsm`.

    References
    ----------
    A. Madry et al., "Towards deep learning models resistant to adversarial attacks",
    arXiv:1706.06083, 2018.
    """
    steps = WHOLE.check("steps", steps)
    if step_size is not None:
        step_size = 0.0 if step_size == 0 else RATE.check("step_size", step_size)
    return attack_in_batches(
        model,
        images,
        labels,
        epsilon,
        partial(climb, steps=steps, step_size=step_size),
        bounds=bounds,
        target_labels=target_labels,
        loss=_find_loss(loss, target_labels),
        restarts=restarts,
        seed=seed,
        batch_size=batch_size,
        random_start=random_start,
        stop=stop,
    )


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    steps: int = 100,
    random_start: bool = True,
    stop: bool = True,
    bounds: Bounds | None = None,
    target_labels: Tensor | None = None,
    loss: str | Loss = "log-odds",
    restarts: int = 1,
    seed: int = 0,
    batch_size: int = 200,
) -> Tensor:
    """Make adversarial images by Auto-PGD (Croce and Hein 2020, section 3).

    Projected gradient ascent with momentum, which keeps the best point, halves its step where that
    does not lead on, and then goes on from the best point. It has no step size to choose.

    Parameters
    ----------
    model, images, labels, epsilon, bounds, target_labels, restarts, seed, batch_size
        As for `advlib.fgsm`.
    loss : str or callable, optional
        As for `advlib.fgsm`, and "difference to each": the logit of another class less the
        label's, for each of the 9 most likely classes in turn, until it is misclassified.
    steps, random_start, stop
        As for `advlib.pgd`.

    Returns, Raises
    ---------------
    As `advlib.fgsm`.

    References
    ----------
    F. Croce, M. Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", arXiv:2003.01690, 2020.
    """
    return attack_in_batches(
        model,
        images,
        labels,
        epsilon,
        partial(climb_adaptively, steps=WHOLE.check("steps", steps)),
        bounds=bounds,
        target_labels=target_labels,
        loss=_find_loss(loss, target_labels),
        restarts=restarts,
        seed=seed,
        batch_size=batch_size,
        random_start=random_start,
        stop=stop,
    )


def random_signs(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    bounds: Bounds | None = None,
    restarts: int = 1,
    seed: int = 0,
    batch_size: int = 200,
) -> Tensor:
    """Change every value by epsilon with a sign drawn at random, then clip it to the bounds.

    Called like `advlib.fgsm`; it takes no gradient. With one draw the model does not matter; of
    more, `restarts`, an image keeps the first that is misclassified.
    """
    epsilon, restarts = check("epsilon", epsilon), WHOLE.check("restarts", restarts)
    images, limits = images.detach(), check_bounds(bounds, images)
    stream = Generator(images.device).manual_seed(attack_seed(seed, "signs"))
    found, open_ = images.clone(), torch.arange(len(images), device=images.device)
    for restart in range(restarts):
        if restart:
            open_ = open_[~_misclassified(model, found[open_], labels[open_], seed, batch_size)]
            if not len(open_):
                break
        shift = torch.rand(images.shape, generator=stream, device=images.device) - 0.5
        changed = torch.add(images, shift.sign().to(images.dtype), alpha=epsilon)
        found[open_] = (changed if limits is None else changed.clamp(*limits))[open_]
    return found


def _misclassified(
    model: nn.Module, images: Tensor, labels: Tensor, seed: int, batch_size: int
) -> Tensor:
    check_work(model, images, labels)
    parts = zip(*(torch.split(each, batch_size) for each in (images, labels)), strict=True)
    with restored(model, images.device, attack_seed(seed, "attack")), torch.no_grad():
        wrong = [logits_of(model, part.clone()).argmax(1) != true for part, true in parts]
    return torch.cat(wrong)


slides_fgsm = partial(fgsm, loss="log-loss")
"""FGSM as the slides compute it: the direction is that of the log-loss in single precision."""


@dataclass(frozen=True)
class Attack:
    """An attack: one row, which `robustness`, the report and the panel read."""

    make: Make
    panel: str = ""
    """What the panel calls it, if it offers it."""

    @property
    def takes_steps(self) -> bool:
        return "steps" in signature(self.make).parameters

    def with_steps(self, steps: int) -> Make:
        """Return the function, with so many steps if it takes any."""
        return partial(self.make, steps=steps) if self.takes_steps else self.make


def describe_attack(make: Make) -> dict[str, object]:
    """Return what an attack of this module is made with: what a reader needs who repeats it.

    Its loss, steps, the size of a step as a share of epsilon, restarts, and where it starts; None
    is what it does not have.
    """
    given = {name: each.default for name, each in signature(make).parameters.items()}
    steps: Any = given.get("steps", 1 if "loss" in given else None)
    size: object = 1
    if "step_size" in given:
        size = share_of_epsilon(steps) if given["step_size"] is None else "its own"
    elif "steps" in given:
        size = "2, then halved" if getattr(make, "func", make) is apgd else "its own"
    start = "random" if given.get("random_start") else "the image"
    return {
        "loss": given.get("loss"),
        "steps": steps,
        "step_size": size,
        "restarts": given.get("restarts"),
        "start": start,
    }


ATTACKS = {
    "random signs": Attack(random_signs),
    "FGSM": Attack(fgsm, panel="FGSM"),
    "PGD": Attack(pgd, panel="PGD"),
    "APGD, log-odds": Attack(apgd, panel="APGD"),
    "APGD, difference": Attack(partial(apgd, loss="difference")),
    f"APGD, {EACH_CLASS}": Attack(partial(apgd, loss=EACH_CLASS)),
}
"""The attacks of `robustness`, by name; see `Attack`."""


def _find_loss(loss: str | Loss, target_labels: Tensor | None) -> Loss | None:
    """The loss of a name; None is that of `Problem`, towards each class."""
    names = [*LOSSES, EACH_CLASS]
    if not callable(loss) and loss not in names:
        raise ValueError(f"loss must be one of {', '.join(names)}, or a function, not {loss!r}")
    if loss == EACH_CLASS and target_labels is not None:
        raise ValueError(f"loss {EACH_CLASS!r} has targets of its own: leave target_labels out")
    return loss if callable(loss) else LOSSES.get(loss)
