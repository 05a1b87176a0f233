"""What an experiment's numbers are expected to be, by the committed results over many seeds."""

import pandas as pd
from scipy import stats

from advlib.kept.folders import SEEDS

KEYS = ["table", "row", "column", "seed"]
"""What says which number it is: where it stands in a report, and in the report of which seed."""


def read_seeds(name: str = "seed") -> pd.DataFrame:
    """Return the numbers of a parameter set over its seeds, a row each; none where none are kept.

    Columns: `KEYS`, value, processor, threads, torch and commit.
    """
    path = SEEDS / f"{name}.csv"
    columns = [*KEYS, "value", "processor", "threads", "torch", "commit"]
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=columns)


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
    half = stats.t.ppf((1 + level) / 2, n - 1) * (1 + 1 / n) ** 0.5 * found["sd"]
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)
