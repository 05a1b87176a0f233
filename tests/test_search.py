"""PGD and APGD, and what all attacks share: against ART and foolbox, float64, and properties."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from engine import digits, random_data
from hypothesis import given, settings
from hypothesis import strategies as st
from test_attacks import by_art, small_images, small_net
from torch import nn

import advlib
from advlib.attacks import EACH_CLASS, LOSSES, apgd, fgsm, pgd

ROOT = Path(__file__).parents[1]
few = settings(max_examples=10)
seeds = st.integers(0, 2**32 - 1)
ALL = {
    "fgsm": lambda *a, steps=1, **k: fgsm(*a, **k),
    "pgd": pgd,
    "pgd from the image": lambda *a, **k: pgd(*a, random_start=False, **k),
    "apgd": apgd,
    "apgd from the image": lambda *a, **k: apgd(*a, random_start=False, **k),
    "apgd, difference": lambda *a, **k: apgd(*a, loss="difference", **k),
    "apgd, each": lambda *a, **k: apgd(*a, loss=EACH_CLASS, **k),
}
ITERATED = [*ALL][1:]


def turned(model, images, labels):
    with torch.no_grad():
        predicted = model(images).argmax(1)
    return predicted != labels


@pytest.fixture(scope="module")
def real():
    """The reference's mixed model and some test images."""
    data = digits()
    model = advlib.pretrained("mixed").eval()
    return model, data.test.images[:60], data.test.labels[:60]


@pytest.mark.parametrize("times", [1, 30, 1e3, 1e5])
@pytest.mark.parametrize("attack", ["fgsm", "pgd from the image", "apgd from the image"])
def test_the_direction_is_exact_where_a_model_is_confident(attack, times):
    """In single precision as the log-loss in double, or, of large logits, the difference."""
    model, (images, labels) = small_net(), small_images(0)
    labels = model(images).argmax(1)  # where it is right, it is confident
    with torch.no_grad():
        for parameter in model[-1].parameters():
            parameter.mul_(times)
    loss = "log-loss" if times <= 30 else "difference"  # which the log-odds come to
    double = ALL[attack](model, images, labels, 0.125, loss=loss, steps=1)
    single = ALL[attack](model.float(), images.float(), labels, 0.125, steps=1)
    assert torch.equal((single - images.float()).sign(), (double - images).sign().float())
    if times >= 1e3 and attack == "fgsm":
        lost = fgsm(model, images.float(), labels, 0.125, loss="log-loss")
        assert (lost == images.float()).any()


def test_the_direction_is_exact_in_half_precision():
    linear = nn.Linear(72, 4).double()
    torch.nn.init.normal_(linear.weight, std=4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Flatten(), linear)
    images, _ = small_images(0)
    labels = model(images).argmax(1)
    expected = (fgsm(model, images, labels, 0.125) - images).sign()
    for dtype in (torch.float16, torch.bfloat16):
        low = fgsm(model.to(dtype), images.to(dtype), labels, 0.125) - images.to(dtype)
        assert (low.sign().double() == expected).double().mean() > 0.97  # weights are rounded
        model.double()


def test_half_precision_does_not_underflow_within_a_network():
    """Small weights before large ones: on the way back the gradient is below half's smallest."""
    torch.manual_seed(0)
    small, large = nn.Linear(72, 40), nn.Linear(40, 4)
    with torch.no_grad():
        small.weight.mul_(1e-3)
        large.weight.mul_(3e-3)
    model, (images, labels) = nn.Sequential(nn.Flatten(), small, nn.Tanh(), large), small_images(0)
    model.half().double()  # the same weights
    expected = (fgsm(model, images, labels, 0.125) - images).sign()
    half = images.half()
    found = (fgsm(model.half(), half, labels, 0.125) - half).sign().double()
    assert (found == expected).double().mean() > 0.9
    assert (found == 0).double().mean() < 0.02


@pytest.mark.parametrize("name", LOSSES)
def test_losses_gradients_are_those_of_finite_differences(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64, generator=generator).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, labels), (logits,))


