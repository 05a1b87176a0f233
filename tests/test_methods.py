"""advlib.methods: each method's gradients and outcomes against their definitions, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from advlib.attacks import fgsm
from advlib.methods import (
    METHODS,
    Batch,
    ranks,
    shuffled,
    shuffled_among_adversarial,
)
from advlib.settings import Training

few = settings(max_examples=10)
seeds = st.integers(0, 2**32 - 1)
epsilons = st.floats(0.01, 1)
alphas = st.floats(0, 1)
every_method = pytest.mark.parametrize("method", METHODS)

N, CLASSES = 12, 7


def case(seed):
    """A float64 network and a minibatch; some of its images are told to be adversarial ones."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, CLASSES)).double()
    images = torch.randn(N, 2, 3, dtype=torch.float64)
    return model, Batch(images, torch.randint(CLASSES, (N,)), torch.arange(N) % 3 == 0)


def run(method, model, batch, epsilon, alpha):
    torch.manual_seed(7)  # of the random start that some draw
    row = METHODS[method]
    return row.step(model, batch, row.settings(epsilon=epsilon, alpha=alpha))


def mean_loss(model, images, labels):
    """The mean of the negative logarithms of the labels' probabilities."""
    chances = model(images).softmax(1)
    return -chances[torch.arange(len(labels)), labels].log().mean()


def plain_fgsm(model, batch, epsilon):
    leaf = batch.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mean_loss(model, leaf, batch.labels), leaf)
    return batch.images + epsilon * gradient.sign()


def plain_pgd(model, batch, epsilon, steps, size):
    """The images after so many steps from a random start, each cut to epsilon."""
    torch.manual_seed(7)
    images = batch.images + epsilon * (2 * torch.rand_like(batch.images) - 1)
    for _ in range(steps):
        images = plain_fgsm(model, batch._replace(images=images), size * epsilon)
        images = images.clamp(batch.images - epsilon, batch.images + epsilon)
    return images


# How the adversarial images of a method are made, where it is not by one step.
ATTACKS = {
    "fast": lambda model, batch, epsilon: plain_pgd(model, batch, epsilon, 1, 1.25),
    "pgd": lambda model, batch, epsilon: plain_pgd(model, batch, epsilon, 10, 0.25),
}
# What each trains on: the objective whose gradient it gives, of the clean loss, the adversarial
# loss and alpha. The epoch-wise images are adversarial before they come to the method.
OBJECTIVES = {
    "standard": lambda clean, attacked, alpha: clean,
    "mixed": lambda clean, attacked, alpha: clean + attacked,
    "adversarial": lambda clean, attacked, alpha: alpha * clean + (1 - alpha) * attacked,
    "mixed-epochwise": lambda clean, attacked, alpha: clean,
    "fast": lambda clean, attacked, alpha: attacked,
    "pgd": lambda clean, attacked, alpha: attacked,
}


def assert_close(ours, theirs):
    torch.testing.assert_close(list(ours), list(theirs), rtol=1e-9, atol=1e-12)


@every_method
@few
@given(seeds, epsilons, alphas)
def test_the_gradients_are_those_of_the_definition(method, seed, epsilon, alpha):
    model, batch = case(seed)
    attacked = ATTACKS.get(method, plain_fgsm)(model, batch, epsilon)
    clean_loss, loss = (mean_loss(model, x, batch.labels) for x in (batch.images, attacked))
    objective = OBJECTIVES[method](clean_loss, loss, alpha)
    expected = torch.autograd.grad(objective, list(model.parameters()))
    assert_close(run(method, model, batch, epsilon, alpha).gradients, expected)


@every_method
@few
@given(seeds, epsilons)
def test_the_outcomes_are_objective_and_rank_of_each_image(method, seed, epsilon):
    model, batch = case(seed)
    step = run(method, model, batch, epsilon, 0.3)
    told = batch.perturbed
    assert told is not None
    expected = [(batch.images, batch.labels), None]
    if method == "mixed-epochwise":
        expected = [(batch.images[chosen], batch.labels[chosen]) for chosen in (~told, told)]
    elif method in ATTACKS:
        expected = [None, (ATTACKS[method](model, batch, epsilon), batch.labels)]
    elif method != "standard":
        expected[1] = plain_fgsm(model, batch, epsilon), batch.labels
    for outcome, part in zip((step.clean, step.adversarial), expected, strict=True):
        if part is None or outcome is None:
            assert part is outcome
            continue
        logits = model(part[0]).detach()
        objective = cross_entropy(logits, part[1], reduction="none")
        before = (logits > logits.gather(1, part[1][:, None])).sum(1)
        assert_close([outcome.objective], [objective])
        assert torch.equal(outcome.rank, before)
        assert not outcome.objective.requires_grad


