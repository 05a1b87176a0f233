"""The seed's network, and the table that describes a network layer by layer."""

from collections.abc import Iterable
from copy import deepcopy
from numbers import Integral
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from advlib.convolution import by_patches, by_tiles, from_rows, to_rows
from advlib.parameters import check

SHAPE = (1, 28, 28)


class LeNet(nn.Module):
    """The seed's variant of LeNet: eight layers with the softmax log-loss, 431,080 parameters.

    conv 5x5x1x20, max pool 2, conv 5x5x20x50, max pool 2, conv 4x4x50x500, ReLU, conv 1x1x500x10.
    Weights are drawn from N(0, 0.1^2), biases are 0. `layers` holds the layers; their weights may
    be changed, the layers may not. On a CPU the same numbers are computed faster than layer by
    layer, see `advlib.convolution`; hooks on single layers are then not called.

    Parameters
    ----------
    seed : int, optional
        Of the initial weights; the global random state is neither used nor changed.
    classes : int, optional
        The number of classes, at least 2.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    References
    ----------
    S. Meucci, "Harnessing adversarial examples", slides, 2017: "CNN - Architecture"; after Y. LeCun
    et al., "Gradient-based learning applied to document recognition", 1998.
    """

    def __init__(self, seed: int = 0, classes: int = 10) -> None:
        super().__init__()
        if isinstance(classes, bool) or not isinstance(classes, Integral):
            raise TypeError(f"classes must be a whole number of at least 2, not {classes!r}")
        if classes < 2:
            raise ValueError(f"classes must be a whole number of at least 2, not {classes!r}")
        with torch.random.fork_rng([]):  # the layers draw weights of their own first
            self.layers: nn.Sequential = nn.Sequential(
                nn.Conv2d(1, 20, 5),
                nn.MaxPool2d(2),
                nn.Conv2d(20, 50, 5),
                nn.MaxPool2d(2),
                nn.Conv2d(50, 500, 4),
                nn.ReLU(),
                nn.Conv2d(500, int(classes), 1),
            )
        generator = torch.Generator().manual_seed(check("seed", seed))
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 1:
                    parameter.zero_()
                else:
                    parameter.normal_(0, 0.1, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits [N, classes] of images [N, 1, 28, 28].

        Raises
        ------
        ValueError
            If the images have another shape.
        """
        if images.shape[1:] != SHAPE:
            raise ValueError(f"images must be of shape [N, 1, 28, 28], not {list(images.shape)}")
        if images.device.type != "cpu" or len(images) == 0:
            return self.layers(images).flatten(1)  # type: ignore[no-any-return]
        layers: Any = self.layers
        conv1, _, conv2, _, conv3, _, conv4 = layers
        features = by_patches(to_rows(images), conv1.weight, conv1.bias)
        features = by_tiles(features, conv2.weight, conv2.bias)
        # The last two kernels cover their whole input: dense layers.
        hidden = linear(from_rows(features), conv3.weight.flatten(1), conv3.bias).relu()
        return linear(hidden, conv4.weight.flatten(1), conv4.bias)


ROWS = (
    *("type", "name", "support", "filt dim", "num filts", "stride", "pad"),
    *("rf size", "rf offset", "rf stride"),
    *("data size", "data depth", "data num", "data mem", "param mem"),
)
_TYPES = {nn.Conv2d: "conv", nn.MaxPool2d: "mpool", nn.AvgPool2d: "apool", nn.ReLU: "relu"}

Pair = tuple[float, float]


def architecture_table(
    model: nn.Module | Iterable[nn.Module], input_shape: tuple[int, int, int] = SHAPE
) -> pd.DataFrame:
    """Compute the seed's architecture table for a sequence of conv, pool and ReLU layers.

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
        If there is a layer of another kind.

    References
    ----------
    S. Meucci, "Harnessing adversarial examples", slides, 2017: "CNN - Architecture", as MatConvNet
    prints it.
    """
    layers = model.layers if isinstance(model, LeNet) else model
    if isinstance(layers, nn.Module):
        layers = [layers] if type(layers) in _TYPES else layers.children()
    layers = list(layers)
    data = torch.empty(1, *input_shape, device="meta")
    size: Pair = (1, 1)
    offset: Pair = (1, 1)
    stride: Pair = (1, 1)
    field: tuple[object, ...] = ("n/a",) * 3
    filters: tuple[object, object]
    columns: list[tuple[object, ...]] = [("input", *("n/a",) * 6, *field, *_memory(data, None))]
    for number, layer in enumerate(layers, start=1):
        kind, kernel, dilation, step, padding = _geometry(layer)
        reach = _map(lambda k, d: d * (k - 1), kernel, dilation)  # from the first to the last pixel
        size = _map(lambda a, r, s: a + r * s, size, reach, stride)
        offset = _map(lambda a, r, p, s: a + (r / 2 - p) * s, offset, reach, padding, stride)
        stride = _map(lambda s, t: s * t, stride, step)
        field = (_cell(size), _cell(offset), _cell(stride))
        filters = ("n/a", "n/a")
        if isinstance(layer, nn.Conv2d):
            filters = (layer.in_channels // layer.groups, layer.out_channels)
        data = deepcopy(layer).to("meta")(data)
        columns.append(
            (
                *(kind, f"layer{number}", _cell(kernel), *filters),
                *(_cell(step), _cell(padding), *field, *_memory(data, layer)),
            )
        )
    loss = torch.empty(1, 1, 1, 1, device="meta")
    name = f"layer{len(layers) + 1}"
    columns.append(("softmxl", name, 1, "n/a", "n/a", 1, 0, *field, *_memory(loss, nn.Identity())))
    table = pd.DataFrame(dict(enumerate(columns)), index=pd.Index(ROWS, name="layer"), dtype=object)
    return table


def _map(function: Any, *pairs: Pair) -> Pair:
    """Apply a function to the heights and to the widths."""
    high, wide = (function(*values) for values in zip(*pairs, strict=True))
    return high, wide


def _geometry(layer: nn.Module) -> tuple[str, Pair, Pair, Pair, Pair]:
    """The kind of a layer, its kernel, dilation, stride and padding."""
    kind = _TYPES.get(type(layer))
    if kind is None:
        allowed = ", ".join(known.__name__ for known in _TYPES)
        raise TypeError(f"layers must be {allowed}, not {type(layer).__name__}")
    if isinstance(layer, nn.ReLU):
        return kind, (1, 1), (1, 1), (1, 1), (0, 0)
    dilation = _pair(getattr(layer, "dilation", 1))
    kernel = _pair(layer.kernel_size)
    padding: Any = layer.padding
    if isinstance(padding, str):
        same = padding == "same"
        padding = _map(lambda k, d: d * (k - 1) // 2 if same else 0, kernel, dilation)
    return kind, kernel, dilation, _pair(layer.stride), _pair(padding)


def _pair(value: Any) -> Pair:
    high, wide = value if isinstance(value, tuple) else (value, value)
    return high, wide


def _cell(pair: Iterable[float]) -> object:
    """Height and width as one number, or as text where they differ."""
    values = [int(v) if v == int(v) else v for v in pair]
    return values[0] if values[0] == values[1] else "x".join(map(str, values))


def _memory(data: Tensor, layer: nn.Module | None) -> tuple[object, ...]:
    """Size, depth, number and memory of the data, and the memory of the layer's parameters."""
    parameters = "n/a" if layer is None else _bytes(4 * sum(p.numel() for p in layer.parameters()))
    number, depth, *size = data.shape
    return _cell(size), depth, number, _bytes(4 * data.numel()), parameters


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.0f}GB"
