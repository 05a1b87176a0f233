"""The figures as Markdown."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

Figures = dict[str, Any]
"""What the measuring processes give: `machine`, the `images` of a round, and by the number of
threads `timing` (see `timing.measure` and `timing.profile`); `memory` in MB by work and
competitor; `imports` in seconds by statement; `cluster` as `benchmarks.cluster` gives it."""

HEADER = (
    "work",
    "by",
    "threads",
    "ms per 100 images",
    "times advlib's",
    "% of matrix rate",
    "MB",
)


def markdown(figures: Figures) -> str:
    """Write the results."""
    timing, images = figures["timing"], figures["images"]
    parts = [
        "# Benchmark",
        "`make bench`, with nothing else at work on the machine.",
        _table(("", ""), figures["machine"].items()),
        _HOW.format(rounds=_rounds(timing), images=images, steps=images // 100),
        _table(HEADER, _rows(timing, figures["memory"])),
        *(_STEPS.format(threads, each["profile"]) for threads, each in timing.items()),
        "## Imports",
        "Whole processes, one after the other in turn.",
        _table(("process", "seconds", "times import torch"), _imports(figures["imports"])),
        "## Many seeds",
        _MANY,
        _table(("trainings", "cores", "seconds", "times plain"), _many(figures["cluster"])),
    ]
    return "\n\n".join(parts) + "\n"


_HOW = """\
Each figure is the median (least to most) of {rounds} rounds after a warm-up. In a round the
competitors of a work take turns, in one process, with the product of two 2048 x 2048 float32
matrices; ratios are of the same round. A round of training is {steps} steps of 100 clean images; a
step of mixed or adversarial training makes and trains on 100 adversarial images besides. FGSM
and evaluation take {images:,} test images, 200 at once. PGD and APGD take 300 of them, one start at
random, and the worst case of `advlib.robustness` and of AutoAttack 50 drawn ones, in one round: at
one thread, on the reference run's adversarial model, with valid pixels, epsilon 0.1. The
percentages are the rate of the method's floating-point operations (convolutions and dense layers,
counted layer by layer as sums of products, however they are computed) over that of the matrix
product. MB is the peak resident memory of a process of its own with one thread, less what importing
torch and torchvision takes, with the whole data set in memory; for advlib's adversarial training it
is that of an epoch with all 55,000 images and the validation. What each peer does is in
`peers.py`."""


_STEPS = "## 20 steps of adversarial training, threads: {}\n\n```\n{}\n```"


_MANY = """\
Adversarial trainings of 4 epochs on 20,000 images, each with a thread, with all that it takes to
start: one in a process alone; two for each core in plain processes side by side; the same on the
cluster of `make replicate`."""


def _many(found: dict[str, float]) -> Iterator[Sequence[str]]:
    many, cores = f"{found['trainings']}", f"{found['cores']}"
    titles = {
        "one": ("1", "1"),
        "plain": (many, cores),
        "cluster": (f"{many}, on the cluster", cores),
    }
    for words, title in titles.items():
        yield *title, f"{found[words]:.0f}", f"{found[words] / found['plain']:.2f}"


def _rounds(timing: dict[int, Any]) -> int:
    return max(len(row["rates"]) for measured in timing.values() for row in measured["rows"])


def _rows(timing: dict[int, Any], memory: dict[tuple[str, str], float]) -> Iterator[Sequence[str]]:
    least = min(timing)
    for work in [row["work"] for row in timing[least]["rows"]]:
        for threads, measured in timing.items():
            row = next((row for row in measured["rows"] if row["work"] == work), None)
            if row is None:  # long, and measured at one thread
                continue
            ours = row["seconds"]["advlib"]
            counted = row["operations"]
            for name, seconds in row["seconds"].items():
                whole = counted and name not in row["parts"]
                used = memory.get((row["work"], name)) if threads == least else None
                yield (
                    f"{work}, {counted / 1e6:.2f} MFLOP an image" if counted else work,
                    name,
                    str(threads),
                    _spread([1e5 * s for s in seconds], ".1f"),
                    _spread(_ratios(seconds, ours), ".2f") if name != "advlib" else "1",
                    _spread(percents(row, seconds), ".0f") if whole else "",
                    "" if used is None else f"{used:.0f}",
                )


def percents(row: dict[str, Any], seconds: Sequence[float]) -> list[float]:
    """For each round the rate of the work in percent of the matrix product's."""
    rates = row["rates"]
    return [100 * row["operations"] / s / rate for s, rate in zip(seconds, rates, strict=True)]


def _ratios(seconds: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [theirs / own for theirs, own in zip(seconds, ours, strict=True)]


def _imports(imports: dict[str, list[float]]) -> Iterator[Sequence[str]]:
    torch = imports["import torch"]
    for statement, seconds in imports.items():
        ratio = _spread(_ratios(seconds, torch), ".2f") if seconds is not torch else "1"
        yield f"`{statement}`", _spread(seconds, ".2f"), ratio


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, most = median(values), min(values), max(values)
    if len(values) == 1:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({least:{form}} - {most:{form}})"


def _table(header: Sequence[str], rows: Any) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
