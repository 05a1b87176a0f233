"""advlib.apgd against the paper's algorithm, written down anew for one image, in float64."""

import math
from fractions import Fraction

import pytest
import torch
from test_attacks import small_images, small_net
from test_search import turned
from torch import nn

from advlib import apgd, fgsm, pgd
from advlib._search import _checkpoints

ALPHA, RHO = 0.75, 0.75


def ask(model, point, label):
    """The log-odds of an image, [1, ...], and their gradient."""
    leaf = point.clone().requires_grad_()
    logits = model(leaf)[0]
    others = torch.cat([logits[:label], logits[label + 1 :]])
    loss = others.logsumexp(0) - logits[label]
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient


def looks_back(steps):
    """Section 3.1's w_j, in exact fractions: p of 0.22, 0.41, 0.57, 0.70 and on."""
    shares = [Fraction(0), Fraction(22, 100)]
    while shares[-1] < 1:
        shorter = shares[-1] - shares[-2] - Fraction(3, 100)
        shares.append(shares[-1] + max(shorter, Fraction(6, 100)))
    return sorted({math.ceil(p * steps) for p in shares[1:-1]})


def test_it_looks_back_at_the_papers_steps():
    assert looks_back(100)[:4] == [22, 41, 57, 70]
    for steps in (10, 50, 100, 200, 1000):
        assert _checkpoints(steps) == looks_back(steps)


def plain_apgd(model, image, label, epsilon, steps):
    """Croce and Hein 2020, algorithm 1, from the image itself; also the sizes of the steps.

    As in the authors' code, the second condition is first asked at the second look back, the
    search goes on from the best point with that point's gradient, and a turned image is left.
    """
    low, high = (image - epsilon).clamp(0, 1), (image + epsilon).clamp(0, 1)
    before = point = best = image
    loss, gradient = ask(model, point, label)
    best_loss, best_gradient, loss_then = loss, gradient, loss
    size, sizes, improved, halved, last = 2 * epsilon, list[float](), 0, True, 0
    for step in range(1, steps + 1):
        sizes.append(size)
        ahead = (point + size * gradient.sign()).clamp(low, high)
        if step > 1:
            ahead = point + ALPHA * (ahead - point) + (1 - ALPHA) * (point - before)
        before, point, loss_before = point, ahead.clamp(low, high), loss
        loss, gradient = ask(model, point, label)
        if turned(model, point, label[None]):
            return point, sizes
        improved += loss > loss_before
        if loss > best_loss:
            best, best_loss, best_gradient = point, loss, gradient
        if step in looks_back(steps):
            few, stuck = improved < RHO * (step - last), not halved and best_loss <= loss_then
            halved = few or stuck
            if halved:
                size, point, gradient = size / 2, best, best_gradient
            improved, last, loss_then = 0, step, best_loss
    return best, sizes


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
@pytest.mark.parametrize("seed", range(2))
def test_it_takes_the_papers_steps(seed, steps):
    """It must halve its steps and turn some images only, else this compares less than it says."""
    model, (images, labels) = small_net(seed), small_images(seed, n=16)
    smallest, outcomes = list[float](), set[bool]()
    labels[:12] = model(images[:12]).argmax(1)
    layers = nn.Flatten(), nn.Linear(72, 20), nn.Tanh(), nn.Linear(20, 4)
    smooth = nn.Sequential(*layers).double()
    for each in (model, smooth):
        given = {"steps": steps, "random_start": False, "bounds": (0, 1)}
        for epsilon in (0.02, 0.3):
            found = apgd(each, images, labels, epsilon, **given)
            for n, label in enumerate(labels):
                plain, sizes = plain_apgd(each, images[n : n + 1], label, epsilon, steps)
                torch.testing.assert_close(found[n : n + 1], plain, rtol=0, atol=1e-12)
                smallest.append(sizes[-1] / epsilon)
                outcomes.add(bool(turned(each, plain, label[None])))
    assert steps < 40 or (min(smallest) < 0.5 and outcomes == {True, False})


def test_the_defaults_are_written_down():
    model, (images, labels) = small_net(), small_images(0, n=300)
    common = {"epsilon": 0.1, "seed": 0, "batch_size": 200}
    iterated = {"random_start": True}
    for attack, own in (
        (fgsm, {}),
        (pgd, iterated | {"steps": 20, "step_size": 0.0125}),
        (apgd, iterated | {"steps": 100}),
    ):
        expected = attack(model, images, labels, **common, **own)
        assert torch.equal(attack(model, images, labels), expected)


def test_a_step_of_pgd_is_by_default_no_longer_than_epsilon_and_one_is_fgsm():
    model, (images, labels) = small_net(), small_images(0)
    for steps, size in ((1, 0.1), (2, 0.1), (4, 0.0625)):
        given = {"steps": steps, "random_start": False}
        expected = pgd(model, images, labels, 0.1, step_size=size, **given)
        assert torch.equal(pgd(model, images, labels, 0.1, **given), expected)
    assert torch.equal(pgd(model, images, labels, 0.1, step_size=0, **given), images)
    for bounds in (None, (0, 1)):
        one = pgd(model, images, labels, 0.1, steps=1, random_start=False, bounds=bounds)
        assert torch.equal(one, fgsm(model, images, labels, 0.1, bounds=bounds))
