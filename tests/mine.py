"""What a user may bring: a small residual network with batch norm and dropout, an attack and a
method.

Tests copy this file; README has the like.
"""

from typing import Any

from torch import Tensor, nn

from advlib.attacks import perturb
from advlib.methods import Batch, Step, differentiate


class Block(nn.Module):
    """Adds to its input what two convolutions make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = self.path(images)
        return (images + changed).relu()


class SmallResNet(nn.Module):
    """One residual block & a mean over all places: <b>small</b>, $1 apiece."""

    def __init__(self, classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[0], 8, 3, stride=2, padding=1)
        self.block = Block(8)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(self.stem(images)).mean((2, 3)))
        return logits


def all_darker(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, *, bounds: Any, **_: Any
) -> Tensor:
    """Darken the whole image."""
    return (images - epsilon).clamp(*bounds)


def on_attacked(model: nn.Module, batch: Batch, settings: Any) -> Step:
    """Train on the attacked images alone: *g* = g_adversarial, {settings.epsilon} large.

    The clean images only make the perturbation | they cost a pass.
    """
    clean = differentiate(model, batch, of_images=True)
    images = perturb(batch.images, clean.of_images, settings.epsilon)
    attacked = differentiate(model, Batch(images, batch.labels))
    return Step(attacked.gradients, clean.outcome, attacked.outcome)
