"""What others do with the same network and the same images, each as its documentation shows it.

Where a documentation leaves a choice, the faster one is taken: FGSM gets the true labels (ART and
foolbox would run the network once more to guess them) and batches of the fastest size. Values are
on the scale of the documentation: pixels in [0, 1], normalized as in the tutorials.
"""

import gzip
import tempfile
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

from advlib.data import Dataset as Data
from advlib.kept.folders import MNIST
from advlib.lenet import LeNet

BATCH, EPSILON, ALPHA = 100, 0.1, 0.5
QUERIES, STARTS = 5_000, 5
"""Of Square and of APGD in AutoAttack."""
MEAN, STD = 0.1307, 0.3081
criterion = nn.CrossEntropyLoss()


def step_size(epsilon: float, steps: int) -> float:
    """Return that of `advlib.pgd`."""
    return 2.5 * epsilon / steps


class Network(nn.Module):
    """The slides' network as the tutorials write one: plain layers, the same initial weights."""

    def __init__(self, like: LeNet | None = None) -> None:
        super().__init__()
        self.layers = deepcopy((like or LeNet(seed=0)).layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)  # type: ignore[no-any-return]


class OfPixels(nn.Module):
    """A network of the training scale that takes pixels in [0, 1]."""

    def __init__(self, network: nn.Module, data: Data) -> None:
        super().__init__()
        black, white = data.bounds
        self.network, self.black, self.scale = network, black, white - black

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x * self.scale + self.black)  # type: ignore[no-any-return]


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    """A folder as torchvision's MNIST wants it, with the files that come with advlib."""
    root = tempfile.TemporaryDirectory(prefix="advlib-bench-")
    raw = Path(root.name, "MNIST", "raw")
    raw.mkdir(parents=True)
    for path in MNIST.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return root


def mnist(*, train: bool = True, normalized: bool = True) -> Dataset[Any]:
    """MNIST as https://github.com/pytorch/examples/blob/main/mnist/main.py has it."""
    steps: list[Any] = [transforms.ToTensor()]
    if normalized:
        steps.append(transforms.Normalize((MEAN,), (STD,)))
    found: Dataset[Any] = datasets.MNIST(
        _root().name, train=train, download=False, transform=transforms.Compose(steps)
    )
    return found


def loader(dataset: Dataset[Any], n: int) -> DataLoader[Any]:
    """Minibatches of the first n images, reshuffled."""
    return DataLoader(Subset(dataset, range(n)), batch_size=BATCH, shuffle=True)


def arrays(*, train: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """MNIST as art.utils.load_mnist gives it, channels first: pixels in [0, 1], one-hot labels."""
    from art.utils import to_categorical

    raw: Any = mnist(train=train)
    pixels = raw.data.numpy()[:, None]
    return np.divide(pixels, 255, dtype=np.float32), to_categorical(raw.targets.numpy(), 10)


# ---- The plain loop of the tutorials ------------------------------------------------------------
# https://docs.pytorch.org/tutorials/beginner/fgsm_tutorial.html and the MNIST example it builds on.


def plain_fgsm(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The tutorial's attack, without its clipping."""
    images = images.clone().requires_grad_()
    loss = criterion(model(images), labels)
    model.zero_grad()
    loss.backward()
    assert images.grad is not None
    return (images + EPSILON * images.grad.sign()).detach()


def train_plain(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Any]) -> None:
    for images, labels in batches:
        perturbed = plain_fgsm(model, images, labels)
        optimizer.zero_grad()
        loss = ALPHA * criterion(model(images), labels)
        loss = loss + (1 - ALPHA) * criterion(model(perturbed), labels)
        loss.backward()
        optimizer.step()


def train_plain_standard(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Any]
) -> None:
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()


