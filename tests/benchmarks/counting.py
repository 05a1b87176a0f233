"""The floating-point operations that a method takes, counted layer by layer."""

from typing import NamedTuple

import torch
from torch import nn

from advlib.lenet import SHAPE


class Pass(NamedTuple):
    """What one pass through the network computes besides its output."""

    of_weights: bool = True
    of_images: bool = False


# The clean pass of FGSM serves the update too; its gradient goes back to the images.
PASSES = {
    "standard training": (Pass(),),
    "mixed training": (Pass(of_images=True), Pass()),
    "adversarial training": (Pass(of_images=True), Pass()),
    "FGSM": (Pass(of_weights=False, of_images=True),),
    "evaluation": (Pass(of_weights=False),),
}


def operations(work: str, layers: nn.Sequential) -> int | None:
    """Count the operations of a method for one clean image.

    Convolutions and dense layers only, two operations for each multiply-add. None where it depends
    on the image: attacks in many steps leave those alone that are turned.
    """
    if work not in PASSES:
        return None
    products = _forward(layers)
    total = 0
    for of_weights, of_images in PASSES[work]:
        total += (1 + of_weights) * sum(products)
        if of_weights or of_images:
            # Back through every layer but the first, whose input are the images.
            total += sum(products if of_images else products[1:])
    return total


def _forward(layers: nn.Sequential) -> list[int]:
    """The operations of each layer's product; its two gradients take as many each."""
    found = []
    x = torch.zeros(1, *SHAPE)
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Each weight is used once for each place of the output.
                found.append(2 * layer.weight.numel() * x[0, 0].numel())
    return found
