"""The networks that the panel sets beside the package's: one's own, and a report's."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from advlib.data import Dataset
from advlib.evaluation import evaluate
from advlib.explore.attacking import predict
from advlib.kept import checkpoints
from advlib.kept.files import DamagedFileError
from advlib.kept.folders import runs_folder
from advlib.lenet import LeNet

MEASURED = 1000
"""Test images on which a network that is added is measured."""


def take(name: object, model: object, data: Dataset) -> tuple[nn.Module, float]:
    """Return a copy of a network, as it is now, in evaluation mode and on the CPU, and its error.

    The error is that on a drawn sample of the test images, in percent: is it trained on such data?
    """
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"name must be a word or two, not {name!r}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {model!r} ({type(model).__name__})")
    own = _copy(model).cpu().eval()
    few = data.test.sample(MEASURED)
    predict(own, few.images[:2], len(data.classes))
    with torch.random.fork_rng([]):
        return own, evaluate(own, few.images, few.labels).error


def _copy(model: nn.Module) -> nn.Module:
    """Copy a network that may keep an output, which torch does not copy with its history."""
    copy_tensor: Callable[[Tensor, dict[int, Any]], Tensor] = torch.Tensor.__deepcopy__

    def copy_value(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        return copy_tensor(tensor if tensor.is_leaf else tensor.detach(), memo)

    with mock.patch.object(torch.Tensor, "__deepcopy__", copy_value):
        return copy.deepcopy(model)


def find_runs() -> dict[str, Path]:
    """Return the folders of the trainings that are kept, by their settings; the newest first."""
    paths = sorted(
        runs_folder().glob(f"*/{checkpoints.NAME}"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    found = {}
    for path in paths:
        try:
            _, record = checkpoints.load(path)
            words = _describe(record, path.parent)
        except (DamagedFileError, OSError, KeyError, TypeError):
            words = f"{path.parent.name}: damaged"
        found[words] = path.parent
    return found


def _describe(record: Any, folder: Path) -> str:
    """What tells a run from others; the last letters of its folder's name do so always."""
    settings, done = dict(record["identity"]["settings"]), len(record["history"])
    epochs = settings["epochs"]
    of_all = f"{done} of {epochs}" if done < epochs else f"{epochs}"
    words = [settings["method"], f"{of_all} epoch{'s' * (epochs != 1)}"]
    shown = {"epsilon": "ε", "alpha": "α", "learning_rate": "rate", "seed": "seed"}
    words += [f"{word} {settings[name]:g}" for name, word in shown.items() if name in settings]
    return ", ".join([*words, folder.name.rpartition("-")[2][:6]])


def open_run(folder: str | os.PathLike[str]) -> LeNet:
    """Load the LeNet of a training that `make report` has kept, in evaluation mode, on the CPU.

    A network of one's own is put beside ours with ``panel.add``.
    """
    path = Path(folder)
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
