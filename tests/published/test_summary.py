"""What `make report` ends with."""

import math

import pandas as pd

from advlib.kept.folders import RESULTS
from advlib.published import slides
from advlib.published.summary import summarize
from advlib.results.tables import read, write


def lines(folder, capsys, **settings):
    """Return the words of the lines with numbers of the reference run, with settings changed."""
    tables = read(RESULTS)
    tables["tbl-settings"] = tables["tbl-settings"].assign(**settings)
    write(tables, folder / "results")
    summarize(str(folder), "mixed", "standard")
    return [line.split() for line in capsys.readouterr().out.splitlines() if " % " in f"{line} "]


def test_the_published_numbers_stand_beside_those_with_their_settings(tmp_path, capsys):
    evaluations = read(RESULTS)["tbl-evaluation"]
    shown = [
        words for words in lines(tmp_path, capsys) if words[0] in ("mixed", "standard", "slides")
    ]
    assert [words[0] for words in shown] == ["mixed", "slides", "standard", "slides"]
    for method, ours, theirs in zip(("mixed", "standard"), shown[::2], shown[1::2], strict=True):
        evaluation = evaluations.loc[[f"{method}, clean", f"{method}, adversarial"], "error"]
        worst = read(RESULTS)["tbl-robustness"].at["worst case", method]
        assert ours[1::2] == [f"{value:.2f}" for value in (*evaluation, worst)]
        printed = slides.evaluation(method, corrected=True)
        assert theirs[1::2] == [f"{printed[x]['error']:.2f}" for x in ("clean", "adversarial")]


def test_they_do_not_beside_those_with_others(tmp_path, capsys):
    """Which those are is in test_slides.py."""
    assert not [words for words in lines(tmp_path, capsys, epochs=3) if words[0] == "slides"]


def test_a_report_without_the_attacks_has_its_summary(tmp_path, capsys):
    rows = ["mine, clean", "mine, adversarial"]
    tables = {
        "tbl-settings": pd.DataFrame({"dataset": ["a"], "images": [math.nan]}, index=["value"]),
        "tbl-evaluation": pd.DataFrame({"error": [1.5, 96.92], "n": [100, 100]}, index=rows),
    }
    write(tables, tmp_path / "results")
    summarize(str(tmp_path), "mine")
    (words,) = [
        line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("mine ")
    ]
    assert words == ["mine", "1.50", "%", "96.92", "%"]
