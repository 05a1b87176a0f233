import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from advlib.chapters import training, training_words
from advlib.chapters.back_matter import lay_out_stages, tell_confidences, tell_errors
from advlib.evaluation import FIGURES, Evaluation
from advlib.experiment.plan import find_parameters
from advlib.kept.folders import METHOD_TEXTS, NOTEBOOKS
from advlib.methods import METHODS
from advlib.published import slides
from advlib.published.comparison import (
    BRACKETS,
    QUANTITIES,
    TRANSFER_LABELS,
    ends,
    epochwise_readings,
    error_interval,
    evaluation_data,
    lay_out_transfer,
    methods_found,
    published_gaps,
    readings_data,
    settings_found,
    training_curve,
)
from advlib.report.provenance import Stage
from advlib.results import tables as results
from advlib.results.tables import from_csv, to_csv
from advlib.settings import Experiment, declared
from advlib.show import captions, tables
from advlib.show.words import (
    change,
    change_to,
    difference,
    escape,
    interval,
    number,
    percent,
    write_list,
    write_setting,
)

MINUS = "\N{MINUS SIGN}"
NAN = float("nan")


class Output(NamedTuple):
    data: dict[str, str]
    about: dict[str, Any]


@pytest.fixture(autouse=True)
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Output]:
    """What is displayed: the contents by media type, and the metadata."""
    displayed: list[Output] = []
    monkeypatch.setattr(
        captions,
        "publish_display_data",
        lambda data, metadata: displayed.append(Output(data, metadata["advlib"])),
    )
    return displayed


def measured(*figures: float) -> Evaluation:
    return Evaluation(**dict(zip(FIGURES, figures, strict=True)), n=10_000)


@pytest.fixture
def evaluation() -> pd.DataFrame:
    """Mixed training: 1.80 % and 14.70 % of 10,000 images wrong."""
    return evaluation_data(
        {
            "clean": measured(98.2, 1.8, 97.3, 97.9, 67.0),
            "adversarial": measured(85.3, 14.7, 86.3, 89.0, 70.2),
        }
    )


@pytest.fixture
def history() -> pd.DataFrame:
    columns: dict[str, list[float]] = {"epoch": [1, 2, 3]}
    for quantity in QUANTITIES:
        columns |= {
            f"{quantity}_train": [4, 2, 1],
            f"{quantity}_train_adversarial": [8, 5, 3],
            f"{quantity}_validation": [3, 1, 0.5],
        }
    return pd.DataFrame(columns)


def lines(table: pd.DataFrame) -> dict[str, list[str]]:
    """The rows of a table by their first cells."""
    return {row[0]: row[1:] for row in table.to_numpy().tolist()}


def show(frame: pd.DataFrame, align: str | None = None) -> None:
    tables.show(frame, "tbl-x", "A caption", pd.DataFrame({"x": [1.5, NAN]}), align)


def test_show_gives_the_table_with_its_data_and_then_its_caption(outputs: list[Output]) -> None:
    show(pd.DataFrame({"Model": ["standard"], "Error": ["1.50"]}))
    table, caption = outputs
    assert table.data["text/markdown"] == "| Model | Error |\n|:---|---:|\n| standard | 1.50 |"
    assert table.about == {
        "kind": "table",
        "label": "tbl-x",
        "caption": "A caption",
        "data": {"columns": ["x"], "index": [0, 1], "data": [[1.5], [None]]},
        **{"units": {"x": ""}, "shares": [], "rows": []},
    }
    assert caption.about == {"kind": "caption", "label": "tbl-x"}
    assert caption.data["text/markdown"] == "**Table *x*.** A caption"


def test_units_and_shares_are_those_of_the_columns() -> None:
    """The first pattern that fits counts, in whatever order JSON keeps them."""
    frame = pd.DataFrame({"error": [1.0], "n": [7], "error_kept": [2.0]})
    units = {"n": "images", "*": "%"}
    about = captions.Numbers(frame, units=units, shares=["err*"], rows=["n"]).describe()
    assert about["units"] == {"error": "%", "n": "images", "error_kept": "%"}
    assert about["shares"] == ["error", "error_kept"]
    assert about["rows"] == ["n"]


