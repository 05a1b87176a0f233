"""What is measured: for each work, who does it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch

from advlib._epoch import train_epoch
from advlib.attacks import fgsm
from advlib.data import Dataset, load_data
from advlib.evaluation import evaluate
from advlib.lenet import LeNet
from advlib.methods import METHODS
from advlib.settings import Training
from benchmarks import peers

BATCH_SIZE = 200
"""Images at once in FGSM and evaluation, for all competitors."""

Work = Callable[[int], object]
"""Does the work with the first n images."""


@dataclass(frozen=True)
class Row:
    """A work, as `counting` calls it, and those who do it.

    Each competitor is a function that makes ready and gives the work itself. `parts` is a part of
    a competitor's work, measured alone, on a tenth of the images.
    """

    work: str
    competitors: Mapping[str, Callable[[], Work]]
    parts: tuple[str, ...] = ()


@cache
def data() -> Dataset:
    return load_data()


def advlib_training(method: str) -> Work:
    model, split, row = LeNet(seed=0).train(), data().train, METHODS[method]
    return lambda n: train_epoch(model, split.images[:n], split.labels[:n], row, Training(), 1)


def advlib_fgsm() -> Work:
    model, split = LeNet(seed=0).eval(), data().test
    return lambda n: fgsm(model, split.images[:n], split.labels[:n], batch_size=BATCH_SIZE)


def advlib_evaluation() -> Work:
    model, split = LeNet(seed=0).eval(), data().test
    return lambda n: evaluate(model, split.images[:n], split.labels[:n], batch_size=BATCH_SIZE)


def plain_training(train: Callable[..., None], *, normalized: bool = True) -> Work:
    model = peers.Network().train()
    optimizer, dataset = peers.sgd(model), peers.mnist(normalized=normalized)
    return lambda n: train(model, optimizer, peers.loader(dataset, n))


def plain_loading() -> Work:
    dataset = peers.mnist()
    return lambda n: [None for _ in peers.loader(dataset, n)]


def plain_fgsm() -> Work:
    model, split = peers.Network().eval(), data().test
    return lambda n: [
        peers.plain_fgsm(model, images, labels)
        for images, labels in _batches(split.images[:n], split.labels[:n])
    ]


def plain_evaluation() -> Work:
    model, split = peers.Network().eval(), data().test
    return lambda n: peers.evaluate_plain(model, _batches(split.images[:n], split.labels[:n]))


def foolbox_fgsm() -> Work:
    wrapped, (pixels, labels) = peers.foolbox_model(peers.Network()), peers.arrays(train=False)
    images, true = torch.from_numpy(pixels), torch.from_numpy(labels.argmax(1))
    return lambda n: [
        peers.foolbox_fgsm(wrapped, *batch) for batch in _batches(images[:n], true[:n])
    ]


def art_training() -> Work:
    trainer, (pixels, labels) = peers.art_trainer(peers.Network()), peers.arrays()

    def work(n: int) -> None:  # a step takes 100 clean images and 100 more to attack
        trainer.fit(pixels[: 2 * n], labels[: 2 * n], batch_size=2 * peers.BATCH, nb_epochs=1)

    return work


def art_fgsm() -> Work:
    attack = peers.art_fgsm(peers.art_classifier(peers.Network()), BATCH_SIZE)
    pixels, labels = peers.arrays(train=False)
    return lambda n: attack.generate(x=pixels[:n], y=labels[:n])


def _batches(*tensors: torch.Tensor) -> Iterable[tuple[torch.Tensor, ...]]:
    return zip(*(torch.split(tensor, BATCH_SIZE) for tensor in tensors), strict=True)


ART, FOOLBOX, PLAIN = "Adversarial Robustness Toolbox", "foolbox", "plain PyTorch"
LOADING = "plain PyTorch's DataLoader alone"

ROWS = (
    Row(
        "adversarial training",
        {
            "advlib": partial(advlib_training, "adversarial"),
            ART: art_training,
            FOOLBOX: partial(plain_training, peers.train_foolbox, normalized=False),
            PLAIN: partial(plain_training, peers.train_plain),
            LOADING: plain_loading,
        },
        parts=(LOADING,),
    ),
    Row("mixed training", {"advlib": partial(advlib_training, "mixed")}),
    Row(
        "standard training",
        {
            "advlib": partial(advlib_training, "standard"),
            PLAIN: partial(plain_training, peers.train_plain_standard),
        },
    ),
    Row(
        "FGSM",
        {"advlib": advlib_fgsm, ART: art_fgsm, FOOLBOX: foolbox_fgsm, PLAIN: plain_fgsm},
    ),
    Row(
        "evaluation",
        {"advlib": advlib_evaluation, PLAIN: plain_evaluation},
    ),
)
