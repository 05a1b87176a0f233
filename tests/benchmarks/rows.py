"""What is measured: for each work, who does it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch

from advlib.attacks import apgd, fgsm, pgd
from advlib.data import Dataset, load_data
from advlib.evaluation import evaluate
from advlib.lenet import LeNet
from advlib.methods import METHODS
from advlib.runs import pretrained
from advlib.settings import Training
from advlib.training import train_epoch
from advlib.worst_case import robustness
from benchmarks import peers

BATCH_SIZE = 200
"""Images at once in attacks and evaluation, for all competitors."""
STEPS = 40
"""Of PGD and APGD, for all competitors."""

Work = Callable[[int], object]
"""Does the work with the first n images."""


@dataclass(frozen=True)
class Row:
    """A work, as `counting` calls it, and those who do it.

    Each competitor is a function that makes ready and gives the work itself. `parts` is a part of
    a competitor's work, measured alone, on a tenth of the images. What is long is measured at one
    thread, on so many images, and in so many rounds.
    """

    work: str
    competitors: Mapping[str, Callable[[], Work]]
    parts: tuple[str, ...] = ()
    images: int | None = None
    rounds: int | None = None

    @property
    def is_long(self) -> bool:
        return self.images is not None


@cache
def data() -> Dataset:
    return load_data()


def advlib_training(method: str) -> Work:
    model, split, row = LeNet(seed=0).train(), data().train, METHODS[method]
    return lambda n: train_epoch(model, split.images[:n], split.labels[:n], row, Training(), 1)


def advlib_pass(work: Callable[..., object]) -> Work:
    model, split = LeNet(seed=0).eval(), data().test
    return lambda n: work(model, split.images[:n], split.labels[:n], batch_size=BATCH_SIZE)


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


# ---- Attacks in many steps, on the reference run's adversarial model, with valid pixels ----------


def defended() -> LeNet:
    return pretrained("adversarial")


def advlib_steps(attack: Callable[..., torch.Tensor]) -> Work:
    model, split, bounds = defended(), data().test, data().bounds
    given = {"steps": STEPS, "bounds": bounds, "batch_size": BATCH_SIZE}
    return lambda n: attack(model, split.images[:n], split.labels[:n], peers.EPSILON, **given)


def advlib_robustness() -> Work:
    models, bounds = {"ours": defended()}, data().bounds

    def work(n: int) -> float:
        few = data().test.sample(n)
        found = robustness(models, few.images, few.labels, peers.EPSILON, bounds=bounds)
        return float(found.error["ours"]["worst case"])

    return work


def art_steps(make: Callable[..., Any]) -> Work:
    attack = make(*_art_defended(), STEPS, BATCH_SIZE)
    pixels, labels = peers.arrays(train=False)
    return lambda n: attack.generate(x=pixels[:n], y=labels[:n])


def foolbox_steps() -> Work:
    whole = peers.OfPixels(peers.Network(defended()), data())
    wrapped, epsilon = peers.foolbox_model(whole, normalized=False), _epsilon()
    pixels, labels = peers.arrays(train=False)
    images, true = torch.from_numpy(pixels), torch.from_numpy(labels.argmax(1))
    return lambda n: [
        peers.foolbox_pgd(wrapped, some, theirs, epsilon, STEPS)
        for some, theirs in _batches(images[:n], true[:n])
    ]


def art_robustness() -> Work:
    classifier, epsilon = _art_defended()

    def work(n: int) -> float:
        few = data().test.sample(n)
        pixels, labels = data().to_pixels(few.images).numpy(), few.labels.numpy()
        return peers.art_autoattack(classifier, pixels, labels, epsilon, BATCH_SIZE)

    return work


def _art_defended() -> tuple[Any, float]:
    whole = peers.OfPixels(peers.Network(defended()), data())
    return peers.art_classifier(whole.eval()), _epsilon()


def _epsilon() -> float:
    return data().epsilon_in_pixels(peers.EPSILON)


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
        {
            "advlib": partial(advlib_pass, fgsm),
            ART: art_fgsm,
            FOOLBOX: foolbox_fgsm,
            PLAIN: plain_fgsm,
        },
    ),
    Row(
        "evaluation",
        {"advlib": partial(advlib_pass, evaluate), PLAIN: plain_evaluation},
    ),
    Row(
        f"PGD, {STEPS} steps",
        {
            "advlib": partial(advlib_steps, pgd),
            ART: partial(art_steps, peers.art_pgd),
            FOOLBOX: foolbox_steps,
        },
        images=300,
    ),
    Row(
        f"APGD, {STEPS} steps",
        {"advlib": partial(advlib_steps, apgd), ART: partial(art_steps, peers.art_apgd)},
        images=300,
    ),
    Row(
        "robustness, worst case",
        {"advlib": advlib_robustness, ART: art_robustness},
        images=50,
        rounds=1,
    ),
)
