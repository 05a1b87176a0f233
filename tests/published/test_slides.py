"""advlib.published: the slides' numbers, and what is computed to be wrong."""

import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from advlib import evaluate
from advlib.evaluation import FIGURES
from advlib.published import slides
from advlib.published.slides import applies, curves, evaluation, goodfellow, settings, transfer
from advlib.settings import Experiment


def test_evaluation_as_printed():
    # From the slide "Adversarial Training".
    assert evaluation("adversarial")["adversarial"] == {
        "correct": 77.80,
        "error": 22.20,
        "confidence": 79.05,
        "confidence_correct": 82.55,
        "confidence_error": 66.79,
    }
    assert evaluation("mixed")["clean"]["confidence"] == 97.89


def test_evaluation_corrected_differs_in_the_misprint_only():
    for method in slides.METHODS:
        expected = evaluation(method)
        if method == "mixed":
            expected["clean"]["confidence"] = 97.29
        assert evaluation(method, corrected=True) == expected
    # The later revision's 98.60 is no correction: 98.59 is within rounding of the identity.
    assert evaluation("standard", corrected=True)["clean"]["confidence"] == 98.59


def test_transfer_corrected():
    expected = transfer("error")
    expected.loc["adversarial", ["standard", "mixed"]] = [8.85, 9.49]
    expected.loc["mixed", ["standard", "adversarial"]] = [7.71, 10.57]
    pd.testing.assert_frame_equal(transfer("error", corrected=True), expected)
    figure = "confidence_error"
    pd.testing.assert_frame_equal(transfer(figure), transfer(figure, corrected=True))


def test_curves_are_in_percent():
    table = curves("mixed").set_index(["quantity", "split"])
    assert len(table) == 6
    assert table.loc[("objective", "train"), "first"] == 2.70
    assert table.loc[("top1_error", "train"), "last"] == pytest.approx(17)
    assert table.loc[("top5_error", "validation"), "first"] == pytest.approx(0.4)


def test_goodfellow():
    table = goodfellow().set_index(["model", "training", "made_against"])
    assert table.loc[("maxout network", "adversarial", "itself"), "error"] == 17.9
    assert table["confidence"].isna().sum() == 2


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, True),
        (vars(Experiment()), True),
        (settings() | {"seed": 7, "methods": ("free", "mixed"), "attacked": 20}, True),
        (settings() | {"methods": ("free", "fast")}, False),  # of none of which there are numbers
        ({"images": 55000}, True),
        (vars(Experiment(epsilon=0.2, attack_epsilon=0.1)), False),
        (settings() | {"weights": "/a/folder"}, False),  # which the slides do not know
        (settings() | {"dataset": "KMNIST"}, False),
        (settings() | {"alpha": 0.25}, False),
        (settings() | {"images": 2}, False),
    ],
)
def test_applies(parameters, expected):
    assert applies(parameters) is expected


def test_a_setting_that_differs_is_told_by_the_slides_value():
    assert slides.differ(settings() | {"images": 300}) == {"images": None}
    assert not slides.differ(settings() | {"images": 55_000, "tested": 10_000})  # all


@hypothesis_settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 50, 625]), st.floats(0.5, 8))
def test_what_is_measured_and_rounded_is_never_corrected_and_a_misprint_is(seed, n, scale):
    """The numbers of images divide 10,000: as in the slides, the rates are exact."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 4))
    images, labels = scale * torch.randn(n, 5), torch.randint(4, (n,))
    found = evaluate(model, images, labels)
    assume(0 < found.error < 100)
    column = {name: round(getattr(found, name), 2) for name in FIGURES}
    misprinted = column | {"confidence": column["confidence"] + 0.6}  # as far off as the slides'
    for printed, expected in ((column, column["confidence"]), (misprinted, 97.29)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(slides.CONTENT["evaluation"]["mixed"], "clean", printed)
            assert evaluation("mixed", corrected=True)["clean"]["confidence"] == expected
