"""The front and the back matter: of whatever subject, they say what its results are."""

from pathlib import Path
from typing import Any

import pytest
from toys import cell, display, text, write_notebook

from advlib.kept.folders import MATTER
from advlib.results.tables import collect
from advlib.settings import Experiment, declared
from advlib.show.captions import split
from notebooks import Cells, execute

SUBJECTS: dict[str, dict[str, Any]] = {
    "the slides'": {"epochs": 2},
    "one of their methods": {"methods": ["mixed"]},
    "one of one's own": {"methods": ["/a/mine.py:free_steps"], "dataset": "/a/my_data"},
    "own network and method": {"methods": ["standard", "/a/b.py:free"], "network": "/a/b.py:Net"},
    "weights": {"methods": ["first", "second"], "weights": "/a/folder"},
}


def put_report(folder: Path, settings: dict[str, Any]) -> None:
    """Write executed chapters, with the reference run's numbers under the methods' names."""
    chosen = Experiment(**settings)
    experiment = {name: getattr(chosen, name) for name in declared()} | chosen.conditions
    methods = [*chosen.origins]
    found, known = collect(""), ("standard", "mixed", "adversarial")
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
    about = [{"kind": "table", "label": name, "data": split(t)} for name, t in tables.items()]
    for method in methods:
        shown = [display({}, each) for each in about if method == methods[0]]
        cells = [text("# Training", "once"), text(f"## The part on {method}"), cell(*shown)]
        made = {"input_path": "3-training.ipynb", "parameters": {"method": method}}
        metadata = {"papermill": made | {"duration": 12.5}, "advlib": {"experiment": experiment}}
        write_notebook(folder, f"3-training-{method}", *cells, **metadata)


def matter(name: str, executed: str, folder: Path) -> Cells:
    return execute(MATTER / f"{name}-matter.ipynb", folder, {"executed": executed})


@pytest.mark.parametrize("subject", SUBJECTS)
def test_it_tells_of_any_subject(subject: str, tmp_path: Path) -> None:
    put_report(tmp_path, SUBJECTS[subject])
    front, back = (matter(name, str(tmp_path), tmp_path) for name in ("front", "back"))
    words = front.words + back.words
    ours = subject in ("the slides'", "one of their methods")
    assert ("slides" in words) == ours
    assert ("tbl-findings" in back.shown) == ours
    assert ("trained elsewhere" in words) == (subject == "weights")
    assert ("the part on" in words) == (subject != "weights")
    assert "training ([3-training]" in words
    assert "96.81\N{NO-BREAK SPACE}%" in front.words
    first, *_ = back.shown["tbl-stages"]["content"]["text/markdown"].splitlines()[2:]
    assert " | 12.5 | \N{EN DASH} | Table *transfer-error*, " in first


def test_by_hand_it_tells_of_the_reference_run(tmp_path: Path) -> None:
    words = matter("front", "", tmp_path).words
    assert (
        "21.44\N{NO-BREAK SPACE}% and 67.18\N{NO-BREAK SPACE}% after adversarial training" in words
    )
    back = matter("back", "", tmp_path)
    assert "tbl-stages" not in back.shown
    rows = [
        row.split(" | ")[:3]
        for row in back.shown["tbl-findings"]["content"]["text/markdown"].splitlines()[2:]
    ]
    of = "Transfer, error, {} model on the {} model\\'s images"
    assert rows == [
        ["| Standard training", "60,000 images", "55,000 images"],
        ["| Mixed training, clean images, confidence", "97.89", "97.29"],
        ["| " + of.format("adversarial", "standard"), "0.08", "8.85"],
        ["| " + of.format("adversarial", "mixed"), "0.09", "9.49"],
        ["| " + of.format("mixed", "standard"), "0.07", "7.71"],
        ["| " + of.format("mixed", "adversarial"), "0.10", "10.57"],
        ["| Conclusion", "\\~80 %", "81.9 and 74.4 points"],
    ]
