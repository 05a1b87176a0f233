"""advlib.evaluation: against NumPy, SciPy and its identities."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from torch import nn

from advlib.attacks import fgsm
from advlib.evaluation import (
    errors,
    evaluate,
    follow_gradient,
    measure_calibration_error,
    measure_linearity,
    measure_reliability,
    measure_risk,
    transfer,
    warn_of_order,
)
from advlib.intervals import wilson_interval

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def case(seed, n=23, classes=7):
    """A linear model, images of 2 x 3 and labels of which about half are predicted."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, classes))
    images = torch.randn(n, 2, 3)
    labels = torch.where(
        torch.rand(n) < 0.5, model(images).argmax(1), torch.randint(0, classes, (n,))
    )
    return model, images, labels


@few
@given(seeds, st.integers(1, 30), st.integers(1, 25), st.sampled_from([2, 5, 7]))
def test_figures_are_those_of_numpy_and_scipy(seed, n, batch_size, classes):
    model, images, labels = case(seed, n, classes)
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    probability = softmax(images.flatten(1).double().numpy() @ weight.T + bias, axis=1)
    true = labels.numpy()
    confidence, hit = probability.max(1), probability.argmax(1) == true
    found = evaluate(model, images, labels, batch_size=batch_size)
    expected = [hit.mean(), 1 - hit.mean(), confidence.mean()]
    expected += [confidence[which].mean() if which.any() else math.nan for which in (hit, ~hit)]
    assert found.n == n
    measured = [
        *(found.correct, found.error, found.confidence),
        *(found.confidence_correct, found.confidence_error),
    ]
    np.testing.assert_allclose(measured, 100 * np.array(expected), rtol=1e-5)

    of_true = probability[np.arange(n), true]
    place = (probability > of_true[:, None]).sum(1)
    wanted = [-np.log(of_true).mean(), 100 * (place > 0).mean(), 100 * (place > 4).mean()]
    counted = errors(model, images, labels, batch_size)
    np.testing.assert_allclose(counted, wanted, rtol=1e-5)
    assert counted.top1_error == pytest.approx(found.error)


def test_means_are_in_float64():
    linear = nn.Linear(1, 2)
    linear.load_state_dict({"weight": torch.zeros(2, 1), "bias": torch.tensor([0.0, 1.0])})
    n = 100_000  # a float32 sum would be off in the fifth digit
    found = evaluate(linear, torch.zeros(n, 1), torch.ones(n, dtype=torch.int64), batch_size=n)
    assert found.confidence == pytest.approx(100 / (1 + math.exp(-1)), rel=1e-12)


def test_equal_logits_rank_by_label():
    labels = torch.arange(7)
    model = nn.Flatten()  # the images are the logits
    assert errors(model, torch.zeros(7, 7), labels) == pytest.approx(
        (math.log(7), 600 / 7, 200 / 7)
    )
    assert evaluate(model, torch.zeros(7, 7), labels).error == pytest.approx(600 / 7)


@pytest.mark.parametrize(
    ("order", "right", "told"),
    [
        ("bcaf", 1.0, "b, c, a, f"),
        ("acbf", 0.3, "a, c, b, f"),
        ("abcf", 1.0, ""),
        ("bcaf", 0.1, ""),
    ],
)
def test_a_model_that_has_the_classes_in_another_order_is_told(order, right, told):
    """Its output j is for the class order[j]; of each class it knows a share of the images."""
    places = torch.arange(400)
    labels = places % 4
    said = torch.tensor([order.index("abcf"[label]) for label in labels])
    said = torch.where(places < 400 * right, said, places // 4 % 4)
    images = torch.nn.functional.one_hot(said, 4) - 0.5
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warn_of_order(torch.nn.Flatten(), images, labels, "abcf", "mine")
        warn_of_order(torch.nn.Flatten(), images[:4], labels[:4], "abcf", "mine")  # too few
    assert [f"order, {told}, than" in str(each.message) for each in warned] == [True] * bool(told)


def test_evaluated_in_the_mode_it_is_given_in():
    torch.manual_seed(0)
    model, images, labels = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6)), *case(0, classes=6)[1:]
    in_training = evaluate(model.train(), images * 3, labels).confidence
    assert in_training != evaluate(model.eval(), images * 3, labels).confidence


