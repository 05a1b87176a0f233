"""Every chapter, executed about what a report may be about: it shows all, and says what is so."""

import re
import shutil
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from engine import threads
from folders import put_idx, put_pictures

import advlib
from advlib.attacks import slides_fgsm
from advlib.experiment.plan import find_chapters, find_parameters
from advlib.kept.code import read_cells
from advlib.kept.folders import MATTER, METHOD_TEXTS, NOTEBOOKS, PROJECT, REFERENCE
from advlib.methods import METHODS
from advlib.published import slides
from advlib.report.building import build
from advlib.report.prose import read_markdown
from advlib.settings import Words, declared, read_origin
from advlib.show.words import render
from advlib.worst_case import RESTARTS, WORST
from notebooks import check_shown, execute, find_cell

CHAPTERS = [path.stem for path in find_chapters()]
MINE = PROJECT / "tests" / "mine.py"
QUICK = {"epochs": 1, "attacked": 4}


def bring_weights(folder):
    folder.mkdir()
    for name, theirs in {"n": "standard", "Holds": "mixed"}.items():  # as columns are named
        shutil.copy(REFERENCE / f"{theirs}.safetensors", folder / f"{name}.safetensors")
    return {"methods": ("n", "Holds"), "weights": str(folder), "images": 200}


SUBJECTS = {
    "the slides'": lambda _: {"images": 200},
    "one own method": lambda _: {"images": 200, "methods": (f"{MINE}:on_attacked",)},
    "weights": bring_weights,
    "other data": lambda folder: {
        "dataset": str(put_pictures(folder)),
        "network": f"{MINE}:SmallResNet",
        "methods": ("standard", f"{MINE}:on_attacked"),
    },
}
FOLDERS = {
    "two classes, wide": lambda folder: put_pictures(
        folder, classes=("all", "cost $5 or $6 *and* more"), shape=(4, 30)
    ),
    "62 classes": lambda folder: put_idx(folder, classes=62, train=200, test=124, size=(28, 28)),
}
OF_THE_SLIDES = ("slides", "published experiment")
NOT_OF_OTHERS = {
    "the slides'": (),
    "one own method": OF_THE_SLIDES,
    "weights": OF_THE_SLIDES,
    "other data": (*OF_THE_SLIDES, "mnist", "lenet", "digit", "threes", "maxout", "strokes"),
}
OF_THE_PROJECT = ("8-illusions", "9-luck-or-law")
"""Chapters that show committed results, the same in every report."""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Executes a chapter or the matter about a subject, the first time that it is asked."""
    folder = tmp_path_factory.mktemp("subjects")
    settings = {about: QUICK | bring(folder / about) for about, bring in SUBJECTS.items()}

    @cache
    def execute_once(chapter, about, **given):
        notebook = (MATTER if "matter" in chapter else NOTEBOOKS) / f"{chapter}.ipynb"
        methods = [
            read_origin(each).shown for each in settings[about].get("methods", ("standard",))
        ]
        own = {"method": methods[-1], "shown": methods[0], "executed": ""} | given
        named = find_parameters(notebook)
        chosen = {name: value for name, value in own.items() if name in named}
        return execute(notebook, folder, chosen, **settings[about])

    return execute_once


@pytest.mark.parametrize(
    ("chapter", "about"),
    [(one, about) for one in CHAPTERS for about in SUBJECTS if one not in OF_THE_PROJECT]
    + [(one, "the slides'") for one in OF_THE_PROJECT],
)
def test_it_shows_and_says_what_is_so(chapter, about, executed):
    cells = executed(chapter, about)
    check_shown(cells)
    for word in NOT_OF_OTHERS[about]:
        assert word not in cells.words.lower(), word


def test_together_they_are_a_report(executed, tmp_path):
    """What one refers to is in another, and all can be typeset."""
    place, about = tmp_path / "executed", "the slides'"
    place.mkdir()
    for chapter in CHAPTERS:
        executed(chapter, about).write(place / f"{chapter}.ipynb")
    for method in ("mixed", "adversarial"):
        made = executed("3-training", about, method=method)
        made.write(place / f"3-training-{method}.ipynb", left_out="once")
    for matter in ("front-matter", "back-matter"):
        executed(matter, about, executed=str(place)).write(place / f"{matter}.ipynb")
    build(place, tmp_path)
    assert (tmp_path / "report.pdf").stat().st_size > 100_000


@pytest.mark.parametrize("name", FOLDERS)
def test_images_of_any_number_of_classes_and_shape_are_shown(name, tmp_path):
    about = {"dataset": str(FOLDERS[name](tmp_path / "data")), "methods": ("standard",)}
    about["network"] = f"{MINE}:SmallResNet"
    cells = execute(NOTEBOOKS / "1-data.ipynb", tmp_path, {}, **about)
    check_shown(cells)
    counts, data = cells.numbers("tbl-classes"), cells.names["data"]
    assert [*counts.index] == [*data.classes, "all"]
    for split, part in (("training", data.train), ("test", data.test)):
        found = [int((part.labels == label).sum()) for label in range(len(data.classes))]
        assert counts[split].tolist() == [*found, len(part)]
    given = {"shown": "standard"}
    check_shown(execute(NOTEBOOKS / "2-adversarial-examples.ipynb", tmp_path, given, **about))


@pytest.mark.parametrize("about", SUBJECTS)
def test_the_four_lines_make_the_attack(about, executed):
    """Pixel by pixel, but for one in a thousand, whose gradient is rounding's alone."""
    names = executed("2-adversarial-examples", about).names
    assert names["same"] > 99.9
    change = (names["by_hand"] - names["few"].images).abs()
    np.testing.assert_allclose(change[change > 0], 0.1, rtol=1e-4)


