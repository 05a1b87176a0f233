"""The search that all attacks are rows of: up a loss's gradient signs, within a box.

`Problem.ask` runs the model at some points; `climb` is PGD (FGSM is one step of it),
`climb_adaptively` is APGD. `attack_in_batches` does what is common to all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypeAlias

import torch
from torch import Generator, Tensor, nn

from advlib import _checks
from advlib._state import attack_seed, frozen, restored
from advlib.settings import SEED, WHOLE, check

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits [N, classes] and labels [N] the loss [N] that an attack raises."""


def perturb(images: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """FGSM (Goodfellow et al. 2014, section 4): images + epsilon * sign(gradient)."""
    return torch.add(images, gradient.sign(), alpha=epsilon)


def logit_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each image's logit of a class."""
    return logits.gather(1, labels[:, None])[:, 0]


def others(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logits with each image's class left out, as -inf."""
    return logits.scatter(1, labels[:, None], -torch.inf)


class Pass(NamedTuple):
    """What a model says at points: the loss [n] to raise, its gradient, and is it turned? [n]"""

    loss: Tensor
    gradient: Tensor
    turned: Tensor


@dataclass(frozen=True)
class Problem:
    """What is to be solved for a batch of images: raise the loss within the box low to high."""

    model: nn.Module
    loss: Loss | None
    """None: z_t - z_y with the classes t that are `towards`."""
    targeted: bool
    check_labels: Callable[[int], None]
    """Refuses labels that are none of so many classes."""
    epsilon: float
    labels: Tensor
    low: Tensor
    high: Tensor
    stop: bool = True
    """Whether an image that is turned is left; else the point of the largest loss is sought."""
    towards: Tensor | None = None

    def further(self, turned: Tensor) -> Tensor:
        """Which images are attacked further: all, where they are told apart only together."""
        all_ = not self.stop or _checks.mixes_images(self.model)
        return torch.ones_like(turned) if all_ else ~turned

    def only(self, chosen: Tensor) -> "Problem":
        """Return the same for some of the images."""
        towards = None if self.towards is None else self.towards[chosen]
        labels, low, high = (each[chosen] for each in (self.labels, self.low, self.high))
        return replace(self, labels=labels, low=low, high=high, towards=towards)

    def ask(self, points: Tensor, with_gradient: bool = True) -> Pass:
        """Run the model on points, forwards and, for the gradient, backwards."""
        with torch.set_grad_enabled(with_gradient):
            leaf = points.clone().requires_grad_(with_gradient)  # copies are no inference tensors
            logits = _checks.logits_of(self.model, leaf.clone())  # of a copy: it may work in place
            self.check_labels(logits.shape[1])
            wide = logits if logits.dtype == torch.float64 else logits.float()
            if self.loss is not None:
                loss = self.loss(wide, self.labels)
            else:
                assert self.towards is not None
                loss = logit_of(wide, self.towards) - logit_of(wide, self.labels)
            if not isinstance(loss, Tensor) or loss.shape != self.labels.shape:
                found = [*loss.shape] if isinstance(loss, Tensor) else type(loss).__name__
                raise ValueError(
                    f"loss must return a value for each image, {[len(self.labels)]}, not {found}"
                )
            loss = -loss if self.targeted else loss
            gradient = _differentiate(loss, leaf) if with_gradient else torch.empty(0)
        turned = (logits.detach().argmax(1) == self.labels) == self.targeted
        return Pass(loss.detach(), gradient, turned)

    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points of the box."""
        return points.clamp(self.low, self.high)


def _differentiate(loss: Tensor, leaf: Tensor) -> Tensor:
    """The gradient of each image's loss, of a sum: so other images' number does not matter."""
    gradient = None
    if loss.requires_grad:
        whole, half = loss.sum(), leaf.dtype == torch.float16
        (gradient,) = torch.autograd.grad(whole, leaf, allow_unused=True, retain_graph=half)
        if half and gradient is not None:  # it underflows on the way back; only its signs count
            (larger,) = torch.autograd.grad(2.0**12 * whole, leaf)
            gradient = torch.where(larger.isfinite(), larger, gradient)
    if gradient is None:
        raise ValueError(
            "model must return logits that can be differentiated by its images, and loss what"
            " can be by the logits"
        )
    if gradient.isnan().any():
        raise _checks.NotFiniteError("model has gradients that are NaN: has its training diverged?")
    if not gradient.flatten(1).any(1).all():
        _checks.warn(
            "the gradient of some of these images is zero everywhere, and no step along it changes"
            " them: something in the model, such as rounding, hides it, or the loss is lost to"
            " rounding; the error under such an attack says little of the model"
        )
    return gradient


Search: TypeAlias = Callable[[Problem, Tensor], Tensor]  # and where to begin, to what is found


def share_of_epsilon(steps: int) -> float:
    """The size of one of so many steps of PGD, where none is asked for."""
    return min(2.5 / steps, 1)


def climb(
    problem: Problem, points: Tensor, *, steps: int, step_size: float | None = None
) -> Tensor:
    """Projected gradient ascent; from the second step on, images that are turned stay.

    Without `problem.stop` they go on, and of all points that of the largest loss counts.
    """
    step_size = share_of_epsilon(steps) * problem.epsilon if step_size is None else step_size
    found, open_ = points.clone(), torch.arange(len(points), device=points.device)
    best = torch.full_like(open_, -torch.inf, dtype=torch.float64)
    for step in range(steps):
        now = problem.ask(points)
        gradient = now.gradient
        if not problem.stop:
            _keep_larger(found, best, points, now.loss)
        rest = problem.further(now.turned)
        if step and not rest.all():
            found[open_[~rest]] = points[~rest]
            open_, points, gradient = open_[rest], points[rest], gradient[rest]
            problem = problem.only(rest)
            if not len(points):
                break
        points = problem.project(perturb(points, gradient, step_size))
    if problem.stop:
        found[open_] = points
    else:
        _keep_larger(found, best, points, problem.ask(points, with_gradient=False).loss)
    return found


def _keep_larger(found: Tensor, best: Tensor, points: Tensor, loss: Tensor) -> None:
    """Take the points that have a larger loss than the best so far."""
    larger = loss > best
    found[larger], best[larger] = points[larger], loss[larger].double()


MOMENTUM, IMPROVED = 0.75, 0.75  # alpha and rho of Croce and Hein


def _checkpoints(steps: int) -> list[int]:
    """The steps after which APGD looks back (Croce and Hein 2020, section 3.1)."""
    percents = [0, 22]
    while percents[-1] < 100:
        percents.append(percents[-1] + max(percents[-1] - percents[-2] - 3, 6))
    return sorted({-(-percent * steps // 100) for percent in percents[1:-1]})


def _rises(now: Tensor, before: Tensor, largest: Tensor) -> Tensor:
    """Whether a loss is larger by more than rounding, which depends on the batch."""
    return now > before + 16 * torch.finfo(now.dtype).eps * largest


class _State:
    """Where APGD is: an entry for each image that is not turned yet."""

    def __init__(self, points: Tensor, now: Pass, size: float) -> None:
        self.open = torch.arange(len(points), device=points.device)  # their numbers in the batch
        self.points = self.before = self.best_points = points
        self.gradient = self.best_gradient = now.gradient
        self.loss = self.best_loss = now.loss
        self.largest = now.loss.abs()
        self.size = torch.zeros_like(now.loss) + size
        # since it last looked back: the steps that raised the loss, the best loss then, and whether
        # the step was halved
        self.improved = torch.zeros_like(now.loss)
        self.loss_then, self.halved = now.loss, self.improved == 0

    def keep(self, mask: Tensor) -> None:
        """Drop the other images."""
        vars(self).update({name: value[mask] for name, value in vars(self).items()})

    def better(self, mask: Tensor) -> None:
        """Take the points for the best ones of these images."""
        pixels = _for_pixels(mask, self.points)
        self.best_points = torch.where(pixels, self.points, self.best_points)
        self.best_gradient = torch.where(pixels, self.gradient, self.best_gradient)
        self.best_loss = torch.where(mask, self.loss, self.best_loss)

    def look_back(self, steps: int) -> None:
        """Where so many steps have not led on, halve the step and go on from the best point."""
        stuck = ~self.halved & ~_rises(self.best_loss, self.loss_then, self.largest)
        halve = stuck | (self.improved < IMPROVED * steps)
        pixels = _for_pixels(halve, self.points)
        self.points = torch.where(pixels, self.best_points, self.points)
        self.gradient = torch.where(pixels, self.best_gradient, self.gradient)
        self.size = torch.where(halve, self.size / 2, self.size)
        self.halved, self.loss_then = halve, self.best_loss
        self.improved = torch.zeros_like(self.loss)


def _for_pixels(values: Tensor, points: Tensor) -> Tensor:
    """A value for each image, for all of its pixels."""
    return values[(..., *[None] * (points.ndim - 1))]


def climb_adaptively(problem: Problem, points: Tensor, *, steps: int) -> Tensor:
    """APGD (Croce and Hein 2020, algorithm 1); images that are turned stay, as in `climb`."""
    found, last = torch.empty_like(points), 0
    s = _State(points, problem.ask(points), 2 * problem.epsilon)
    for step in range(1, steps + 1):
        size = _for_pixels(s.size, s.points).to(points.dtype)
        share = MOMENTUM if step > 1 else 1.0
        ahead = problem.project(torch.addcmul(s.points, s.gradient.sign(), size))
        moved = s.points + share * (ahead - s.points)
        moved = problem.project(moved + (1 - share) * (s.points - s.before))
        now = problem.ask(moved, with_gradient=step < steps)
        s.largest = torch.maximum(s.largest, now.loss.abs())
        s.improved = s.improved + _rises(now.loss, s.loss, s.largest)
        s.before, s.points, s.loss = s.points, moved, now.loss
        s.gradient = now.gradient if step < steps else s.gradient
        s.better(_rises(now.loss, s.best_loss, s.largest) | (now.turned & problem.stop))
        if step in _checkpoints(steps):
            s.look_back(step - last)
            last = step
        rest = problem.further(now.turned)
        if not rest.all():
            found[s.open[~rest]] = s.best_points[~rest]
            s.keep(rest)
            problem = problem.only(rest)
            if not len(s.open):
                break
    found[s.open] = s.best_points
    return found


TARGETS = 9  # how many classes are tried in turn, where the loss is towards each


def attack_in_batches(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    search: Search,
    *,
    bounds: object,
    target_labels: Tensor | None,
    loss: Loss | None,
    restarts: int,
    seed: int,
    batch_size: int,
    random_start: bool = False,
    stop: bool = True,
) -> Tensor:
    """Attack all images, batch by batch, and leave everything as found; loss: see `Problem`."""
    epsilon, batch_size = check("epsilon", epsilon), check("batch_size", batch_size)
    restarts, seed = WHOLE.check("restarts", restarts), SEED.check("seed", seed)
    for name, flag in (("random_start", random_start), ("stop", stop)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, not {flag!r}")
    _checks.check_work(model, images, labels)
    given = {"labels": labels}
    if target_labels is not None:
        _checks.check_labels(target_labels, images, "target_labels")
        given["target_labels"] = target_labels
    limits = _checks.check_bounds(bounds, images)
    _checks.check_last(model, images, batch_size)

    @cache
    def check_all(classes: int) -> None:  # all of them: the first batch shows one out of range
        for name, each in given.items():
            _checks.check_classes(each, classes, name)
        if classes < 2:
            raise ValueError("model must have at least two classes: one cannot be turned")

    # A caller inside torch.no_grad or torch.inference_mode gets its images too.
    as_found = restored(model, images.device, attack_seed(seed, "attack"))
    with as_found, torch.inference_mode(False), frozen(model):
        clean, towards = images.detach(), labels if target_labels is None else target_labels
        adversarial = torch.empty_like(clean)
        streams = [Generator("cpu") for _ in range(restarts)]  # where it draws per image
        for restart, stream in enumerate(streams):
            stream.manual_seed(attack_seed(seed, "start", restart))
        for start in range(0, len(clean), batch_size):
            part = slice(start, start + batch_size)
            low, high = _box(clean[part], epsilon, limits)
            targeted, aims = target_labels is not None, towards[part].clone()
            problem = Problem(model, loss, targeted, check_all, epsilon, aims, low, high, stop)
            tries = _tries(problem, clean[part], random_start, streams)
            adversarial[part] = _strongest(tries, search)
    return adversarial


def _box(
    images: Tensor, epsilon: float, limits: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """What is within epsilon of images, with epsilon in their dtype, and within bounds."""
    one = images.new_ones(())
    low, high = (torch.add(images, one, alpha=way * epsilon) for way in (-1, 1))
    return (low, high) if limits is None else (low.clamp(*limits), high.clamp(*limits))


def _tries(
    problem: Problem, images: Tensor, random_start: bool, streams: list[Generator]
) -> Iterator[tuple[Problem, Tensor]]:
    """Yield the problem and where to begin, for each restart and each class to go towards."""
    problems = [problem]
    if problem.loss is None:
        with torch.no_grad():
            logits = _checks.logits_of(problem.model, images.clone())
        problem.check_labels(logits.shape[1])
        order = others(logits, problem.labels).argsort(1, descending=True)[:, :-1]
        problems = [replace(problem, towards=order[:, n]) for n in range(order.shape[1])[:TARGETS]]
    for stream in streams:
        start = images
        if random_start:
            shift = torch.rand(images.shape, dtype=images.dtype, device="cpu", generator=stream)
            start = torch.add(images, 2 * shift.to(images.device) - 1, alpha=problem.epsilon)
            start = problem.project(start)
        for each in problems:
            yield each, start


def _strongest(tries: Iterator[tuple[Problem, Tensor]], search: Search) -> Tensor:
    """Try one after another on what is not turned; else the point of the largest loss counts.

    Without `Problem.stop` that counts alone.
    """
    problem, start = next(tries)
    found = search(problem, start)
    known: Pass | None = None
    for again, start in tries:
        known = known or problem.ask(found, with_gradient=False)
        rest = problem.further(known.turned).nonzero()[:, 0]
        if not len(rest):
            continue
        part = again.only(rest)
        points = search(part, start[rest])
        now = part.ask(points, with_gradient=False)
        turned, larger = known.turned[rest], now.loss > known.loss[rest]
        better = (now.turned & ~turned) | ((now.turned | ~turned) & larger)
        better = better if problem.stop else larger
        found[rest[better]] = points[better]
        known.loss[rest[better]], known.turned[rest[better]] = now.loss[better], now.turned[better]
    return found
