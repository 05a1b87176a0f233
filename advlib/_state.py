"""The random state and a model's state: drawn from seeds, and left as they were found."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import nn

_MINIBATCH: ContextVar[tuple[int, ...] | None] = ContextVar("minibatch", default=None)
"""Within a training the minibatch's number, () between two; None elsewhere."""


def derived_seed(*parts: object) -> int:
    """Derive a seed from others and from names, such as ``derived_seed(0, "mixed", "weights")``."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def attack_seed(seed: int, name: str, *parts: object) -> int:
    """Derive the seed of what an attack draws; within a training also from the minibatch."""
    return derived_seed(seed, name, *parts, *(_MINIBATCH.get() or ()))


def is_training() -> bool:
    """Is this called from within a training?"""
    return _MINIBATCH.get() is not None


@contextmanager
def within_training(*minibatch: int) -> Iterator[None]:
    """Let what is inside know that it is a training's, and let attacks draw anew in each minibatch.

    With one seed each would begin at the same points. A model in training mode is right there.
    """
    token = _MINIBATCH.set(minibatch)
    try:
        yield
    finally:
        _MINIBATCH.reset(token)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's random numbers, on a device too, NumPy's and Python's inside; leave as found."""
    with _forked(device):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if device.type == "cuda":
            with torch.cuda.device(device):  # torch.manual_seed would seed all devices
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _forked(device: torch.device) -> Iterator[None]:
    """Leave all random numbers as found."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [] if device.type == "cpu" else [device]
    try:
        with torch.random.fork_rng(devices, device_type=device.type):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Have no parameter's gradient computed inside, where only the images' is asked for."""
    trained = [p for p in model.parameters() if p.requires_grad and not p.is_inference()]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def restored(model: nn.Module, device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Put a model's buffers and the random state back at the end, after an error too.

    The random state is that of the model's device, or of the one given if the model has no numbers.
    A pass through a model in training mode moves batch norm's running statistics and draws
    dropout's random numbers: from a stream of its own, where a seed is given.
    """
    found = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # named_buffers leaves out those that are None
    ]
    device = next((each.device for each in [*model.parameters(), *model.buffers()]), device)
    with _forked(device) if seed is None else seeded(seed, device):
        try:
            yield
        finally:
            for module, name, buffer, value in found:
                # Writing what is unchanged would break a backward pass that the caller still holds.
                if buffer is not None and value is not None and not torch.equal(buffer, value):
                    with torch.no_grad():
                        buffer.copy_(value)
                if getattr(module, name) is not buffer:
                    setattr(module, name, buffer)


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Give the model back in the modes it came in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
