"""FGSM against finite differences, two libraries, and its properties; PGD and APGD: test_search.

What attacks and evaluation alike leave as they found it.
"""

from functools import partial

import numpy as np
import pytest
import torch
from engine import random_data
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advlib.attacks import ATTACKS, apgd, describe_attack, fgsm, pgd, random_signs
from advlib.evaluation import errors, evaluate, transfer

few = settings(max_examples=15)
seeds = st.integers(0, 2**32 - 1)


def lenet():
    """The slides' network in plain layers, with weights as large as trained ones."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)),
        *(nn.Conv2d(50, 500, 4), nn.ReLU(), nn.Conv2d(500, 10, 1), nn.Flatten()),
    )


def small_net(seed=0):
    """A float64 network of two channels of 6 x 6 and four classes."""
    torch.manual_seed(seed)
    layers = nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(20, 4)
    return nn.Sequential(*layers).double()


def small_images(seed, n=7):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 2, 6, 6, dtype=torch.float64, generator=generator)
    return images, torch.randint(0, 4, (n,), generator=generator)


def by_art(model):
    """The Adversarial Robustness Toolbox's view of a model, which it does not clip for."""
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(-9, 9), device_type="cpu"
    )


def test_signs_are_those_of_finite_differences():
    model = small_net()
    images, labels = small_images(0, n=3)
    step = 1e-6
    changes = torch.eye(72, dtype=torch.float64).view(72, 2, 6, 6) * step
    slopes = torch.empty_like(images)
    with torch.no_grad():
        for image, label, slope in zip(images, labels, slopes, strict=True):
            up, down = (
                cross_entropy(model(image + way * changes), label.repeat(72), reduction="none")
                for way in (1, -1)
            )
            slope.copy_(((up - down) / (2 * step)).view(2, 6, 6))
    assert (slopes.abs() > 1e-4).double().mean() > 0.5  # most pixels are tested
    assert torch.equal(slopes.abs() > 1e-8, slopes.abs() > 1e-6)  # zero or clearly not zero
    signs = torch.where(slopes.abs() > 1e-7, slopes.sign(), 0)
    assert torch.equal(fgsm(model, images, labels, 0.3), images + 0.3 * signs)


@pytest.mark.parametrize(("epsilon", "targeted"), [(0.25, False), (0.1, True)])
def test_same_pixels_as_the_adversarial_robustness_toolbox(epsilon, targeted):
    from art.attacks.evasion import FastGradientMethod

    model, (images, labels) = lenet().eval(), vars(random_data(128).train).values()
    towards = (labels + 1) % 10
    # A power of two: the library's mean over the batch then scales without rounding.
    attack = FastGradientMethod(
        by_art(model), norm=np.inf, eps=epsilon, targeted=targeted, batch_size=128
    )
    theirs = attack.generate(images.numpy(), y=(towards if targeted else labels).numpy())
    target_labels = towards if targeted else None
    ours = fgsm(model, images, labels, epsilon, target_labels=target_labels, batch_size=128)
    np.testing.assert_array_equal(ours.numpy(), theirs)
    assert not torch.equal(ours, images)


def test_same_pixels_as_foolbox():
    from foolbox.attacks.fast_gradient_method import LinfFastGradientAttack
    from foolbox.models.pytorch import PyTorchModel

    model, (images, labels) = lenet().eval(), vars(random_data(128).train).values()
    wrapped = PyTorchModel(model, bounds=(-9, 9), device="cpu")
    attack = LinfFastGradientAttack(random_start=False)
    _, theirs, _ = attack(wrapped, images, labels, epsilons=0.25)
    assert torch.equal(fgsm(model, images, labels, 0.25, batch_size=128), theirs)


def test_a_tiny_gradient_counts_in_a_large_batch():
    linear = nn.Linear(3, 2)
    sure = {"weight": torch.tensor([[0.0] * 3, [1e-6] * 3]), "bias": torch.tensor([85.0, 0.0])}
    linear.load_state_dict(sure)  # gradients of 1e-43, zero in float32 if divided by 1,000
    images, labels = torch.zeros(1000, 3), torch.zeros(1000, dtype=torch.int64)
    adversarial = fgsm(linear, images, labels, 0.1, batch_size=1000)
    assert torch.equal(adversarial, torch.full_like(images, 0.1))


