"""What is told of a model that is no network of logits.

No file of the mutation testing, which stands between a caller and the library: a warning points to
the line that called.
"""

import warnings

import pytest
import torch
from test_attacks import small_images, small_net
from torch import nn

import advlib
from advlib.attacks import apgd, fgsm, pgd


@pytest.mark.parametrize("run", [fgsm, pgd, apgd, advlib.evaluate])
def test_a_model_that_ends_in_a_softmax_or_a_sigmoid_is_noticed(run):
    model, (images, labels) = small_net(), small_images(0)
    with pytest.warns(UserWarning, match="returns numbers from 0 to 1 .* leave its last softmax"):
        run(nn.Sequential(model, nn.Softmax(1)), images, labels)
    with pytest.warns(UserWarning, match="returns numbers from 0 to 1"):
        run(nn.Sequential(model, nn.Sigmoid()), *small_images(0, n=30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(model, images, labels)
        run(nn.Sequential(model, nn.LogSoftmax(1)), images, labels)


def test_each_model_that_ends_in_a_softmax_is_named_where_it_is_attacked():
    """Python shows a warning once for each line that it points to."""
    (images, labels), models = small_images(0), {}
    for seed in range(2):
        models[f"soft {seed}"] = nn.Sequential(small_net(seed), nn.Softmax(1))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        advlib.transfer(models, images, labels)
        fgsm(models["soft 0"], images, labels)
        fgsm(models["soft 1"], images, labels)
    assert {warning.filename for warning in warned} == {__file__}
    said = [str(warning.message).partition(" returns")[0] for warning in warned]
    assert {"models['soft 0']", "models['soft 1']"} <= {*said}
    assert len({warning.lineno for warning in warned}) == 3


class Rounds(nn.Module):
    """Rounds its images, as JPEG or a quantiser does: their gradient is zero everywhere."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def forward(self, images):
        return torch.cat([(4 * images[: self.first]).round() / 4, images[self.first :]])


@pytest.mark.parametrize("first", [1, 100])
@pytest.mark.parametrize("run", [fgsm, pgd, apgd])
def test_gradients_that_are_zero_everywhere_are_told(run, first):
    images, labels = small_images(0)
    with pytest.warns(UserWarning, match="gradient of some of these images is zero everywhere"):
        run(nn.Sequential(Rounds(first), small_net()), images, labels)


class Drops(nn.Module):
    """Dropout as a function, which no layer shows."""

    def forward(self, images):
        return nn.functional.dropout(images, 0.5, self.training)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm2d(2), Drops()])
def test_a_model_in_training_mode_is_told_where_it_matters(layer):
    images, labels = small_images(0)
    model = nn.Sequential(layer.double(), small_net())
    for run in (advlib.evaluate, fgsm):
        with pytest.warns(UserWarning, match="is in training mode"):
            run(model.train(), images, labels)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(model.eval(), images, labels)
            run(small_net().train(), images, labels)  # the mode makes no difference to it
