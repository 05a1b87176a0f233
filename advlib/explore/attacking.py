"""What the panel computes: one image attacked, and what every network makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

import advlib
from advlib import attacks
from advlib.attacks import Attack, Make, fgsm, perturb
from advlib.data import Dataset
from advlib.evaluation import evaluate, make_safely

ATTACKS = {row.panel: row for row in attacks.ATTACKS.values() if row.panel}
"""Those that the panel offers."""
COARSE, LARGEST = 10, 1000
"""How `sweep_epsilon` searches: its first steps, and their end, in thousandths."""
BATCH, TRIED = 25, 1000
"""Images that `find_fooled` attacks at once, and at most."""


def own_attack(name: str, make: Make) -> Attack:
    """Return the row of an attack of one's own, called as `advlib.robustness` calls it."""
    return Attack(partial(make, bounds=None, seed=0, batch_size=BATCH), panel=name)


@dataclass(frozen=True, eq=False)
class Sample:
    """An image [1, 1, 28, 28] on the training scale, its true class, and where it comes from."""

    image: Tensor
    label: int
    source: int | str
    """A test image's number, or the name of a picture's file."""
    told_by: str = ""
    """The network that the class is from, where nobody has said it."""


@dataclass(frozen=True)
class Choice:
    """How the image is attacked, and which network."""

    model: str
    attack: Attack = ATTACKS["FGSM"]
    epsilon: float = 0.1
    steps: int = 20
    valid: bool = False
    """Whether the adversarial image is to have valid pixels."""
    target: int | None = None
    """The class that the image is to be taken for."""

    @property
    def settings(self) -> dict[str, Any]:
        """The attack's arguments beside bounds and target; it goes on after an image is turned."""
        own = signature(self.attack.make).parameters  # of anybody's function
        many = {"steps": self.steps, "stop": False}
        return {"epsilon": self.epsilon, **{name: many[name] for name in many if name in own}}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a network makes of the image."""

    label: int
    """The true class."""
    probabilities: Tensor
    """float64 [2, classes]: of the image, and of the adversarial one."""
    sweep: "Sweep | None"
    """Of this network under FGSM; None until it has been looked for."""

    @property
    def before(self) -> int:
        """The class it predicts for the image."""
        return int(self.probabilities[0].argmax())

    @property
    def after(self) -> int:
        """The class it predicts for the adversarial image."""
        return int(self.probabilities[1].argmax())

    @property
    def verdict(self) -> str:
        """Whether the attack turns a right prediction into a wrong one, in words."""
        if self.before != self.label:
            return "wrong before"
        return "holds" if self.after == self.label else "fooled"


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a network makes of one image under FGSM, made on it, as epsilon grows."""

    smallest: float
    """The smallest epsilon that turns it; see `sweep_epsilon`."""
    probabilities: Tensor
    """float64 [101, 2]: of the true class and of the likeliest other one, at 0, 0.01, ... 1."""


@dataclass(frozen=True, eq=False)
class Result:
    """An attack on one image, and by network what it makes of it, or the words of its error."""

    sample: Sample
    choice: Choice
    adversarial: Tensor
    outcomes: Mapping[str, Outcome | str]


@dataclass
class Workshop:
    """The data, the networks, and the sweeps made so far."""

    data: Dataset
    models: dict[str, nn.Module]
    _sweeps: dict[object, Sweep] = field(default_factory=dict)

    def take_test_image(self, index: int) -> Sample:
        """Return a test image by its number."""
        test = self.data.test
        return Sample(test.images[[index]], int(test.labels[index]), index)

    def attack(self, sample: Sample, choice: Choice) -> Result:
        """Attack one network on an image, and ask all; an error is raised only of that one."""
        model = self.models[choice.model]
        labels = torch.tensor([sample.label], device=sample.image.device)
        adversarial = make_adversarial(model, sample.image, labels, choice, self.data)
        both, outcomes = torch.cat([sample.image, adversarial]), dict[str, Outcome | str]()
        for name, model in self.models.items():
            sweep = self._sweeps.get(_key(model, sample, choice))
            try:
                probabilities = predict(model, both, len(self.data.classes))
                outcomes[name] = Outcome(sample.label, probabilities, sweep)
            except Exception as error:  # of any kind: the network may be anybody's
                outcomes[name] = describe(error)
        return Result(sample, choice, adversarial, outcomes)

    def complete(self, result: Result, give_up: Callable[[], bool] = lambda: False) -> Result:
        """Make the sweeps that a result lacks; `give_up` is asked before each."""
        outcomes, sample, choice = dict(result.outcomes), result.sample, result.choice
        for name, outcome in result.outcomes.items():
            if isinstance(outcome, str) or outcome.sweep is not None or give_up():
                continue
            model = self.models[name]
            try:
                found = sweep_epsilon(model, sample, self.data, choice.valid)
                self._sweeps[_key(model, sample, choice)] = found
                outcomes[name] = replace(outcome, sweep=found)
            except Exception as error:
                outcomes[name] = describe(error)
        return replace(result, outcomes=outcomes)

    def find_fooled(
        self, choice: Choice, seed: int, give_up: Callable[[], bool] = lambda: False
    ) -> int | None:
        """Return a test image, drawn at random, that the attack turns from right to wrong.

        `give_up` is asked after every `BATCH` images; None if none is found.
        """
        test, model = self.data.test, self.models[choice.model]
        stream = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(test), generator=stream, device="cpu")[:TRIED]
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            images, labels = test.images[part], test.labels[part]
            adversarial = make_adversarial(model, images, labels, choice, self.data)
            before, after = (
                predict(model, each, len(self.data.classes)).argmax(1)
                for each in (images, adversarial)
            )
            for index in part[(before == labels) & (after != labels)].tolist():
                # alone, as it is shown: a start at random is then another than among others
                outcome = self.attack(self.take_test_image(index), choice).outcomes[choice.model]
                if isinstance(outcome, Outcome) and outcome.verdict == "fooled":
                    return int(index)
            if give_up():
                break
        return None


