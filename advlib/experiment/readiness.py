"""What an experiment needs beside its parameters, looked at before any notebook is executed."""

import os
from collections.abc import Iterable
from pathlib import Path

from advlib.kept.folders import BUILD
from advlib.settings import DATASETS, Experiment


def check_ready(experiment: Experiment, folder: Path) -> None:
    """Have a known data set there, downloaded if need be, and see that all can be written.

    Parameters
    ----------
    experiment : Experiment
        The settings.
    folder : Path
        Where the report is made.

    Raises
    ------
    DamagedFileError, RuntimeError, OSError
        If the data is damaged or cannot be had, or a folder cannot be written.
    """
    runs = Path(os.environ.get("ADVLIB_RUNS") or BUILD / "runs")
    _check_writable([folder, folder / "notebooks", folder / "results", runs])
    if experiment.dataset in DATASETS and experiment.dataset != "MNIST":  # which is bundled
        from advlib.data import known

        known.find_folder(experiment.dataset)


def _check_writable(folders: Iterable[Path]) -> None:
    for folder in folders:
        # what is there already decides: looking makes nothing
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"{there} must be a folder; remove the file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(f"{there} cannot be written; allow it, or choose another")
