"""The training loop against a plain float64 reference, and its promises."""

import importlib
import itertools
import random
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from engine import FIGURES, Noisy, Plain, assert_same_history, digits, random_data, same_bits
from torch import nn
from torch.nn.functional import cross_entropy

import advlib
from advlib import methods, runs, training
from advlib._state import derived_seed
from advlib.data import Split
from advlib.methods import METHODS, Step
from advlib.settings import SIZE, Training, setting
from advlib.training import DivergedError

UNSEEN = {"standard": ("train_adversarial",), "fast": ("train",), "pgd": ("train",)}
"""What a method does not train on."""
NOISE = random_data()


WEIGHTS = {"standard": (1, 0), "mixed": (1, 1), "adversarial": (0.5, 0.5)}
"""Of the clean and of the adversarial loss, from the definitions; alpha is 0.5, epsilon 0.1."""


class Plain64:
    """Training by the definitions alone: the layers as they stand, autograd, float64."""

    def __init__(self, method, seed=1):
        self.method, self.model = method, Plain(advlib.LeNet(seed=seed).double())
        self.rest()

    def rest(self):
        """Set the momentum to zero."""
        self.velocity = [torch.zeros_like(p) for p in self.model.parameters()]

    def signs(self, images, labels):
        leaf = images.clone().requires_grad_()
        return torch.autograd.grad(cross_entropy(self.model(leaf), labels), leaf)[0].sign()

    def step(self, images, labels, signs):
        both = zip(WEIGHTS[self.method], (images, images + 0.1 * signs), strict=True)
        loss = sum(weight * cross_entropy(self.model(x), labels) for weight, x in both if weight)
        wanted = torch.autograd.grad(loss, [*self.model.parameters()])
        with torch.no_grad():
            for p, v, g in zip(self.model.parameters(), self.velocity, wanted, strict=True):
                v.mul_(0.9).sub_(5e-4 * p + g)
                p.add_(v, alpha=1e-3)


def relative(ours, theirs):
    return max(
        float((a.detach() - b.detach()).norm() / b.detach().norm())
        for a, b in zip(ours, theirs, strict=True)
        if b.detach().norm() > 0
    )


def doubled(n):
    """The first digits in float64, which train and validate."""
    data = digits()
    part = Split(data.train.images[:n].double(), data.train.labels[:n])
    return replace(data, train=part, validation=part)


@pytest.mark.parametrize("method", ["standard", "mixed", "adversarial"])
def test_the_loop_agrees_with_a_plain_reference_in_float64(method):
    """No flips there: its shuffles, the momentum's start, the optimiser, to rounding."""
    small = doubled(300)
    model = advlib.LeNet(seed=1).double()
    history = advlib.train(model, small, method=method, epochs=2, seed=7)
    reference = Plain64(method)
    for epoch in (1, 2):
        reference.rest()
        generator = torch.Generator().manual_seed(derived_seed(7, epoch, "order"))
        for chosen in torch.randperm(300, generator=generator).reshape(-1, 100):
            images, labels = small.train.images[chosen], small.train.labels[chosen]
            reference.step(images, labels, reference.signs(images, labels))
    assert relative(model.parameters(), reference.model.parameters()) < 1e-12
    assert history.epoch.tolist() == [1, 2]


def test_epochwise_mixed_training_agrees_with_a_plain_reference_in_float64():
    """The adversarial images are those of the epoch's start; clean and they are shuffled as one."""
    small = doubled(150)
    model = advlib.LeNet(seed=1).double()
    advlib.train(model, small, method="mixed-epochwise", epochs=2, seed=7)
    reference = Plain64("standard")
    clean, labels = small.train.images, small.train.labels
    for epoch in (1, 2):
        reference.rest()
        attacked = clean + 0.1 * reference.signs(clean, labels)
        both = list(zip([*clean, *attacked], [*labels, *labels], strict=True))
        generator = torch.Generator().manual_seed(derived_seed(7, epoch, "order"))
        for chosen in torch.randperm(300, generator=generator).reshape(-1, 100):
            images, their_labels = (
                torch.stack(part) for part in zip(*(both[i] for i in chosen), strict=True)
            )
            reference.step(images, their_labels, torch.zeros(()))
    assert relative(model.parameters(), reference.model.parameters()) < 1e-12


