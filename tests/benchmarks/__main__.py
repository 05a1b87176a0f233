"""Measure everything, print it and write it down; `make bench` runs this.

python -m benchmarks [FILE]
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from advlib.experiment import provenance
from advlib.kept import files
from advlib.kept.machine import processor
from benchmarks import table
from benchmarks.rows import ROWS

ROUNDS, IMAGES = 3, 7_000
IMPORTS = ("import torch", "import advlib", "from advlib import load_data, train, evaluate")
IMPORT_ROUNDS = 3
PACKAGES = ("torch", "torchvision", "adversarial-robustness-toolbox", "foolbox", "numpy")


def run(*arguments: str, threads: int) -> str:
    """Run a Python process and return the last line that it prints; it tells the rest on stderr."""
    # No progress bars of ART's, and no warnings.
    own = {"OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=os.environ | own, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.rstrip().rpartition("\n")[2]


def timing(threads: int) -> dict[str, Any]:
    arguments = "-m", "benchmarks.timing", str(threads), str(ROUNDS), str(IMAGES)
    figures: dict[str, Any] = json.loads(run(*arguments, threads=threads))
    return figures


def memory() -> dict[tuple[str, str], float]:
    """The peak memory of each, two processes of one thread at once: nothing is timed here."""
    print("  peak memory", flush=True)
    each = [
        (row.work, name)
        for row in ROWS
        for name in row.competitors
        if not row.is_long and name not in row.parts
    ]

    def measure(names: tuple[str, str]) -> float:
        return float(run("-m", "benchmarks.memory", *names, threads=1))

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(each, pool.map(measure, each), strict=True))


def imports() -> dict[str, list[float]]:
    """The seconds of processes that import and end, after a round of warm-up."""
    print("  imports", flush=True)
    seconds: dict[str, list[float]] = {statement: [] for statement in IMPORTS}
    for number in range(1 + IMPORT_ROUNDS):
        for statement, taken in seconds.items():
            begin = time.perf_counter()
            run("-c", statement, threads=torch.get_num_threads())
            if number:
                taken.append(time.perf_counter() - begin)
    return seconds


def cluster() -> dict[str, float]:
    print("  cluster", flush=True)
    figures: dict[str, float] = json.loads(run("-m", "benchmarks.cluster", threads=1))
    return figures


def machine() -> dict[str, str]:
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "Python": sys.version.split()[0],
        **{name: version(name) for name in PACKAGES},
        "commit": provenance.commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def main() -> None:
    target = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "results.md"
    counts = sorted({1, torch.get_num_threads()})
    figures = {
        "machine": machine(),
        "images": IMAGES,
        "timing": {threads: timing(threads) for threads in counts},
        "memory": memory(),
        "imports": imports(),
        "cluster": cluster(),
    }
    text = table.markdown(figures)
    files.write_bytes(target, text.encode())
    print(f"\n{text}\n{target}")


if __name__ == "__main__":
    main()
