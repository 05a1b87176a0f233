"""Trainings on the cluster of `make replicate`, against as many plain processes side by side.

    python -m benchmarks.cluster

The last line that it prints is the seconds as JSON: of one training alone, in a process of its own;
of two for each core on the cluster; and of the same as plain processes, as many at once as cores.
All are measured in one run, each with what it takes to start.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SETTINGS = {"IMAGES": "20000", "EPOCHS": "4", "METHODS": "adversarial", "ATTACKED": "1"}
PLAIN = """
import sys, torch
from advlib import load_data, runs
from advlib.settings import Training
torch.set_num_threads(1)
seed, images, epochs, folder = *map(int, sys.argv[1:4]), sys.argv[4]
settings = Training(seed=seed, epochs=epochs)
data = load_data("MNIST", images=images)
runs.Wanted.find("adversarial", data, settings, runs=folder).train()
"""


def seconds(work: Callable[[str], object]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        work(folder)
        return time.perf_counter() - begin


def train_plainly(folder: str, seeds: int, at_once: int) -> None:
    """Train each seed in a process."""

    def train(seed: int) -> None:
        given = str(seed), SETTINGS["IMAGES"], SETTINGS["EPOCHS"], folder
        subprocess.run([sys.executable, "-c", PLAIN, *given], check=True)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(train, range(seeds)))


def train_on_cluster(folder: str, seeds: int) -> None:
    """Train the same, and measure nothing."""
    from advlib.experiment import cluster, parameters, replicate
    from advlib.experiment.subject import resolve_subject

    os.environ["ADVLIB_RUNS"] = folder
    asked = [f"{name}={value}" for name, value in SETTINGS.items()]
    subject = resolve_subject(parameters.resolve(*parameters.read_arguments(asked)))
    work = replicate.Work(subject)
    tasks = [replicate.Train(seed, SETTINGS["METHODS"]) for seed in range(seeds)]
    failed = cluster.compute(
        lambda: [task for task in tasks if not task.is_done(work)],
        work,
        sent=replicate.send(subject),
        unpack=replicate.receive,
    )
    assert not failed
    assert len([*Path(folder).glob("*/history.csv")]) == seeds


def main() -> None:
    cores = os.cpu_count() or 1
    found = {
        "one": seconds(lambda folder: train_plainly(folder, 1, 1)),
        "plain": seconds(lambda folder: train_plainly(folder, 2 * cores, cores)),
        "cluster": seconds(lambda folder: train_on_cluster(folder, 2 * cores)),
    }
    print(json.dumps(found | {"trainings": 2 * cores, "cores": cores}))


if __name__ == "__main__":
    main()
