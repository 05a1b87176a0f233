"""The chapter on luck: it shows and says what is so, from whatever part of the results there is."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_matter import put_report

from advlib.kept import folders
from advlib.kept.folders import NOTEBOOKS, RESULTS
from advlib.published import slides
from advlib.published.comparison import published_gaps
from advlib.results import expected
from advlib.results.expected import KEYS, collect_seed
from advlib.results.tables import read
from notebooks import check_committed, execute

TEN = ["standard", "mixed", "adversarial", "standard-shared"]
THREE = ["adversarial-doubled", "mixed-epochwise", "fast", "pgd"]
LIKE = {"standard-shared": "standard", "adversarial-doubled": "mixed", "fast": "mixed"}
LIKE |= {"mixed-epochwise": "standard"}
NAMES = ("seeds", "differences", "claims", "one-cell", "independent", "doubled")
TABLES = {f"tbl-{name}" for name in NAMES}
CELL = ("tbl-transfer-error", "standard", "adversarial")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of the results; none are there yet."""
    for module in (expected, folders):
        monkeypatch.setattr(module, "SEEDS", tmp_path / "seeds")
    (tmp_path / "seeds").mkdir()
    return tmp_path / "seeds"


@cache
def reference():
    return read(RESULTS)


@cache
def make_up():
    """Return results over ten seeds, and three: the reference run's, moved a little at random."""
    found = reference()
    draw = np.random.default_rng(0)
    seeds = dict.fromkeys(TEN, 10) | dict.fromkeys(THREE, 3)
    rows = []

    def add(table, row, column, like, count):
        size = 0.02 * like + 0.01
        rows.extend((table, row, column, s, like + size * draw.normal()) for s in range(count))

    for method, count in seeds.items():
        like = LIKE.get(method, method if method in TEN else "adversarial")
        for images in ("clean", "adversarial"):
            for column in slides.evaluation("mixed")[images]:
                value = found["tbl-evaluation"].at[f"{like}, {images}", column]
                add("tbl-evaluation", f"{method}, {images}", column, value, count)
        worst = found["tbl-robustness"].at["worst case", like]
        add("tbl-robustness", "worst case", method, worst, count)
        for column, value in {"error": worst / 4, "confidence_error": 70.0}.items():
            add("independent", method, column, value, count)
        for label in ("tbl-transfer-error", "tbl-transfer-confidence"):
            for other, number in seeds.items():
                against = LIKE.get(other, other if other in TEN else "adversarial")
                value = found[label].at[like, against] + 10 * (method == "standard-shared")
                add(label, method, other, value, min(count, number))
    made = pd.DataFrame(rows, columns=[*KEYS, "value"])
    return made.assign(processor="p", threads=1, torch="t", commit="c")


def show(place, numbers=None, executed=""):
    """Execute the chapter; check what there is to be read."""
    if numbers is not None:
        numbers.to_csv(place / "seed.csv", index=False)
    cells = execute(NOTEBOOKS / "9-luck-or-law.ipynb", place, {"executed": executed})
    check_committed(cells)
    return cells


def intervals(numbers):
    """Return scipy's own prediction interval of each published number, by its place."""
    seeds = [published_gaps(collect_seed(numbers, seed)) for seed in numbers["seed"].unique()]
    values = pd.concat([gaps["ours"].dropna() for gaps in seeds]).groupby(level=[0, 1, 2])
    found = {}
    for at, group in values:
        n = len(group)
        scale = group.std(ddof=1) * math.sqrt(1 + 1 / n)
        found[at] = stats.t.interval(0.95, n - 1, loc=group.mean(), scale=scale)
    return found


def count_outside(numbers):
    published, found = published_gaps(reference())["published"], intervals(numbers)
    return sum(not low <= published[at] <= high for at, (low, high) in found.items())


def replaced(numbers, at, mean):
    """Return results in which a number has another mean over the seeds."""
    chosen = (numbers[KEYS[:3]] == [*at]).all(axis="columns")
    values = numbers["value"] - numbers.loc[chosen, "value"].mean() + mean
    return numbers.assign(value=numbers["value"].where(~chosen, values))