@pytest.mark.parametrize(("attack", "loss"), [("pgd", "log-odds"), ("apgd", "difference")])
def test_without_stop_the_loss_goes_on_rising(real, attack, loss):
    """No image gets a smaller loss, those that are misclassified a larger one."""
    model, images, labels = real
    losses = []
    for stop in (True, False):
        made = ALL[attack](model, images, labels, 0.1, steps=20, loss=loss, stop=stop)
        with torch.no_grad():
            losses.append(LOSSES[loss](model(made).double(), labels))
    stopped, on = losses
    assert (on >= stopped - 1e-4).all()
    assert (on - stopped)[stopped > 0].median() > 0.3


def test_without_stop_pgd_returns_the_point_of_the_largest_loss():
    """Of all those that plain PGD goes through, in double precision."""
    model, (images, labels) = small_net(), small_images(0)
    points, losses = [images], []
    for _ in range(6):
        leaf = points[-1].clone().requires_grad_()
        loss = LOSSES["log-odds"](model(leaf), labels)
        step = torch.autograd.grad(loss.sum(), leaf)[0].sign() * 0.2
        points.append((points[-1] + step).clamp(images - 0.3, images + 0.3))
    with torch.no_grad():
        losses = [LOSSES["log-odds"](model(each), labels) for each in points]
    expected = torch.stack(points)[torch.stack(losses).argmax(0), torch.arange(len(images))]
    given = {"steps": 6, "step_size": 0.2, "random_start": False, "stop": False}
    assert torch.allclose(pgd(model, images, labels, 0.3, **given), expected, atol=1e-12)


def test_the_log_odds_rise_with_the_log_loss():
    logits = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(50, dtype=torch.int64)
    odds, loss = (LOSSES[name](logits, labels) for name in ("log-odds", "log-loss"))
    torch.testing.assert_close(torch.log1p(odds.exp()), loss)
    assert torch.equal(LOSSES["difference"](logits, labels) > 0, logits.argmax(1) != 0)


@pytest.mark.parametrize("name", ALL)
@few
@given(seed=seeds, epsilon=st.floats(0, 1, allow_subnormal=False), bounded=st.booleans())
def test_nothing_leaves_the_box(name, seed, epsilon, bounded):
    images, labels = small_images(seed)
    bounds = (0, 1) if bounded else None
    found = ALL[name](small_net(seed), images, labels, epsilon, steps=4, bounds=bounds)
    assert ((found - images).abs() <= epsilon + 1e-15).all()
    if bounded:
        assert found.min() >= 0
        assert found.max() <= 1


@pytest.mark.parametrize("times", [2.0**-60, 2.0**20])
def test_the_size_of_the_loss_makes_no_difference_to_apgd(times):
    model, (images, labels) = small_net(), small_images(0, n=30)

    def scaled(logits, labels):
        return times * LOSSES["difference"](logits, labels)

    given = {"steps": 12, "bounds": (0, 1)}
    expected = apgd(model, images, labels, 0.05, loss="difference", **given)
    assert torch.equal(apgd(model, images, labels, 0.05, loss=scaled, **given), expected)


@pytest.mark.parametrize("name", ALL)
@few
@given(seed=seeds, batch_size=st.integers(1, 6))
def test_batch_size_makes_no_difference(name, seed, batch_size):
    torch.manual_seed(seed)  # smooth: of no pixel the gradient is zero but for rounding
    layers = nn.Conv2d(2, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(80, 4)
    model, (images, labels) = nn.Sequential(*layers).double(), small_images(seed)
    given = {"steps": 5, "restarts": 2, "seed": seed % 2**31}
    whole = ALL[name](model, images, labels, 0.1, **given)
    parts = ALL[name](model, images, labels, 0.1, batch_size=batch_size, **given)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["pgd", "apgd", "apgd, each"])
@few
@given(seed=seeds, epsilon=st.floats(0.01, 0.2))
def test_more_restarts_turn_no_fewer(name, seed, epsilon):
    model, (images, labels) = small_net(seed), small_images(seed, n=30)
    before = torch.zeros(30, dtype=torch.bool)
    for restarts in (1, 2, 4):
        found = ALL[name](model, images, labels, epsilon, steps=3, restarts=restarts)
        now = turned(model, found, labels)
        assert not (before & ~now).any()
        before = now


