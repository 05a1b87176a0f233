"""The kernel of the notebooks that `runner` executes: ipykernel, with advlib's log on the terminal.

    python -m advlib.experiment.kernel -f CONNECTION_FILE

What is written to the log ``advlib`` (level INFO) appears on the standard output that the runner
hands down, line by line, and in no notebook.
"""

import logging
import os
import runpy
import select
import sys
from contextlib import suppress

SIDE_BY_SIDE = 3
"""Notebooks that `make` executes at once, each with its share of the cores; threads of one training
wait for each other, so two trainings on a core each are faster than one on two."""


def share_cores() -> int:
    """Return how many threads a notebook computes with: $OMP_NUM_THREADS, or its share."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked) if asked.isdecimal() else (os.cpu_count() or 1) // SIDE_BY_SIDE)


class _Terminal(logging.Handler):
    """Writes to a copy of the standard output, of which ipykernel takes the original."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptor = os.dup(1)

    def emit(self, record: logging.LogRecord) -> None:
        line = f"    {record.getMessage()}\n".encode(errors="backslashreplace")
        with suppress(OSError):  # no reason to lose a training
            # nor to wait: where nobody reads, a pipe fills up; Windows cannot tell of it
            if os.name == "nt" or select.select([], [self.descriptor], [], 0)[1]:
                os.write(self.descriptor, line)


def main() -> None:
    """Run the kernel; see the module's docstring."""
    log = logging.getLogger("advlib")
    log.setLevel(logging.INFO)
    if sys.stdout is None:  # it is closed, and ipykernel wants one
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    else:
        log.addHandler(_Terminal())
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
