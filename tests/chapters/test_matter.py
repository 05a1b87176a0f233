"""The front and the back matter: of whatever subject, they say what its results are."""

import pandas as pd
import pytest
from toys import cell, display, text, write_notebook

from advlib.kept.folders import MATTER, REFERENCE, RESULTS
from advlib.published.comparison import published_gaps
from advlib.report import LIVE
from advlib.results.expected import LEAST
from advlib.results.notebooks import read_chapters
from advlib.results.tables import read
from advlib.settings import Experiment, declared
from advlib.show.captions import split
from notebooks import execute

SUBJECTS = {
    "the slides'": {"epochs": 2},
    "one of their methods": {"methods": ["mixed"]},
    "another of ours": {"methods": ["fast"]},
    "one of one's own": {"methods": ["/a/mine.py:free_steps"], "dataset": "/a/my_data"},
    "own network and method": {"methods": ["standard", "/a/b.py:free"], "network": "/a/b.py:Net"},
    "weights": {"methods": ["first", "second"], "weights": "/a/folder"},
}


def put_report(folder, settings, more=None):
    """Write executed chapters, with the reference run's numbers under the methods' names."""
    chosen = Experiment(**settings)
    experiment = {name: getattr(chosen, name) for name in declared()} | chosen.conditions
    methods = [*chosen.origins]
    found, known = read(RESULTS), ("standard", "mixed", "adversarial")
    renamed = dict(zip(known, methods, strict=False))
    tables = {}
    for label in ("tbl-transfer-error", "tbl-transfer-confidence"):
        tables[label] = (
            found[label].loc[[*renamed], [*renamed]].rename(index=renamed, columns=renamed)
        )
    for label in ("tbl-precision", "tbl-robustness"):
        tables[label] = found[label][[*renamed]].rename(columns=renamed)
    images = [(old, new, i) for old, new in renamed.items() for i in ("clean", "adversarial")]
    rows = {f"{old}, {i}": f"{new}, {i}" for old, new, i in images}
    for label in ("tbl-calibration", "tbl-evaluation"):
        tables[label] = found[label].loc[[*rows]].rename(rows)
    tables |= more or {}
    about = [{"kind": "table", "label": name, "data": split(t)} for name, t in tables.items()]
    for method in methods:
        shown = [display({}, each) for each in about if method == methods[0]]
        cells = [text(f"## The part on {method}"), cell(*shown)]
        made = {"input_path": "3-training.ipynb", "parameters": {"method": method}}
        metadata = {"papermill": made | {"duration": 12.5}, "advlib": {"experiment": experiment}}
        write_notebook(folder, f"3-training-{method}", *cells, **metadata)


def matter(name, executed, folder):
    return execute(MATTER / f"{name}-matter.ipynb", folder, {"executed": executed})


def reference(row, column):
    """Write a number of the reference run."""
    found = read(RESULTS)["tbl-evaluation"].at[row, column]
    return f"{found:.1f}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_it_tells_of_any_subject(subject, tmp_path):
    put_report(tmp_path, SUBJECTS[subject])
    front, back = (matter(name, str(tmp_path), tmp_path) for name in ("front", "back"))
    words = front.words + back.words
    ours = subject in ("the slides'", "one of their methods")
    three = subject == "the slides'"
    assert ("slides" in words) == ours
    assert ("tbl-findings" in back.shown) == ours
    assert ("trained elsewhere" in words) == (subject == "weights")
    assert ("the part on" in front.words) == (subject not in ("the slides'", "weights"))
    assert ("one method" in front.words) == ("two methods" in back.words) == three
    assert reference("standard, adversarial", "error") in front.words
    assert ("Hollow" in front.shown["fig-errors"]["caption"]) == (subject == "one of their methods")
    first, *_ = back.shown["tbl-stages"]["content"]["text/markdown"].splitlines()[2:]
    assert " | 12.5 | \N{EN DASH} | Table *transfer-error*, " in first


def test_what_was_warned_of_is_in_the_abstract(tmp_path):
    """Once, with the sections in which it was; also of a cell that the report leaves out."""
    put_report(tmp_path, SUBJECTS["weights"])
    said = display({}, {"kind": "warning", "words": "a model *fails*"})
    about = read_chapters(tmp_path)[0].experiment
    for name in ("4-a", "5-b"):
        cells = [cell(said), cell(said, tags=("notebook-only",))]
        write_notebook(tmp_path, name, *cells, advlib={"experiment": about})
    abstract, introduction = matter("front", str(tmp_path), tmp_path).said[2:4]
    expected = r"**Beware:** A model \*fails\* ([4-a](4-a.ipynb) and [5-b](5-b.ipynb))."
    assert abstract.strip() == expected
    assert introduction.startswith("# Introduction")


def test_two_methods_are_two_at_another_alpha(tmp_path):
    """At the slides' they are one: the test of any subject."""
    put_report(tmp_path, {"alpha": 0.4})
    front, back = (matter(name, str(tmp_path), tmp_path) for name in ("front", "back"))
    assert "one method" not in front.words
    assert "two methods" not in back.words


