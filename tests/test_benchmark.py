"""The benchmark: every peer does the same work as advlib. No test looks at a time."""

import pytest
import torch
from benchmarks import peers, rows
from benchmarks.peers import Network
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import transforms

from advlib.attacks import fgsm
from advlib.lenet import LeNet
from advlib.settings import Training

normalize = transforms.Normalize((peers.MEAN,), (peers.STD,))
PEERS = {
    name: setup
    for name, setup in rows.ROWS[0].competitors.items()
    if name not in ("advlib", rows.LOADING)
}


@pytest.fixture
def network(monkeypatch):
    """The network that the peers of this test work with."""
    model = Network()
    monkeypatch.setattr(peers, "Network", lambda: model)
    return model


@pytest.fixture(scope="module")
def digits():
    """The first 400 training images, pixels in [0, 1], and their labels."""
    pixels, labels = peers.arrays()
    return torch.from_numpy(pixels[:400]), torch.from_numpy(labels[:400].argmax(1))


@pytest.fixture
def inputs(network):
    """What goes through the network in training mode, batch by batch."""
    seen = []

    def note(module, arguments):
        if module.training:
            seen.append(arguments[0].detach().clone())

    handle = network.register_forward_pre_hook(note)
    yield seen
    handle.remove()


def trained_on(seen, clean, attacked):
    """Which of the clean and which of the attacked images were seen; they must be all that was.

    Two images differ by far more than a pixel whose gradient's sign flips in rounding.
    """
    both = torch.cat([clean, attacked]).flatten(1)
    distance, which = torch.cdist(seen.flatten(1), both).min(1)
    assert distance.max() < 1
    found = which.tolist()
    n = len(clean)
    return sorted(i for i in found if i < n), sorted(i - n for i in found if i >= n)


@pytest.mark.parametrize("name", PEERS)
def test_a_peers_step_trains_on_clean_and_on_attacked_images(name, network, inputs, digits):
    """100 and 100, the attacked ones FGSM's, and the update is that of the two losses' mean."""
    before = Network()
    PEERS[name]()(peers.BATCH)
    n = 2 * peers.BATCH if name == rows.ART else peers.BATCH
    pixels, labels = digits[0][:n], digits[1][:n]
    if name == rows.PLAIN:
        clean = normalize(pixels)
        attacked = fgsm(before, clean, labels)
    elif name == rows.FOOLBOX:
        clean = normalize(pixels)
        whole = nn.Sequential(normalize, before)
        attacked = normalize(fgsm(whole, pixels, labels, bounds=(0, 1)))
    else:
        clean, attacked = pixels, fgsm(before, pixels, labels, bounds=(0, 1))
    in_update = inputs[1:] if name == rows.PLAIN else inputs  # its attack is in training mode
    left, taken = trained_on(torch.cat(in_update), clean, attacked)
    assert len(left) == len(taken) == peers.BATCH
    assert sorted({*left, *taken}) == list(range(n))

    of_clean = cross_entropy(before(clean[left]), labels[left])
    of_attacked = cross_entropy(before(attacked[taken]), labels[taken])
    old = list(before.parameters())
    gradients = torch.autograd.grad(0.5 * of_clean + 0.5 * of_attacked, old)
    for new, weight, gradient in zip(network.parameters(), old, gradients, strict=True):
        change = -1e-3 * (gradient + 5e-4 * weight)
        # Signs that flip in rounding change some gradients a little.
        assert (new - weight - change).norm() < 0.02 * change.norm()


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_takes_as_many_steps_as_advlib(name, inputs):
    PEERS[name]()(200)
    assert sum(map(len, inputs)) == 2 * (300 if name == rows.PLAIN else 200)


def test_peers_have_the_seeds_network_and_settings(digits):
    torch.testing.assert_close(Network()(digits[0]), LeNet(seed=0)(digits[0]))
    ours, theirs = Training(), peers.sgd(Network()).defaults
    assert theirs["lr"] == ours.learning_rate
    assert (theirs["momentum"], theirs["weight_decay"]) == (ours.momentum, ours.weight_decay)
    assert (ours.batch_size, ours.epsilon, ours.alpha) == (peers.BATCH, peers.EPSILON, peers.ALPHA)


def test_peers_attacks_in_many_steps_are_advlibs():
    """On the same model and images they turn as many, and stay within epsilon and the pixels."""
    pixels, one_hot = peers.arrays(train=False)
    labels, data = torch.from_numpy(one_hot[:30].argmax(1)), rows.data()
    model, epsilon = rows.defended(), data.epsilon_in_pixels(0.1)

    def errors(adversarial):
        return int((model(data.to_inputs(adversarial)).argmax(1) != labels).sum())

    clean = errors(torch.from_numpy(pixels[:30]))
    whole = peers.OfPixels(Network(model), data)(torch.from_numpy(pixels[:30]))
    torch.testing.assert_close(whole, model(data.test.images[:30]), rtol=1e-3, atol=1e-3)
    for row in rows.ROWS:
        if not row.is_long or row.work.startswith("robustness"):
            continue
        turned = {}
        for name, setup in row.competitors.items():
            found = setup()(30)
            found = torch.cat(found) if isinstance(found, list) else torch.as_tensor(found)
            found = data.to_pixels(found) if name == "advlib" else found
            distance = (found - torch.from_numpy(pixels[:30])).abs().max()
            assert 0.9 * epsilon < distance < epsilon + 1e-5, name
            assert found.min() > -1e-5
            assert found.max() < 1 + 1e-5
            turned[name] = errors(found)
        assert max(turned.values()) - min(turned.values()) <= 2, turned
        assert min(turned.values()) > clean + 3


def test_the_worst_case_is_autoattacks(monkeypatch):
    """Of the same ten images as many are misled."""
    monkeypatch.setattr(peers, "QUERIES", 50)
    monkeypatch.setattr(peers, "STARTS", 1)
    (row,) = (row for row in rows.ROWS if row.work.startswith("robustness"))
    ours, theirs = (setup()(10) for setup in row.competitors.values())
    assert ours == theirs != 0.0