def evaluate_plain(model: nn.Module, batches: Iterable[Any]) -> float:
    """The example's evaluation: the share of correct predictions."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in batches:
            correct += int(model(images).argmax(dim=1).eq(labels).sum())
            total += len(labels)
    return correct / total


# ---- foolbox ------------------------------------------------------------------------------------
# https://foolbox.jonasrauber.de/guide/getting-started.html


def foolbox_model(model: nn.Module, *, normalized: bool = True) -> Any:
    from foolbox.models.pytorch import PyTorchModel

    preprocessing = {"mean": [MEAN], "std": [STD], "axis": -3} if normalized else None
    return PyTorchModel(model.eval(), (0, 1), device="cpu", preprocessing=preprocessing)


def foolbox_fgsm(wrapped: Any, images: Tensor, labels: Tensor) -> Tensor:
    from foolbox.attacks.fast_gradient_method import LinfFastGradientAttack

    _, clipped, _ = LinfFastGradientAttack()(wrapped, images, labels, epsilons=EPSILON)
    return clipped


def foolbox_pgd(wrapped: Any, images: Tensor, labels: Tensor, epsilon: float, steps: int) -> Tensor:
    from foolbox.attacks.projected_gradient_descent import LinfProjectedGradientDescentAttack

    attack = LinfProjectedGradientDescentAttack(steps=steps, abs_stepsize=step_size(epsilon, steps))
    _, clipped, _ = attack(wrapped, images, labels, epsilons=epsilon)
    return clipped


def train_foolbox(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Any]
) -> None:
    """The plain loop with foolbox's attack; the batches hold pixels in [0, 1]."""
    wrapped = foolbox_model(model)
    normalize = transforms.Normalize((MEAN,), (STD,))
    for images, labels in batches:
        model.eval()
        perturbed = foolbox_fgsm(wrapped, images, labels)
        model.train()
        optimizer.zero_grad()
        loss = ALPHA * criterion(model(normalize(images)), labels)
        loss = loss + (1 - ALPHA) * criterion(model(normalize(perturbed)), labels)
        loss.backward()
        optimizer.step()


# ---- The Adversarial Robustness Toolbox ---------------------------------------------------------
# https://github.com/Trusted-AI/adversarial-robustness-toolbox: examples/get_started_pytorch.py and
# notebooks/adversarial_training_mnist.ipynb


def art_classifier(model: nn.Module) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model=model,
        clip_values=(0.0, 1.0),
        loss=criterion,
        optimizer=sgd(model),
        input_shape=(1, 28, 28),
        nb_classes=10,
        device_type="cpu",
    )


def art_fgsm(classifier: Any, batch_size: int) -> Any:
    from art.attacks.evasion import FastGradientMethod

    return FastGradientMethod(estimator=classifier, eps=EPSILON, batch_size=batch_size)


def art_pgd(classifier: Any, epsilon: float, steps: int, batch_size: int) -> Any:
    from art.attacks.evasion import ProjectedGradientDescent

    return ProjectedGradientDescent(
        estimator=classifier,
        eps=epsilon,
        eps_step=step_size(epsilon, steps),
        max_iter=steps,
        num_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )


def art_apgd(classifier: Any, epsilon: float, steps: int, batch_size: int) -> Any:
    from art.attacks.evasion import AutoProjectedGradientDescent

    return AutoProjectedGradientDescent(
        estimator=classifier,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=steps,
        nb_random_init=1,
        batch_size=batch_size,
        verbose=False,
    )


def art_autoattack(
    classifier: Any, pixels: np.ndarray, labels: np.ndarray, epsilon: float, batch_size: int
) -> float:
    """The error in percent under AutoAttack as ART has it: APGD on two losses, DeepFool, Square.

    APGD has 100 steps; Square has one start, as AutoAttack's authors have it, not
    ART's 5. The attacks follow each other by hand: `generate` wants a package that ART leaves out.
    """
    from art.attacks.evasion import AutoAttack

    whole = AutoAttack(classifier, eps=epsilon, eps_step=2 * epsilon, batch_size=batch_size)
    whole.attacks[-1].set_params(nb_restarts=1, max_iter=QUERIES)
    for apgd in whole.attacks[:2]:
        apgd.set_params(nb_random_init=STARTS)
    stand = classifier.predict(pixels, batch_size).argmax(1) == labels
    for attack in whole.attacks:
        attack.set_params(verbose=False)
        (left,) = stand.nonzero()
        if len(left):
            found = attack.generate(x=pixels[left], y=np.eye(10)[labels[left]])
            shift = (found - pixels[left]).clip(-epsilon, epsilon)  # DeepFool knows no epsilon
            found = (pixels[left] + shift).clip(0, 1).astype(np.float32)
            stand[left] = classifier.predict(found, batch_size).argmax(1) == labels[left]
    return float(100 * (~stand).mean())


def art_trainer(model: nn.Module) -> Any:
    """Train with ``trainer.fit(x, y, batch_size=2 * BATCH)``: half of each batch is attacked."""
    from art.defences.trainer import AdversarialTrainer

    classifier = art_classifier(model)
    return AdversarialTrainer(classifier, art_fgsm(classifier, BATCH), ratio=0.5)