def plain_figures(model, images, labels):
    """The objective and the errors, from the definitions."""
    with torch.no_grad():
        logits = model(images)
    misses = [
        100 * (~(logits.topk(k).indices == labels[:, None]).any(1)).double().mean().item()
        for k in (1, 5)
    ]
    return [float(-logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()), *misses]


@pytest.mark.parametrize("method", METHODS)
def test_the_columns_of_an_epoch_are_means_over_its_images(method):
    """At a tiny learning rate the weights stay; the last minibatch is a small one."""
    small = doubled(130)
    validation = replace(small, validation=Split(*(t[:50] for t in vars(small.train).values())))
    model = advlib.LeNet(seed=1).double()
    history = advlib.train(
        model, validation, method=method, epochs=1, learning_rate=1e-13, batch_size=60
    )
    reference = Plain64("standard")
    images, labels = small.train.images, small.train.labels
    few = images[:50], labels[:50]
    expected = {
        "train": (images, labels),
        "train_adversarial": (images + 0.1 * reference.signs(images, labels), labels),
        "validation": few,
        "validation_adversarial": (images[:50] + 0.1 * reference.signs(*few), labels[:50]),
    }
    if method in ("fast", "pgd"):  # by other steps; tests/test_methods.py has their outcomes
        del expected["train_adversarial"]
    for part in UNSEEN.get(method, ()):
        expected.pop(part, None)
    for part, given in expected.items():
        row = [history.at[0, f"{figure}_{part}"] for figure in training.FIGURES]
        assert row == pytest.approx(plain_figures(reference.model, *given), rel=1e-9)
    parts = ("train", "train_adversarial", "validation", "validation_adversarial")
    figures = ("objective", "top1_error", "top5_error")
    columns = [f"{figure}_{part}" for figure in figures for part in parts]
    assert [*history] == ["epoch", *columns, "seconds"]
    assert [*map(str, history.dtypes)] == ["int64", *["float64"] * 13]
    undefined = {f"{figure}_{part}" for figure in figures for part in UNSEEN.get(method, ())}
    assert {*history.columns[history.isna().any()]} == undefined
    assert (history.seconds > 0).all()


def test_the_validation_is_of_the_trained_model_in_evaluation_mode():
    model = Noisy()
    history = advlib.train(model, NOISE, method="standard", epochs=2, learning_rate=0.1)
    after = plain_figures(model.eval(), NOISE.validation.images, NOISE.validation.labels)
    row = [history.at[1, f"{figure}_validation"] for figure in training.FIGURES]
    assert row == pytest.approx(after, rel=1e-6)


@pytest.mark.parametrize("network", [advlib.LeNet, Noisy])
@pytest.mark.parametrize("method", ["adversarial", "mixed-epochwise"])
def test_the_same_seed_gives_the_same_bits(network, method):
    def train(model, seed):
        torch.rand(1)  # the global random state is another each time
        return advlib.train(model, NOISE, method=method, epochs=2, batch_size=20, seed=seed)

    models = [network() for _ in range(3)]
    first, second, other = map(train, models, (0, 0, 1))
    assert_same_history(first, second)
    assert same_bits(models[0], models[1])
    assert not same_bits(models[0], models[2])
    assert first.objective_train.tolist() != other.objective_train.tolist()


@pytest.mark.parametrize("method", ["mixed", "mixed-epochwise", "pgd"])
def test_torchs_default_device_makes_no_difference(method):
    given = {"method": method, "epochs": 1, "device": "cpu"}
    model, other = advlib.LeNet(seed=1), advlib.LeNet(seed=1)
    history = advlib.train(model, NOISE, **given)
    with torch.device("meta"):
        assert_same_history(advlib.train(other, NOISE, **given), history)
    assert same_bits(model, other)


