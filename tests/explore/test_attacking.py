"""What the panel computes, beside the library's own calls."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import advlib
from advlib.explore import attacking
from advlib.explore.attacking import (
    ATTACKS,
    Choice,
    Outcome,
    Workshop,
    own_attack,
    sweep_epsilon,
    write_lines,
)
from advlib.runs import PRETRAINED

DATA = advlib.load_data("MNIST", images=1)
OURS = {name: advlib.pretrained(name) for name in PRETRAINED}


@pytest.fixture
def workshop():
    return Workshop(DATA, dict(OURS))


def climb(model, images, labels, epsilon, *, bounds, seed, batch_size, steps=1):
    """An attack of one's own, careless of the model's mode."""
    model.train()
    return advlib.apgd(model, images, labels, epsilon, bounds=bounds, steps=steps, seed=seed)


class Constant(nn.Module):
    """Gives the same logits whatever it is shown."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        if not isinstance(self.logits, Tensor):
            return self.logits
        return self.logits.expand(len(images), -1) + 0 * images.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize(
    "choice",
    [
        Choice("standard"),
        Choice("mixed", ATTACKS["PGD"], 0.15, 7),
        Choice("mixed", ATTACKS["APGD"], 0.12, 9, True),
        Choice("mixed", own_attack("mine", climb), 0.05, 3, True),
        Choice("standard", target=3),
    ],
)
def test_an_attack_is_the_librarys_in_three_lines(workshop, choice):
    result = workshop.attack(workshop.take_test_image(8), choice)
    lines = write_lines(result, DATA, {choice.model: f"advlib.pretrained({choice.model!r})"})
    assert len(lines) == 3
    names = {"panel": SimpleNamespace(attacks={"mine": climb})}
    exec("\n".join(lines), names)
    assert torch.equal(names["adversarial"], result.adversarial)
    for name, model in OURS.items():
        clean, found = (
            advlib.evaluate(model, images, DATA.test.labels[[8]])
            for images in (DATA.test.images[[8]], result.adversarial)
        )
        outcome = result.outcomes[name]
        certain = 100 * float(outcome.probabilities[1].max())
        assert certain == pytest.approx(found.confidence, abs=1e-2)
        verdict = "wrong before" if clean.error else "fooled" if found.error else "holds"
        assert outcome.verdict == verdict


@pytest.mark.parametrize(
    ("name", "index", "valid"),
    [("standard", 8, False), ("mixed", 17, True), ("adversarial", 8, True)],
)
def test_the_smallest_epsilon_is_where_fgsm_begins_to_fool(workshop, name, index, valid):
    """By one call of the library after another: on the hundredths, then on the thousandths."""
    sample, bounds = workshop.take_test_image(index), DATA.bounds if valid else None
    labels = torch.tensor([sample.label])

    def fools(thousandths):
        images = advlib.fgsm(
            OURS[name], sample.image, labels, epsilon=thousandths / 1000, bounds=bounds
        )
        return advlib.evaluate(OURS[name], images, labels).error == 100

    coarse = next(n for n in range(0, 1001, 10) if fools(n))
    fine = next(n for n in range(coarse - 9, coarse + 1) if fools(n))
    found = sweep_epsilon(OURS[name], sample, DATA, valid)
    assert found.smallest == fine / 1000
    for n in (0, 7, 100):
        image = advlib.fgsm(OURS[name], sample.image, labels, epsilon=n / 100, bounds=bounds)
        with torch.no_grad():
            shares = OURS[name](image).double().softmax(1)
        expected = torch.cat([shares[:, sample.label], shares.index_fill(1, labels, 0).amax(1)])
        assert torch.allclose(found.probabilities[n], expected, atol=1e-5)


def test_what_goes_on_is_no_weaker_than_one_step_and_goes_where_it_is_told(workshop):
    sample = workshop.take_test_image(8)
    one, many, towards = (
        workshop.attack(sample, Choice("standard", ATTACKS[name], 0.15, valid=True, target=target))
        .outcomes["standard"]
        .probabilities[1]
        for name, target in (("FGSM", None), ("PGD", None), ("PGD", 3))
    )
    assert many[sample.label] <= one[sample.label]
    assert int(towards.argmax()) == 3


def test_the_smallest_epsilon_at_the_ends(workshop):
    sample = workshop.take_test_image(8)
    right, wrong = (Constant(10 * torch.eye(10)[n]) for n in (sample.label, 0))
    assert sweep_epsilon(right, sample, DATA, False).smallest == math.inf
    assert sweep_epsilon(wrong, sample, DATA, False).smallest == 0


def test_the_smallest_epsilon_is_looked_for_once(workshop, monkeypatch):
    sample = workshop.take_test_image(8)
    completed = workshop.complete(workshop.attack(sample, Choice("standard")))
    monkeypatch.setattr(attacking, "sweep_epsilon", lambda *_: pytest.fail("again"))
    again = workshop.complete(workshop.attack(sample, Choice("standard", epsilon=0.2)))
    first, second = (
        [each.sweep for each in result.outcomes.values()] for result in (completed, again)
    )
    assert first == second
    assert None not in first


def test_an_image_is_found_that_is_fooled_also_when_it_is_attacked_alone(workshop):
    """As a start at random is another than among others."""
    for choice in (Choice("adversarial"), Choice("mixed", ATTACKS["PGD"], 0.1, 2, True)):
        for seed in range(3):
            index = workshop.find_fooled(choice, seed)
            assert index is not None
            outcomes = workshop.attack(workshop.take_test_image(index), choice).outcomes
            assert outcomes[choice.model].verdict == "fooled"
    assert workshop.find_fooled(Choice("standard", epsilon=0.0), 0, lambda: True) is None


@pytest.mark.parametrize(
    "logits",
    [torch.zeros(7), torch.full((10,), torch.nan), torch.full((10,), torch.inf), {"logits": 0}],
    ids=["classes", "NaN", "infinite", "a dictionary"],
)
def test_a_network_that_returns_something_else_says_so_in_its_place(workshop, logits):
    workshop.models = {**OURS, "odd": Constant(logits)}
    result = workshop.complete(workshop.attack(workshop.take_test_image(8), Choice("standard")))
    said = result.outcomes["odd"]
    assert isinstance(said, str)
    assert said.startswith("model ")
    assert all(isinstance(result.outcomes[name], Outcome) for name in OURS)


def test_data_of_ones_own_is_the_panels(workshop):
    """A folder's name alone would not find it."""
    result = workshop.attack(workshop.take_test_image(3), Choice("mixed"))
    lines = write_lines(result, replace(DATA, name="mine"), {"mixed": "panel.models['mixed']"})
    assert lines[1] == "data, model = panel.data, panel.models['mixed']"


def test_torchs_state_and_default_device_make_no_difference(workshop):
    choice, sample = Choice("mixed", epsilon=0.2), workshop.take_test_image(3)
    expected = workshop.complete(workshop.attack(sample, choice))
    before = torch.get_rng_state()
    fooled = workshop.find_fooled(choice, 5)
    assert torch.equal(before, torch.get_rng_state())
    with torch.device("meta"):
        again = Workshop(DATA, dict(OURS))
        found = again.complete(again.attack(again.take_test_image(3), choice))
        assert again.find_fooled(choice, 5) == fooled
    assert torch.equal(found.adversarial, expected.adversarial)
    outcomes = found.outcomes
    for name, outcome in expected.outcomes.items():
        assert torch.equal(outcomes[name].probabilities, outcome.probabilities)
        assert outcomes[name].sweep.smallest == outcome.sweep.smallest