def test_show_lets_no_cell_be_markdown_or_html_unless_it_is_markup(outputs: list[Output]) -> None:
    frame = pd.DataFrame({"<b>a|b": ["<script>x</script> | *y*"], "c": [tables.Markup("*x*")]})
    show(frame, "ll")
    table, _ = outputs
    head, _, row = table.data["text/markdown"].splitlines()
    assert head == r"| \<b\>a\|b | c |"
    assert row == r"| \<script\>x\</script\> \| \*y\* | *x* |"


@pytest.mark.parametrize("align", ["l", "lc", "lrr"])
def test_show_refuses_an_alignment_that_does_not_fit(align: str) -> None:
    with pytest.raises(ValueError, match=f"align must be 2 letters l or r, got '{align}'"):
        tables.show(pd.DataFrame({"a": ["1"], "b": ["2"]}), "tbl-x", "c", align=align)


def test_evaluation_table_without_published_numbers(evaluation: pd.DataFrame) -> None:
    table = training.lay_out_evaluation(evaluation)
    assert list(table.columns) == ["", "Clean", "Adversarial"]
    assert table["Clean"].tolist()[:5] == ["98.20", "1.80", "97.30", "97.90", "67.00"]
    low, high = error_interval(evaluation.iloc[0])
    assert low < 1.8 < high
    assert table["Clean"].tolist()[5] == interval(low, high)


def test_evaluation_table_sets_the_published_numbers_and_the_difference_beside(
    evaluation: pd.DataFrame,
) -> None:
    table = lines(training.lay_out_evaluation(evaluation, "mixed"))
    assert table["Error"] == ["1.80", "1.79", "+0.01", "14.70", "14.72", f"{MINUS}0.02"]
    assert table["Confidence"][:3] == ["97.30", "97.89 [97.29]", "+0.01"]  # the slides' misprint
    assert training.note_corrections("mixed") == BRACKETS
    assert training.note_corrections("standard") == training.note_corrections(None) == ""


def test_undefined_figures_are_dashes(evaluation: pd.DataFrame) -> None:
    evaluation.loc["clean", "confidence_error"] = NAN
    row = lines(training.lay_out_evaluation(evaluation, "mixed"))["Confidence, errors"]
    assert row[:3] == ["\N{EN DASH}", "66.91", "\N{EN DASH}"]


def test_readings_set_the_ends_of_the_curves_beside_the_slides(history: pd.DataFrame) -> None:
    table = training.lay_out_readings(readings_data(history, "mixed"))
    assert lines(table)["Objective, train"] == ["12.000", "2.7", "4.000", "0.51"]
    assert lines(table)["Top-1 error (%), validation"] == ["3.000", "5", "0.500", "1.3"]
    assert len(table) == 6


def test_training_curve_needs_the_adversarial_figures(history: pd.DataFrame) -> None:
    history["objective_train_adversarial"] = NAN
    assert training_curve(history, "standard", "objective").tolist() == [4, 2, 1]
    with pytest.raises(ValueError, match="objective_train_adversarial"):
        ends(history, "adversarial")


def test_published_gaps_hold_each_published_number_once(evaluation: pd.DataFrame) -> None:
    found = {f"tbl-evaluation-{method}": evaluation for method in slides.METHODS}
    found |= {
        label: slides.transfer(figure, corrected=True) for figure, label in TRANSFER_LABELS.items()
    }
    gaps = published_gaps(found).set_index("where")
    assert len(gaps) == 3 * 2 * 5 + 2 * 6
    assert gaps.index.is_unique
    mixed = gaps.loc["error of mixed training on adversarial images"]
    assert list(mixed) == pytest.approx([14.7, 14.72, -0.02])
    differences = gaps.loc[[where for where in gaps.index if "model" in where], "difference"]
    assert differences.tolist() == [0] * 12


