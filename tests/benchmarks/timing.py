"""Time all rows with one number of threads, in a process of its own.

    python -m benchmarks.timing THREADS ROUNDS IMAGES

The last line that it prints is the figures as JSON.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from benchmarks import counting, peers
from benchmarks.rows import ROWS, Row, advlib_training

SIZE, PRODUCTS = 2048, 3
WARM_UP = 300


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def matrix_product() -> Callable[[], None]:
    """The limit: some float32 products of two square matrices."""
    a, b, c = (torch.randn(SIZE, SIZE) for _ in range(3))

    def work() -> None:
        for _ in range(PRODUCTS):
            torch.mm(a, b, out=c)

    return work


def rate(duration: float) -> float:
    """Operations a second of the matrix product."""
    return PRODUCTS * 2 * SIZE**3 / duration


def measure(rows: Sequence[Row], rounds: int, images: int) -> list[dict[str, Any]]:
    """Time the competitors in turn, round by round, after a warm-up of each.

    Each row's round begins with the matrix product, so that work and limit are measured side by
    side: from each round the `rates` of the product, operations a second, and the competitors'
    `seconds` for an image.
    """
    product = matrix_product()
    ready = [{name: setup() for name, setup in row.competitors.items()} for row in rows]
    layers = peers.Network().layers
    measured: list[dict[str, Any]] = [
        {
            "work": row.work,
            "operations": counting.operations(row.work, layers),
            "rates": [],
            "seconds": {name: [] for name in row.competitors},
            "parts": row.parts,
        }
        for row in rows
    ]
    product()
    for row, competitors in zip(rows, ready, strict=True):
        for work in competitors.values():
            work(WARM_UP // 30 if row.is_long else WARM_UP)
    for number in range(rounds):
        for row, competitors, figures in zip(rows, ready, measured, strict=True):
            if number >= (row.rounds or rounds):
                continue
            _tell(f"round {number + 1} of {rounds}: {row.work}")
            figures["rates"].append(rate(seconds(product)))
            for name, work in competitors.items():
                n = row.images or images // (10 if name in row.parts else 1)
                figures["seconds"][name].append(seconds(partial(work, n)) / n)
    return measured


def profile(images: int) -> str:
    """Where the time of adversarial training goes, as torch tells it, after a warm-up."""
    work = advlib_training("adversarial")
    work(images)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        work(images)
    found = profiler.key_averages().table("self_cpu_time_total", 20, max_name_column_width=30)
    return str(found).strip()


def _tell(message: str) -> None:
    print(f"  threads: {torch.get_num_threads()}, {message}", file=sys.stderr, flush=True)


def main() -> None:
    threads, rounds, images = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    rows = measure([row for row in ROWS if threads == 1 or not row.is_long], rounds, images)
    _tell("profile")
    print(json.dumps({"rows": rows, "profile": profile(20 * peers.BATCH)}))


if __name__ == "__main__":
    main()
