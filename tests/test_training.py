"""The training loop against a plain float64 reference, and its promises."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

import advlib
from advlib import methods, training
from advlib.data import Split


class PlainLeNet(nn.Module):
    """The layers as they stand, without the fast convolutions."""

    def __init__(self, model):
        super().__init__()
        self.layers = model.layers

    def forward(self, images):
        return self.layers(images).flatten(1)


def reference_gradients(method, model, images, labels, signs, epsilon=0.1, alpha=0.5):
    """A method's gradients, written down from the definitions alone."""
    parameters = list(model.parameters())

    def gradient(x):
        return torch.autograd.grad(cross_entropy(model(x), labels), parameters)

    clean = gradient(images)
    if method == "standard":
        return clean
    attacked = gradient(images + epsilon * signs)
    if method == "mixed":
        return [a + b for a, b in zip(clean, attacked, strict=True)]
    return [alpha * a + (1 - alpha) * b for a, b in zip(clean, attacked, strict=True)]


class Plain64:
    """Training by the definitions alone: the layers as they stand, autograd, float64."""

    def __init__(self, method, seed=1):
        self.method, self.model = method, PlainLeNet(advlib.LeNet(seed=seed).double())
        self.rest()

    def rest(self):
        self.velocity = [torch.zeros_like(p) for p in self.model.parameters()]

    def signs(self, images, labels):
        leaf = images.double().requires_grad_()
        return torch.autograd.grad(cross_entropy(self.model(leaf), labels), leaf)[0].sign()

    def step(self, images, labels, signs):
        wanted = reference_gradients(self.method, self.model, images.double(), labels, signs)
        with torch.no_grad():
            for p, v, g in zip(self.model.parameters(), self.velocity, wanted, strict=True):
                v.mul_(0.9).sub_(5e-4 * p + g)
                p.add_(v, alpha=1e-3)
        return wanted


def relative(ours, theirs):
    return max(
        float((a.detach() - b.detach()).norm() / b.detach().norm())
        for a, b in zip(ours, theirs, strict=True)
        if b.detach().norm() > 0
    )


@pytest.fixture(scope="module")
def data():
    return advlib.load_data(images=2000)


@pytest.mark.parametrize("method", ["standard", "mixed", "adversarial"])
def test_each_of_20_steps_agrees_with_a_plain_float64_reference(method, data, monkeypatch):
    reference, fast = Plain64(method), advlib.LeNet(seed=1)
    for i in range(20):
        images, labels = (
            t[100 * i : 100 * i + 100] for t in (data.train.images, data.train.labels)
        )
        signs = reference.signs(images, labels)
        fast.load_state_dict(reference.model.state_dict())
        velocity = [-v.float() for v in reference.velocity]
        monkeypatch.setattr(methods, "perturb", lambda x, g, e, s=signs: x + e * s.to(x.dtype))
        step = methods.METHODS[method].gradients(fast, methods.Batch(images, labels), 0.1, 0.5)
        optimizer = torch.optim.SGD(fast.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
        for p, v, g in zip(fast.parameters(), velocity, step.gradients, strict=True):
            p.grad, optimizer.state[p]["momentum_buffer"] = g, v
        optimizer.step()
        wanted = reference.step(images, labels, signs)
        # where two pixels of a pooling window nearly tie, float32 may take the other one
        assert relative(step.gradients, wanted) < 1e-3
        ours, theirs = map(parameters_to_vector, (fast.parameters(), reference.model.parameters()))
        assert relative([ours], [theirs]) < 1e-6


@pytest.mark.parametrize("method", ["standard", "mixed", "adversarial"])
def test_the_loop_agrees_with_a_plain_reference_in_float64(method, data):
    """No flips there: its shuffles, the momentum's start, the optimiser, to rounding."""
    part = slice(0, 500)
    train = Split(data.train.images[part].double(), data.train.labels[part])
    small = replace(data, train=train, validation=train)
    model = advlib.LeNet(seed=1).double()
    history = advlib.train(model, small, method=method, epochs=2, seed=7)
    reference = Plain64(method)
    for epoch in (1, 2):
        reference.rest()
        generator = torch.Generator().manual_seed(training.derived_seed(7, epoch, "order"))
        for chosen in torch.randperm(500, generator=generator).split(100):
            images, labels = train.images[chosen], train.labels[chosen]
            reference.step(images, labels, reference.signs(images, labels))
    assert relative(model.parameters(), reference.model.parameters()) < 1e-12
    assert history.epoch.tolist() == [1, 2]
