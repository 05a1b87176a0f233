"""The live figure: the report's own models, which the page's reader attacks in the browser.

`pack` writes models of simple layers with 8 bits a weight, and some test images;
`advlib.report.page` puts them into the page with the script that computes.
"""

import base64
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from advlib import LeNet, fgsm
from advlib.attacks import difference
from advlib.data import Dataset, Split
from advlib.evaluation import BATCH_SIZE
from advlib.experiment.subject import Subject

MODELS, WEIGHTS, CLASSES = 3, 1_000_000, 30
"""The most that the page takes: models, weights of each, classes."""
IMAGES, PIXELS = 200, 200 * 28 * 28
"""Test images in the page, and pixels of all of them, at most."""
CHECKED, MEASURED, HARD = 10, 1_000, 5
"""Test images on which what is written must give the network's logits, those on which it is
measured what 8 bits change, and those with the smallest margins that are offered as hard."""


def find_models(subject: Subject) -> tuple[Dataset, dict[str, nn.Module]]:
    """Return an experiment's data and its first models; none where a training is not kept now."""
    methods = subject.methods[:MODELS]
    if subject.trained and not all(subject.want_training(each).is_finished for each in methods):
        return subject.data, {}
    return subject.data, {method: subject.load_training(method)[0] for method in methods}


def pack(
    models: Mapping[str, nn.Module], data: Dataset, epsilon: float = 0.1
) -> dict[str, Any] | None:
    """Write models and test images as JSON's values, for the page.

    None where a model is not a list of the layers that the script knows, or is too large, or the
    images are not grey. It is said of each model what share of its predictions 8 bits leave as they
    were, in percent: on clean images, and on those of FGSM with `epsilon`.
    """
    channels, height, width = data.mean_image.shape
    test = data.test.sample(min(IMAGES, PIXELS // (height * width)))
    written = {name: write_layers(model, data) for name, model in models.items()}
    few = len(data.classes) <= min(CLASSES, len(test))
    if not models or None in written.values() or channels != 1 or not few:
        return None
    read = {name: read_layers(layers or []) for name, layers in written.items()}
    labels, (lowest, highest) = test.labels, data.bounds
    margins = [_find_margins(model, test) for model in read.values()]
    hard = torch.stack(margins).amin(0).argsort(stable=True)[:HARD].tolist()
    first = [labels.tolist().index(label) for label in sorted({*labels.tolist()})]
    measured = data.test.sample(MEASURED)
    described = []
    for name, model in models.items():
        adversarial = fgsm(model, measured.images, measured.labels, epsilon)
        kept = [_compare(model, read[name], each) for each in (measured.images, adversarial)]
        described.append({"name": name, "layers": written[name], "kept": kept})
    return {
        "models": described,
        "measured": len(measured),
        "epsilon": epsilon,
        "classes": [*data.classes],
        "shape": [height, width],
        "images": _encode((data.to_pixels(test.images.double()) * 255).round(), np.uint8),
        "labels": labels.tolist(),
        "first": first,
        "hard": [index for index in hard if index not in first],
        "mean": _encode(data.mean_image, np.float64),
        "low": data.low,
        "high": data.high,
        "lowest": _encode(lowest, np.float32),
        "highest": _encode(highest, np.float32),
    }


def _find_margins(model: nn.Module, images: Split) -> Tensor:
    """Return by how much each image's logit of its class exceeds the largest other."""
    with torch.no_grad():
        return -difference(model(images.images), images.labels)


def _compare(model: nn.Module, other: nn.Module, images: Tensor) -> float:
    """Return the percentage of images for which two models predict the same class."""
    with torch.no_grad():
        parts = torch.split(images, BATCH_SIZE)
        same = [model(part).argmax(1) == other(part).argmax(1) for part in parts]
    return 100 * float(torch.cat(same).double().mean())


def _encode(values: Tensor, kind: type) -> str:
    return base64.b64encode(values.numpy().astype(kind).tobytes()).decode()


def _decode(text: str, kind: type) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), kind).copy())


# ---- A network as a list of layers ---------------------------------------------------------------


