"""Progress for the person who waits: one line for each epoch, never in a notebook or a report."""

import logging
import os
from collections.abc import Mapping

LOG = logging.getLogger("advlib")


class Progress:
    """Tells of a training's epochs.

    A line goes to the log ``advlib`` (level INFO), and to the end of the file that the environment
    variable ADVLIB_PROGRESS names; what runs a notebook shows that file's lines on the terminal.

    Parameters
    ----------
    name : str
        Of the training.
    epochs : int
        How many there are in all.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs

    def tell(self, row: Mapping[str, float]) -> None:
        """Tell of one epoch, a row of the history."""
        epoch = int(row["epoch"])
        line = (
            f"{self.name} training: epoch {epoch} of {self.epochs}"
            f", objective {row['objective_train']:.4f}"
            f", validation error {row['top1_error_validation']:.2f} %"
        )
        left = row["seconds"] * (self.epochs - epoch)
        say(f"{line}, {left // 60:.0f} min {left % 60:.0f} s left" if left else f"{line}, done")


def say(line: str) -> None:
    """Log a line, and add it to the file of $ADVLIB_PROGRESS."""
    LOG.info(line)
    path = os.environ.get("ADVLIB_PROGRESS")
    if path:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:  # no reason to lose a training
            LOG.warning("cannot write progress to %s: %s", path, error)
