"""The report's tables: what is shown is what was handed over, and how numbers are written."""

import numpy as np
import pandas as pd
import pytest

from advlib.show import tables
from advlib.show.words import (
    difference,
    escape,
    number,
    percent,
    write_list,
    write_setting,
)

MINUS = "\N{MINUS SIGN}"
NAN = float("nan")


def show(frame, align=None):
    tables.show(frame, "tbl-x", "A caption", pd.DataFrame({"x": [1.5, NAN]}), align)


def test_show_gives_the_table_with_its_data_and_then_its_caption(outputs):
    show(pd.DataFrame({"Model": ["standard"], "Error": ["1.50"]}))
    table, caption = outputs
    assert table.data["text/markdown"] == "| Model | Error |\n|:---|---:|\n| standard | 1.50 |"
    assert table.about == {
        "kind": "table",
        "label": "tbl-x",
        "caption": "A caption",
        "data": {"columns": ["x"], "index": [0, 1], "data": [[1.5], [None]]},
        "units": {"x": ""},
        "shares": [],
        "rows": [],
    }
    assert caption.about == {"kind": "caption", "label": "tbl-x"}


def test_show_lets_no_cell_be_markdown_or_html_unless_it_is_markup(outputs):
    frame = pd.DataFrame({"<b>a|b": ["<script>x</script> | *y*"], "c": [tables.Markup("*x*")]})
    show(frame, "ll")
    table, _ = outputs
    head, _, row = table.data["text/markdown"].splitlines()
    assert head == r"| \<b\>a\|b | c |"
    assert row == r"| \<script\>x\</script\> \| \*y\* | *x* |"


@pytest.mark.parametrize("align", ["l", "lc", "lrr"])
def test_show_refuses_an_alignment_that_does_not_fit(align):
    with pytest.raises(ValueError, match=f"align must be 2 letters l or r, got '{align}'"):
        tables.show(pd.DataFrame({"a": ["1"], "b": ["2"]}), "tbl-x", "c", align=align)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(1234.567), "1,234.57"),
        (number(None), "\N{EN DASH}"),
        (percent(96.64), "96.64\N{NO-BREAK SPACE}%"),
        (percent(NAN), "\N{EN DASH}"),
        (difference(-0.5), f"{MINUS}0.50"),
        (difference(0.004), "0.00"),
        (difference(-0.004), "0.00"),
        (difference(np.float64(10)), "+10.00"),
        (difference(NAN), "\N{EN DASH}"),
        (write_setting(None), "all"),
        (write_setting(NAN), "all"),
        (write_setting(30.0), "30"),
        (write_setting("MNIST"), "MNIST"),
        (write_list(["a"]), "a"),
        (write_list(["a", "b", "c"]), "a, b and c"),
        (escape("<img> $x$ [y] @z `w`"), r"\<img\> \$x\$ \[y\] \@z \`w\`"),
        (escape("two\nlines -- 1.5 -2"), r"two lines \-- 1.5 -2"),
    ],
)
def test_wording(written, expected):
    assert written == expected


def test_numbers_of_one_quantity_have_as_many_decimals():
    assert tables.write_alike([0, 0.01, 0.025]) == ["0.000", "0.010", "0.025"]
    mixed = [1, 0.05, "2, then halved", NAN, np.float64(1e-4)]
    assert tables.write_alike(mixed) == ["1.0000", "0.0500", "2, then halved", "", "0.0001"]
    assert tables.write_alike([50, 1000]) == ["50", "1,000"]
    table = tables.lay_out(pd.DataFrame({"error": [1.5, 2.25]}, index=[0.0, 0.25]), "Size")
    assert table.to_numpy().tolist() == [["0.00", "1.50"], ["0.25", "2.25"]]