@pytest.mark.parametrize(
    ("labels", "readings"),
    [
        ((), []),
        (("tbl-evaluation-mixed",), []),
        (
            ("tbl-evaluation-mixed", "tbl-evaluation-mixed-epochwise"),
            ["per minibatch", "per epoch"],
        ),
    ],
)
def test_epochwise_readings_are_both_of_the_reference_or_none(
    monkeypatch: pytest.MonkeyPatch,
    evaluation: pd.DataFrame,
    labels: tuple[str, ...],
    readings: list[str],
) -> None:
    monkeypatch.setattr(results, "collect", lambda folder: dict.fromkeys(labels, evaluation))
    assert list(epochwise_readings()) == readings


def test_there_are_no_epochwise_readings_without_reference_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(folder: str) -> dict[str, pd.DataFrame]:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(results, "collect", missing)
    assert epochwise_readings() == {}


def test_epochwise_table_has_each_reading_and_the_published_numbers(
    evaluation: pd.DataFrame,
) -> None:
    table = training.lay_out_epochwise({"per minibatch": evaluation, "per epoch": evaluation + 1})
    assert lines(table)["Error"] == ["1.80", "2.80", "1.79", "14.70", "15.70", "14.72"]


def test_the_settings_table_names_what_its_notebook_is_told() -> None:
    """Of another setting it would show the default, whatever make was asked for."""
    settings = Experiment(seed=2**62, images=5000, epochs=2)
    table = training.lay_out_settings(settings)
    told = find_parameters(NOTEBOOKS / "3-training.ipynb") - {"method", "weights"}
    assert {*training.settings_data(settings).columns} == told
    assert len(told) == len(declared()) - len({"weights"})
    assert len(table) == len(told) - len({"attacked", "methods"})
    rows = lines(table)
    assert rows["Training images"] == ["", "5000", "all"]
    assert rows["Seed"] == ["", str(2**62), "not stated"]
    assert rows["Weight decay"] == [r"$\lambda$", "0.0005", "0.0005"]
    assert training.settings_data(settings).loc["value", "epochs"] == 2


@pytest.mark.parametrize("images", [None, 5000])
def test_settings_come_back_from_results_as_they_were(images: int | None) -> None:
    settings = Experiment(images=images)
    stored = from_csv(to_csv(training.settings_data(settings)))
    found = settings_found({"tbl-settings": stored})
    assert Experiment(**found) == settings
    assert slides.applies(found) == (images is None)


def test_what_the_slides_lack_is_an_empty_cell(evaluation: pd.DataFrame, monkeypatch: Any) -> None:
    """A figure that they do not know, a model that they did not train."""
    known = {"heading": "Median confidence", "words": "median confidence"}
    monkeypatch.setitem(FIGURES, "median", known)
    evaluation["median"] = 50.0
    row = lines(training.lay_out_evaluation(evaluation, "mixed"))["Median confidence"]
    assert row == ["50.00", "", ""] * 2
    ours = slides.transfer("error", corrected=True)
    ours.loc["free", :] = ours["free"] = 1.0
    rows = lay_out_transfer(ours, "error").to_numpy().tolist()
    assert [row[-1] for row in rows] == ["1.00", "", ""] * 4
    assert rows[-2][1:] == ["published", "", "", "", ""]
    assert rows[0][2:] == ["96.64", "34.78", "19.75", "1.00"]
    found = {f"tbl-evaluation-{method}": evaluation for method in slides.METHODS}
    assert len(published_gaps(found | dict.fromkeys(TRANSFER_LABELS.values(), ours))) == 42