def test_confidence_is_told_of_the_strong_attack_where_it_is_known(tmp_path):
    weak, known = (
        reference("mixed, adversarial", "confidence_error"),
        read(RESULTS)["tbl-calibration"],
    )
    strong = [f"{method}, many steps" for method in ("standard", "mixed", "adversarial")]
    known.loc[strong, "confidence_error"] = [97.7, 77.7, 76.6]
    for table, measured in ((known, True), (known.drop(strong), False)):
        put_report(tmp_path, {}, {"tbl-calibration": table})
        told = matter("back", str(tmp_path), tmp_path).words
        assert ("77.7\N{NO-BREAK SPACE}%" in told) == (weak not in told) == measured


@pytest.mark.parametrize(("worst", "illusion"), [(98.1, True), (55.0, False)])
def test_fashion_is_an_illusion_where_many_steps_find_most_and_one_step_few(
    worst, illusion, tmp_path
):
    errors = {"MNIST": (1, 2, 99), "FashionMNIST": (13, 19, worst)}
    rows = [(data, "slides", "mixed", *each) for data, each in errors.items()]
    names = ["data", "rates", "method", "none", "FGSM", "worst case"]
    put_report(tmp_path, {}, {"tbl-illusions": pd.DataFrame(rows, columns=names)})
    front, back = (matter(name, str(tmp_path), tmp_path) for name in ("front", "back"))
    assert ("Fashion" in front.words) == ("Fashion" in back.words) == illusion


@pytest.mark.parametrize(
    ("seeds", "holds", "settings"),
    [(7, 7, {}), (7, 6, {}), (LEAST - 1, LEAST - 1, {}), (7, 7, {"epochs": 2})],
)
def test_what_holds_at_each_of_enough_seeds_is_told_with_their_number(
    seeds, holds, settings, tmp_path
):
    claims = ["order", "help", "worst help", "unsure"]
    held = pd.DataFrame({"seeds": seeds, "holds": holds}, index=claims)
    put_report(tmp_path, settings, {"tbl-claims": held})
    for name in ("front", "back"):
        told = "at each of 7 seeds" in matter(name, str(tmp_path), tmp_path).words
        assert told == (seeds == holds == 7 and not settings)


@pytest.mark.parametrize(("holds", "settings"), [(3, {}), (2, {}), (3, {"epochs": 2})])
def test_a_rate_that_is_too_small_is_told_where_all_seeds_say_so(holds, settings, tmp_path):
    held = pd.DataFrame({"seeds": 3, "holds": holds}, index=["rate"])
    put_report(tmp_path, settings, {"tbl-claims": held})
    for name in ("front", "back"):
        told = "at each of 3 seeds" in matter(name, str(tmp_path), tmp_path).words
        assert told == (holds == 3 and not settings)


@pytest.mark.parametrize(
    ("outside", "settings", "seeds", "answer"),
    [
        (3, {}, 7, "Yes, most: of the 36"),
        (4, {}, 7, "In part: of the 36"),
        (0, {"methods": ["mixed"]}, 7, "Yes, most: of the 8"),
        (3, {}, LEAST - 1, ""),
        (3, {"epochs": 2}, 7, ""),
    ],
)
def test_the_published_numbers_are_judged_by_the_seeds(outside, settings, seeds, answer, tmp_path):
    rows = [", ".join(at) for at in published_gaps(read(RESULTS)).index]
    found = ["yes"] * outside + ["no"] * (36 - outside)
    table = pd.DataFrame({"seeds": seeds, "outside": found}, index=rows)
    put_report(tmp_path, settings, {"tbl-seeds": table})
    words = matter("back", str(tmp_path), tmp_path).words
    assert ("come out again" in words) == bool(answer)
    assert answer in words


def test_by_hand_it_tells_of_the_reference_run(tmp_path):
    front = matter("front", "", tmp_path)
    assert f"{reference('adversarial, adversarial', 'error')} (adversarial training)" in front.words
    back = matter("back", "", tmp_path)
    assert "tbl-stages" not in back.shown
    rows = [
        row.split(" | ")[:3]
        for row in back.shown["tbl-findings"]["content"]["text/markdown"].splitlines()[2:]
    ]
    assert rows == [
        ["| Standard training", "60,000 images", "55,000 images"],
        ["| Mixed training, clean images, confidence", "97.89", "97.29"],
        [
            "| Transfer, error, the mixed and the adversarial model on images of others",
            "0.07, 0.10, 0.08 and 0.09",
            "7.71, 10.57, 8.85 and 9.49",
        ],
        ["| Conclusion", "\\~80 %", "81.9 and 74.4 points"],
    ]


def test_the_models_that_are_there_are_alive_in_the_page(tmp_path):
    settings = {"weights": str(REFERENCE)}
    put_report(tmp_path, settings)
    notebook, given = MATTER / "front-matter.ipynb", {"executed": str(tmp_path)}
    front = execute(notebook, tmp_path, given, **settings)
    packed = front.shown["fig-live"]["content"][LIVE]
    assert [model["name"] for model in packed["models"]] == ["standard", "mixed", "adversarial"]
    assert "fig-live" not in execute(notebook, tmp_path, given).shown, "trainings are not kept"