@pytest.mark.parametrize("about", SUBJECTS)
def test_what_a_model_errs_on_is_set_off(about, executed):
    cells = executed("2-adversarial-examples", about)
    names, data = cells.names, cells.names["data"]
    first, labels = names["first"], names["labels"]
    assert labels[first].tolist() == [*range(len(data.classes))]
    errors = cells.numbers("tbl-directions")["error"]
    changed = {"none": names["test"], "signs of the gradient": names["adversarial"]}
    for row, images in changed.items():
        assert errors[row] == advlib.evaluate(names["model"], images, labels).error
        with torch.no_grad():
            predicted = names["model"](images[first]).argmax(1).tolist()
        written = names["names"][row != "none"]
        assert [text.get_text() for text in written] == [data.classes[each] for each in predicted]
        bold = [text.get_fontweight() == "bold" for text in written]
        assert bold == [label != found for label, found in enumerate(predicted)]
    of_each = labels.bincount(minlength=len(data.classes)).numpy()
    becomes = cells.numbers("fig-becomes").to_numpy()
    np.testing.assert_allclose(becomes.sum(1), 100)
    assert (of_each * becomes.diagonal()).sum() / len(labels) == pytest.approx(
        100 - errors["signs of the gradient"]
    )


@pytest.mark.parametrize("about", SUBJECTS)
def test_each_model_meets_the_images_made_against_each(about, executed):
    cells = executed("4-transfer", about)
    error, names = cells.numbers("tbl-transfer-error"), cells.names
    assert [*error.index] == [*error.columns] == [*names["models"]]
    images, labels = names["test"].images, names["test"].labels
    *_, (attacked, model) = names["models"].items()
    for tested, other in names["models"].items():
        changed = slides_fgsm(model, images, labels, 0.1)
        found = advlib.evaluate(other, changed, labels).error
        assert error.loc[tested, attacked] == found
    wanted = [*map(names["data"].classes.__getitem__, names["labels"].tolist())]
    written = names["names"]
    assert len(written) == 2 * len(names["models"])
    for row, wrong in zip(written, names["wrong"], strict=True):
        told = [text.get_text() != label for text, label in zip(row, wanted, strict=True)]
        assert told == wrong.tolist() == [text.get_fontweight() == "bold" for text in row]


@pytest.mark.parametrize("about", ["the slides'", "other data"])
def test_the_sizes_go_from_nothing_to_where_all_is_turned(about, executed):
    swept = executed("5-every-epsilon", about).numbers("fig-epsilons")
    for _, rows in swept.groupby("model"):
        errors = rows.pivot(index="epsilon", columns="attack", values="error")
        assert errors.loc[0.0].nunique() == 1
        assert (errors["APGD"].iloc[:-1] < 100).all()
        assert errors["APGD"].iloc[-1] == 100 or errors.index[-1] == 0.8


@pytest.mark.parametrize("about", SUBJECTS)
def test_the_line_leads_from_the_image_to_the_attacked_one(about, executed):
    cells = executed("5-every-epsilon", about)
    data, model = cells.names["data"], cells.names["models"][cells.names["subject"].shown]
    sample = data.test.sample(1)
    image, label = sample.images, sample.labels
    logits = cells.numbers("fig-line")
    assert [*logits.columns] == [*data.classes]
    for size in (0.0, 0.5):
        with torch.no_grad():
            expected = model(advlib.fgsm(model, image, label, size))[0].numpy()
        np.testing.assert_allclose(logits.loc[size], expected, atol=1e-4)


@pytest.mark.parametrize("about", SUBJECTS)
def test_fgsm_is_exact_for_the_logistic_regression(about, executed):
    errors = executed("5-every-epsilon", about).numbers("tbl-regression")
    assert (errors["FGSM"] == errors["by the margins"]).all()
    assert errors["FGSM"].is_monotonic_increasing
    assert errors["FGSM"].iloc[0] < errors["FGSM"].iloc[-1]


