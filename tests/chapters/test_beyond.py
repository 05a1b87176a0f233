"""What the chapters past the slides compute: sizes, logits on a line, regression, confidence."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from engine import digits, threads
from torch import nn

import advlib
from advlib.chapters import confidence, every_epsilon, stronger_attacks
from advlib.data import Dataset
from advlib.settings import Experiment
from advlib.worst_case import WORST


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine two wait for each other."""
    with threads(1):
        yield


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits()


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {name: advlib.pretrained(name) for name in ("standard", "mixed")}


def shorten(data: Dataset, images: int) -> Dataset:
    """Return the data with fewer test images."""
    return replace(data, test=data.test.first(images))


def test_the_calibration_error_is_that_of_the_definition() -> None:
    """Each image by itself in its bin, in plain Python; and values that are known."""
    generator = np.random.default_rng(0)
    certain, correct = generator.uniform(0, 1, 500), generator.integers(0, 2, 500).astype(float)
    total = 0.0
    for low in range(15):
        chosen = [i for i, c in enumerate(certain) if low / 15 < c <= (low + 1) / 15]
        if chosen:
            gap = np.mean([certain[i] for i in chosen]) - np.mean([correct[i] for i in chosen])
            total += len(chosen) * abs(gap)
    expected = pytest.approx(100 * total / 500)
    assert confidence.compute_calibration_error(certain, correct) == expected
    sure, right = np.ones(10), np.array([1.0] * 9 + [0.0])
    assert confidence.compute_calibration_error(sure, right) == pytest.approx(10)
    assert confidence.compute_calibration_error(np.full(10, 0.9), right) == pytest.approx(0)


def test_the_bins_hold_every_image_once() -> None:
    edges = np.arange(1, 16) / 15
    bins = confidence.compute_reliability(np.array([1e-9, *edges]), np.ones(16))
    assert bins["images"].sum() == 16
    assert bins["images"].iloc[0] == 2


def test_risk_is_the_error_on_the_most_confident() -> None:
    risk = confidence.compute_risk(np.array([0.5, 0.9, 0.7]), np.array([1.0, 1.0, 0.0]))
    assert risk.tolist() == pytest.approx([0, 50, 100 / 3])


def test_confidence_is_that_of_the_evaluation(models: dict[str, nn.Module], data: Dataset) -> None:
    few = shorten(data, 300)
    test = few.test
    found = confidence.measure(models, few, 0.1)
    for name, model in models.items():
        expected = advlib.evaluate(model, test.images, test.labels)
        certain, correct = found[name]["clean"]
        assert 100 * certain.mean() == pytest.approx(expected.confidence)
        assert 100 * correct.mean() == pytest.approx(expected.correct)
    summary = confidence.summarize(found)
    assert summary.loc["mixed, clean", "error"] == pytest.approx(expected.error)


def test_a_sweep_ends_where_every_image_is_turned(
    models: dict[str, nn.Module], data: Dataset
) -> None:
    swept = every_epsilon.sweep_sizes({"standard": models["standard"]}, data, 40, seed=0)
    full = every_epsilon.find_full_sizes(swept)["standard"]
    assert full is not None
    assert swept["epsilon"].max() == full
    size, signs, strongest = every_epsilon.find_errors(swept, 0.6)["standard"]
    assert (size, strongest) == (full, 100)
    assert signs < 50
    at_zero = swept[swept["epsilon"] == 0]
    assert at_zero["error"].nunique() == at_zero["confidence"].nunique() == 1
    assert every_epsilon.find_full_sizes(swept[swept["epsilon"] < full])["standard"] is None


def test_the_line_passes_through_the_image(models: dict[str, nn.Module], data: Dataset) -> None:
    image, label = data.test.images[:1], data.test.labels[:1]
    logits = every_epsilon.follow_gradient(models["mixed"], image, label, 0.5)
    with torch.no_grad():
        at_image = models["mixed"](image)[0].double().numpy()
    np.testing.assert_allclose(logits.loc[0.0], at_image, atol=1e-4)
    attacked = advlib.fgsm(models["mixed"], image, label, 0.5)
    with torch.no_grad():
        at_end = models["mixed"](attacked)[0].double().numpy()
    np.testing.assert_allclose(logits.iloc[-1], at_end, atol=1e-4)


def test_straight_lines_are_straight() -> None:
    x = np.linspace(-1, 1, 41)
    lines = pd.DataFrame({0: 2 * x + 1, 1: -x}, index=x)
    assert every_epsilon.measure_straightness(lines) == pytest.approx(100)
    bent = pd.DataFrame({0: np.abs(x - 0.5), 1: np.abs(x - 0.5)}, index=x)
    assert every_epsilon.measure_straightness(bent) < 10


def test_fgsm_is_exact_for_the_logistic_regression(data: Dataset) -> None:
    errors = every_epsilon.regress_pair(data)["error"]
    assert errors["FGSM"] == pytest.approx(errors["by the margins"])
    assert errors["clean"] < 6
    assert errors["FGSM"] > 95  # Goodfellow et al.: 99 %


def test_the_checks_of_the_attacks(models: dict[str, nn.Module], data: Dataset) -> None:
    data = shorten(data, 60)
    few = data.test.first(30)
    found = advlib.robustness(models, few.images, few.labels, 0.1, bounds=data.bounds, steps=10)
    checks = stronger_attacks.check_attacks(models, data, found, Experiment())
    assert checks["check"].nunique() == 5
    assert len(checks) == 5 * len(models)
    assert {*checks["holds"]} <= {"yes", "no"}
    said = stronger_attacks.tell_checks(checks.assign(holds="yes"))
    assert said == "Of the 5 checks of Table *checks*, 5 hold."
    said = stronger_attacks.tell_checks(checks.assign(holds=["no", *["yes"] * (len(checks) - 1)]))
    assert said.endswith(" 4 hold. Not so: many steps do more harm than one (APGD, FGSM).")
    unbounded = checks[checks["check"].str.startswith("Without") & (checks["model"] == "standard")]
    assert unbounded[["first", "second", "holds"]].to_numpy().tolist() == [[100, 100, "yes"]]
    assert (found.error.loc[WORST] >= found.error.max()).all()


def test_single_precision_hides_some_errors_of_the_standard_model(
    models: dict[str, nn.Module], data: Dataset
) -> None:
    errors = stronger_attacks.compute_directions(models, data, 0.1, 2000)["standard"]
    assert errors["exact"] > errors["in single precision"] + 0.5
    assert errors["exact, on valid images"] < errors["exact"]
