"""The networks that the panel sets beside each other: ours, one's own, and a report's."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advlib.data import Dataset
from advlib.evaluation import evaluate
from advlib.explore.attacking import predict
from advlib.kept import checkpoints
from advlib.kept.files import DamagedFileError
from advlib.kept.folders import PROJECT, runs_folder
from advlib.lenet import LeNet
from advlib.runs import PRETRAINED, pretrained

MEASURED = 1000
"""Test images on which a network that is added is measured."""


@dataclass(frozen=True)
class KeptRun:
    """A training that `make report` has kept: its folder, and what it is in words."""

    folder: Path
    words: str


def load_ours() -> dict[str, nn.Module]:
    """Return the package's networks by name."""
    return {name: pretrained(name) for name in PRETRAINED}


def take(name: object, model: object, data: Dataset) -> nn.Module:
    """Return a copy of a network, as it is now, in evaluation mode and on the CPU, if it is one."""
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"name must be a word or two, not {name!r}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {model!r} ({type(model).__name__})")
    own = copy.deepcopy(model).cpu().eval()
    predict(own, data.test.images[:2], len(data.classes))
    return own


def find_runs(folder: Path | None = None) -> list[KeptRun]:
    """Return the trainings in a folder of runs, with their settings in words; the newest first."""
    paths = sorted(
        (folder or runs_folder()).glob(f"*/{checkpoints.NAME}"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    found = []
    for path in paths:
        try:
            _, record = checkpoints.load(path)
            found.append(KeptRun(path.parent, _describe(record, path.parent)))
        except (DamagedFileError, OSError, KeyError, TypeError):
            found.append(KeptRun(path.parent, f"{path.parent.name}: damaged"))
    return found


def _describe(record: Any, folder: Path) -> str:
    """What tells a run from others; the last letters of its folder's name do so always."""
    settings, done = dict(record["identity"]["settings"]), len(record["history"])
    epochs = settings["epochs"]
    of_all = f"{done} of {epochs}" if done < epochs else f"{epochs}"
    words = [settings["method"], f"{of_all} epoch{'s' * (epochs != 1)}"]
    shown = {"epsilon": "ε", "alpha": "α", "learning_rate": "rate"}
    words += [f"{word} {settings[name]:g}" for name, word in shown.items() if name in settings]
    return ", ".join([*words, folder.name.rpartition("-")[2][:6]])


def open_run(folder: str | os.PathLike[str]) -> LeNet:
    """Load the LeNet of a training that `make report` has kept, in evaluation mode, on the CPU.

    The folder is such as report/build/runs/NAME, also from the project's root. A network of one's
    own is put beside ours with ``panel.add``.
    """
    path = Path(folder)
    if not path.exists() and (PROJECT / path).exists():
        path = PROJECT / path
    state, _ = checkpoints.load(path / checkpoints.NAME)
    try:
        model = LeNet(classes=len(state["layers.6.bias"]))
        model.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError):
        raise ValueError(
            f"{path.name} holds a network that is no LeNet; load it yourself, and put it beside"
            " ours with panel.add(name, model)"
        ) from None
    return model.eval()


def write_path(folder: Path) -> str:
    """Return a run's folder as code names it: from the project's root where it lies below that."""
    return (folder.relative_to(PROJECT) if folder.is_relative_to(PROJECT) else folder).as_posix()


def measure_error(model: nn.Module, data: Dataset) -> float:
    """Return the error on the first test images, in percent: is it trained on such data at all?"""
    few = data.test.first(MEASURED)
    with torch.random.fork_rng([]):
        return evaluate(model, few.images, few.labels).error