def test_the_noise_of_an_epochs_attack_is_the_trainings():
    """Two trainings, and two epochs, do not see the same dropout."""
    seen = []

    class Watched(Noisy):
        def forward(self, images):
            logits = super().forward(images)
            if images.requires_grad and self.training:  # in an attack; not in this method's steps
                seen.append(logits.detach())
            return logits

    for seed in (0, 1):
        given = {"method": "mixed-epochwise", "epochs": 2, "learning_rate": 1e-30}
        advlib.train(Watched(), NOISE, seed=seed, **given)
    assert len(seen) == 4
    for one, other in itertools.combinations(seen, 2):
        assert not torch.allclose(one, other, rtol=1e-3)


def test_derived_seeds_are_fixed_and_apart():
    parts = [(seed, epoch, name) for seed in range(3) for epoch in range(3) for name in ("a", "b")]
    seeds = {derived_seed(*part) for part in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # written down once: another value would give other trainings
    assert derived_seed(0, 1, "order") == 5477332743485824662


@pytest.mark.parametrize("mode", [True, False])
def test_what_is_not_trained_is_left_as_found(mode):
    model = Noisy().train(mode)
    model.layers[0].requires_grad_(False)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    images = NOISE.train.images.clone()
    advlib.train(model, NOISE, epochs=1, weight_decay=0.5, device="cpu")
    assert same_bits(model.layers[0], Noisy().layers[0])
    assert not same_bits(model.layers[5], Noisy().layers[5])
    assert all(module.training == mode for module in model.modules())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {str(tensor.device) for tensor in model.state_dict().values()} == {"cpu"}
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(NOISE.train.images, images)


@dataclass(frozen=True, kw_only=True)
class Scaling(Training):
    scale: float = setting(2.0, SIZE, "Scale")


def network(seed, classes):
    return Noisy()


def halved(model, batch, settings):
    """A method of one's own: half the clean gradient."""
    clean = methods.differentiate(model, batch)
    return Step([gradient / 2 for gradient in clean.gradients], clean.outcome)


def test_a_method_of_ones_own(tmp_path):
    models = [advlib.LeNet().double() for _ in range(4)]
    own, kept, loaded, standard = models
    data = doubled(100)
    settings = {"epochs": 2, "weight_decay": 0.0}
    history = advlib.train(own, data, method=halved, **settings)
    advlib.train(kept, data, method=halved, run=tmp_path, **settings)
    again = advlib.train(loaded, data, method=halved, run=tmp_path, **settings)
    advlib.train(standard, data, method="standard", learning_rate=5e-4, **settings)
    assert same_bits(own, kept)
    assert same_bits(own, loaded)
    assert_same_history(history, again)
    assert relative(own.parameters(), standard.parameters()) < 1e-12
    assert not same_bits(own, advlib.LeNet().double())


def test_a_method_with_a_setting_of_its_own(tmp_path, monkeypatch):
    """By name or as a row: it is passed to `train`, told to the method, and decides the run."""
    seen, folder = set(), tmp_path / "run"

    def scaled(model, batch, settings):
        seen.add((settings.scale, settings.epochs))
        return methods.standard(model, batch, settings)

    row = methods.Method(scaled, "Scaled training", unused=("alpha",), settings=Scaling)
    monkeypatch.setitem(methods.METHODS, "scaled", row)
    for method, run in (("scaled", None), (row, None), (row, folder)):
        advlib.train(Noisy(), NOISE, method=method, epochs=1, scale=3.0, run=run)
    assert seen == {(3.0, 1)}
    with pytest.raises(ValueError, match="scale must be a finite number of at least 0, not -1"):
        advlib.train(Noisy(), NOISE, method="scaled", epochs=1, scale=-1.0)
    with pytest.raises(ValueError, match=r"run must be a new folder, .*'scale'"):
        advlib.train(Noisy(), NOISE, method=row, epochs=1, scale=4.0, run=folder)
    with pytest.raises(TypeError, match="standard training has no setting 'scale'; it has epsilon"):
        advlib.train(Noisy(), NOISE, method="standard", epochs=1, scale=1.0)
    found = [
        runs.Wanted.find("scaled", NOISE, settings, network=network, runs=tmp_path).folder
        for settings in (Scaling(epochs=1), Scaling(epochs=1, scale=3.0), Training(epochs=1))
    ]
    assert found[0] == found[2] != found[1]


def test_a_cosine_schedule_is_torchs_and_each_batch_says_its_epoch():
    seen = {}

    def moved(model, batch, settings):
        seen.setdefault(batch.epoch, float(next(model.parameters()).sum()))
        ones = [torch.ones_like(parameter) for parameter in model.parameters()]
        return Step(ones, methods.differentiate(model, batch).outcome)

    model = advlib.LeNet(seed=0).double()
    size, data = next(model.parameters()).numel(), doubled(100)
    settings = {"weight_decay": 0.0, "schedule": "cosine"}
    advlib.train(model, data, method=moved, epochs=4, learning_rate=0.5, **settings)
    seen[5] = float(next(model.parameters()).sum())
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    for epoch in range(1, 5):
        rate = theirs.get_last_lr()[0]
        assert (seen[epoch] - seen[epoch + 1]) / size == pytest.approx(rate, rel=1e-9)
        optimizer.step()
        theirs.step()


def test_each_step_begins_with_clean_gradients_in_training_mode():
    modes = []

    def with_backward(model, batch, settings):
        """Standard training by `backward()`, which adds to what is there; ends in another mode."""
        modes.append(model.training)
        outcome = methods.differentiate(model, batch).outcome
        cross_entropy(model(batch.images), batch.labels).backward()
        model.eval()
        return Step([parameter.grad for parameter in model.parameters()], outcome)

    data, (own, plain) = doubled(300), (advlib.LeNet().double() for _ in range(2))
    advlib.train(own, data, method=with_backward, epochs=2)
    advlib.train(plain, data, method="standard", epochs=2)
    assert relative(own.parameters(), plain.parameters()) < 1e-12
    assert modes == [True] * 6


def test_what_a_method_draws_is_the_seeds_and_new_in_each_minibatch():
    """NumPy's and Python's numbers and an attack's start; outside of it all is as it was."""
    drawn = []

    def noisy(model, batch, settings):
        images = torch.zeros_like(batch.images)
        start = advlib.pgd(model, images, batch.labels, steps=1, step_size=0.0)
        drawn.append((np.random.rand(), random.random(), start[0, 0, 0, 0].item()))
        return methods.standard(model, batch, settings)

    before = random.getstate(), np.random.get_state()[1].tolist()
    for seed in (0, 0, 1):
        advlib.train(Noisy(), NOISE, method=noisy, epochs=2, batch_size=10, seed=seed)
    n = len(drawn) // 3
    for draws in zip(*drawn, strict=True):
        assert draws[:n] == draws[n : 2 * n] != draws[2 * n :]
        assert len({*draws[:n]}) == n > 2
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    found = [advlib.pgd(Noisy().eval(), NOISE.train.images, NOISE.train.labels) for _ in range(2)]
    assert torch.equal(*found)


@pytest.mark.parametrize("batch_size", [10, 200])
@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_not_finite_stops_the_training(method, batch_size, tmp_path):
    """Also in an epoch's last step, which may be its first."""
    model, message = advlib.LeNet().eval(), r"epoch \d at learning rate 1e\+06; try a smaller learn"
    given = {"batch_size": batch_size, "learning_rate": 1e6, "run": tmp_path}
    with pytest.raises(DivergedError, match=message) as caught:
        advlib.train(model, NOISE, method=method, **given)
    assert method in str(caught.value)
    assert not model.training
    assert batch_size == 200 or [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda step: None,
        lambda step: step._replace(gradients=step.gradients[1:]),
        lambda step: step._replace(gradients=[None] * len(step.gradients)),
        lambda step: step._replace(clean=step.clean._replace(rank=step.clean.rank == 0)),
        lambda step: step._replace(clean=step.clean._replace(objective=torch.zeros(1))),
    ],
)
def test_what_is_no_step_is_refused_with_the_place_of_the_method(spoil):
    def step(model, batch, settings):
        return spoil(methods.standard(model, batch, settings))

    with pytest.raises(TypeError, match="must return an advlib") as caught:
        advlib.train(Noisy(), NOISE, method=step, epochs=1)
    assert f"method step ({__file__}, line " in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("method", ["mixed", "mixed-epochwise"])
