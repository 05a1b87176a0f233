"""Small data, networks and comparisons for the tests of the training engine."""

import logging
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from pandas.testing import assert_frame_equal
from torch import nn

import advlib
from advlib.data import Dataset, Split
from advlib.training import COLUMNS

FIGURES = [name for name in COLUMNS if name != "seconds"]


def random_data(train=60, validation=20, seed=0):
    """Make noise in the form of MNIST; it takes no time to load."""
    generator = torch.Generator().manual_seed(seed)

    def split(n):
        images = torch.rand(n, 1, 28, 28, generator=generator)
        return Split(images, torch.randint(10, (n,), generator=generator))

    return Dataset(
        name="MNIST",
        classes=tuple("0123456789"),
        train=split(train),
        validation=split(validation),
        test=split(1),
        mean_image=torch.zeros(1, 28, 28, dtype=torch.float64),
        low=0.0,
        high=1.0,
        fingerprint=f"noise {seed} {train} {validation}",
    )


@cache
def digits(train=2000, validation=200):
    """Return some of MNIST."""
    data = advlib.load_data(images=train)
    part = slice(0, validation)
    return replace(
        data, validation=Split(data.validation.images[part], data.validation.labels[part])
    )


class Plain(nn.Module):
    """A LeNet's layers as they stand, without the fast convolutions."""

    def __init__(self, model):
        super().__init__()
        self.layers = model.layers

    def forward(self, images):
        logits = self.layers(images).flatten(1)
        return logits


class Noisy(nn.Module):
    """A network with batch norm and dropout."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(1, 4, 5, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
                nn.Flatten(), nn.Linear(144, 10),
            )  # fmt: skip

    def forward(self, images):
        logits = self.layers(images)
        return logits


@contextmanager
def threads(number):
    """Compute with a number of threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same_bits(one, other):
    """Return whether all parameters and buffers are the same."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def assert_same_history(one, other):
    """Check that two histories are the same, seconds apart, to the last bit."""
    assert_frame_equal(one[FIGURES], other[FIGURES], check_exact=True)


@contextmanager
def after_each_epoch(act):
    """Have trainings call, after each epoch's checkpoint and with its number, what may raise."""

    def see(record):
        if " epoch " in (line := record.getMessage()):
            act(int(line.split(" epoch ")[1].split()[0]))
        return True

    log = logging.getLogger("advlib")
    level = log.level
    log.setLevel(logging.INFO)
    log.addFilter(see)
    try:
        yield
    finally:
        log.removeFilter(see)
        log.setLevel(level)
