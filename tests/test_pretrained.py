"""The reference run's models, measured anew against its stored results and the published ones.

About half a minute: 10,000 images, three models, clean and attacked by each.
"""

from functools import cache

import pytest

import advlib
from advlib.attacks import slides_fgsm
from advlib.kept.folders import RESULTS
from advlib.published import slides
from advlib.results.tables import read
from advlib.runs import PRETRAINED

RATE = 0.02
"""Points: a few of 10,000 images may fall on the other side of a rounding on another processor."""
LAST_BIT = 0.35
"""Points, of the standard model's own adversarial images as the slides compute them. Where the
margin is some 14 to 17 the last bit of the softmax decides the direction, and torch rounds it
otherwise with AVX-512 than with AVX2: 21 of 10,000 images change sides with these weights, 33 with
others. The exact direction's error stays."""
CONFIDENCE = 0.2
"""Points, in the transfer: of errors, which are few, so that one more or less moves their mean."""


@cache
def data():
    return advlib.load_data()


@cache
def attacked(name):
    """A model, and the test images attacked by it as in the slides."""
    model = advlib.pretrained(name)
    return model, slides_fgsm(model, data().test.images, data().test.labels, epsilon=0.1)


@cache
def measured():
    """The transfer tables: each model on the test images attacked by each."""
    models, made = {name: attacked(name)[0] for name in PRETRAINED}, dict(map(attacked, PRETRAINED))
    images, labels = vars(data().test).values()
    return advlib.transfer(models, images, labels, attack=lambda model, *_, **__: made[model])


@cache
def evaluated(name):
    model, adversarial = attacked(name)
    images, labels = vars(data().test).values()
    return {
        "clean": advlib.evaluate(model, images, labels),
        "adversarial": advlib.evaluate(model, adversarial, labels),
    }


@pytest.mark.parametrize("images", ["clean", "adversarial"])
@pytest.mark.parametrize("name", PRETRAINED)
def test_an_evaluation_is_the_stored_one(name, images):
    stored = read(RESULTS)["tbl-evaluation"].loc[f"{name}, {images}"]
    found = evaluated(name)[images]
    assert found.n == stored["n"] == 10_000
    rate = LAST_BIT if (name, images) == ("standard", "adversarial") else RATE
    for figure in ("correct", "error"):
        assert getattr(found, figure) == pytest.approx(stored[figure], abs=rate)
    # a mean of confidences moves with the images that come or go: the fewer it is of, the more
    shares = {"": 100, "_correct": found.correct, "_error": found.error}
    for part, share in shares.items():
        tolerance = rate + rate * 50 / share
        figure = f"confidence{part}"
        assert getattr(found, figure) == pytest.approx(stored[figure], abs=tolerance), figure


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_exact_direction_gives_the_stored_error(name):
    model, (images, labels) = advlib.pretrained(name), vars(data().test).values()
    stored = read(RESULTS)["tbl-precision"][name]
    for column, bounds in {"exact": None, "exact, on valid images": data().bounds}.items():
        adversarial = advlib.fgsm(model, images, labels, epsilon=0.1, bounds=bounds)
        found = advlib.evaluate(model, adversarial, labels).error
        assert found == pytest.approx(stored[column], abs=RATE), column


@pytest.mark.parametrize("figure", ["error", "confidence"])
def test_the_transfer_is_the_stored_one(figure):
    stored = read(RESULTS)[f"tbl-transfer-{figure}"]
    found = getattr(measured(), {"error": "error", "confidence": "confidence_error"}[figure])
    tolerance = 0 * found + (RATE if figure == "error" else CONFIDENCE)
    tolerance.loc["standard", "standard"] = LAST_BIT
    assert (found - stored).abs().le(tolerance).all(axis=None), found


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_errors_are_close_to_the_published(name):
    theirs, found = slides.evaluation(name, corrected=True), evaluated(name)
    assert found["clean"].error == pytest.approx(theirs["clean"]["error"], abs=1)
    assert found["adversarial"].error == pytest.approx(theirs["adversarial"]["error"], abs=3)
    assert measured().error.loc[name, name] == found["adversarial"].error