def test_a_network_may_begin_in_place(method):
    """Its training is that of the same network that does not."""

    class Shift(nn.Module):
        def __init__(self, in_place):
            super().__init__()
            self.in_place, self.rest = in_place, advlib.LeNet(seed=1)

        def forward(self, x):
            x = x.sub_(0.1) if self.in_place else x - 0.1
            logits = self.rest(x)
            return logits

    models = [Shift(True), Shift(False)]
    before = NOISE.train.images.clone()
    for model in models:
        advlib.train(model, NOISE, method=method, epochs=1)
    assert same_bits(*models)
    assert torch.equal(NOISE.train.images, before)


SHARE = 1.0


def with_constant(share):
    globals()["SHARE"] = share
    return lambda model, batch, settings: SHARE


def with_file(share):
    """A method that imports a file, when it is called, whose value it names."""
    vars(importlib.import_module("mine"))["share"] = share

    def step(model, batch, settings):
        import mine

        return mine.share

    return step


def with_teacher(share):
    teacher = torch.full((1,), share, requires_grad=True)
    return lambda model, batch, settings: teacher


class Shared:
    def __init__(self, share):
        self.share = share

    def step(self, model, batch, settings):
        return self.share


@pytest.mark.parametrize(
    "make",
    [
        *(with_constant, with_file, with_teacher, lambda share: Shared(share).step),
        lambda share: lambda model, batch, settings, share=share: share,
        lambda share: partial(lambda share, *of_step: share, share),
    ],
)
def test_what_a_method_reaches_decides_its_run(make):
    one, same, other = (training._method(make(s), named=True)[0] for s in (1.0, 1.0, 3.0))
    assert one == same != other


