"""The numbers to take along: each with its unit, and shares with their intervals."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest
from test_results_tables import EVALUATION, about, notebook

from advlib.results import numbers
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect, from_csv

SETTINGS = pd.DataFrame({"dataset": ["MNIST"], "epsilon": [0.1], "images": [math.nan]})
SWEEP = pd.DataFrame({"model": ["mixed"], "attack": ["FGSM"], "epsilon": [0.1], "error": [25.0]})
TRANSFER = pd.DataFrame({"mixed": [10.0]}, index=["standard"])


@pytest.fixture
def written(tmp_path: Path) -> dict[str, bytes]:
    shown: list[tuple[list[str], dict[str, Any]]] = [
        ([], about("tbl-settings", SETTINGS)),
        ([], about("tbl-evaluation-mixed", EVALUATION)),
        ([], {**about("fig-epsilons", SWEEP), "images": 200}),
        ([], {**about("tbl-transfer-error", TRANSFER), "images": 1000}),
    ]
    notebook(tmp_path, "1-data", *shown)
    return numbers.write_numbers(read_notebooks(tmp_path))


def find(rows: list[dict[str, Any]], table: str, row: str, column: str) -> dict[str, Any]:
    (found,) = [r for r in rows if (r["table"], r["row"], r["column"]) == (table, row, column)]
    return found


def test_the_table_and_the_document_have_the_same_numbers(written: dict[str, bytes]) -> None:
    document = json.loads(written[numbers.DOCUMENT])
    table = from_csv(written[numbers.TIDY].decode())
    assert list(table) == [*numbers.COLUMNS]
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
    rows = json.loads(written[numbers.DOCUMENT])["numbers"]
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
    assert find(rows, "tbl-evaluation-mixed", "clean", "confidence_error")["value"] is None


def test_every_number_of_the_reference_has_a_unit() -> None:
    """But for those that are mere numbers: of an epoch, a setting, the architecture."""
    bare = {
        (label, str(column))
        for label, frame in collect("").items()
        for column in frame
        if label not in ("tbl-settings", "tbl-architecture") and column not in numbers.NAMING
        if not numbers.find_unit(label, str(column))
    }
    assert not bare
