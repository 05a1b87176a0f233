"""The numbers to take along: each with its unit, and shares with their intervals."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest
from test_results_tables import EVALUATION
from toys import says, write_notebook

from advlib.results.notebooks import read_chapters
from advlib.results.tables import COLUMNS, from_csv, write_numbers
from advlib.show.captions import Numbers

SETTINGS = pd.DataFrame({"dataset": ["MNIST"], "epsilon": [0.1], "images": [math.nan]})
SWEEP = pd.DataFrame({"model": ["mixed"], "attack": ["FGSM"], "epsilon": [0.1], "error": [25.0]})
TRANSFER = pd.DataFrame({"mixed": [10.0]}, index=["standard"])
SHOWN = {
    "tbl-settings": Numbers(SETTINGS),
    "tbl-evaluation-mixed": Numbers(EVALUATION, {"n": "images", "*": "%"}, shares=["error"]),
    "fig-epsilons": Numbers(
        SWEEP, "%", shares=["error"], images=200, rows=["model", "attack", "epsilon"]
    ),
    "tbl-transfer-error": Numbers(TRANSFER, "%", shares=["*"], images=1000),
}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, bytes]:
    said = [{"kind": "table", "label": label, **n.describe()} for label, n in SHOWN.items()]
    write_notebook(tmp_path, "1-data", *map(says, said))
    return write_numbers(read_chapters(tmp_path))


def find(rows: list[dict[str, Any]], table: str, row: str, column: str) -> dict[str, Any]:
    (found,) = [r for r in rows if (r["table"], r["row"], r["column"]) == (table, row, column)]
    return found


def test_the_table_and_the_document_have_the_same_numbers(written: dict[str, bytes]) -> None:
    document = json.loads(written["numbers.json"])
    table = from_csv(written["numbers.csv"].decode())
    assert list(table) == [*COLUMNS]
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


def test_a_share_of_images_has_its_interval(written: dict[str, bytes]) -> None:
    rows = json.loads(written["numbers.json"])["numbers"]
    for at, n, hits in (
        (("tbl-evaluation-mixed", "adversarial", "error"), 10_000, 9680),
        (("fig-epsilons", "mixed, FGSM, 0.1", "error"), 200, 50),
        (("tbl-transfer-error", "standard", "mixed"), 1000, 100),
    ):
        found = find(rows, *at)
        low, high = binomtest(hits, n).proportion_ci(method="wilson")
        assert (found["images"], found["unit"]) == (n, "%")
        assert [found["low"], found["high"]] == pytest.approx([100 * low, 100 * high])
    other = find(rows, "tbl-evaluation-mixed", "adversarial", "confidence_error")
    assert (other["images"], other["low"], other["high"]) == (None, None, None)
    assert find(rows, "tbl-evaluation-mixed", "clean", "n")["unit"] == "images"