class Fickle(nn.Module):
    """Batch norm, dropout, a first layer that works in place, a buffer replaced and one made."""

    calls: Tensor

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm2d(2), nn.Dropout(), nn.Linear(72, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("seen", None)

    def forward(self, images):
        self.calls, self.seen = self.calls + 1, images.detach()
        normed = self.norm(images.mul_(2))
        logits = self.out(self.drop(normed.flatten(1)))
        return logits


def run_fails(model, images, labels):
    with pytest.raises(ValueError, match="labels"):
        fgsm(model, images, labels + 4)


@pytest.mark.parametrize(
    "run", [fgsm, run_fails, evaluate, errors, lambda m, x, y: transfer({"m": m}, x, y)]
)
@few
@given(seeds, st.booleans())
def test_model_images_and_random_state_are_left_as_found(run, seed, training):
    torch.manual_seed(seed)
    model = Fickle().double().train(training)
    model.out.bias.requires_grad_(False)
    images, labels = small_images(seed)
    torch.autograd.backward(cross_entropy(model(images.clone()), labels))
    model.seen = None

    def state():
        parameters = [(id(p), p.detach().clone(), p.requires_grad) for p in model.parameters()]
        gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        buffers = [(id(buffer), buffer.clone()) for buffer in model.buffers()]
        modes = [module.training for module in model.modules()]
        return [parameters, gradients, buffers, modes, torch.get_rng_state(), images.clone()]

    before, gradients = state(), [p.grad for p in model.parameters()]
    run(model, images, labels)
    torch.testing.assert_close(state(), before, rtol=0, atol=0)
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert model.seen is None
    assert not images.requires_grad
    assert torch.is_grad_enabled()


def test_attacked_in_the_mode_it_is_given_in():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(72, 4)).double()
    images, labels = small_images(0)
    trained = fgsm(model.train(), images, labels, 0.1)
    assert (trained == images).any()  # where dropout cut the pixel off
    assert not (fgsm(model.eval(), images, labels, 0.1) == images).any()
    assert torch.equal(trained, fgsm(model.train(), images, labels, 0.1))  # same random state


def test_a_pending_backward_pass_of_the_caller_survives():
    torch.manual_seed(0)
    model = Fickle().double().eval()
    images, labels = small_images(0)
    loss = cross_entropy(model(images.clone()), labels)
    fgsm(model, images, labels)
    torch.autograd.backward(loss)


def test_bounds_clip():
    model, (images, labels) = small_net(), small_images(0)
    free = fgsm(model, images, labels, 0.3)
    clipped = fgsm(model, images, labels, 0.3, bounds=(0, 1))
    assert torch.equal(clipped, free.clamp(0, 1))
    assert not torch.equal(clipped, free)
    low, high = torch.full((2, 6, 6), -0.1), torch.linspace(1, 1.2, 72).view(2, 6, 6)
    by_pixel = fgsm(model, images, labels, 0.3, bounds=(low, high))
    assert torch.equal(by_pixel, free.clamp(low.double(), high.double()))
    single = fgsm(model.float(), images.float(), labels, 0.3, bounds=(low.double(), high.double()))
    assert single.dtype == torch.float32
    assert (single <= high).all()


@pytest.mark.parametrize("attack", [fgsm, pgd, apgd])
def test_images_outside_their_bounds_are_refused_with_their_range(attack):
    model, (images, labels) = small_net(), small_images(0)
    images[0, 0, 0, 0], images[1, 0, 0, 0] = -0.25, 1.5
    with pytest.raises(
        ValueError, match=r"within the bounds, .* 0\.25 below .* 0\.5 above: .*-0\.25 to 1"
    ):
        attack(model, images, labels, 0.1, bounds=(0, 1))
    images[0, 0, 0, 0], images[1, 0, 0, 0] = -1e-16, 1 + 4e-16  # rounding
    adversarial = attack(model, images, labels, 0.0, bounds=(0, 1))
    assert torch.equal(adversarial, images.clamp(0, 1))