@pytest.mark.parametrize("name", ITERATED)
def test_a_turned_image_is_not_run_again(name):
    model, (images, labels) = small_net().eval(), small_images(0, n=40)
    sizes = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    ALL[name](model, images, labels, 0.5, steps=12)
    assert sizes[0] == 40
    assert min(sizes) < 10 or len(sizes) < 12


@pytest.mark.parametrize("name", ["pgd", "apgd", "apgd, difference"])
def test_targeted_attacks_lead_to_their_target(name):
    model, (images, labels) = small_net(), small_images(0, n=40)
    targets = (labels + 1) % 4
    found = ALL[name](model, images, labels, 1.0, steps=30, target_labels=targets)
    assert (~turned(model, found, targets)).double().mean() > 0.6
    assert turned(model, images, targets).double().mean() > 0.6


def test_pgd_takes_the_steps_of_the_adversarial_robustness_toolbox(real):
    """Where its single-precision log-loss is right: each image as long as it is not turned."""
    from art.attacks.evasion import ProjectedGradientDescent

    model, images, labels = real
    attack = ProjectedGradientDescent(
        by_art(model), eps=0.1, eps_step=0.03, max_iter=7, num_random_init=0, verbose=False
    )
    theirs = torch.from_numpy(attack.generate(images.numpy(), y=np.eye(10)[labels]))
    given = {"step_size": 0.03, "steps": 7, "random_start": False}
    ours = pgd(model, images, labels, 0.1, loss="log-loss", **given)
    held = ~turned(model, ours, labels)
    assert held.sum() > 20
    same = (ours[held] - theirs[held]).abs() < 1e-5
    assert same.double().mean() > 0.99  # their mean over the batch rounds otherwise
    assert turned(model, theirs, labels).sum() == turned(model, ours, labels).sum()


def test_apgd_is_no_weaker_than_the_adversarial_robustness_toolboxs(real):
    from art.attacks.evasion import AutoProjectedGradientDescent

    model, images, labels = real
    attack = AutoProjectedGradientDescent(
        by_art(model), eps=0.1, eps_step=0.2, max_iter=20, nb_random_init=1, verbose=False
    )
    np.random.seed(0)  # its random start
    theirs = torch.from_numpy(attack.generate(images.numpy(), y=np.eye(10)[labels]))
    ours = apgd(model, images, labels, 0.1, steps=20)
    assert turned(model, ours, labels).sum() >= turned(model, theirs, labels).sum() - 2


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_will_do(classes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, classes)).double()
    images, labels = small_images(0, n=20)
    labels %= classes
    for attack in ALL.values():
        assert turned(model, attack(model, images, labels, 1.0), labels).double().mean() > 0.9


def test_attack_and_evaluation_of_a_random_model_draw_from_different_streams():
    model, (images, labels) = nn.Sequential(nn.Dropout(), small_net()), small_images(0, n=40)
    seen = []
    model[1].register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    before = torch.get_rng_state()
    adversarial = fgsm(model, images, labels, 0.0, seed=3)
    advlib.evaluate(model, adversarial, labels, seed=3)
    advlib.evaluate(model, adversarial, labels, seed=4)
    again = fgsm(model, images, labels, 0.0, seed=3)
    advlib.evaluate(model, adversarial, labels, seed=3)
    assert torch.equal(adversarial, again)
    # without those by which it is seen to depend on its mode
    attacked, three, four, attacked_again, three_again = (each for each in seen if len(each) == 40)
    assert torch.equal(attacked, attacked_again)
    assert torch.equal(three, three_again)
    assert not torch.equal(attacked, three)
    assert not torch.equal(three, four)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("attack", "wrong", "error", "message"),
    [
        (fgsm, {"loss": lambda z, y: z.sum()}, ValueError, "a value for each image"),
        (apgd, {"loss": lambda z, y: z[:, :1]}, ValueError, "a value for each image"),
        (fgsm, {"loss": "hinge"}, ValueError, "loss must be one of log-odds, log-loss, difference"),
        (pgd, {"steps": 0}, ValueError, "steps must be a whole number of at least 1, not 0"),
        (pgd, {"step_size": -1.0}, ValueError, "step_size must be"),
        (apgd, {"steps": 1.5}, TypeError, "steps must be a whole number"),
        (apgd, {"restarts": 0}, ValueError, "restarts must be"),
        (apgd, {"seed": -1}, ValueError, "seed must be"),
        (pgd, {"random_start": 1}, TypeError, "random_start must be True or False, not 1"),
        (
            apgd,
            {"loss": EACH_CLASS, "target_labels": torch.zeros(7, dtype=torch.int64)},
            ValueError,
            "has targets of its own",
        ),
    ],
)
def test_bad_arguments(attack, wrong, error, message):
    images, labels = small_images(0)
    with pytest.raises(error, match=message):
        attack(small_net(), images, labels, **wrong)


