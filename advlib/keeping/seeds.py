"""Seeds: each purpose draws its random numbers from a stream of its own."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
