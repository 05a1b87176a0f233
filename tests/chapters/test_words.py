"""Sentences that are computed: each says what its numbers say, whatever these are."""

import math

import pandas as pd
import pytest

from advlib.chapters import back_matter, training_words
from advlib.show.words import place


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (22.2, 20.6, 22.2004, "lies on the edge of"),
        (22.2, 20.6, 22.1996, "lies on the edge of"),
        (20.6, 20.6, 22.2, "lies on the edge of"),
        (21.0, 20.6, 22.2, "lies inside"),
        (22.21, 20.6, 22.2, "lies outside"),
        (1.0, 20.6, 22.2, "lies outside"),
    ],
)
def test_a_place_is_told_by_the_digits_that_are_shown(
    value: float, low: float, high: float, said: str
) -> None:
    assert place(value, low, high) == said


def history(clean: list[float], attacked: list[float], trained: float) -> pd.DataFrame:
    columns = {"validation": clean, "validation_adversarial": attacked}
    named = {f"top1_error_{part}": values for part, values in columns.items()}
    return pd.DataFrame({**named, "top1_error_train_adversarial": [trained] * len(clean)})


def test_curves_are_told_by_where_they_lead() -> None:
    said = training_words.describe_curves(history([5, 2, 3], [70, 80, 90], math.nan), "standard")
    assert "No attacked image was trained on" in said
    assert "ends at 3.00\N{NO-BREAK SPACE}%; it was at its lowest, 2.00" in said
    assert "after epoch 2" in said
    assert "rises by 20.00 points between the first epoch and the last, to 90.00" in said
    said = training_words.describe_curves(history([5, 2], [40, 20], 15), "mixed")
    assert "falls by 20.00 points" in said
    assert "5.00 points above that on the attacked images trained on" in said
    assert said.endswith("ends at 2.00\N{NO-BREAK SPACE}%, its lowest.")
    assert "points below" in training_words.describe_curves(history([5], [10], 15), "mixed")
    assert "which is equal to that" in training_words.describe_curves(history([5], [9], 9), "mixed")


def evaluation(error: float, confidence: float) -> pd.DataFrame:
    rows = {"clean": [2.0, 60.0, 10_000], "adversarial": [error, confidence, 10_000]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["error", "confidence_error", "n"])


def test_an_evaluation_is_told_with_the_published_number() -> None:
    said = training_words.describe_evaluation(evaluation(96.0, 90.0), "standard", "standard")
    assert "rises by 94.00 points" in said
    assert "90.00\N{NO-BREAK SPACE}%, 30.00 points above" in said
    assert "96.64\N{NO-BREAK SPACE}%, lies outside" in said
    said = training_words.describe_evaluation(evaluation(96.0, 50.0), "standard", None)
    assert said.endswith("10.00 points below that on the errors among clean images.")
    nothing = training_words.describe_evaluation(evaluation(2.0, math.nan), "standard", None)
    assert nothing == "By Table *evaluation-standard* the error stays the same under attack."


def found(worst: dict[str, float], step: dict[str, float]) -> dict[str, pd.DataFrame]:
    kinds = [f"{m}, {images}" for m in worst for images in ("clean", "adversarial")]
    tables = {
        "tbl-robustness": pd.DataFrame(
            [step, worst, worst], index=["FGSM", "transfer", "worst case"]
        ),
        "tbl-precision": pd.DataFrame({m: [96.0, 98.0, 86.0] for m in worst}),
        "tbl-calibration": pd.DataFrame({"calibration_error": range(len(kinds))}, index=kinds),
    }
    return tables


def test_what_holds_of_a_claim_depends_on_the_worst_case() -> None:
    methods = ["standard", "mixed"]
    weak = back_matter.tell_what_holds(
        found({"standard": 98.0, "mixed": 24.0}, {"standard": 96.0, "mixed": 16.0}), methods, {}
    )
    assert "falls by 80.00 points by one step" in weak
    assert "in the worst case it falls by 74.00 points" in weak
    assert "the claim holds, but 1.5 times the error is left." in weak
    assert "0.0 points" not in weak.partition("Is a defended")[0]
    none = back_matter.tell_what_holds(
        found({"standard": 98.0, "mixed": 99.0}, {"standard": 96.0, "mixed": 16.0}), methods, {}
    )
    assert "the claim does not hold." in none
    little = back_matter.tell_what_holds(
        found({"standard": 100.0, "mixed": 98.1}, {"standard": 97.0, "mixed": 15.8}), methods, {}
    )
    assert "the claim does not hold, of the gain 2\N{NO-BREAK SPACE}% is left." in little
    alone = back_matter.tell_what_holds(found({"mixed": 24.0}, {"mixed": 16.0}), ["mixed"], {})
    assert "Does training on adversarial images help?" not in alone
