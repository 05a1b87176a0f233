"""Square: a search for adversarial images that asks for no gradient, as ART has it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from advlib._state import attack_seed, seeded
from advlib.attacks import Bounds


class _Corner(nn.Module):
    """A model of images that stand in the corner of square ones, which ART wants."""

    def __init__(self, model: nn.Module, height: int, width: int) -> None:
        super().__init__()
        self.model, self.height, self.width = model, height, width

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images[..., : self.height, : self.width])
        return logits


def square(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 0.1,
    *,
    bounds: Bounds,
    seed: int = 0,
    batch_size: int = 200,
    queries: int = 1000,
) -> Tensor:
    """Make adversarial images without any gradient (Andriushchenko et al. 2020), on the CPU.

    Called like `advlib.fgsm`, such as by `advlib.robustness`. Needs the Adversarial Robustness
    Toolbox, which comes with what a report needs.

    Parameters
    ----------
    model, images, labels, epsilon, bounds, seed, batch_size
        As for `advlib.fgsm`; images are [N, C, H, W], and there are bounds.
    queries : int, optional
        How often the model is asked about an image.

    References
    ----------
    M. Andriushchenko et al., "Square attack: a query-efficient black-box adversarial attack via
    random search", arXiv:1912.00049, 2020.
    """
    if epsilon == 0:  # which ART does not take
        return images
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import PyTorchClassifier

    height, width = images.shape[-2:]
    side = max(height, width, 5)

    def frame(values: float | Tensor, fill: float = 0) -> Any:
        whole = torch.as_tensor(values).expand(*[*images.shape][-3:])
        return pad(whole, (0, side - width, 0, side - height), value=fill).numpy()

    low, high = bounds
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    classifier = PyTorchClassifier(
        _Corner(model, height, width).eval(),
        nn.CrossEntropyLoss(),
        (images.shape[1], side, side),
        classes,
        clip_values=(frame(low), frame(high, 1)),
        device_type="cpu",
    )
    attack = SquareAttack(
        classifier, eps=epsilon, max_iter=queries, batch_size=batch_size, verbose=False
    )
    one_hot = torch.eye(classes)[labels].numpy()
    whole = pad(images, (0, side - width, 0, side - height)).numpy()
    with seeded(attack_seed(seed, "square"), images.device):
        made = attack.generate(whole, y=one_hot)
    return torch.from_numpy(made[..., :height, :width].copy()).to(images.dtype)
