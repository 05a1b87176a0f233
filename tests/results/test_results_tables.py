"""Tests of the numbers behind a report: from notebooks, to CSV and back."""

import json
import math

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given
from pandas.testing import assert_frame_equal
from scipy.stats import binomtest
from toys import says, write_notebook

from advlib.kept.folders import RESULTS
from advlib.results import tables as results
from advlib.results.notebooks import read_chapters
from advlib.results.tables import collect_from, from_csv, read, to_csv, write_numbers
from advlib.show.captions import Numbers, split

EVALUATION = pd.DataFrame(
    {"error": [1.4, 96.8], "confidence_error": [float("nan"), 1 / 3], "n": [10000, 10000]},
    index=["clean", "adversarial"],
)
ARCHITECTURE = pd.DataFrame(
    {"layer": ["support", "data mem"], "0": ["n/a", "3KB"], "1": [5, "45KB"]}
)


def about(label, frame):
    return {"kind": "table", "label": label, "caption": "", "data": split(frame)}


def test_collects_from_notebooks_in_the_reports_order(tmp_path):
    write_notebook(
        tmp_path, "4-transfer", says(about("tbl-b", EVALUATION)), says({"kind": "prose"})
    )
    figure = {"kind": "figure", "label": "fig-none"}
    write_notebook(tmp_path, "1-data", says(about("tbl-z", ARCHITECTURE)), says(figure))
    found = collect_from(read_chapters(tmp_path))
    assert list(found) == ["tbl-z", "tbl-b"]
    assert_frame_equal(found["tbl-b"], EVALUATION, check_exact=True)
    assert_frame_equal(found["tbl-z"], ARCHITECTURE, check_index_type=False)


@pytest.mark.parametrize(
    "content",
    [
        *("", '"","a"\n"x"\n', '"","a"\n"x",1,\n', '"","a"\n"x",o\n', '"x","a"\n"x",1\n'),
        *('"row"\n', '"row","model"\n"a","m"\n'),
        '"row","model","value"\n"a","x",1\n"a","y",2\n"b","x",3\n',
        '"row","model","value"\n"a","x",1\n"a","y",2\n"b","y",3\n"b","x",4\n',
    ],
)
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "tbl-a.csv").write_text(content)
    with pytest.raises(ValueError, match=r"tbl-a\.csv is damaged"):
        results.read(tmp_path)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
COLUMNS = [
    st.floats(allow_infinity=False),
    st.integers(-(2**53), 2**53),
    TEXTS,
    st.sampled_from(["n/a", 5, 3.5, "5", float("nan")]),
]


@st.composite
def frames(draw):
    rows = draw(st.integers(1, 4))
    names = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    columns = [
        draw(st.lists(draw(st.sampled_from(COLUMNS)), min_size=rows, max_size=rows)) for _ in names
    ]
    index = draw(
        st.one_of(st.just(list(range(rows))), st.lists(TEXTS, min_size=rows, max_size=rows))
    )
    cells = [list(row) for row in zip(*columns, strict=True)]
    return pd.DataFrame(cells, index=index, columns=names)


@given(frames())
def test_csv_gives_the_same_frame_again(frame):
    for each in (frame, frame.rename_axis(columns="model")):
        read = from_csv(to_csv(each))
        assert_frame_equal(read, each, check_exact=True, check_dtype=False, check_index_type=False)


def test_a_model_s_name_is_a_value():
    """However it is called, it heads no column."""
    written = to_csv(TRANSFER.rename_axis(columns="attacked"))
    assert written == '"row","attacked","value"\n"standard","mixed",10.0\n"standard","n",20.0\n'


def test_csv_is_what_pandas_reads_too(tmp_path):
    """As RFC 4180 has it: a class may have any name."""
    frame = EVALUATION.assign(**{'5", double': ['a "b"', "two\nlines, one \\"]})
    (tmp_path / "tbl-a.csv").write_text(to_csv(frame), encoding="utf-8", newline="")
    read = pd.read_csv(tmp_path / "tbl-a.csv", index_col=0)
    assert_frame_equal(read, frame, check_exact=True, check_names=False, check_dtype=False)
    found = results.read(tmp_path)["tbl-a"]
    assert_frame_equal(found, frame, check_exact=True, check_dtype=False)


def test_results_that_no_longer_belong_are_removed(tmp_path):
    results.write({"tbl-a": EVALUATION, "tbl-b": EVALUATION}, tmp_path)
    results.write({"tbl-a": EVALUATION}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tbl-a.csv", "SHA256SUMS"}


def test_the_reference_results_have_no_seconds_and_their_checksums():
    """Two equal experiments have equal results."""
    found = read(RESULTS)
    assert {"fig-curves", "fig-curves-mixed-epochwise"} <= found.keys()
    assert not [label for label, frame in found.items() if "seconds" in frame]


SETTINGS = pd.DataFrame({"dataset": ["MNIST"], "epsilon": [0.1], "images": [math.nan]})
SWEEP = pd.DataFrame({"model": ["mixed"], "attack": ["FGSM"], "epsilon": [0.1], "error": [25.0]})
TRANSFER = pd.DataFrame({"mixed": [10.0], "n": [20.0]}, index=["standard"])  # a model's name
SHOWN = {
    "tbl-settings": Numbers(SETTINGS),
    "tbl-evaluation-mixed": Numbers(EVALUATION, {"n": "images", "*": "%"}, shares=["error"]),
    "fig-epsilons": Numbers(
        SWEEP, "%", shares=["error"], images=200, rows=["model", "attack", "epsilon"]
    ),
    "tbl-transfer-error": Numbers(TRANSFER, "%", shares=["*"], images=1000),
}


@pytest.fixture
def written(tmp_path):
    said = [{"kind": "table", "label": label, **n.describe()} for label, n in SHOWN.items()]
    write_notebook(tmp_path, "1-data", *map(says, said))
    return write_numbers(read_chapters(tmp_path))


def find(rows, table, row, column):
    (found,) = [r for r in rows if (r["table"], r["row"], r["column"]) == (table, row, column)]
    return found


def test_the_table_and_the_document_have_the_same_numbers(written):
    document = json.loads(written["numbers.json"])
    table = from_csv(written["numbers.csv"].decode())
    assert list(table) == [*results.COLUMNS]
    rows = [
        {name: None if value != value else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    assert rows == document["numbers"]
    assert document["settings"]["epsilon"]["value"] == 0.1
    assert document["settings"]["images"]["value"] is None
    assert document["settings"]["dataset"] == {
        "value": "MNIST", "words": "Data set", "symbol": "",
    }  # fmt: skip


def test_a_share_of_images_has_its_interval(written):
    rows = json.loads(written["numbers.json"])["numbers"]
    for at, n, hits in (
        (("tbl-evaluation-mixed", "adversarial", "error"), 10_000, 9680),
        (("fig-epsilons", "mixed, FGSM, 0.1", "error"), 200, 50),
        (("tbl-transfer-error", "standard", "mixed"), 1000, 100),
        (("tbl-transfer-error", "standard", "n"), 1000, 200),
    ):
        found = find(rows, *at)
        low, high = binomtest(hits, n).proportion_ci(method="wilson")
        assert (found["images"], found["unit"]) == (n, "%")
        assert [found["low"], found["high"]] == pytest.approx([100 * low, 100 * high])
    other = find(rows, "tbl-evaluation-mixed", "adversarial", "confidence_error")
    assert (other["images"], other["low"], other["high"]) == (None, None, None)
    assert find(rows, "tbl-evaluation-mixed", "clean", "n")["unit"] == "images"