def test_transfer_has_models_under_test_in_rows_and_attacked_in_columns():
    first, images, labels = case(0)
    models = {"first": first, "second": case(1)[0], "third": case(2)[0]}
    found = transfer(models, images, labels, batch_size=5)
    for attacked, model in models.items():
        adversarial = fgsm(model, images, labels, 0.1)
        for tested, other in models.items():
            expected = evaluate(other, adversarial, labels)
            assert found.error.loc[tested, attacked] == expected.error
            assert found.confidence_error.loc[tested, attacked] == pytest.approx(
                expected.confidence_error, nan_ok=True
            )
    assert found.n == len(images)
    for table in (found.error, found.confidence_error):
        assert list(table.index) == list(table.columns) == list(models)
        assert (table.index.name, table.columns.name) == ("under test", "attacked")
        assert not np.allclose(table, table.T)


def test_transfer_is_under_an_attack_of_ones_own():
    """It is made once for each model attacked, and gets what `fgsm` gets."""
    images, labels, calls = torch.rand(6, 2, 3), torch.arange(6) % 4, []
    models = {name: nn.Sequential(nn.Flatten(), nn.Linear(6, 4)) for name in "ab"}

    def turn(model, images, *given, batch_size):
        calls.append((model, given, batch_size))
        return images.flip(0)

    found = transfer(models, images, labels, 1.0, attack=turn, batch_size=5)
    assert [model for model, *_ in calls] == [*models.values()]
    assert all(torch.equal(given[0], labels) and given[1] == 1 for _, given, _ in calls)
    assert {size for *_, size in calls} == {5}
    expected = evaluate(models["a"], images.flip(0), labels).error
    assert [*found.error.loc["a"]] == [expected] * 2


def test_transfer_undoes_what_an_attack_of_ones_own_does():
    """It works in place, on labels too, and leaves the model in training mode, with dropout."""
    images, labels = torch.rand(6, 2, 3), torch.arange(6) % 4
    models = {
        name: nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(6, 4)).eval() for name in "ab"
    }

    def spoil(model, images, labels, *_, **__):
        model.train()
        labels.zero_()
        return images.add_(0.1)

    before = images.clone(), labels.clone()
    found = transfer(models, images, labels, attack=spoil)
    assert all(map(torch.equal, (images, labels), before))
    for name, model in models.items():
        expected = evaluate(model.eval(), images + 0.1, labels).error
        assert [*found.error.loc[name]] == [expected] * 2
    with pytest.raises(ValueError, match="attack must stay within epsilon"):
        transfer(models, images, labels, 0.05, attack=spoil)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (evaluate, [10, 10, 3]),
        (errors, [10, 10, 3]),
        (fgsm, [10, 10, 3]),
        # two images for the check, then FGSM and the evaluation
        (lambda m, x, y, batch_size: transfer({"m": m}, x, y, batch_size=batch_size),
         [2, 10, 10, 3, 10, 10, 3]),
    ],
)  # fmt: skip
def test_no_batch_is_larger_than_asked_for_and_each_image_is_run_once(run, expected):
    """Memory and time: the figures do not tell."""
    model, images, labels = case(0)
    sizes = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    run(model.eval(), images, labels, batch_size=10)
    assert sizes == expected


@settings(max_examples=100)
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.01, 0.999))
def test_wilson_interval_is_scipys(n, share, level):
    from scipy.stats import binomtest

    count = round(share * n)
    low, high = wilson_interval(count, n, level)
    expected = binomtest(count, n).proportion_ci(level, method="wilson")
    assert (low, high) == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-9)
    assert 0 <= low <= 100 * count / n <= high <= 100


