"""The tables that describe a network layer by layer: the slides', and one of any network."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from advlib.lenet import SHAPE, LeNet

ROWS = (
    *("type", "name", "support", "filt dim", "num filts", "stride", "pad"),
    *("rf size", "rf offset", "rf stride"),
    *("data size", "data depth", "data num", "data mem", "param mem"),
)
_TYPES = {nn.Conv2d: "conv", nn.MaxPool2d: "mpool", nn.AvgPool2d: "apool", nn.ReLU: "relu"}

Pair = npt.NDArray[np.float64]
"""Of height and width."""


def architecture_table(
    model: nn.Module | Iterable[nn.Module], input_shape: tuple[int, int, int] = SHAPE
) -> pd.DataFrame:
    """Compute the slides' architecture table for a sequence of conv, pool and ReLU layers.

    Parameters
    ----------
    model : Module or iterable of Module
        A `LeNet`, a `torch.nn.Sequential`, a layer or layers: Conv2d, MaxPool2d, AvgPool2d, ReLU.
    input_shape : tuple, optional
        Channels, height and width of an image.

    Returns
    -------
    DataFrame
        A column for the input (0), for each layer (1, 2, ...) and for the softmax log-loss, a row
        for each property: the kernel (support, filter dimension and number, stride, padding), the
        receptive field in input pixels (size; offset, the position of its first centre counted
        from 1; stride) and, for one image in float32, the data (size, depth, number) and the
        memory of data and parameters. Cells are numbers or text: ``n/a`` where a property does not
        apply, memory as ``45KB``, ``5x3`` where height and width differ.

    Raises
    ------
    TypeError
        If there is a layer of another kind, or the model may call its layers in another order.

    References
    ----------
    S. Meucci, "Harnessing adversarial examples", slides, 2017: "CNN - Architecture", as MatConvNet
    prints it.
    """
    given = model.layers if isinstance(model, LeNet) else model
    # another module is one layer, or a network that may call its layers in another order
    ordered = not isinstance(given, nn.Module) or type(given) in (nn.Sequential, nn.ModuleList)
    layers: list[Any] = [*given] if ordered else [given]  # type: ignore[misc]
    data = torch.zeros(1, *input_shape, dtype=torch.float32, device="cpu")
    size, offset, stride = np.ones((3, 2))
    field: tuple[object, ...] = ("n/a",) * 3
    columns: list[tuple[object, ...]] = [("input", *("n/a",) * 6, *field, *_describe(data), "n/a")]
    for number, layer in enumerate(layers, start=1):
        kind, kernel, dilation, step, padding = _geometry(layer)
        reach = dilation * (kernel - 1)  # from the first to the last pixel
        size = size + reach * stride
        offset = offset + (reach / 2 - padding) * stride
        stride = stride * step
        field = (_cell(size), _cell(offset), _cell(stride))
        filters: tuple[object, object] = ("n/a", "n/a")
        if isinstance(layer, nn.Conv2d):
            filters = (layer.in_channels // layer.groups, layer.out_channels)
        window = (_cell(kernel), *filters, _cell(step), _cell(padding))
        with torch.no_grad():
            data = deepcopy(layer).to_empty(device="cpu").float()(data)  # for its shape alone
        memory = _bytes(4 * _count(layer.parameters()))
        columns.append((kind, f"layer{number}", *window, *field, *_describe(data), memory))
    loss = _describe(data.new_zeros(1, 1, 1, 1))
    name = f"layer{len(layers) + 1}"
    columns.append(("softmxl", name, 1, "n/a", "n/a", 1, 0, *field, *loss, "0B"))
    return pd.DataFrame(dict(enumerate(columns)), index=pd.Index(ROWS, name="layer"), dtype=object)


def _geometry(layer: nn.Module) -> tuple[str, Pair, Pair, Pair, Pair]:
    """The kind of a layer, its kernel, dilation, stride and padding."""
    kind = _TYPES.get(type(layer))
    if kind is None:
        allowed = ", ".join(known.__name__ for known in _TYPES)
        raise TypeError(f"layers must be {allowed}, not {type(layer).__name__}")
    kernel, dilation, stride = (
        np.broadcast_to(getattr(layer, name, 1), 2)
        for name in ("kernel_size", "dilation", "stride")
    )
    padding: Any = getattr(layer, "padding", 0)
    if isinstance(padding, str):
        padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
    return kind, kernel, dilation, stride, np.broadcast_to(padding, 2)


def _cell(pair: Iterable[float]) -> object:
    """Height and width as one number, or as text where they differ."""
    values = [int(v) if v == int(v) else float(v) for v in pair]
    return values[0] if values[0] == values[1] else "x".join(map(str, values))


def _describe(data: Tensor) -> tuple[object, ...]:
    """Size, depth, number and memory of the data."""
    number, depth, *size = data.shape
    return _cell(size), depth, number, _bytes(4 * data.numel())


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.0f}GB"


def list_layers(network: nn.Module, image: Tensor) -> pd.DataFrame:
    """Return the layers of any network that an image [1, ...] passes, in its order, by name.

    Columns: type, output (its shape) and parameters. A layer that is passed again is listed once;
    of more than 60 those within a block are one. What parameters belong to no layer is last.
    """
    depth = 1 + max((name.count(".") for name, _ in network.named_modules()), default=0)
    while depth > 1 and len([*_layers_at(network, depth)]) > 60:
        depth -= 1
    rows: dict[str, tuple[str, str, int]] = {}

    def see(name: str, layer: nn.Module, _: object, output: object) -> None:
        shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "n/a"
        rows.setdefault(name, (type(layer).__name__, shape, _count(layer.parameters())))

    handles = [
        m.register_forward_hook(partial(see, name)) for name, m in _layers_at(network, depth)
    ]
    try:
        with torch.no_grad():
            network(image.clone())
    finally:
        for handle in handles:
            handle.remove()
    listed = {id(p) for name in rows for p in network.get_submodule(name).parameters()}
    if rest := _count(p for p in network.parameters() if id(p) not in listed):
        rows["others"] = ("n/a", "n/a", rest)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["type", "output", "parameters"])


def _layers_at(network: nn.Module, depth: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules at a depth, and those without parts above it, by name."""
    for name, module in network.named_modules():
        level = name.count(".") + 1
        if name and (level == depth or (level < depth and not [*module.children()])):
            yield name, module


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