def test_nothing_is_shown_of_results_that_are_not_there(place):
    cells = show(place)
    assert not cells.shown
    assert "not there yet" in cells.words


def test_every_published_number_and_every_difference_of_methods_has_scipys_interval(place):
    numbers = make_up()
    cells = show(place, numbers)
    assert {*cells.shown} == TABLES | {"fig-forest"}
    table, wanted = cells.numbers("tbl-seeds"), intervals(numbers)
    places = published_gaps(reference()).index.tolist()
    assert len(table) == len(wanted) == 36
    for (name, row), at in zip(table.iterrows(), places, strict=True):
        assert name == ", ".join(at)
        assert (row["low"], row["high"]) == pytest.approx(wanted[at])
        assert row["published"] == published_gaps(reference())["published"][at]
    assert (table["outside"] == "yes").sum() == count_outside(numbers)
    forest = cells.numbers("fig-forest")
    assert forest["published"].to_numpy() == pytest.approx(
        ((table["published"] - table["mean"]) / table["sd"]).to_numpy()
    )
    half = stats.t.ppf(0.975, 9) * math.sqrt(1.1)
    assert forest["half"].to_numpy() == pytest.approx(half)
    # methods are compared seed by seed
    of_errors = numbers[(numbers["table"] == "tbl-evaluation") & (numbers["column"] == "error")]
    errors = of_errors.pivot(index="seed", columns="row", values="value")
    compared = ("mixed", "adversarial"), ("pgd", "standard"), ("mixed-epochwise", "mixed")
    for first, second in compared:
        found = cells.numbers("tbl-differences").loc[f"{first} minus {second}"]
        apart = (errors[f"{first}, adversarial"] - errors[f"{second}, adversarial"]).dropna()
        test = stats.ttest_1samp(apart, 0).confidence_interval(0.95)
        assert found["mean_adversarial"] == pytest.approx(apart.mean())
        assert (found["low_adversarial"], found["high_adversarial"]) == pytest.approx(test)
        assert found["seeds_adversarial"] == found["signed_adversarial"] == len(apart)


def test_one_that_is_moved_outside_is_counted(place):
    numbers = make_up()
    published = published_gaps(reference())["published"]
    for each, value in zip(published.index.tolist(), published, strict=True):
        numbers = replaced(numbers, each, value)
    assert not (show(place, numbers).numbers("tbl-seeds")["outside"] == "yes").any()
    at = ("tbl-evaluation", "mixed, clean", "confidence")
    moved = replaced(numbers, at, published[at] + 50)
    cells = show(place, moved)
    assert count_outside(moved) == len(cells.names["away"]) == 1
    assert (cells.numbers("tbl-seeds")["outside"] == "yes").sum() == 1
    assert "mean confidence of mixed training on clean images" in cells.words


SOME = {
    "one seed": lambda t: t["seed"] == 0,
    "two seeds": lambda t: t["seed"] < 2,
    "one method": lambda t: ~t["row"].str.contains("mixed|adversarial,|adversarial$"),
    "no worst case": lambda t: ~t["table"].isin(["tbl-robustness", "independent"]),
    "no standard": lambda t: ~t["row"].str.startswith("standard"),
    "no variant": lambda t: ~t["row"].str.contains("shared|doubled|fast|pgd"),
    "variants alone": lambda t: t["row"].str.contains("shared|doubled|fast|pgd"),
    "the worst case alone": lambda t: t["table"] == "tbl-robustness",
}


@pytest.mark.parametrize("part", SOME)
def test_part_of_the_results_is_shown_as_far_as_it_goes(part, place):
    numbers = make_up()
    numbers = numbers[SOME[part](numbers)]
    cells = show(place, numbers)
    shown = {"one seed": TABLES - {"tbl-claims", "tbl-one-cell"}}
    shown |= {"two seeds": TABLES | {"fig-forest"}, "the worst case alone": {"tbl-claims"}}
    shown |= {"variants alone": {"tbl-independent", "tbl-one-cell"}}
    if part in shown:
        assert {*cells.shown} == shown[part]
    if "tbl-seeds" in cells.shown:
        places = numbers.set_index(KEYS[:3]).index
        wanted = published_gaps(reference()).index.isin(places)
        assert len(cells.numbers("tbl-seeds")) == wanted.sum()