@pytest.mark.parametrize("attack", [fgsm, pgd, apgd, random_signs])
def test_bounds_are_checked_value_by_value(attack):
    model, (images, labels) = small_net(), small_images(0)
    high = torch.ones(images.shape[1:], dtype=torch.float64)
    high[0, 0, 0] = 1e9  # which says nothing of the others' rounding
    far = images.clone()
    far[0, 1, 2, 3] = 1 + 1e-6
    for bounds, these in (((0, high), far), ((0, torch.inf), images - 5), ((-1e9, 0.5), images)):
        with pytest.raises(ValueError, match="images must be within the bounds"):
            attack(model, these, labels, 0.1, bounds=bounds)
    low = torch.tensor(0.0, requires_grad=True)
    found = attack(model, images.requires_grad_(), labels, 0.1, bounds=(low, torch.inf))
    assert not found.requires_grad
    assert images.grad is None
    assert found.min() >= 0
    assert found.max() > 1


def test_a_model_made_in_inference_mode_is_refused_with_a_word():
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(72, 4)).double()
    images, labels = small_images(0)
    with pytest.raises(ValueError, match=r"model does not take images .*[Ii]nference tensors"):
        fgsm(model, images, labels)


@pytest.mark.parametrize("run", [fgsm, pgd, apgd, evaluate])
def test_torchs_default_device_makes_no_difference(run):
    given = small_net(), *small_images(0)
    expected = run(*given)
    with torch.device("meta"):
        found = run(*given)
    assert torch.equal(found, expected) if isinstance(found, Tensor) else found == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_the_caller_has_gradients_off(mode):
    model, (images, labels) = small_net(), small_images(0)
    expected = fgsm(model, images, labels, bounds=(0, 1))
    with mode():
        copied, wanted = images.clone(), labels.clone()  # inference tensors, in inference mode
        assert torch.equal(fgsm(model, copied, wanted, bounds=(0, 1)), expected)
        assert not torch.is_grad_enabled()
    assert torch.equal(fgsm(model, copied, wanted, bounds=(0, 1)), expected)


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 6), (5, 1, 2, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_shape_and_floating_dtype(shape, dtype):
    torch.manual_seed(0)
    images = torch.rand(shape).to(dtype)
    model = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 3)).to(dtype)
    adversarial = fgsm(model, images, torch.tensor([0, 1, 2, 0, 1]), 0.25, batch_size=2)
    assert (adversarial.shape, adversarial.dtype) == (images.shape, dtype)
    assert (adversarial != images).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_random_state_of_the_gpu_is_left_as_found():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(72, 4)).double().cuda()
    images, labels = (tensor.cuda() for tensor in small_images(0))
    before = torch.cuda.get_rng_state()
    assert fgsm(model, images, labels).device == images.device
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_random_signs_drawn_anew_keep_the_first_that_misleads():
    """By single draws, which are the stream's in their order."""
    model, (images, labels) = small_net(0), small_images(0, n=40)
    given = {"bounds": (0, 1), "seed": 3, "batch_size": 7}
    found = [
        random_signs(model, images, labels, 0.3, restarts=restarts, **given)
        for restarts in range(1, 6)
    ]
    torch.testing.assert_close(found[0], random_signs(model, images, labels, 0.3, **given))
    misled = [(model(each).argmax(1) != labels) for each in found]
    assert misled[0].sum() < misled[-1].sum()
    for before, after, wrong, still in zip(found, found[1:], misled, misled[1:], strict=False):
        assert still[wrong].all()
        assert torch.equal(before[wrong], after[wrong])
        changed = (before != after).flatten(1).any(1)
        assert changed[~wrong].all()
    assert all(((each - images).abs() <= 0.3 + 1e-6).all() for each in found)


def test_an_attack_is_described_by_what_it_is_called_with():
    told = {name: describe_attack(row.with_steps(10)) for name, row in ATTACKS.items()}
    each = {"restarts": 1, "steps": 10, "start": "random"}
    assert told["PGD"] == each | {"loss": "log-odds", "step_size": 0.25}
    assert told["APGD, difference"] == each | {"loss": "difference", "step_size": "2, then halved"}
    one = {"loss": "log-odds", "steps": 1, "step_size": 1, "restarts": 1, "start": "the image"}
    assert told["FGSM"] == one
    signs = describe_attack(partial(random_signs, restarts=7))
    assert signs == one | {"loss": None, "steps": None, "restarts": 7}
    own = describe_attack(lambda *_, steps=9, **__: torch.empty(0))  # of whatever size
    assert (own["steps"], own["step_size"]) == (9, "its own")
