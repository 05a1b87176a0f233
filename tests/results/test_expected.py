"""What a run's numbers are expected to be, by those of other seeds: intervals, compare, summary."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import advlib
from advlib.attacks import slides_fgsm
from advlib.kept.folders import RESULTS, SEEDS
from advlib.published.summary import summarize
from advlib.results import expected
from advlib.results.compare import compare, find_set, read_report
from advlib.results.expected import KEYS, expect, predict
from advlib.results.tables import read, write

METHODS = "standard", "mixed", "adversarial"
MEASURED = "tbl-evaluation", "tbl-transfer-error", "tbl-transfer-confidence", "tbl-robustness"
QUICK = {"images": 10000, "epochs": 2, "learning_rate": 0.005, "tested": 2000, "attacked": 100}
SIGNS = "random signs, 100 times"
SURE = "APGD, log-odds", "standard"
"""The cell that is the same with every seed."""


@cache
def reference():
    return read(RESULTS)


def draw(seed, **settings):
    """Draw a right run's tables: about the reference run's numbers, shares whole images."""
    random = np.random.default_rng(seed)
    given = {"seed": seed, "attacked": 1000} | settings
    tables = reference()
    found = {"tbl-settings": tables["tbl-settings"].assign(**given)}
    for label in MEASURED:
        table = tables[label]
        moved = table + random.normal(scale=0.4, size=table.shape)
        step = 100 / given["attacked"] if label == "tbl-robustness" else 0.01
        found[label] = ((moved / step).round() * step).clip(0, 100)
    found["tbl-robustness"].loc[SURE] = 97.0
    evaluation = found["tbl-evaluation"]
    evaluation["n"], evaluation["correct"] = 10_000, 100 - evaluation["error"]
    for label, column in (("error", "error"), ("confidence", "confidence_error")):
        for name in METHODS:  # the images made against the model itself
            cell = evaluation.at[f"{name}, adversarial", column]
            found[f"tbl-transfer-{label}"].loc[name, name] = cell
    return found


@cache
def tabulate(*seeds):
    """Return right runs' numbers as `make replicate` writes them."""
    rows = []
    for seed in seeds:
        tables = draw(seed)
        rows += [
            [label, row, column, seed, value]
            for label in MEASURED
            for row, cells in tables[label].to_dict("index").items()
            for column, value in cells.items()
            if column != "n" and row != "transfer"
        ]
        rows.append(["independent", "mixed", "error", seed, 15.0])
        rows.append(["tbl-evaluation", "standard-shared, clean", "error", seed, 15.0])
    return pd.DataFrame(rows, columns=[*KEYS, "value"])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of the numbers over ten seeds, of the slides' settings."""
    folder = tmp_path / "seeds"
    folder.mkdir()
    monkeypatch.setattr(expected, "SEEDS", folder)
    tabulate(*range(10)).to_csv(folder / "seed.csv", index=False)
    return folder


def put(folder, tables):
    write(tables, folder / "results")
    return str(folder)


def test_the_interval_holds_one_more_draw_as_often_as_it_says():
    draws = pd.DataFrame(np.random.default_rng(0).normal(3, 2, (11, 20_000)))
    for level in (0.95, 0.99):
        found = predict(draws.iloc[:10], level)
        held = ((found["low"] <= draws.iloc[10]) & (draws.iloc[10] <= found["high"])).mean()
        assert held == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 20_000))
    assert predict(pd.DataFrame({"x": [1.0]}))[["low", "high"]].isna().all(axis=None)


def test_each_number_that_both_have_is_there_once_with_its_joint_interval(place, tmp_path):
    tables = read_report(put(tmp_path / "a", draw(10)))
    numbers = expected.read_seeds()
    found = expect(tables, numbers, joint=True)
    # an evaluation's figures but for one, transfer between two models, attacks but for transfer
    assert len(found) == 6 * 4 + 2 * 6 + 11 * 3
    assert ("tbl-robustness", SIGNS, "mixed") in found
    values = numbers[(numbers[KEYS[:3]] == ["tbl-evaluation", "mixed, clean", "error"]).all(axis=1)]
    ours = found["tbl-evaluation", "mixed, clean", "error"]
    scale = values["value"].std() * math.sqrt(1.1)
    ends = stats.t.interval(1 - 0.01 / 69, 9, loc=values["value"].mean(), scale=scale)
    assert (ours.low, ours.high) == pytest.approx(ends)


