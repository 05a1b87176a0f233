"""The live figure: what the page's script computes is what PyTorch does, and nothing else runs."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from toys import SVG, books, cell, shown

import advlib
from advlib.attacks import log_loss, log_odds
from advlib.explore.attacking import Sample, sweep_epsilon
from advlib.report import LIVE, live

DATA = advlib.load_data("MNIST")
FEW = replace(DATA, test=DATA.test.sample(50))
EPSILON, STEPS, COUNT, EVERY = 0.1, 20, 40, 8
"""As the browser is asked; of every eighth image the slow attacks are made."""


def small(*more):
    """A network of every kind of layer, with stride and padding, and without a bias."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 6, (5, 3), stride=(2, 1), padding=(1, 2)),
            nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2)),
            nn.Flatten(),
            nn.Linear(6 * 6 * 14, 30, bias=False),
            nn.ReLU(),
            nn.Linear(30, 10),
            *more,
        )


MODELS = {
    "standard": advlib.pretrained("standard"),
    "adversarial": advlib.pretrained("adversarial"),
    "a <b> & c": small(),
}


class Exact(nn.Module):
    """A network in double precision, of images in single, as the script has it.

    In single precision signs differ by the processor, and with them the later steps: some losses
    are 1 % apart.
    """

    def __init__(self, network):
        super().__init__()
        self.network = (network.double(),)  # hidden: the library wants one precision

    def forward(self, images):
        return self.network[0](images.double())


class Residual(nn.Module):
    """A block that adds its input."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())

    def forward(self, images):
        return images + self.inner(images)


# ---- What is packed ------------------------------------------------------------------------------


def test_a_list_of_known_layers_is_packed_with_what_8_bits_change():
    packed = live.pack({"small": small(), "LeNet": MODELS["standard"]}, FEW)
    assert json.loads(json.dumps(packed)) == packed
    assert len({*packed["labels"]}) == len(packed["first"]) == 10
    assert packed["measured"] == 50
    for model in packed["models"]:
        assert all(90 <= share <= 100 for share in model["kept"])
        name = model["name"]
        original = small() if name == "small" else MODELS["standard"]
        layers = [x for x in original.modules() if hasattr(x, "weight")]
        known = live.read_layers(model["layers"]).modules()
        for layer, other in zip(layers, [x for x in known if hasattr(x, "weight")], strict=True):
            rows, found = layer.weight.detach().flatten(1), other.weight.detach().flatten(1)
            step = rows.abs().amax(1, keepdim=True) / 127
            assert ((rows - found).abs() <= 0.501 * step).all()


def hooked():
    model = small()
    next(model.children()).register_forward_hook(lambda module, given, result: 2 * result)
    return model


def own_forward():
    class Twice(nn.Sequential):
        def forward(self, images):
            return 2 * nn.Sequential(*self)(images)

    return Twice(*small())


UNKNOWN = {
    "a residual block": lambda: nn.Sequential(Residual(), *small()),
    "a layer that is not known": lambda: small(nn.Tanh()),
    "a forward of its own": own_forward,
    "a hook": hooked,
    "a linear layer along the last axis": lambda: nn.Sequential(
        nn.Linear(28, 28), nn.Flatten(), nn.Linear(784, 10)
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 28), nn.Conv2d(4, 10, 1, groups=2), nn.Flatten()
    ),
    "padded pooling": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(196, 10)
    ),
    "more than a million weights": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 1300), nn.Linear(1300, 10)
    ),
}


@pytest.mark.parametrize("network", UNKNOWN)
def test_any_other_network_has_the_static_picture(network):
    models = {"standard": MODELS["standard"], "other": UNKNOWN[network]().eval()}
    assert live.pack(models, FEW) is None
    assert live.pack({}, FEW) is None


def test_colour_images_have_the_static_picture():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 784, 10))
    test = replace(FEW.test, images=FEW.test.images.expand(-1, 3, -1, -1).clone())
    data = replace(FEW, test=test, mean_image=DATA.mean_image.expand(3, -1, -1).clone())
    assert live.pack({"colour": network}, data) is None


# ---- In the browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed():
    return live.pack(MODELS, DATA)


@pytest.fixture(scope="module")
def found(packed, ask_browser):
    """What the page's script computes in Chromium, from a file."""
    content, data = books(), {"image/svg+xml": SVG, LIVE: packed}
    about = {"kind": "figure", "label": "fig-live", "caption": "An attack.", "alt": "A digit."}
    content["front-matter"].insert(6, cell(*shown(about, data), source="show_live()"))
    return ask_browser("live_in_browser.py", content)