def _key(model: nn.Module, sample: Sample, choice: Choice) -> object:
    """What a sweep depends on."""
    return model, sample.image.numpy().tobytes(), sample.label, choice.valid


def make_adversarial(
    model: nn.Module, images: Tensor, labels: Tensor, choice: Choice, data: Dataset
) -> Tensor:
    """Attack images [N, 1, 28, 28] as chosen; the same as the call that the panel shows."""
    given: dict[str, Any] = {"bounds": data.bounds} if choice.valid else {}
    if choice.target is not None:
        given["target_labels"] = torch.full_like(labels, choice.target)
    return make_safely(
        choice.attack.make, choice.attack.panel, model, images, labels, **choice.settings, **given
    )


def predict(model: nn.Module, images: Tensor, classes: int) -> Tensor:
    """Return the probabilities float64 [N, classes]; refuse what gives no finite logits of them."""
    # of one image, for its checks: it says clearly what is wrong
    evaluate(model, images[:1], torch.zeros(1, dtype=torch.int64, device=images.device))
    with torch.random.fork_rng([]), torch.no_grad():
        logits: Tensor = model(images.clone())
    if logits.shape[1] != classes:
        raise ValueError(
            f"model must return logits of {classes} classes, as the data has, not of"
            f" {logits.shape[1]}"
        )
    probabilities = logits.double().softmax(1)
    if not probabilities.isfinite().all():
        raise ValueError("model must return finite logits, not infinite ones")
    return probabilities


def sweep_epsilon(model: nn.Module, sample: Sample, data: Dataset, valid: bool) -> Sweep:
    """Attack a network with FGSM of many sizes, and find the smallest that turns its prediction.

    The multiples of 0.01 up to 1 are tried; then, below the first that turns it, those of 0.001.
    FGSM is not monotone: the prediction may turn and turn back in between. 0 where it is wrong
    without an attack, infinite where no epsilon turns it.
    """
    labels = torch.tensor([sample.label], device=sample.image.device)
    # it does not depend on epsilon, so that one gradient serves all
    direction = fgsm(model, sample.image, labels, epsilon=1.0) - sample.image

    def ask(thousandths: Sequence[int]) -> Tensor:
        images = torch.cat([perturb(sample.image, direction, n / 1000) for n in thousandths])
        images = images.clamp(*data.bounds) if valid else images
        return predict(model, images, len(data.classes))

    def first_wrong(thousandths: Sequence[int], probabilities: Tensor) -> int | None:
        wrong = probabilities.argmax(1) != sample.label
        return thousandths[int(wrong.int().argmax())] if wrong.any() else None

    hundredths = range(0, LARGEST + 1, COARSE)
    found = ask(hundredths)
    others = found.clone()
    others[:, sample.label] = 0
    probabilities = torch.stack([found[:, sample.label], others.amax(1)], 1)
    coarse = first_wrong(hundredths, found)
    if not coarse:
        return Sweep(inf if coarse is None else 0.0, probabilities)
    between = range(coarse - COARSE + 1, coarse + 1)
    fine = first_wrong(between, ask(between))
    return Sweep((coarse if fine is None else fine) / 1000, probabilities)


def describe(error: BaseException) -> str:
    """Say an error in one line."""
    return " ".join(f"{error or type(error).__name__}".split())


def write_lines(result: Result, data: Dataset, sources: Mapping[str, str]) -> list[str]:
    """Return the three lines that make the same adversarial image, as ``adversarial``.

    `sources` has by network the expression that gives it.
    """
    sample, choice = result.sample, result.choice
    make, source = choice.attack.make, sources[choice.model]
    function = getattr(make, "func", make)  # a partial's
    home = "advlib" if function.__name__ in advlib.__all__ else "advlib.attacks"
    called = f"{home}.{function.__name__}"
    if choice.attack not in ATTACKS.values():
        home, called = "advlib", f"panel.attacks[{choice.attack.panel!r}]"
    # other data lies where its owner has it
    loaded = "advlib.load_data('MNIST')" if data.name == "MNIST" else "panel.data"
    imports = {home} | ({"advlib.explore.networks"} if "explore.networks" in source else set())
    image, label = f"data.test.images[[{sample.source}]]", f"data.test.labels[[{sample.source}]]"
    if isinstance(sample.source, str):  # it lies where its owner has it
        imports |= {"advlib.explore.pictures", "torch"}
        image = f"advlib.explore.pictures.read_digit({sample.source!r}, data)"
        label = f"torch.tensor([{sample.label}])"
    given = {**getattr(make, "keywords", {}), **choice.settings}
    arguments = [f"{name}={value!r}" for name, value in given.items() if name != "bounds"]
    arguments += ["bounds=data.bounds"] * choice.valid
    if choice.target is not None:
        imports |= {"torch"}
        arguments.append(f"target_labels=torch.tensor([{choice.target}])")
    call = ", ".join(["model", image, label, *arguments])
    return [
        f"import {', '.join(sorted(imports))}",
        f"data, model = {loaded}, {source}",
        f"adversarial = {called}({call})",
    ]