def _find_layers(module: nn.Module) -> list[nn.Module] | None:
    """Return the layers of LeNet, or of what is nothing but layers one after another."""
    if type(module) is LeNet:
        return _find_layers(module.layers)
    if not isinstance(module, nn.Sequential):
        return [module]
    if type(module).forward is not nn.Sequential.forward:
        return None
    found = [_find_layers(each) for each in module]
    return None if None in found else [layer for layers in found if layers for layer in layers]


def _quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return whole numbers of -127 to 127, and for each row what one of them is."""
    rows = weight.detach().flatten(1)
    scales = rows.abs().amax(1) / 127
    scales = torch.where(scales > 0, scales, 1)
    return (rows / scales[:, None]).round(), scales


SIZES = ("size", "stride", "padding")


def _is_known(layer: Any) -> bool:
    """Whether the script computes what a layer does."""
    match type(layer):
        case nn.ReLU | nn.Linear:
            return True
        case nn.Flatten:
            return (layer.start_dim, layer.end_dim) == (1, -1)
        case nn.MaxPool2d:
            return (layer.padding, layer.dilation, layer.ceil_mode) == (0, 1, False)
        case nn.Conv2d:
            usual = (layer.groups, layer.padding_mode, layer.dilation) == (1, "zeros", (1, 1))
            return usual and layer.padding != "same"
    return False


def _write_layer(layer: Any) -> dict[str, Any]:
    """Write a layer as JSON's values."""
    about: dict[str, Any] = {"kind": type(layer).__name__}
    if isinstance(layer, nn.MaxPool2d | nn.Conv2d):
        padding = 0 if layer.padding == "valid" else layer.padding
        sizes = [np.broadcast_to(n, 2).tolist() for n in (layer.kernel_size, layer.stride, padding)]
        about |= dict(zip(SIZES, sizes, strict=True))
    if isinstance(layer, nn.Linear | nn.Conv2d):
        weights, scales = _quantise(layer.weight)
        bias = torch.zeros(len(scales)) if layer.bias is None else layer.bias.detach()
        about |= {"shape": [*layer.weight.shape], "weights": _encode(weights, np.int8)}
        about |= {"scales": _encode(scales, np.float32), "bias": _encode(bias, np.float32)}
    return about


def _read_layer(about: Mapping[str, Any]) -> Any:
    """Build a layer from what `_write_layer` gives."""
    kind, sizes = getattr(nn, about["kind"]), [about.get(name) for name in SIZES]
    if "shape" not in about:
        return kind(*filter(None, sizes))
    outputs, inputs, *_ = about["shape"]
    layer = kind(inputs, outputs, *filter(None, sizes))
    scales, weights = _decode(about["scales"], np.float32), _decode(about["weights"], np.int8)
    layer.weight.data = (weights.view(outputs, -1) * scales[:, None]).view(about["shape"])
    layer.bias.data = _decode(about["bias"], np.float32)
    return layer


def read_layers(layers: Iterable[Mapping[str, Any]]) -> nn.Sequential:
    """Build the network that `write_layers` has written, with its 8-bit weights."""
    return nn.Sequential(*map(_read_layer, layers), nn.Flatten()).eval()


def write_layers(model: nn.Module, data: Dataset) -> list[dict[str, Any]] | None:
    """Write a network's layers as JSON's values, 8 bits a weight and a scale for each output.

    None where it is not LeNet or a list of layers that the script knows, where it is too large, and
    where what is written does not give, on ten images, the logits of the network itself with the
    same 8-bit weights.
    """
    small = deepcopy(model)
    layers = _find_layers(small)
    if layers is None or not all(map(_is_known, layers)):
        return None
    if sum(each.numel() for each in small.parameters()) > WEIGHTS:
        return None
    written, seen = [*map(_write_layer, layers)], data.test.first(CHECKED).images
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, nn.Linear) and seen.ndim != 2:  # PyTorch's is of the last axis
                return None
            seen = layer(seen)
            if isinstance(layer, nn.Linear | nn.Conv2d):
                weights, scales = _quantise(layer.weight)
                layer.weight.copy_((weights * scales[:, None]).view_as(layer.weight))
        wanted = small(data.test.first(CHECKED).images)
        found = read_layers(written)(data.test.first(CHECKED).images)
    same = wanted.shape == found.shape and torch.allclose(wanted, found, rtol=1e-4, atol=1e-4)
    return written if same else None
