"""Square: a search for adversarial images that asks for no gradient, as ART has it."""

from collections import ChainMap, deque
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from advlib._state import attack_seed, seeded
from advlib.attacks import Bounds


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
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork

    height, width = images.shape[-2:]
    side = max(height, width, 5)  # of the square images that ART wants
    recent: deque[dict[bytes, Any]] = deque(maxlen=3)  # ART asks up to three times about an image

    def frame(values: float | Tensor, fill: float = 0) -> Any:
        """Put images in the corner of square ones."""
        whole = torch.as_tensor(values).expand(*[*images.shape][-3:])
        return pad(whole, (0, side - width, 0, side - height), value=fill).numpy()

    def ask(framed: Any) -> Any:
        keys, known = [image.tobytes() for image in framed], ChainMap(*recent)
        new = {key: image for key, image in zip(keys, framed, strict=True) if key not in known}
        if new:
            asked = torch.from_numpy(np.stack([*new.values()])[..., :height, :width])
            with torch.no_grad():
                logits = torch.cat([model(part) for part in torch.split(asked, batch_size)])
            known = known.new_child(dict(zip(new, logits.numpy(), strict=True)))
        recent.append({key: known[key] for key in keys})
        return np.stack([known[key] for key in keys])

    low, high = (torch.as_tensor(bound) for bound in bounds)
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    box = BlackBoxClassifierNeuralNetwork(
        ask, (images.shape[1], side, side), classes, clip_values=(frame(low), frame(high, 1))
    )
    attack = SquareAttack(box, eps=epsilon, max_iter=queries, batch_size=len(images), verbose=False)
    whole = pad(images, (0, side - width, 0, side - height)).numpy()
    with seeded(attack_seed(seed, "square"), images.device):
        found = attack.generate(whole, y=torch.eye(classes)[labels].numpy())
    made = torch.from_numpy(found[..., :height, :width].copy()).to(images.dtype)
    return made.clamp(images - epsilon, images + epsilon).clamp(low, high)