def test_one_class_cannot_be_turned():
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 1)).double()
    images, labels = small_images(0)
    with pytest.raises(ValueError, match="at least two classes"):
        pgd(model, images, labels * 0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
@pytest.mark.parametrize("kind", ["in training", "without statistics", "scripted"])
@pytest.mark.parametrize("run", [fgsm, pgd, apgd, advlib.evaluate])
def test_batch_norm_by_the_batchs_statistics_of_any_kind(kind, run):
    norm = nn.BatchNorm1d(784, track_running_stats=kind != "without statistics")
    model = nn.Sequential(nn.Flatten(), norm, nn.Linear(784, 10))
    model.train(kind != "without statistics")
    model, data = torch.jit.script(model) if kind == "scripted" else model, random_data(train=21)
    images, labels = data.train.images, data.train.labels
    for batch_size in (20, 1):
        with pytest.raises(ValueError, match=f"batch_size must be another than {batch_size}: it"):
            run(model, images, labels, batch_size=batch_size)
    run(model, images, labels, batch_size=21)
    if kind == "in training":
        run(model.eval(), images, labels, batch_size=20)


def test_a_training_leaves_no_image_alone_where_batch_norm_takes_none():
    """Mixed training epoch by epoch has minibatches of clean and adversarial images together."""

    def train(method, images, batch_size, norm=True):
        layers = nn.Flatten(), *[nn.BatchNorm1d(784)] * norm, nn.Linear(784, 10)
        data = random_data(train=images)
        given = {"method": method, "epochs": 1, "batch_size": batch_size}
        advlib.train(nn.Sequential(*layers), data, **given)

    # 800 images are 47 minibatches of 17, and one is left
    for alone in (("standard", 61, 20), ("mixed-epochwise", 400, 17), ("mixed-epochwise", 20, 1)):
        with pytest.raises(ValueError, match=f"batch_size must be another than {alone[2]}: it lea"):
            train(*alone)
        train(*alone, norm=False)
    for fitting in (("standard", 61, 21), ("mixed-epochwise", 401, 100)):
        train(*fitting)


@pytest.mark.parametrize("attack", [advlib.pgd, advlib.apgd])
def test_turned_images_stay_in_the_batch_that_batch_norm_looks_at(attack):
    """A training with such an attack would stop as soon as one image alone is left."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    sizes = []
    model[1].register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    images, labels = torch.rand(9, 1, 2, 2), torch.arange(9) % 2
    found = attack(model, images, labels, 0.3, steps=9, restarts=2, bounds=(0, 1))
    assert {*sizes} <= {9, 2}, "all of them, or the two that count the classes"
    assert model(images).argmax(1).eq(labels).sum() > model(found).argmax(1).eq(labels).sum()


PEAK = """
import torch, advlib
from benchmarks.memory import peak
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
images, labels = torch.rand(40_000, 1, 28, 28), torch.arange(40_000) % 10
attacks = [(advlib.fgsm, {}), (advlib.pgd, {"steps": 2}), (advlib.apgd, {"steps": 2})]
for attack, given in attacks:
    attack(model, images[:1000], labels[:1000], bounds=(0, 1), **given)
before = peak()
for attack, given in attacks:
    attack(model, images, labels, bounds=(0, 1), **given)
print((peak() - before) * 1e6 / images.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_grows_by_no_more_than_the_images():
    """What is made is as large as what is given; 10 % for what lies between."""
    found = subprocess.run(
        [sys.executable, "-c", PEAK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(found.stdout) < 1.1
