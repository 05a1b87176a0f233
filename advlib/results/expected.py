"""What an experiment's numbers are expected to be, by the committed results over many seeds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtrit

from advlib.intervals import wilson_interval
from advlib.kept.folders import SEEDS
from advlib.show.words import escape, write_list

Cells = Mapping[tuple[str, str], Any]
"""A table's cells by row and column."""
Number = tuple[str, str, str]
"""Where it stands: table, row and column."""

KEYS = ["table", "row", "column", "seed"]
"""What says which number it is: where it stands in a report, and in the report of which seed."""
LEAST = 5
"""Over so many seeds a number must be known: by the interval of fewer nearly any run is right."""


def read_seeds(name: str = "seed") -> pd.DataFrame:
    """Return the numbers of a parameter set over its seeds, a row each; none where none are kept.

    Columns: `KEYS`, value, processor, threads, torch and commit.
    """
    path = SEEDS / f"{name}.csv"
    columns = [*KEYS, "value", "processor", "threads", "torch", "commit"]
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)


def write_origin(numbers: pd.DataFrame) -> str:
    """Say where committed numbers were computed: Markdown, a sentence without its full stop."""
    found = {
        what: escape(write_list(sorted({*numbers[what].dropna().astype(str)})))
        for what in ("processor", "threads", "torch", "commit")
    }
    return (
        f"These results were computed on {found['processor']}, each training with"
        f" {found['threads']} thread{'s' * (found['threads'] != '1')}, with PyTorch"
        f" {found['torch']}, by the code of commit {found['commit']}"
    )


def collect_seed(numbers: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """Return a seed's numbers as a report has them: tables by label."""
    of_seed = numbers[numbers["seed"] == seed]
    return {
        str(label): table.pivot(index="row", columns="column", values="value")
        for label, table in of_seed.groupby("table")
    }


def predict(values: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return what one more seed is expected to give: a row for each column of `values`.

    `values` has a row for each seed. The columns are n, mean, sd, low and high: Student's
    prediction interval, mean +- t sd sqrt(1 + 1/n) with t of n - 1 degrees of freedom, in which
    one more value falls with probability `level`. It is undefined for fewer than two seeds.
    """
    found = values.agg(["count", "mean", "std"]).T.set_axis(["n", "mean", "sd"], axis="columns")
    n = found["n"].where(found["n"] > 1)
    half = stdtrit(n - 1, (1 + level) / 2) * (1 + 1 / n) ** 0.5 * found["sd"]
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


class Expected(NamedTuple):
    """A report's number in percent, and what is expected of it."""

    value: float
    mean: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def interval(self) -> str:
        """The ends in words; no percentage lies beyond 0 and 100."""
        return f"{max(0.0, self.low):.2f} to {min(100.0, self.high):.2f}"


def expect(
    tables: Mapping[str, Cells], numbers: pd.DataFrame, *, joint: bool = False
) -> dict[Number, Expected]:
    """Return what is expected of those of a report's numbers that are known over seeds.

    Arguments are a report's tables by label, and what `read_seeds` gives. The intervals are of 95 %
    for each number, or `joint` ones: in 99 % of such reports all numbers lie in theirs, by
    Bonferroni. A share that varies over the seeds by less than one image has no interval narrower
    than Wilson's, and no share has a narrower joint one: so far out a count is not normal, and two
    of ten seeds lay outside by an image. Each number is there once, and none that is undefined in
    both or has fewer than `LEAST` seeds. A number that is a text is a ValueError.
    """
    values = numbers.pivot(index="seed", columns=KEYS[:3], values="value")
    ours = {(table, *at): value for table, cells in tables.items() for at, value in cells.items()}
    there: list[Any] = values.columns.to_list()
    both = [at for at in there if at in ours and not _is_repeated(*at)]
    value = {at: float(ours[at]) for at in both}
    shared = [
        at
        for at, seeds in zip(both, values[both].to_numpy().T, strict=True)
        if sum(seeds == seeds) >= LEAST and (all(seeds == seeds) or value[at] == value[at])
    ]
    if not shared:
        return {}
    level = 1 - 0.01 / len(shared) if joint else 0.95
    found = {}
    for at, known in zip(shared, predict(values[shared], level).to_dict("records"), strict=True):
        ends = [known["low"], known["high"]]
        n = _count_images(tables, *at)
        if n and (joint or known["sd"] < 100 / n):
            ends += wilson_interval(round(known["mean"] * n / 100), n, level)
        found[at] = Expected(value[at], known["mean"], min(ends), max(ends))
    return found


def _is_repeated(table: str, row: str, column: str) -> bool:
    """Is it another number once more?"""
    own = table.startswith("tbl-transfer-") and row == column  # which the evaluation has
    return own or (table == "tbl-evaluation" and column == "correct")


def _count_images(tables: Mapping[str, Cells], table: str, row: str, column: str) -> int:
    """Return of how many images a number is the share that is misclassified; 0 if it is none."""
    counts = [cell for at, cell in tables.get("tbl-evaluation", {}).items() if at[1] == "n"]
    n = int(max(counts, default=0))
    if table == "tbl-robustness":
        return min(n, int(tables["tbl-settings"].get(("value", "attacked"), 0)))
    return n if table == "tbl-transfer-error" or column == "error" else 0
