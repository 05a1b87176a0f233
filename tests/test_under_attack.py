"""advlib.robustness: each model under many attacks, and the worst case image by image."""

from typing import Any

import pytest
import torch
from engine import random_data
from test_attacks import small_images, small_net
from torch import Tensor, nn

import advlib
from advlib.attacks import EACH_CLASS, apgd, fgsm, pgd
from advlib.under_attack import WORST, list_attacks, random_signs


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {f"model {seed}": small_net(seed) for seed in range(3)}


GIVEN: dict[str, Any] = {"bounds": (0, 1), "seed": 3, "batch_size": 7}


def wrong(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(images).argmax(1) != labels
    return found


def test_the_rows_are_the_attacks_and_the_worst_case_is_image_by_image(
    models: dict[str, nn.Module],
) -> None:
    images, labels = small_images(0, n=40)

    def turn(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, **_: Any) -> Tensor:
        return images + (images.flip(3) - images).clamp(-epsilon, epsilon)

    found = advlib.robustness(
        models, images, labels, 0.05, steps=4, attacks={"turn": turn}, **GIVEN
    )
    names = [*list_attacks(), "transfer", "turn", WORST]
    assert [*found.error.index] == ["none", *names]
    assert [*found.error.columns] == [*models]
    for name, model in models.items():
        expected = {
            "none": wrong(model, images, labels),
            "FGSM": wrong(model, fgsm(model, images, labels, 0.05, **GIVEN), labels),
            "PGD": wrong(model, pgd(model, images, labels, 0.05, steps=4, **GIVEN), labels),
            "turn": wrong(model, turn(model, images, labels, 0.05), labels),
        }
        for row, loss in (("log-odds",) * 2, ("difference",) * 2, (EACH_CLASS,) * 2):
            made = apgd(model, images, labels, 0.05, steps=4, loss=loss, **GIVEN)
            expected[f"APGD, {row}"] = wrong(model, made, labels)
        noise = random_signs(model, images, labels, 0.05, **GIVEN)
        expected["random signs"] = wrong(model, noise, labels)
        others = [other for other in models.values() if other is not model]
        transferred = [apgd(o, images, labels, 0.05, steps=4, **GIVEN) for o in others]
        expected["transfer"] = torch.stack([wrong(model, t, labels) for t in transferred]).any(0)
        expected[WORST] = torch.stack([*expected.values()]).any(0)
        for row, which in expected.items():
            assert found.error.loc[row, name] == pytest.approx(100 * which.double().mean().item())
            low, high = advlib.wilson_interval(int(which.sum()), 40)
            assert (found.low.loc[row, name], found.high.loc[row, name]) == (low, high)


def test_what_it_costs(models: dict[str, nn.Module]) -> None:
    images, labels = small_images(0, n=20)
    found = advlib.robustness(models, images, labels, 0.001, steps=4, bounds=(0, 1))
    passes: Any = found.passes.to_dict("index")
    assert {*passes["none"].values(), *passes["random signs"].values()} == {0}
    assert {*passes["FGSM"].values()} == {1}
    assert all(2 <= each <= 4 for each in passes["PGD"].values())
    others = passes["APGD, log-odds"]
    assert passes["transfer"]["model 0"] == others["model 1"] + others["model 2"]
    assert found.seconds.loc["PGD"].min() > 0
    assert all(not model._forward_pre_hooks for model in models.values())


def test_one_model_has_no_transfer() -> None:
    images, labels = small_images(0)
    found = advlib.robustness({"m": small_net()}, images, labels, steps=2)
    assert "transfer" not in found.error.index
    assert found.n == 7


def test_random_signs_change_every_pixel_by_as_much() -> None:
    images, labels = small_images(0)
    changed = random_signs(small_net(), images, labels, 0.25)
    assert torch.allclose((changed - images).abs(), torch.full_like(images, 0.25))
    assert 0.4 < (changed > images).double().mean() < 0.6
    assert torch.equal(changed, random_signs(small_net(), images, labels, 0.25))
    assert not torch.equal(changed, random_signs(small_net(), images, labels, 0.25, seed=1))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"attacks": {"FGSM": fgsm}}, ValueError, "names of their own, not 'FGSM'"),
        (
            {"attacks": {"far": lambda m, x, y, e, **_: x + 2 * e}},
            ValueError,
            r"attacks\['far'\] must stay within epsilon, 0.1, .* not move a value by 0.2",
        ),
        (
            {"attacks": {"out": lambda m, x, y, e, **_: x - e}, "bounds": (0, 1)},
            ValueError,
            r"attacks\['out'\] must stay within the bounds: images must be within the bounds",
        ),
        ({"attacks": {"mine": 3}}, TypeError, r"attacks\['mine'\] must be a function, not 3"),
        (
            {"attacks": {"mine": lambda model, images, labels, epsilon: images}},
            TypeError,
            r"attacks\['mine'\] must take .* by name, bounds, seed and batch_size .*'bounds'",
        ),
        ({"attacks": {"mine": lambda *_, **__: None}}, ValueError, "must return images of shape"),
        ({"steps": 0}, ValueError, "steps must be"),
        ({"bounds": (0.4, 0.6)}, ValueError, "images must be within the bounds"),
        ({"models": {}}, ValueError, "models must not be empty"),
    ],
)
def test_bad_arguments(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    images, labels = small_images(0)
    given: dict[str, Any] = {"models": {"m": small_net()}, "steps": 1, **wrong}
    with pytest.raises(error, match=message):
        advlib.robustness(images=images, labels=labels, **given)


def test_a_scripted_model_is_attacked_as_the_one_it_was_made_of() -> None:
    """It takes no hooks, by which the passes are counted."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    test = random_data(10, 10).test
    scripted: Any = torch.jit.script(model)
    both = [
        advlib.robustness({"model": each}, test.images, test.labels, epsilon=0.1)
        for each in (model, scripted)
    ]
    for name in ("error", "passes"):
        assert getattr(both[0], name).equals(getattr(both[1], name)), name
    assert not scripted.training


def test_an_attack_of_ones_own_works_on_copies_and_leaves_the_models_mode() -> None:
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Dropout(0.5), nn.Linear(72, 4)
    model, (images, labels) = nn.Sequential(*layers).double().eval(), small_images(0, n=40)
    before = images.clone()
    given: dict[str, Any] = {"steps": 2, "bounds": (0, 1)}

    def careless(
        model: nn.Module, images: Tensor, labels: Tensor, epsilon: float, **_: Any
    ) -> Tensor:
        model.train()
        labels.zero_()
        return images.add_(epsilon).clamp_(0, 1)

    def further(model: nn.Module, images: Tensor, *_: Any, **__: Any) -> Tensor:
        return images.add_(0.3).clamp_(0, 1)

    expected = advlib.robustness({"model": model}, images, labels, 0.05, **given)
    found = advlib.robustness(
        {"model": model}, images, labels, 0.05, attacks={"careless": careless}, **given
    )
    assert torch.equal(images, before)
    assert not any(module.training for module in model.modules())
    rows = [row for row in expected.error.index if row != WORST]
    assert found.error.loc[rows].equals(expected.error.loc[rows])
    with pytest.raises(ValueError, match=r"must stay within epsilon, 0\.05"):
        advlib.robustness({"m": model}, images, labels, 0.05, attacks={"further": further}, **given)