@pytest.mark.parametrize("about", SUBJECTS)
def test_linearity_is_measured_for_every_model(about, executed):
    cells = executed("5-every-epsilon", about)
    linear = cells.numbers("fig-linearity")
    assert [*linear["model"].unique()] == [*cells.names["models"]]
    assert (linear["low"] <= linear["median"]).all()
    assert (linear["median"] <= linear["high"]).all()
    assert linear["high"].max() <= 100


@pytest.mark.parametrize("about", SUBJECTS)
def test_pgd_written_out_is_the_librarys(about, executed):
    names = executed("6-stronger-attacks", about).names
    assert names["same"] > 99.9
    change = (names["library"] - names["images"]).abs()
    assert 0 < change.max() <= 0.1001


@pytest.mark.parametrize("about", SUBJECTS)
def test_the_attacks_are_checked_and_each_is_told_with_what_it_cost(about, executed):
    cells = executed("6-stronger-attacks", about)
    error, checks = cells.numbers("tbl-robustness"), cells.numbers("tbl-checks")
    assert (error.loc["worst case"] >= error.max()).all()
    alone = about == "one own method"
    assert checks["check"].nunique() == 6 - alone
    assert len(checks) == (6 - alone) * len(cells.names["models"])
    allowed = checks["first"] + 2 * ~checks["check"].str.startswith("Without")
    assert ((checks["second"] <= allowed) == (checks["holds"] == "yes")).all()
    assert (checks.loc[checks["check"].str.startswith("Without"), "first"] == 100).all()
    told = cells.numbers("tbl-attacks")
    assert ["none", *told.index] == [*error.index]
    assert (told.loc[["PGD", "APGD, log-odds"], "steps"] == 20).all()
    assert told.at["FGSM", "passes"] == 1
    last = told.loc["last search"]
    assert (last["steps"], last["restarts"]) == (40, RESTARTS)


def test_an_illusion_is_told_in_one_sentence_a_model():
    """With the two errors of its reason; what all have in common is said once."""
    error = pd.DataFrame(
        {"a": [15.8, 54.2, 31.4, 98.1], "b": [20.3, 61.2, 42.5, 70.6]},
        index=["FGSM", "transfer", "random signs", WORST],
    )
    say = find_cell("6-stronger-attacks", "say-illusions").removeprefix("%%say\n")
    names = {"error": error, "d": 1, "WORST": WORST}
    rows = {"transfer": "transfer", "random signs": "random signs", "many steps": WORST}
    for first, second in product(rows, repeat=2):
        text = render(say, names | {"illusions": {"a": first, "b": second}})
        assert text.count("illusion") == 1
        wanted = [error.at[rows[first], "a"], 15.8, error.at[rows[second], "b"], 20.3]
        assert re.findall(r"\d+\.\d", text) == [str(each) for each in wanted]
    assert not render(say, names | {"illusions": {}}).strip()


@pytest.mark.parametrize("about", SUBJECTS)
def test_confidence_is_that_of_the_evaluation(about, executed):
    cells = executed("7-confidence", about)
    summary, risks = cells.numbers("tbl-calibration"), cells.numbers("fig-risk")
    test = cells.names["data"].test.sample(5 * QUICK["attacked"])
    for name, model in cells.names["models"].items():
        error = advlib.evaluate(model, test.images, test.labels).error
        assert summary.loc[f"{name}, clean", "error"] == pytest.approx(error)
        of_all = risks[(risks["model"] == name) & (risks["coverage"] == 100)].set_index("split")
        assert of_all.loc["clean", "error"] == pytest.approx(error)


@pytest.mark.parametrize("about", SUBJECTS)
def test_the_table_of_results_is_the_evaluation_of_each_model(about, executed):
    cells = executed("4-results", about)
    test, found = cells.names["data"].test, cells.numbers("tbl-evaluation")
    assert len(found) == 2 * len(cells.names["models"])
    for name, model in cells.names["models"].items():
        with threads(1):  # as in the notebook: on some processors the bits depend on it
            attacked = slides_fgsm(model, test.images, test.labels, 0.1)
            kinds = {"clean": test.images, "adversarial": attacked}
            evaluations = {
                kind: advlib.evaluate(model, x, test.labels) for kind, x in kinds.items()
            }
        for kind, expected in evaluations.items():
            row = found.loc[f"{name}, {kind}"].to_dict()
            assert row == pytest.approx(vars(expected), abs=0, nan_ok=True)
    assert ("fig-curves" in cells.shown) == (about != "weights")