@pytest.fixture(scope="module")
def images(found):
    """The first of the page's 200 images and the drawn ones, on the training scale."""
    drawn = torch.tensor(found["drawn"]).double().view(-1, 1, 28, 28) / 255
    return torch.cat([DATA.test.sample(200).images[:COUNT], DATA.to_inputs(drawn).float()])


@pytest.fixture(scope="module")
def labels():
    return torch.cat([DATA.test.sample(200).labels[:COUNT], torch.tensor([7, 7, 7])])


def values(computed, name):
    """Return what the browser found of the images, as float64."""
    return torch.tensor([each[name] for each in computed if name in each], dtype=torch.float64)


def find_gradient(network, images, labels):
    """Return the gradient of the log-odds in double precision."""
    points = images.double().requires_grad_()
    loss = log_odds(network.double()(points), labels).sum()
    return torch.autograd.grad(loss, points)[0].flatten(1)


@pytest.mark.slow
@pytest.mark.parametrize("model", range(len(MODELS)), ids=[*MODELS])
def test_the_script_computes_what_pytorch_does(model, found, packed, images, labels):
    computed, layers = found["models"][model], packed["models"][model]["layers"]
    network = live.read_layers(layers)
    gradient = find_gradient(live.read_layers(layers), images, labels)
    logits = network(images).detach()
    best = logits.topk(2).values
    clear = best[:, 0] - best[:, 1] > 1e-4
    ours = values(computed, "logits")
    assert (ours.argmax(1) == logits.argmax(1))[clear].all()
    torch.testing.assert_close(ours, logits.double(), rtol=1e-4, atol=1e-4)

    exact = Exact(network)
    strong = gradient.abs() > 1e-5 * gradient.abs().amax(1, keepdim=True)
    step = advlib.fgsm(exact, images, labels, EPSILON, bounds=DATA.bounds).flatten(1)
    assert (values(computed, "fgsm") == step)[strong].all()

    some, theirs = images[::EVERY], labels[::EVERY]
    targets = (theirs + 1) % 10
    strong = find_gradient(live.read_layers(layers), some, targets)
    strong = strong.abs() > 1e-5 * strong.abs().amax(1, keepdim=True)
    led = advlib.fgsm(exact, some, theirs, EPSILON, target_labels=targets).flatten(1)
    assert (values(computed, "targeted") == led)[strong].all()

    options = {"steps": STEPS, "random_start": False, "stop": False}
    climbed = advlib.pgd(exact, some, theirs, EPSILON, bounds=DATA.bounds, **options)
    reached, wanted = values(computed, "pgd"), exact(climbed).detach()
    assert (reached.argmax(1) == wanted.argmax(1)).all()
    losses = [log_loss(each, theirs) for each in (reached, wanted)]
    torch.testing.assert_close(*losses, rtol=0.01, atol=1e-9)


@pytest.mark.slow
def test_the_smallest_epsilon_is_the_panels(found, packed, images, labels):
    networks = [live.read_layers(each["layers"]) for each in packed["models"]]
    samples = [Sample(images[[n]], int(labels[n]), n) for n in range(3)]
    wanted = [sweep_epsilon(net, each, DATA, True).smallest for net in networks for each in samples]
    assert [math.inf if each is None else each for each in found["smallest"]] == wanted


@pytest.mark.slow
def test_it_is_used_with_mouse_and_keyboard(found):
    states = found["states"]
    assert states["first"]["found"].startswith("A 0. Fooled: standard. Not fooled: adversarial.")
    assert states["first"]["models"] == [*MODELS]
    assert all(states["searched"])
    assert states["largest"]["found"].startswith("A 0. Fooled: standard, adversarial.")
    assert states["many steps"]["step"] == f"{STEPS} of {STEPS}, the largest loss"
    assert states["no step"]["step"] == f"0 of {STEPS}"
    assert "Not fooled: standard" in states["no step"]["found"]
    assert states["target"]["pressed"] == ["3"]
    assert states["target"]["found"].startswith("A 0. Not led to 3: standard")
    for way in ("drawn", "drawn by finger"):
        assert states[way]["found"].startswith("A 1.")
    assert not any(states["widths"].values()), states["widths"]


@pytest.mark.slow
def test_nothing_is_asked_for_and_without_the_script_the_picture_stands(found):
    assert found["wrong"] == [], "no request, nothing on the console"
    assert found["states"]["first"]["still"] == [False]
    assert found["states"]["print"] == [[True], False]
    assert found["without"] == [True, 0]
    assert found["below"] == "abstract"