@pytest.mark.parametrize(("own", "same"), [(35, 25), (25, 35), (25, None)])
def test_each_reading_of_the_one_cell_is_held_against_its_interval(own, same, place):
    table, _, column = CELL
    shared = (table, "standard-shared", column)
    numbers = replaced(replaced(make_up(), CELL, own), shared, same or 0)
    if same is None:
        numbers = numbers[numbers["row"] != "standard-shared"]
    names = show(place, numbers).names
    low, high = intervals(numbers)[CELL]
    assert names["own"] == (low <= 34.78 <= high) == (own == 35)
    assert names["same"] == (same and same == 35)


def test_what_the_report_says_is_put_to_every_seed(place):
    numbers = make_up()
    held = show(place, numbers).names["held"]
    assert held["seeds"].to_dict() == dict.fromkeys(held.index, 10) | {"rate": 3}
    at = ("tbl-evaluation", "mixed, adversarial", "error")
    here = (numbers[KEYS[:3]] == [*at]).all(axis="columns") & (numbers["seed"] == 3)
    after = show(place, numbers.assign(value=numbers["value"].mask(here, 99.0))).names["held"]
    apart = {"order": 1, "help": 1}
    assert (held - after)["holds"].to_dict() == dict.fromkeys(held.index, 0) | apart


@pytest.mark.parametrize(("doubled", "lands"), [(15.0, True), (21.0, False)])
def test_whether_the_doubled_training_is_mixed_training(doubled, lands, place):
    numbers = make_up()
    means = {"mixed": 15.0, "adversarial": 21.0, "adversarial-doubled": doubled}
    for method, mean in means.items():
        at = ("tbl-evaluation", f"{method}, adversarial", "error")
        numbers = replaced(numbers, at, mean)
    names = show(place, numbers).names
    rate = names["held"].loc["rate"]
    assert bool(names["lands"]) == bool(names["gains"]) == (rate["holds"] == rate["seeds"]) == lands


@pytest.mark.parametrize(
    ("attacked", "worst", "told"), [(9, -9, True), (9, 9, False), (-9, -9, False)]
)
def test_where_one_step_and_the_worst_case_disagree_is_told(attacked, worst, told, place):
    """Of PGD training beside mixed training: points that it errs more."""
    numbers = make_up()
    for table, row, column, apart in (
        ("tbl-evaluation", "{}, adversarial", "error", attacked),
        ("tbl-robustness", "worst case", "{}", worst),
    ):
        for method, mean in {"mixed": 20.0, "fast": 20.0, "pgd": 20.0 + apart}.items():
            at = (table, row.format(method), column.format(method))
            numbers = replaced(numbers, at, mean)
    cells = show(place, numbers)
    said = "Which training is the better one" in cells.words
    assert ("pgd" in cells.names["turned"]) == said == told
    for method in cells.names["turned"]:  # by scipy's own interval
        apart = cells.names["hardest"]["mixed"] - cells.names["hardest"][method]
        low = stats.ttest_1samp(apart.dropna(), 0).confidence_interval(0.95).low
        assert (method in cells.names["doubtful"]) == (low <= 0)


def test_a_run_stands_beside_only_with_the_slides_settings(tmp_path, place):
    numbers = make_up()
    for number, settings in enumerate([{}, {"epochs": 2}, {"methods": ["fast"]}]):
        beside, folder = not settings, tmp_path / f"report-{number}"
        folder.mkdir()
        put_report(folder, settings)
        cells = show(place, numbers, str(folder))
        assert ("run" in cells.numbers("tbl-seeds")) == beside
        assert ("run" in cells.numbers("fig-forest")) == beside
        assert ("Of this run's own numbers" in cells.words) == beside
        if beside:
            found = cells.numbers("tbl-seeds")["run"].tolist()
            assert found == published_gaps(reference())["ours"].tolist()
        assert ("Equation (doubled)" in cells.words) == ("methods" not in settings)
