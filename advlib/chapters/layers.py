"""The layers of any network: what an image passes, in its order."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from advlib.data import Dataset
from advlib.show import tables

MOST = 60
"""Rows of the table; where there are more layers, those within a block are one."""


def list_layers(network: nn.Module, data: Dataset) -> pd.DataFrame:
    """Return the layers that an image passes: name, type, shape of the output, parameters.

    A layer that is passed again is listed once. What parameters belong to no layer is in the last
    row, if there are any.
    """
    image = data.train.images[:1].clone()
    depth = 1 + max((name.count(".") for name, _ in network.named_modules()), default=0)
    while depth > 1 and len([*_choose(network, depth)]) > MOST:
        depth -= 1
    rows: dict[str, tuple[str, str, int]] = {}

    def watch(name: str, layer: nn.Module) -> Any:
        def see(_: nn.Module, __: Any, output: Any) -> None:
            shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "n/a"
            rows.setdefault(name, (type(layer).__name__, shape, _count(layer)))

        return layer.register_forward_hook(see)

    handles = [watch(name, layer) for name, layer in _choose(network, depth)]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    listed = {id(p) for name in rows for p in network.get_submodule(name).parameters()}
    if rest := sum(p.numel() for p in network.parameters() if id(p) not in listed):
        rows["others"] = ("n/a", "n/a", rest)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["type", "output", "parameters"])


def _choose(network: nn.Module, depth: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules without parts, and those at a depth, by name."""
    for name, module in network.named_modules():
        level = name.count(".") + 1 if name else 0
        leaf = next(module.children(), None) is None
        if name and ((leaf and level <= depth) or level == depth):
            yield name, module


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def show_layers(layers: pd.DataFrame) -> None:
    """Show the layers."""
    shown = pd.DataFrame(
        {
            "Layer": [str(name) for name in layers.index],
            "Type": layers["type"],
            "Output": layers["output"],
            "Parameters": [f"{count:,}" for count in layers["parameters"]],
        }
    )
    tables.show(
        shown,
        "tbl-architecture",
        "The network's layers in the order in which an image passes them: the shape of what each "
        "gives, channels first, and the number of its parameters.",
        layers,
        align="llrr",
    )
