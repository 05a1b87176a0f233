"""The floating-point operations that a method takes, as torch counts them."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from advlib.lenet import SHAPE

PASSES = {
    "standard training": ((True, False),),
    "mixed training": ((True, True), (True, False)),
    "adversarial training": ((True, True), (True, False)),
    "FGSM": ((False, True),),
    "evaluation": ((False, False),),
}
"""The passes of each through the network: are the weights' gradients computed, and the images'?
The clean pass of FGSM serves the update too; its gradient goes back to the images."""


def operations(work: str, layers: nn.Sequential) -> int | None:
    """Count the operations of a method for one clean image.

    Convolutions and dense layers only, two operations for each multiply-add. None where it depends
    on the image: attacks in many steps leave those alone that are turned.
    """
    if work not in PASSES:
        return None
    with FlopCounterMode(display=False) as counter:
        for of_weights, of_images in PASSES[work]:
            images = torch.zeros(1, *SHAPE, requires_grad=of_images)
            found = layers.requires_grad_(of_weights)(images)
            if found.requires_grad:
                found.sum().backward()
    total: int = counter.get_total_flops()
    return total
