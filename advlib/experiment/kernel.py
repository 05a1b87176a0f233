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
import time
from contextlib import suppress

SIDE_BY_SIDE = 3
"""Notebooks that `make` executes at once, each with its share of the cores; threads of one training
wait for each other, so two trainings on a core each are faster than one on two."""


def share_cores() -> int:
    """Return how many threads a notebook computes with: $OMP_NUM_THREADS, or its share."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked) if asked.isdecimal() else (os.cpu_count() or 1) // SIDE_BY_SIDE)


class _Terminal(logging.Handler):
    """Writes to a copy of the standard output, of which ipykernel takes the original.

    Who is slow to read, on a busy machine, is waited for: the line may be the notebook's last. Who
    does not read is waited for once, and no more until there is room again.
    """

    PATIENCE = 10
    """Seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.descriptor = os.dup(1)
        self.patience = self.PATIENCE

    def emit(self, record: logging.LogRecord) -> None:
        line = f"    {record.getMessage()}\n".encode(errors="backslashreplace")
        with suppress(OSError):  # no reason to lose a training
            self._write(line)

    def _write(self, line: bytes) -> None:
        end = time.monotonic() + self.patience
        while line:
            left = max(0, end - time.monotonic())
            # Windows cannot tell whether there is room
            if os.name != "nt" and not select.select([], [self.descriptor], [], left)[1]:
                self.patience = 0
                return
            with suppress(BlockingIOError):  # others write there too
                line = line[os.write(self.descriptor, line) :]
        self.patience = self.PATIENCE


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