@pytest.mark.parametrize("about", ["the slides'", "other data"])
def test_each_training_has_a_column_of_panels_on_common_axes(about, executed):
    cells = executed("4-results", about)
    histories, panels = cells.names["histories"], cells.names["panels"]
    ends = ("{}", "{}_adversarial")
    shown = [f"{q}_{end}" for q in ("objective", "top1_error") for end in ends]
    for method, column in panels.items():
        for axes, quantity in zip(column, shown, strict=True):
            for line, part in zip(axes.lines, ("train", "validation"), strict=True):
                wanted = histories[method][quantity.format(part)]
                np.testing.assert_array_equal(line.get_ydata(), wanted)
                assert line.get_marker() == "o"  # one epoch shows a point
    for quantity, row in zip(shown, zip(*panels.values(), strict=True), strict=True):
        assert len({axes.get_ylim() for axes in row}) == 1
        values = [line.get_ydata() for axes in row for line in axes.lines]
        low, high = row[0].get_ylim()
        assert low <= np.nanmin(values) <= np.nanmax(values) <= high
        assert (low == 0) == quantity.startswith("top1_error")  # the objective's is logarithmic
    numbers = cells.numbers("fig-curves")
    assert {*numbers["method"]} == {*histories}
    assert "seconds" not in numbers


def test_the_epoch_that_is_written_out_gives_the_weights_of_train(executed):
    names = executed("3-training", "the slides'").names
    before = names["subject"].build_network().double().state_dict()
    after = names["ours"].state_dict()
    moved = [(after[name] - before[name]).abs().max() for name in after]
    assert names["furthest"] < 1e-12 < 1e-4 < min(moved)
    assert names["furthest"] == max(names["apart"])
    assert len(names["apart"]) == 3 * len(before)


def test_published_numbers_stand_beside_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "applies", lambda settings: True)
    cells = execute(
        NOTEBOOKS / "4-results.ipynb", tmp_path, {}, images=200, epochs=1, methods=("mixed", "fast")
    )
    check_shown(cells)
    assert {"fig-curves", "tbl-curves", "tbl-evaluation", "tbl-epochwise"} <= cells.shown.keys()
    assert r"97.89 \[97.29\]" in cells.shown["tbl-evaluation"]["content"]["text/markdown"]
    assert {*cells.numbers("tbl-curves")["method"]} == {"mixed"}


def test_the_settings_table_has_those_that_were_given(executed):
    numbers = executed("3-training", "other data").numbers("tbl-settings").loc["value"]
    assert {*numbers.index} == declared().keys() - {"weights", "attacks", *declared(Words)}
    assert (numbers["epochs"], numbers["network"]) == (1, "SmallResNet (mine.py)")
    assert numbers["methods"] == "standard, on-attacked"


OWN = """
from advlib.methods import Method, standard
from advlib.settings import Training

class Stepwise(Training):
    my_steps: int = 7

stepwise = Method(standard, "Stepwise training", unused=("alpha",), settings=Stepwise)
"""


def test_a_methods_own_settings_stand_in_the_table_and_in_its_text(tmp_path):
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    settings = QUICK | {"images": 200, "methods": ("fast", f"{tmp_path}/mine.py:stepwise")}
    settings |= {"fast_step": 1.5, "my_steps": 3}

    def shown(method):
        notebook = NOTEBOOKS / "3-training.ipynb"
        return execute(notebook, tmp_path, {"method": method}, **settings)

    fast, own = shown("fast"), shown("stepwise")
    assert r"1.5\,\epsilon$ long" in fast.words
    assert r"my\_steps = 3" in own.words
    table = own.shown["tbl-settings"]["content"]["text/markdown"]
    numbers = own.numbers("tbl-settings").loc["value"]
    assert (numbers["fast_step"], numbers["my_steps"]) == (1.5, 3)
    assert "| My steps |" in table
    assert r"in units of $\epsilon$ |" in table
    assert r"$\alpha$" not in table  # which neither uses


def test_each_method_has_a_text():
    assert {path.stem for path in METHOD_TEXTS.glob("*")} == {*METHODS}
    for path in METHOD_TEXTS.glob("*"):
        own = vars(METHODS[path.stem].settings())
        for about in (True, False):
            text = render(path.read_text(encoding="utf-8"), own | {"slides": about})
            assert read_markdown(text)


@pytest.mark.parametrize("chapter", [*CHAPTERS, "explore"])
def test_each_question_has_a_folded_answer_about_what_is_there(chapter):
    *cells, last = ("".join(c["source"]) for c in read_cells(NOTEBOOKS / f"{chapter}.ipynb"))
    _, *asked = re.split(r"^\d\. ", last, flags=re.MULTILINE)
    folded = r"\n\n   <details><summary>Answer</summary>\n\n(   .+\n)+\n   </details>\n*$"
    assert asked
    assert all(re.search(folded, each) for each in asked)
    for kind, name in re.findall(r"\b(Figure|Table)\s+\*([\w-]+)\*", last):
        assert f'"{"fig" if kind == "Figure" else "tbl"}-{name}"' in "\n".join(cells), name