def test_methods_stay_in_the_order_given_but_for_the_slides_own() -> None:
    for names, chapters in (
        (["free", "adversarial", "standard"], ["free", "adversarial", "standard"]),
        ([*slides.TRANSFER_ORDER], [*slides.METHODS]),
    ):
        found = {TRANSFER_LABELS["error"]: pd.DataFrame(1.0, index=names, columns=names)}
        assert methods_found(found) == chapters
    assert slides.order_transfer(slides.METHODS) == [*slides.TRANSFER_ORDER]
    assert slides.order_transfer(["mixed", "free"]) == ["mixed", "free"]


def test_the_conclusions_sentences(evaluation: pd.DataFrame) -> None:
    both = evaluation.set_axis(["standard", "mixed"])
    assert tell_errors(both, {}) == (
        "the error after standard training is 1.80\N{NO-BREAK SPACE}%. With mixed training it rises"
        " by 12.90 points, to 14.70\N{NO-BREAK SPACE}%."
    )
    assert tell_confidences(both[:1], {}) == "67.00\N{NO-BREAK SPACE}% after standard training"


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_text_without_numbers(name: str) -> None:
    """What is computed is no number, and neither are formulas and the years of citations."""
    text = training_words.describe_method(name, Experiment())
    assert text.startswith(f"# {METHODS[name].title}\n\n")
    plain = re.sub(r"\$\$.*?\$\$|\$.*?\$|\]\(.*?\)", "", text, flags=re.DOTALL)
    assert not re.search("[0-9]", plain)
    assert {path.stem for path in METHOD_TEXTS.glob("*")} == {*METHODS}


def test_stages_table_refers_to_figures_and_tables() -> None:
    stage = Stage("3-training-mixed.ipynb", 12.34, None, ("fig-curves-mixed", "tbl-x"))
    row = lines(lay_out_stages([stage]))["3-training-mixed.ipynb"]
    assert row == ["12.3", "\N{EN DASH}", "Figure *curves-mixed*, Table *x*"]
    assert isinstance(row[2], tables.Markup)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(1234.567), "1,234.57"),
        (number(-0.001), "0.00"),
        (number(-1.5, 1), f"{MINUS}1.5"),
        (number(None), "\N{EN DASH}"),
        (number(NAN), "\N{EN DASH}"),
        (percent(96.64), "96.64\N{NO-BREAK SPACE}%"),
        (percent(NAN), "\N{EN DASH}"),
        (difference(0.5), "+0.50"),
        (difference(-0.5), f"{MINUS}0.50"),
        (difference(0.004), "0.00"),
        (difference(-0.004), "0.00"),
        (difference(np.float64(10)), "+10.00"),
        (difference(NAN), "\N{EN DASH}"),
        (change(96.6, 14.7), "falls by 81.90 points"),
        (change(1.5, 1.8), "rises by 0.30 points"),
        (change(1.5, 1.501), "stays the same"),
        (change(NAN, 1.0), "cannot be compared"),
        (change_to(96.6, 14.7), "falls by 81.90 points, to 14.70\N{NO-BREAK SPACE}%"),
        (
            change_to(1, 2, "by a step"),
            "rises by 1.00 points by a step, to 2.00\N{NO-BREAK SPACE}%",
        ),
        (change_to(100, 100, "by a step"), "stays at 100.00\N{NO-BREAK SPACE}% by a step"),
        (interval(1.2, 3.4), "1.20 to 3.40"),
        (write_setting(None), "all"),
        (write_setting(NAN), "all"),
        (write_setting(0.0005), "0.0005"),
        (write_setting(30.0), "30"),
        (write_setting("MNIST"), "MNIST"),
        (write_list(["a"]), "a"),
        (write_list(["a", "b", "c"]), "a, b and c"),
        (escape("a|b_c*d"), r"a\|b\_c\*d"),
        (escape("<img> $x$ [y] @z `w`"), r"\<img\> \$x\$ \[y\] \@z \`w\`"),
        (escape("two\nlines -- 1.5 -2"), r"two lines \-- 1.5 -2"),
    ],
)
def test_wording(written: str, expected: str) -> None:
    assert written == expected
