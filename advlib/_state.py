"""The random state and a model's state: drawn from seeds, and left as they were found."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def derived_seed(*parts: object) -> int:
    """Derive a seed from others and from names, such as ``derived_seed(0, "mixed", "weights")``."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the random numbers of the CPU and of a device inside; leave them as found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):  # torch.manual_seed would seed all devices
                torch.cuda.manual_seed(seed)
        yield


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

    A pass through a model in training mode moves batch norm's running statistics and draws
    dropout's random numbers: from a stream of its own, where a seed is given.
    """
    found = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # named_buffers leaves out those that are None
    ]
    devices = [] if device.type == "cpu" else [device]
    fork = torch.random.fork_rng(devices, device_type=device.type)
    with fork if seed is None else seeded(seed, device):
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
