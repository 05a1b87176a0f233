"""Our numbers beside the published ones."""

from advlib.published import slides
from advlib.published.comparison import BRACKETS, lay_out_transfer, note_corrections


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
