"""advlib.robustness: each model under many attacks, and the worst case image by image."""

from typing import Any

import pytest
import torch
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
        return images.flip(3)

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
            "turn": wrong(model, images.flip(3), labels),
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
        ({"attacks": {"mine": 3}}, TypeError, r"attacks\['mine'\] must be a function, not 3"),
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
