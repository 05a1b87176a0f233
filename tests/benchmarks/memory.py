"""Measure the peak memory of one competitor's work, in a process of its own, which prints it.

    python -m benchmarks.memory WORK COMPETITOR

The figure is the peak resident memory less what importing torch and torchvision takes, in MB
(10^6 bytes). All of the data set is in memory. advlib's adversarial training is a whole epoch with
its validation; the other works are some steps, after which memory no longer grows.
"""

import sys
from importlib import import_module
from pathlib import Path

STEPS = 20


def peak() -> float:
    """The largest resident memory so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it started this process
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    for name in ("torch", "torchvision"):
        import_module(name)
    imports = peak()
    from benchmarks import peers
    from benchmarks.rows import ROWS, data

    work, competitor = sys.argv[1:]
    if (work, competitor) == ("adversarial training", "advlib"):
        from advlib.lenet import LeNet
        from advlib.training import train

        train(LeNet(seed=0), data(), method="adversarial", epochs=1)
    else:
        (row,) = [row for row in ROWS if row.work == work]
        row.competitors[competitor]()(STEPS * peers.BATCH)
    print(peak() - imports)


if __name__ == "__main__":
    main()
