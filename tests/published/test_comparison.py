"""Our numbers beside the published ones."""

import pandas as pd
import pytest

from advlib import wilson_interval
from advlib.published import slides
from advlib.published.comparison import (
    BRACKETS,
    lay_out_evaluations,
    lay_out_transfer,
    note_corrections,
    published_gaps,
    readings_data,
)


@pytest.fixture
def evaluation() -> pd.DataFrame:
    """Mixed training: 1.80 % and 14.70 % of 10,000 images wrong."""
    figures = {
        "clean": (98.2, 1.8, 97.3, 97.9, 67.0, 10_000),
        "adversarial": (85.3, 14.7, 86.3, 89.0, 70.2, 10_000),
    }
    return pd.DataFrame.from_dict(
        figures, orient="index", columns=[*slides.evaluation("mixed")["clean"], "n"]
    )


def rows(table: pd.DataFrame) -> dict[str, list[str]]:
    """The rows of a table by their first cells."""
    return {row[0]: row[1:] for row in table.to_numpy().tolist()}


def test_evaluation_table_without_published_numbers(evaluation: pd.DataFrame) -> None:
    table = lay_out_evaluations({"ours": evaluation})
    assert list(table.columns) == ["", "Clean", "Adversarial"]
    low, high = wilson_interval(180, 10_000)
    expected = ["98.20", "1.80", "97.30", "97.90", "67.00", f"{low:.2f} to {high:.2f}"]
    assert table["Clean"].tolist() == expected


def test_evaluation_table_sets_the_published_numbers_and_the_difference_beside(
    evaluation: pd.DataFrame,
) -> None:
    evaluation["median"] = evaluation.loc["clean", "confidence_error"] = float("nan")
    layout = lay_out_evaluations({"ours": evaluation}, "mixed")
    table = rows(layout)
    assert table["Error"] == ["1.80", "1.79", "+0.01", "14.70", "14.72", "\N{MINUS SIGN}0.02"]
    assert table["Confidence"][:3] == ["97.30", "97.89 [97.29]", "+0.01"]  # the slides' misprint
    assert table["Confidence, errors"][:3] == ["\N{EN DASH}", "66.91", "\N{EN DASH}"]
    assert note_corrections(layout) == f" {BRACKETS}"
    assert note_corrections(lay_out_evaluations({"ours": evaluation}, "standard")) == ""


def test_two_evaluations_stand_beside_the_published_numbers(evaluation: pd.DataFrame) -> None:
    both = {"per minibatch": evaluation, "per epoch": evaluation + 1}
    table = lay_out_evaluations(both, "mixed")
    assert table.columns.tolist()[1:4] == [f"Clean: {n}" for n in (*both, "published")]
    assert rows(table)["Error"] == ["1.80", "2.80", "1.79", "14.70", "15.70", "14.72"]


def test_readings_set_the_ends_of_the_curves_beside_the_slides() -> None:
    columns: dict[str, list[float]] = {}
    for quantity in ("objective", "top1_error", "top5_error"):
        columns[f"{quantity}_train"] = [4, 2, 1]
        columns[f"{quantity}_train_adversarial"] = [8, 5, 3]
        columns[f"{quantity}_validation"] = [3, 1, 0.5]
    for method, ends in {"standard": (4, 1), "mixed": (12, 4), "adversarial": (8, 3)}.items():
        found = readings_data(pd.DataFrame(columns), method)
        theirs = slides.curves(method)
        assert found[["quantity", "split"]].equals(theirs[["quantity", "split"]])
        assert found["first_published"].equals(theirs["first"])
        assert found["last_published"].equals(theirs["last"])
        expected = [ends, (3, 0.5)] * 3
        assert [*zip(found["first"], found["last"], strict=True)] == expected


def test_published_gaps_hold_each_published_number_once(evaluation: pd.DataFrame) -> None:
    found = {f"tbl-evaluation-{method}": evaluation for method in slides.METHODS}
    error, confidence = (slides.transfer(f, corrected=True) for f in slides.TRANSFER_FIGURES)
    error.loc["free", :] = error["free"] = 1.0  # a model that they did not train
    found |= {"tbl-transfer-error": error, "tbl-transfer-confidence": confidence}
    gaps = published_gaps(found).set_index("where")
    assert len(gaps) == 3 * 2 * 5 + 2 * 6
    assert gaps.index.is_unique
    mixed = gaps.loc["error of mixed training on adversarial images"]
    assert list(mixed) == pytest.approx([14.7, 14.72, -0.02])
    differences = gaps.loc[[where for where in gaps.index if "model" in where], "difference"]
    assert differences.tolist() == [0] * 12


def test_transfer_table_marks_the_four_misprinted_cells() -> None:
    ours = slides.transfer("error", corrected=True) + 0.5
    table = lay_out_transfer(ours, "error")
    assert table.shape == (9, 5)
    assert table.iloc[3:6].to_numpy().tolist() == [
        ["adversarial", "ours", "9.35", "22.70", "9.99"],
        ["", "published", "0.08 [8.85]", "22.20", "0.09 [9.49]"],
        ["", "difference", "+0.50", "+0.50", "+0.50"],
    ]
    assert table.map(lambda cell: "[" in cell).to_numpy().sum() == 4
    assert note_corrections(table) == f" {BRACKETS}"
    assert note_corrections(lay_out_transfer(ours, "confidence_error")) == ""


def test_transfer_table_follows_the_order_of_ours() -> None:
    ours = slides.transfer("confidence_error")
    turned = ours.loc[["mixed", "standard", "adversarial"], ["mixed", "standard", "adversarial"]]
    rows = lay_out_transfer(turned, "confidence_error").to_numpy().tolist()
    assert rows[1] == ["", "published", "70.22", "69.70", "68.05"]
    assert all(cell == "0.00" for row in rows[2::3] for cell in row[2:])


def test_transfer_table_without_published_numbers() -> None:
    table = lay_out_transfer(slides.transfer("error"))
    assert table.shape == (3, 4)
    assert table.iloc[0].tolist() == ["standard", "96.64", "34.78", "19.75"]