def test_the_code_of_a_network_decides_a_run(tmp_path, monkeypatch):
    advlib.train(Noisy(), NOISE, epochs=1, run=tmp_path)
    monkeypatch.setattr(Noisy, "forward", lambda self, images: self.layers(images.clone()))
    with pytest.raises(ValueError, match="holds one with other network"):
        advlib.train(Noisy(), NOISE, epochs=1, run=tmp_path)


def test_mixed_training_is_adversarial_training_at_twice_the_rate_and_half_the_decay():
    """Over an epoch from the same weights in the same order: methods/adversarial.md, (doubled)."""
    data, models = doubled(2000), [advlib.LeNet(seed=1).double() for _ in range(3)]
    settings = {"epochs": 1, "weight_decay": 0.01}  # so large that it counts
    advlib.train(models[0], data, method="mixed", learning_rate=1e-3, **settings)
    twice = {**settings, "weight_decay": 0.005, "learning_rate": 2e-3}
    advlib.train(models[1], data, method="adversarial", **twice)
    advlib.train(models[2], data, method="adversarial", **{**twice, "weight_decay": 0.01})
    mixed, adversarial, other = (list(model.parameters()) for model in models)
    assert relative(adversarial, mixed) < 1e-6
    assert relative(other, mixed) > 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_to_the_cpus_numbers(tmp_path):
    """In float64, where no sign flips; the model comes back to where it was, and a run goes on."""
    small, models = doubled(300), [advlib.LeNet(seed=1).double() for _ in range(4)]
    expected = advlib.train(models[0], small, epochs=2, seed=7, device="cpu")
    found = advlib.train(models[1], small, epochs=2, seed=7)
    again = [advlib.train(model, small, epochs=2, seed=7, run=tmp_path) for model in models[2:]]
    assert {p.device.type for p in models[1].parameters()} == {"cpu"}
    assert relative(models[1].parameters(), models[0].parameters()) < 1e-10
    for history in (found, *again):
        pd.testing.assert_frame_equal(history[FIGURES], expected[FIGURES], rtol=1e-8)
