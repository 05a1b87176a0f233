"""Our numbers beside the published ones."""

import pandas as pd
import pytest

from advlib import wilson_interval
from advlib.evaluation import FIGURES
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
def evaluation():
    """Mixed training: 1.80 % and 14.70 % of 10,000 images wrong."""
    figures = {
        "clean": (98.2, 1.8, 97.3, 97.9, 67.0, 10_000),
        "adversarial": (85.3, 14.7, 86.3, 89.0, 70.2, 10_000),
    }
    return pd.DataFrame.from_dict(
        figures, orient="index", columns=[*slides.evaluation("mixed")["clean"], "n"]
    )


def test_evaluations_have_a_row_for_each_kind_of_images(evaluation):
    table = lay_out_evaluations({"mine": evaluation, "mixed": evaluation + 1})
    assert table["Model"].tolist() == ["mine", "", "mixed", ""]
    assert table["Images"].tolist() == ["clean", "adversarial"] * 2
    assert table["Error"].tolist() == ["1.80", "14.70", "2.80", "15.70"]
    low, high = wilson_interval(180, 10_000)
    expected = ["98.20", "1.80", "97.30", "97.90", "67.00", f"{low:.2f} to {high:.2f}"]
    assert table.iloc[0].tolist()[2:] == expected


def test_published_evaluations_stand_beneath_those_that_the_slides_have(evaluation):
    evaluation.loc["clean", "confidence_error"] = float("nan")
    table = lay_out_evaluations({"mine": evaluation, "mixed": evaluation}, ["mixed"])
    assert table["Images"].tolist() == [
        *("clean", "adversarial"),
        *("clean", "published", "adversarial", "published"),
    ]
    printed = slides.evaluation("mixed")
    for row, images in ((3, "clean"), (5, "adversarial")):
        assert float(table["Error"][row]) == printed[images]["error"]
    assert table["Confidence"][3] == "97.89 [97.29]"  # the slides' misprint
    assert table["Confidence, errors"].tolist()[2:4] == ["\N{EN DASH}", "66.91"]


def test_a_measure_that_the_slides_lack_has_an_empty_cell_beneath(evaluation, monkeypatch):
    monkeypatch.setitem(FIGURES, "median", {"heading": "Median"})
    assert "Median" not in lay_out_evaluations({"mixed": evaluation}, ["mixed"])
    table = lay_out_evaluations({"mixed": evaluation.assign(median=1.0)}, ["mixed"])
    assert table["Median"].tolist() == ["1.00", "", "1.00", ""]


def test_readings_set_the_ends_of_the_curves_beside_the_slides():
    columns = {}
    for quantity in ("objective", "top1_error", "top5_error"):
        columns[f"{quantity}_train"] = [4, 2, 1]
        columns[f"{quantity}_train_adversarial"] = [8, 5, 3]
        columns[f"{quantity}_validation"] = [3, 1, 0.5]
    ends = {
        "mixed": ("clean + adversarial", (12, 4)),
        "adversarial": ("adversarial", (8, 3)),
        "standard": ("clean", (4, 1)),
    }
    readings = readings_data(dict.fromkeys(["mine", *ends], pd.DataFrame(columns)))
    assert [*readings["method"].unique()] == [*slides.METHODS]  # of another none are published
    for method, (images, expected) in ends.items():
        found, theirs = readings[readings["method"] == method], slides.curves(method)
        for name in ("quantity", "split"):
            assert found[name].tolist() == theirs[name].tolist()
        for end in ("first", "last"):
            assert found[f"{end}_published"].tolist() == theirs[end].tolist()
        assert [*zip(found["first"], found["last"], strict=True)] == [expected, (3, 0.5)] * 3
        assert found["images"].tolist() == [images, "clean"] * 3


def test_published_gaps_hold_each_published_number_once(evaluation):
    models = [*slides.METHODS, "free"]
    both = pd.concat([evaluation] * len(models), keys=models)
    found = {"tbl-evaluation": both.set_axis([", ".join(row) for row in both.index])}
    error, confidence = (slides.transfer(f, corrected=True) for f in slides.TRANSFER_FIGURES)
    error.loc["free", :] = error["free"] = 1.0  # a model that they did not train
    found |= {"tbl-transfer-error": error, "tbl-transfer-confidence": confidence}
    gaps = published_gaps(found)
    for (table, row, column), ours in zip(gaps.index.tolist(), gaps["ours"], strict=True):
        assert found[table].at[row, column] == ours
    gaps = gaps.set_index("where")
    assert len(gaps) == 3 * 2 * 4 + 2 * 6
    assert gaps.index.is_unique
    mixed = gaps.loc["error of mixed training on adversarial images"]
    assert list(mixed) == pytest.approx([14.7, 14.72, -0.02])
    differences = gaps.loc[[where for where in gaps.index if "model" in where], "difference"]
    assert differences.tolist() == [0] * 12


def test_transfer_table_marks_the_four_misprinted_cells():
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


def test_transfer_table_follows_the_order_of_ours():
    ours = slides.transfer("confidence_error")
    turned = ours.loc[["mixed", "standard", "adversarial"], ["mixed", "standard", "adversarial"]]
    rows = lay_out_transfer(turned, "confidence_error").to_numpy().tolist()
    assert rows[1] == ["", "published", "70.22", "69.70", "68.05"]
    assert all(cell == "0.00" for row in rows[2::3] for cell in row[2:])


def test_transfer_table_without_published_numbers():
    table = lay_out_transfer(slides.transfer("error"))
    assert table.shape == (3, 4)
    assert table.iloc[0].tolist() == ["standard", "96.64", "34.78", "19.75"]