def test_wilson_interval_stays_within_0_and_100_percent():
    for n in range(1, 60):  # for some, rounding alone would go past the ends
        assert wilson_interval(0, n)[0] == 0
        assert wilson_interval(n, n)[1] == 100


@few
@given(seeds)
def test_the_calibration_error_is_that_of_the_definition(seed):
    """Each image by itself in its bin, in plain Python."""
    random = np.random.default_rng(seed)
    certain, correct = random.uniform(0, 1, 200), random.integers(0, 2, 200)
    total = 0.0
    for low in range(15):
        chosen = [i for i, c in enumerate(certain) if low / 15 < c <= (low + 1) / 15]
        if chosen:
            gap = np.mean([certain[i] for i in chosen]) - np.mean([correct[i] for i in chosen])
            total += len(chosen) * abs(gap)
    found = measure_calibration_error(torch.from_numpy(certain), torch.from_numpy(correct) == 1)
    assert found == pytest.approx(100 * total / 200)


def test_the_bins_hold_every_image_once():
    edges = torch.arange(1, 16, dtype=torch.float64) / 15
    bins = measure_reliability(torch.tensor([1e-9, *edges]), torch.ones(16) == 1)
    assert bins["n"].tolist() == [2] + [1] * 14
    assert bins.index.tolist() == [*range(1, 16)]


@few
@given(seeds, st.integers(2, 60))
def test_bins_are_merged_until_each_has_enough(seed, least):
    random = np.random.default_rng(seed)
    certain, correct = random.beta(5, 1, 100), random.integers(0, 2, 100)
    pair = torch.from_numpy(certain), torch.from_numpy(correct) == 1
    bins, fine = measure_reliability(*pair, least), measure_reliability(*pair)
    assert (bins["n"] >= least).all()
    assert bins["n"].sum() == 100
    for quantity in ("confidence", "accuracy"):
        means = [(each[quantity] * each["n"]).sum() for each in (bins, fine)]
        assert means[0] == pytest.approx(means[1])
    begins = [0, *bins.index[:-1]]
    assert bins["n"].tolist() == [
        fine.loc[(fine.index > begin) & (fine.index <= end), "n"].sum()
        for begin, end in zip(begins, bins.index, strict=True)
    ]


def test_logits_along_the_gradient_are_those_of_the_changed_images():
    model, images, labels = case(0)
    found = follow_gradient(model, images, labels, [-0.2, 0.0, 0.3], batch_size=4)
    for at, size in ((1, 0.0), (2, 0.3)):
        with torch.no_grad():
            expected = model(fgsm(model, images, labels, size)).double()
        torch.testing.assert_close(found[:, at], expected, rtol=1e-4, atol=1e-4)


@few
@given(seeds)
def test_linearity_is_that_of_numpys_straight_lines(seed):
    random = np.random.default_rng(seed)
    x, logits = np.sort(random.uniform(0, 1, 9)), random.normal(size=(4, 9, 3))
    left = [sum(np.polyfit(x, one, 1, full=True)[1]) for one in logits]
    expected = 100 * (1 - np.array(left) / (9 * logits.var(1).sum(1)))
    found = measure_linearity(torch.from_numpy(logits), x.tolist())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    straight = torch.from_numpy(x)[:, None] * torch.arange(3)
    assert measure_linearity(torch.stack([straight, 0 * straight]), x.tolist()).tolist() == (
        pytest.approx([100, 100])
    )


def test_risk_is_the_error_on_the_most_confident():
    certain, correct = torch.tensor([0.5, 0.9, 0.7, 0.7]), torch.tensor([1, 1, 0, 1]) == 1
    assert measure_risk(certain, correct).tolist() == pytest.approx([0, 50, 100 / 3, 25])