def other_epsilon(tables):
    tables["tbl-settings"]["attack_epsilon"] = 0.12
    attacked = tables["tbl-evaluation"].index.str.endswith("adversarial")
    tables["tbl-evaluation"].loc[attacked, "error"] += [2.0, 5.0, 7.0]


def swap(tables):
    """Exchange two methods' rows."""
    table = tables["tbl-evaluation"]
    rows = ["mixed, adversarial", "adversarial, adversarial"]
    table.loc[rows] = table.loc[rows[::-1]].to_numpy()


def lose(tables):
    """Leave a number undefined that is not so with any seed."""
    tables["tbl-evaluation"].loc["mixed, adversarial", "confidence_error"] = math.nan


def test_right_runs_with_other_seeds_are_as_expected(place, tmp_path):
    for seed in range(10, 14):
        assert compare(put(tmp_path / str(seed), draw(seed)), "expected") == 0
    # other settings alone do not decide
    assert compare(put(tmp_path / "other", draw(10, epochs=31)), "expected") == 0


@pytest.mark.parametrize("spoil", [other_epsilon, swap, lose])
def test_a_wrong_run_is_not(place, tmp_path, spoil, capsys):
    tables = draw(10)
    spoil(tables)
    assert compare(put(tmp_path / "a", tables), "expected") == 1
    shown = capsys.readouterr().out
    assert "tbl-evaluation, mixed, adversarial" in shown
    assert ("attack_epsilon" in shown) == (spoil is other_epsilon)


@pytest.mark.parametrize("name", sorted(path.stem for path in SEEDS.glob("*.csv")))
def test_each_real_seed_is_as_the_others_and_not_with_two_methods_swapped(name, tmp_path):
    known = expected.read_seeds(name)
    tested, images = {"seed": (10_000, 1000), "quick": (2_000, 100)}[name]
    seeds = known["seed"].unique()
    for seed in seeds:
        tables = expected.collect_seed(known, seed)
        tables["tbl-evaluation"]["n"] = tested
        tables["tbl-settings"] = pd.DataFrame({"attacked": [images]}, index=["value"])
        others = known[known["seed"] != seed]
        found = expect(read_report(put(tmp_path / "right", tables)), others, joint=True)
        assert {at: number for at, number in found.items() if not number.inside} == {}
        # by few epochs the two defences differ too little to be told apart at every seed
        other = {"seed": "adversarial", "quick": "standard"}[name]
        swapped = {"mixed": other, other: "mixed"}
        rows = tables["tbl-evaluation"].index.str.partition(", ")
        tables["tbl-evaluation"].index = [
            f"{swapped.get(method, method)}, {kind}" for method, _, kind in rows
        ]
        found = expect(read_report(put(tmp_path / "wrong", tables)), others, joint=True)
        assert not all(number.inside for number in found.values())


def test_the_reference_run_is_as_expected_and_not_with_another_epsilon_in_its_attack(tmp_path):
    assert compare("reference", "expected") == 0
    test, tables = advlib.load_data().test, dict(reference())
    model = advlib.pretrained("mixed")
    adversarial = slides_fgsm(model, test.images, test.labels, 0.13)
    found = vars(advlib.evaluate(model, adversarial, test.labels))
    tables["tbl-evaluation"] = tables["tbl-evaluation"].copy()
    tables["tbl-evaluation"].loc["mixed, adversarial"] = found
    assert compare(put(tmp_path / "wrong", tables), "expected") == 1


