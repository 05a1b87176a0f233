"""advlib.robustness: each model under many attacks, and the worst case image by image."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from engine import random_data
from scipy import stats
from test_attacks import small_images, small_net
from test_search import turned
from torch import nn

import advlib
from advlib.attacks import EACH_CLASS, apgd, fgsm, pgd, random_signs
from advlib.kept import checkpoints
from advlib.worst_case import (
    LAST,
    RESTARTS,
    WORST,
    Robustness,
    choose_effort,
    find_illusions,
    list_attacks,
)


@pytest.fixture(scope="module")
def models():
    return {f"model {seed}": small_net(seed) for seed in range(3)}


GIVEN = {"bounds": (0, 1), "seed": 3, "batch_size": 7}


def test_the_rows_are_the_attacks_and_the_worst_case_is_image_by_image(models):
    images, labels = small_images(0, n=40)

    def turn(model, images, labels, epsilon, **_):
        return images + (images.flip(3) - images).clamp(-epsilon, epsilon)

    found = advlib.robustness(
        models, images, labels, 0.05, steps=4, attacks={"turn": turn}, **GIVEN
    )
    names = [*list_attacks(), "transfer", "turn", LAST, WORST]
    assert [*found.error.index] == ["none", *names]
    assert [*found.error.columns] == [*models]
    assert (found.error.index.name, found.error.columns.name) == ("attack", "model")
    for name, model in models.items():
        expected = {
            "none": turned(model, images, labels),
            "FGSM": turned(model, fgsm(model, images, labels, 0.05, **GIVEN), labels),
            "PGD": turned(model, pgd(model, images, labels, 0.05, steps=4, **GIVEN), labels),
            "turn": turned(model, turn(model, images, labels, 0.05), labels),
        }
        for loss in ("log-odds", "difference", EACH_CLASS):
            made = apgd(model, images, labels, 0.05, steps=4, loss=loss, **GIVEN)
            expected[f"APGD, {loss}"] = turned(model, made, labels)
        noise = random_signs(model, images, labels, 0.05, **GIVEN)
        expected["random signs"] = turned(model, noise, labels)
        others = [other for other in models.values() if other is not model]
        transferred = [apgd(o, images, labels, 0.05, steps=4, **GIVEN) for o in others]
        expected["transfer"] = torch.stack([turned(model, t, labels) for t in transferred]).any(0)
        stand = ~torch.stack([*expected.values()]).any(0)
        last = {"loss": "difference", "steps": 8, "restarts": RESTARTS}
        made = apgd(model, images[stand], labels[stand], 0.05, **last, **GIVEN)
        expected[LAST] = torch.zeros(40, dtype=torch.bool)
        expected[LAST][stand] = turned(model, made, labels[stand])
        expected[WORST] = torch.stack([*expected.values()]).any(0)
        for row, which in expected.items():
            assert found.error.loc[row, name] == pytest.approx(100 * which.double().mean().item())
            assert torch.equal(found.wrong[row, name], which)
            low, high = advlib.wilson_interval(int(which.sum()), 40)
            assert (found.low.loc[row, name], found.high.loc[row, name]) == (low, high)


def test_what_it_costs(models):
    images, labels = small_images(0, n=20)
    found = advlib.robustness(models, images, labels, 0.001, steps=4, bounds=(0, 1))
    passes = found.passes.to_dict("index")
    assert {*passes["none"].values(), *passes["random signs"].values()} == {0}
    assert {*passes["FGSM"].values()} == {1}
    assert all(2 <= each <= 4 for each in passes["PGD"].values())
    others = passes["APGD, log-odds"]
    assert passes["transfer"]["model 0"] == others["model 1"] + others["model 2"]
    seconds = found.seconds.to_dict("index")
    assert {*seconds["none"].values()} == {0}
    assert 0 < min(seconds["PGD"].values()) <= max(seconds["PGD"].values()) < 600
    for cost in (found.passes, found.seconds):  # what transfers was made, and paid for, once
        rows = [row for row in cost.index if row not in ("transfer", WORST)]
        assert [*cost.loc[WORST]] == pytest.approx([*cost.loc[rows].sum()])
    assert all(not model._forward_pre_hooks for model in models.values())


def test_defaults_are_written_down():
    """Fifty steps of epsilon 0.1 from seed 0."""
    models, (images, labels) = {"m": small_net()}, small_images(0)
    given = {"epsilon": 0.1, "steps": 50, "seed": 0}
    drawn = []

    def see(model, images, labels, epsilon, **by):
        drawn.append({"epsilon": epsilon, "seed": by["seed"]})
        return images

    found = advlib.robustness(models, images, labels, attacks={"see": see})
    assert drawn == [{"epsilon": 0.1, "seed": 0}]
    assert found.error.drop("see").equals(advlib.robustness(models, images, labels, **given).error)
    signs = random_signs(small_net(), images, labels)
    assert torch.equal(signs, random_signs(small_net(), images, labels, 0.1, seed=0))


@pytest.mark.parametrize("few", [1, 200])
def test_few_images_are_attacked_with_less_effort(few):
    slides, quick = choose_effort(201), choose_effort(few)
    assert slides.queries == 1_000  # of Square, for each image
    assert all(less < more for less, more in zip(quick, slides, strict=True))


def test_a_stochastic_model_is_tested_with_the_noise_of_the_seed():
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 4).double(), nn.Dropout(0.9)).eval()
    model[2].train()
    images, labels = small_images(0, n=60)
    errors = set()
    for seed in (1, 2):
        given = {"seed": seed, "batch_size": 7}
        found = advlib.robustness({"m": model}, images, labels, steps=1, **given)
        expected = advlib.evaluate(model, images, labels, **given).error
        assert found.error.loc["none", "m"] == expected
        errors.add(expected)
    assert len(errors) == 2


def test_no_minibatch_is_larger_than_is_asked_for():
    model, sizes = small_net(), set[int]()
    model.register_forward_pre_hook(lambda _, given: sizes.add(len(given[0])))
    advlib.robustness({"m": model}, *small_images(0, n=60), steps=1, batch_size=7)
    assert max(sizes) == 7


def illusions(rows, n=1000, apart=0):
    """What is found where so many images are misclassified, the later ones `apart` further on."""
    wrong = {}
    for place, (row, count) in enumerate(rows.items()):
        wrong[row, "m"] = torch.arange(n) < count
        wrong[row, "m"] = wrong[row, "m"].roll(apart * place)
    none = pd.DataFrame()
    return find_illusions(Robustness(none, none, none, none, none, n, wrong))


def test_a_defence_is_an_illusion_where_less_does_more_harm_than_its_own_step():
    """By the counts of the reference runs, of MNIST and of Fashion-MNIST (mixed)."""
    mnist = {"random signs": 22, "FGSM": 135, "transfer": 92, WORST: 271}
    assert illusions(mnist) == {}
    assert illusions({**mnist, WORST: 984}) == {"m": "many steps"}
    assert illusions({"random signs": 33, "FGSM": 865, "transfer": 234, WORST: 984}) == {}
    fashion = {"random signs": 314, "FGSM": 158, "transfer": 542, WORST: 981}
    assert illusions(fashion) == {"m": "transfer"}
    assert illusions({**fashion, "transfer": 10}) == {"m": "random signs"}
    # 10 more of 158: surely, if all others are the same; by chance, if they are others
    few = {"random signs": 22, "FGSM": 158, "transfer": 168, WORST: 300}
    assert illusions(few) == {"m": "transfer"}
    assert illusions(few, apart=200) == {}


@pytest.mark.parametrize("n", [5, 6, 1000])
def test_what_a_few_images_say_is_no_illusion(n):
    """Of images that only one attack misleads six are the least that are surely more (2 ** -6)."""
    found = {"random signs": 0, "FGSM": 0, "transfer": min(n, 6), WORST: n}
    assert bool(illusions(found)) == (n > 5)
    by_scipy = stats.binomtest(min(n, 6), min(n, 6), alternative="greater").pvalue
    assert (by_scipy < 0.025) == (n > 5)


def test_a_transfer_takes_two_models(models):
    for number in (1, 2):
        some = dict([*models.items()][:number])
        found = advlib.robustness(some, *small_images(0), steps=2)
        assert ("transfer" in found.error.index) == (number == 2)
        assert found.n == 7


def test_an_attack_may_move_a_value_by_epsilon_and_no_further():
    """Both sums are rounded, of large values by more."""
    images, labels = 1000 * torch.rand(7, 2, 6, 6), torch.arange(7) % 4
    model = small_net().float()

    def shift(size):
        attacks = {"shift": lambda m, x, y, e, **_: x + size * e}
        advlib.robustness({"m": model}, images, labels, 0.3, steps=1, attacks=attacks)

    shift(1)
    with pytest.raises(ValueError, match="must stay within epsilon"):
        shift(1.02)
    images /= 1e6
    with pytest.raises(ValueError, match="must stay within epsilon"):
        shift(1 + 1e-5)


def test_random_signs_change_every_pixel_by_as_much():
    images, labels = small_images(0)
    changed = random_signs(small_net(), images, labels, 0.25)
    assert torch.allclose((changed - images).abs(), torch.full_like(images, 0.25))
    assert 0.4 < (changed > images).double().mean() < 0.6
    assert torch.equal(changed, random_signs(small_net(), images, labels, 0.25))
    assert not torch.equal(changed, random_signs(small_net(), images, labels, 0.25, seed=1))


BY_NAME = "must take .* by name, bounds, seed and batch_size"
ATTACKS = [
    (lambda m, x, y, e, **_: x + 2 * e, ValueError, "must stay within epsilon, 0.1, .* by 0.2"),
    (lambda m, x, y, e, **_: x - e, ValueError, "must stay within the bounds: images must be with"),
    (3, TypeError, "must be a function, not 3"),
    (lambda model, images, labels, epsilon: images, TypeError, f"{BY_NAME} .*'bounds'"),
    (lambda m, x, y, e, *, bounds, seed: x, TypeError, BY_NAME),
    (lambda m, x, y, e, *, bounds, batch_size: x, TypeError, BY_NAME),
    (lambda m, x, y, *, bounds, seed, batch_size: x, TypeError, BY_NAME),
    (lambda *_, **__: None, ValueError, r"must return images of shape \[7, 2, 6, 6\], not None"),
    (lambda m, x, *_, **__: x[:3], ValueError, r"must return images .*, not \[3, 2, 6, 6\]"),
]


@pytest.mark.parametrize(("attack", "error", "message"), ATTACKS)
def test_what_is_no_attack(attack, error, message):
    given = {"attacks": {"mine": attack}, "bounds": (0, 1), "steps": 1}
    with pytest.raises(error, match=rf"^attacks\['mine'\] {message}"):
        advlib.robustness({"m": small_net()}, *small_images(0), **given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *(
            ({"attacks": {name: fgsm}}, f"names of their own, not '{name}'")
            for name in ("FGSM", "none", "transfer", LAST, WORST)
        ),
        ({"steps": 0}, "^steps must be"),
        ({"seed": -1}, "^seed must be"),
        ({"bounds": (0.4, 0.6)}, "images must be within the bounds"),
        ({"models": {}}, "models must not be empty"),
    ],
)
def test_bad_arguments(wrong, message):
    images, labels = small_images(0)
    given = {"models": {"m": small_net()}, "steps": 1, **wrong}
    with pytest.raises(ValueError, match=message):
        advlib.robustness(images=images, labels=labels, **given)


def test_a_scripted_model_is_attacked_as_the_one_it_was_made_of():
    """It takes no hooks, by which the passes are counted."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    test = random_data(10, 10).test
    scripted = torch.jit.script(model)
    both = [
        advlib.robustness({"model": each}, test.images, test.labels, epsilon=0.1)
        for each in (model, scripted)
    ]
    for name in ("error", "passes"):
        assert getattr(both[0], name).equals(getattr(both[1], name)), name
    assert not scripted.training


@pytest.mark.slow
def test_on_fashion_mnist_one_step_is_an_illusion_and_on_mnist_it_is_none():
    """Of models with the slides' settings, on 200 and 100 drawn test images; weights as float16.

    Fashion-MNIST (MIT licence, https://github.com/zalandoresearch/fashion-mnist) is not bundled.
    """
    kept, _ = checkpoints.load(Path(__file__).with_name("fashion.safetensors"))
    images, labels, low, high = (kept.pop(name) for name in ("images", "labels", "low", "high"))
    clothes = advlib.LeNet()
    clothes.load_state_dict({name: value.float() for name, value in kept.items()})
    images = images.float().clamp(low, high)
    found = advlib.robustness(
        {"mixed": clothes.eval()}, images, labels, bounds=(low, high), steps=10
    )
    assert find_illusions(found) == {"mixed": "random signs"}
    assert found.error["mixed"]["FGSM"] < 20 < 90 < found.error["mixed"][WORST]
    data = advlib.load_data("MNIST")
    few = data.test.sample(100)
    defended = {name: advlib.pretrained(name) for name in ("mixed", "adversarial")}
    found = advlib.robustness(defended, few.images, few.labels, bounds=data.bounds, steps=10)
    assert not find_illusions(found)