class Idle(nn.Module):
    """A network with a parameter that takes no part and one that is not trained."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(3))
        self.fixed = nn.Parameter(torch.ones(6), requires_grad=False)
        self.linear = nn.Linear(6, CLASSES)
        self.wanted = []

    def forward(self, images):
        self.wanted.append(images.requires_grad)
        logits = self.linear(self.fixed * images.flatten(1))
        return logits


@every_method
def test_a_gradient_for_each_trained_parameter_and_no_other(method):
    """Zero for one that takes no part; the gradients are returned, none is left in the model.

    Images are differentiated only for the perturbation: that is a good part of a step's time.
    """
    model, (_, batch) = Idle(), case(0)
    images = batch.images.float()
    step = run(method, model, batch._replace(images=images), 0.1, 0.3)
    trained = [model.idle, model.linear.weight, model.linear.bias]
    assert [g.shape for g in step.gradients] == [p.shape for p in trained]
    assert not step.gradients[0].any()
    assert all(g.any() for g in step.gradients[1:])
    assert all(p.grad is None for p in model.parameters())
    steps = {"mixed": 1, "adversarial": 1, "fast": 1, "pgd": 10}.get(method, 0)
    assert model.wanted == [True] * steps + [False]
    assert not images.requires_grad
    assert torch.equal(images, batch.images.float())


@few
@given(seeds, st.integers(1, 9))
def test_ranks_are_the_places_in_a_stable_order(seed, classes):
    torch.manual_seed(seed)
    logits = torch.randint(3, (20, classes)).float()  # many are equal
    labels = torch.randint(classes, (20,))
    order = logits.argsort(dim=1, descending=True, stable=True)
    expected = (order == labels[:, None]).int().argmax(1)
    found = ranks(logits, labels)
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)


def test_ranks_are_computed_where_the_logits_are():
    logits, labels = torch.empty(4, 3, device="meta"), torch.empty(4, 1, device="meta")
    assert ranks(logits, labels[:, 0].long()).device.type == "meta"


def epoch(batches, seed):
    """A model, its images, an epoch's minibatches of 5 of them, and a permutation of as many."""
    model, whole = case(seed)
    drawn = torch.Generator().manual_seed(seed)
    given = (model, whole.images, whole.labels, Training(batch_size=5, epsilon=0.2), drawn)
    found = [*batches(*given)]
    n = sum(len(batch.labels) for batch in found)
    return model, whole, found, torch.randperm(n, generator=torch.Generator().manual_seed(seed))


@few
@given(seeds)
def test_an_epoch_goes_through_all_images_once_in_the_generators_order(seed):
    _, whole, found, order = epoch(shuffled, seed)
    assert [len(batch.images) for batch in found] == [5, 5, 2]
    assert all(batch.perturbed is None for batch in found)
    assert torch.equal(torch.cat([batch.images for batch in found]), whole.images[order])
    assert torch.equal(torch.cat([batch.labels for batch in found]), whole.labels[order])


@few
@given(seeds)
def test_an_epochwise_epoch_has_each_image_twice_clean_and_attacked_at_its_start(seed):
    model, whole, found, order = epoch(shuffled_among_adversarial, seed)
    both = torch.cat([whole.images, plain_fgsm(model, whole, 0.2)])
    assert [len(batch.images) for batch in found] == [5, 5, 5, 5, 4]
    assert torch.equal(torch.cat([batch.labels for batch in found]), whole.labels.repeat(2)[order])
    told = [batch.perturbed for batch in found if batch.perturbed is not None]
    assert torch.equal(torch.cat(told), order >= N)
    torch.testing.assert_close(torch.cat([batch.images for batch in found]), both[order])


def test_an_epochwise_epoch_is_attacked_with_the_direction_of_the_other_trainings():
    """The log-loss's in single precision, which an over-confident model does not have."""
    model, whole = case(0)
    with torch.no_grad():
        model.float()[-1].weight.mul_(100)
    images = whole.images.float()
    labels = model(images).argmax(1)
    chosen = Training(batch_size=2 * N, epsilon=0.2)
    (batch,) = shuffled_among_adversarial(model, images, labels, chosen, torch.Generator())
    of = torch.randperm(2 * N, generator=torch.Generator())[batch.perturbed] - N
    for loss, is_same in (("log-loss", True), ("log-odds", False)):
        attacked = fgsm(model, images, labels, 0.2, loss=loss)[of]
        assert torch.equal(batch.images[batch.perturbed], attacked) == is_same