@pytest.mark.parametrize(("images", "status"), [(1, 0), (-20, 0), (-40, 1)])
def test_where_seeds_do_not_vary_the_choice_of_images_does(place, tmp_path, images, status):
    tables = draw(10)
    tables["tbl-robustness"].loc[SURE] = 97 + images / 10
    assert compare(put(tmp_path / "a", tables), "expected") == status


def test_a_report_of_some_of_the_methods_is_compared_in_these(place, tmp_path):
    tables = draw(10)
    tables["tbl-evaluation"] = tables["tbl-evaluation"].filter(like="mixed, ", axis=0)
    for label in MEASURED[1:]:
        tables[label] = tables[label][["mixed"]]
    for label in MEASURED[1:3]:
        tables[label] = tables[label].loc[["mixed"]]
    tables["tbl-evaluation"].loc["mine, clean"] = 50.0
    report = put(tmp_path / "a", tables)
    assert len(expect(read_report(report), expected.read_seeds())) == 2 * 4 + 11
    assert compare(report, "expected") == 0


def test_a_report_is_compared_with_the_set_that_its_settings_are_nearest_to(
    place, tmp_path, capsys
):
    def nearest(**settings):
        report = read_report(put(tmp_path / "a", draw(3, **settings)))
        name, changed = find_set(report["tbl-settings"])
        return name, [setting for _, setting, *_ in changed]

    assert nearest() == ("seed", [])
    assert nearest(**QUICK) == ("quick", [])
    assert nearest(**QUICK | {"attack_epsilon": 0.2}) == ("quick", ["attack_epsilon"])
    assert nearest(attacked=100, epochs=2) == ("seed", ["epochs", "attacked"])
    assert nearest(pgd_steps=10) == ("seed", [])
    assert nearest(pgd_steps=9, steps_of_mine=3) == ("seed", ["pgd_steps"])
    quick = put(tmp_path / "b", draw(3, **QUICK))
    assert compare(quick, "expected") == 2
    assert "quick" in capsys.readouterr().err
    (place / "quick.csv").write_bytes((place / "seed.csv").read_bytes())
    assert compare(quick, "expected") == 0


def test_without_seeds_nothing_can_be_compared(place, tmp_path, capsys):
    report = put(tmp_path / "a", draw(10))
    tabulate(*range(4)).to_csv(place / "seed.csv", index=False)  # nearly any run would be right
    assert compare(report, "expected") == 2
    (place / "seed.csv").unlink()
    assert compare(report, "expected") == 2
    assert capsys.readouterr().err.count("error: no numbers over seeds") == 2


@pytest.mark.parametrize(
    "arguments",
    [("expected", "reference"), ("expected", "expected"), ("reference", "expected", "1")],
)
def test_expected_is_b_and_has_no_tolerance(arguments, capsys):
    assert compare(*arguments) == 2
    assert "error: " in capsys.readouterr().err


def test_the_summary_says_of_each_number_whether_it_is_expected(place, tmp_path, capsys):
    def lines(tables):
        summarize(put(tmp_path / "a", tables), *METHODS)
        shown = capsys.readouterr().out.splitlines()
        return ["".join(line.split()[1:]) for line in shown if line.startswith("  expected")]

    tables = draw(10)
    swap(tables)
    for method, told in zip(METHODS, lines(tables), strict=True):
        found = expect(read_report(str(tmp_path / "a")), expected.read_seeds())
        at = [found["tbl-evaluation", f"{method}, {x}", "error"] for x in ("clean", "adversarial")]
        at.append(found["tbl-robustness", "worst case", method])
        words = [f"{'' if x.inside else 'not'}{x.interval.replace(' ', '')}" for x in at]
        assert told == "".join(words)
        assert [x.inside for x in at[:2]] == [True, method == "standard"]
    tables["tbl-settings"]["epochs"] = 31  # other settings: nothing is known
    assert lines(tables) == []
    tables["tbl-settings"]["epochs"] = 30
    (place / "seed.csv").unlink()
    assert lines(tables) == []
