"""advlib.published: the seed's numbers, and what is computed to be wrong."""

import copy
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from advlib.published.findings import findings
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from advlib import evaluate
from advlib.published import slides
from advlib.published.slides import (
    FIGURES,
    IMAGES,
    METHODS,
    TRANSFER_ORDER,
    applies,
    confidence_identity,
    curves,
    evaluation,
    goodfellow,
    settings,
    transfer,
    wording,
)
from advlib.settings import Experiment, declared


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The published numbers, to be tampered with; put back afterwards."""
    found = copy.deepcopy(slides.CONTENT)
    for name, part in copy.deepcopy(found).items():
        monkeypatch.setitem(slides.CONTENT, name, part)
    return slides.CONTENT


def wheres() -> list[str]:
    return [finding.where for finding in findings()]


def test_evaluation_as_printed() -> None:
    # From the slide "Adversarial Training".
    assert evaluation("adversarial")["adversarial"] == {
        "correct": 77.80,
        "error": 22.20,
        "confidence": 79.05,
        "confidence_correct": 82.55,
        "confidence_error": 66.79,
    }
    assert evaluation("mixed")["clean"]["confidence"] == 97.89
    for method in METHODS:
        assert tuple(evaluation(method)) == IMAGES
        assert all(tuple(column) == FIGURES for column in evaluation(method).values())


def test_evaluation_corrected_differs_in_the_misprint_only() -> None:
    for method in METHODS:
        expected = evaluation(method)
        if method == "mixed":
            expected["clean"]["confidence"] = 97.29
        assert evaluation(method, corrected=True) == expected
    # The later revision's 98.60 is no correction: 98.59 is within rounding of the identity.
    assert evaluation("standard", corrected=True)["clean"]["confidence"] == 98.59


def test_what_is_returned_can_be_changed_without_harm() -> None:
    evaluation("mixed")["clean"]["confidence"] = 0
    table = transfer("error")
    table.loc[:, :] = 0
    settings()["epochs"] = 0
    assert evaluation("mixed")["clean"]["confidence"] == 97.89
    assert transfer("error").to_numpy().min() > 0
    assert settings()["epochs"] == 30


def test_transfer_rows_are_under_test_and_columns_attacked() -> None:
    table = transfer("error")
    assert list(table.index) == list(table.columns) == list(TRANSFER_ORDER)
    assert table.loc["standard", "mixed"] == 19.75
    assert table.loc["mixed", "standard"] == 0.07
    assert transfer("confidence_error").loc["adversarial", "standard"] == 65.19


def test_transfer_corrected() -> None:
    expected = transfer("error")
    expected.loc["adversarial", ["standard", "mixed"]] = [8.85, 9.49]
    expected.loc["mixed", ["standard", "adversarial"]] = [7.71, 10.57]
    pd.testing.assert_frame_equal(transfer("error", corrected=True), expected)
    figure = "confidence_error"
    pd.testing.assert_frame_equal(transfer(figure), transfer(figure, corrected=True))


def test_curves_are_in_percent() -> None:
    table = curves("mixed").set_index(["quantity", "split"])
    assert len(table) == 6
    assert table.loc[("objective", "train"), "first"] == 2.70
    assert table.loc[("top1_error", "train"), "last"] == pytest.approx(17)
    assert table.loc[("top5_error", "validation"), "first"] == pytest.approx(0.4)


def test_goodfellow() -> None:
    table = goodfellow().set_index(["model", "training", "made_against"])
    assert table.loc[("maxout network", "adversarial", "itself"), "error"] == 17.9
    assert table["confidence"].isna().sum() == 2


def test_wording() -> None:
    assert list(wording().columns) == ["where", "printed", "corrected", "problem"]
    assert "multi-class problem" in set(wording()["corrected"])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, True),
        (settings(), True),
        (settings() | {"seed": 7, "methods": ("free",), "attacked": 20}, True),
        (vars(Experiment(attack_epsilon=0.2)), False),
        (vars(Experiment(epsilon=0.2, attack_epsilon=0.1)), False),
        (vars(Experiment()), True),
        (vars(Experiment(epochs=2)), False),
        ({"epsilon": 0.1}, True),
        ({"images": 55000}, True),
        (settings() | {"images": 5000}, False),
        (settings() | {"dataset": "KMNIST"}, False),
        *((settings() | {name: 0.25}, False) for name in ("epsilon", "alpha", "learning_rate")),
        *((settings() | {name: 0.25}, False) for name in ("momentum", "weight_decay")),
        *((settings() | {name: 2}, False) for name in ("epochs", "batch_size")),
    ],
)
def test_applies(parameters: dict[str, object], expected: bool) -> None:
    assert applies(parameters) is expected


def test_a_setting_that_the_slides_do_not_know_has_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = SimpleNamespace(default=0.0)
    monkeypatch.setattr(slides, "declared", lambda: declared() | {"smoothing": field})
    assert applies(settings() | {"smoothing": 0.0})
    assert not applies(settings() | {"smoothing": 0.1})


@pytest.mark.parametrize(
    "call",
    [
        lambda: evaluation("mixed-epochwise"),
        lambda: curves("fgsm"),
        lambda: transfer("confidence"),
    ],
)
def test_unknown_names_are_errors(call: Any) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        call()


def test_the_identity_fails_in_one_column_only() -> None:
    checked = confidence_identity()
    assert len(checked) == 6
    failed = checked[~checked["holds"]].to_dict("records")
    assert [(row["method"], row["images"]) for row in failed] == [("mixed", "clean")]
    assert failed[0]["computed"] == pytest.approx(0.9821 * 97.85 + 0.0179 * 66.91)
    assert f"{failed[0]['computed']:.2f}" == "97.30"
    assert checked.loc[checked["holds"], "difference"].abs().max() < 0.005


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 50, 625]), st.floats(0.5, 8))
def test_the_identity_holds_for_what_is_measured_and_rounded_but_for_no_misprint(
    seed: int, n: int, scale: float
) -> None:
    """The numbers of images divide 10,000: as in the slides, the rates are exact."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 4))
    images, labels = scale * torch.randn(n, 5), torch.randint(4, (n,))
    found = evaluate(model, images, labels)
    assume(0 < found.error < 100)
    column = {name: round(getattr(found, name), 2) for name in FIGURES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(slides.CONTENT["evaluation"]["mixed"], "clean", column)
        assert confidence_identity()["holds"].all()
        column["confidence"] += 0.6  # as large as the slides' misprint
        assert (~confidence_identity()["holds"]).sum() == 1


def test_findings_are_those_known() -> None:
    found = [(finding.where, finding.printed, finding.corrected) for finding in findings()]
    assert found == [
        ("Standard training", "60,000 images", "55,000 images"),
        ("Mixed training, clean images, confidence", "97.89", "97.29"),
        ("Transfer, error, adversarial model on the standard model's images", "0.08", "8.85"),
        ("Transfer, error, adversarial model on the mixed model's images", "0.09", "9.49"),
        ("Transfer, error, mixed model on the standard model's images", "0.07", "7.71"),
        ("Transfer, error, mixed model on the adversarial model's images", "0.10", "10.57"),
        ("Conclusion", "~80 %", "81.9 and 74.4 points"),
    ]
    problems = [finding.problem for finding in findings()]
    assert "= 97.30" in problems[1]
    assert all("fraction" in problem for problem in problems[2:6])
    assert "85 and 77 %" in problems[6]


def test_nothing_is_found_where_all_is_right(content: Any) -> None:
    content["claims"]["training_images"]["value"] = 55000
    content["claims"]["error_drop"]["value"] = 74
    content["evaluation"]["mixed"]["clean"]["confidence"] = 97.29
    content["evaluation"]["mixed"]["adversarial"].update(
        correct=77.80, error=22.20, confidence=84.89
    )
    content["transfer"]["error"] = content["later_revision"]["transfer.error"]
    content["transfer"]["error"][2][2] = 22.20
    assert findings() == []


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("method", METHODS)
def test_a_misprint_in_any_figure_is_found(
    content: Any, method: str, images: str, figure: str
) -> None:
    content["evaluation"]["mixed"]["clean"]["confidence"] = 97.29
    where = f"{method.capitalize()} training, {images} images"
    assert where not in " ".join(wheres())
    content["evaluation"][method][images][figure] += 1.5
    assert where in " ".join(wheres())


def test_a_diagonal_that_disagrees_is_found(content: Any) -> None:
    content["transfer"]["confidence_error"][0][0] = 93.98
    content["later_revision"]["transfer.confidence_error"] = content["transfer"]["confidence_error"]
    name = "Transfer, confidence error, standard model on the standard model's images"
    assert [(f.printed, f.corrected) for f in findings() if f.where == name] == [("93.98", "93.89")]


def test_a_revised_cell_that_is_no_fraction_is_not_called_one(content: Any) -> None:
    content["transfer"]["error"][0][1] = 43.78
    found = next(f for f in findings() if "standard model on the adversarial" in f.where)
    assert found.problem == "the later revision prints 34.78"


def test_a_wrong_confidence_without_a_revision_is_computed(content: Any) -> None:
    content["evaluation"]["standard"]["clean"]["confidence"] = 89.59
    del content["later_revision"]["evaluation.standard.clean.confidence"]
    assert evaluation("standard", corrected=True)["clean"]["confidence"] == 98.59
