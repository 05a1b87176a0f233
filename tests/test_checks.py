"""What is told of a model that is no network of logits.

No file of the mutation testing, which stands between a caller and the library: a warning points to
the line that called.
"""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from test_attacks import small_images, small_net
from torch import nn

import advlib
from advlib.attacks import apgd, fgsm, pgd


@pytest.mark.parametrize("run", [fgsm, pgd, apgd, advlib.evaluate])
def test_a_model_that_ends_in_a_softmax_is_noticed(run: Callable[..., Any]) -> None:
    model, (images, labels) = small_net(), small_images(0)
    with pytest.warns(UserWarning, match="returns probabilities: .* leave its last softmax out"):
        run(nn.Sequential(model, nn.Softmax(1)), images, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(model, images, labels)
        run(nn.Sequential(model, nn.LogSoftmax(1)), images, labels)


def test_each_model_that_ends_in_a_softmax_is_named_where_it_is_attacked() -> None:
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
