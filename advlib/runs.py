"""Trained models: those of an experiment, kept in a folder of runs, and those of the package."""

import hashlib
import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from advlib._state import derived_seed, seeded
from advlib.data import Dataset, load_data
from advlib.kept import checkpoints
from advlib.kept.code import source_of
from advlib.kept.folders import REFERENCE, runs_folder
from advlib.lenet import LeNet
from advlib.methods import Method, find_method
from advlib.settings import Experiment, Training
from advlib.training import Known, deciding_code, train

PRETRAINED = Experiment().methods


@dataclass(frozen=True, eq=False)
class Wanted:
    """A training that may have been done, and the folder that is or will be its own."""

    folder: Path
    """Of its checkpoint and its history."""
    method: Known
    data: Dataset
    settings: Training
    model: nn.Module
    """In evaluation mode; with its initial weights until `train` is called."""

    @classmethod
    def find(
        cls,
        method: str,
        data: Dataset,
        settings: Training,
        *,
        row: Method | None = None,
        network: Callable[..., nn.Module] = LeNet,
        code: str = "",
        weights_of: str = "",
        runs: str | os.PathLike[str] | None = None,
    ) -> "Wanted":
        """Name a training by what decides it.

        A run's folder is named by its settings, its data, the code that decides its numbers and
        torch's version, so that one made with others is never taken. From an experiment's one seed
        each method draws initial weights of its own, or begins with those of the method
        `weights_of`; the order of the images in an epoch is the same for all. `code` is what else
        decides the numbers: a digest of the files that a row or a network of one's own is from.
        """
        row = row or find_method(method)
        own = row.settings.chosen(vars(settings))
        if not code and not network.__module__.startswith("advlib."):
            code = source_of(network)
        code = deciding_code(row, network, load_data, build_network) + code
        decides = [method, row.deciding(own), data.fingerprint, code, str(torch.__version__)]
        decides += [weights_of] if weights_of not in ("", method) else []
        key = json.dumps(decides, sort_keys=True)
        name = f"{method}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        kept = Path(runs).absolute() if runs else runs_folder()
        model = begin(weights_of or method, data, own.seed, network)
        return cls(kept / name, Known(method, row), data, own, model)

    @property
    def is_finished(self) -> bool:
        return (self.folder / checkpoints.HISTORY).exists()

    def train(self) -> pd.DataFrame:
        """Load what is kept, or train, the model in place; return the history."""
        given: dict[str, Any] = vars(self.settings)
        return train(self.model, self.data, method=self.method, run=self.folder, **given)


def begin(
    method: str, data: Dataset, seed: int, network: Callable[..., nn.Module] = LeNet
) -> nn.Module:
    """Return the network with the initial weights that a method draws from an experiment's seed."""
    return build_network(network, data, derived_seed(seed, method, "weights")).eval()


def build_network(network: Callable[..., nn.Module], data: Dataset, seed: int) -> nn.Module:
    """Call a class or function with those of classes, shape (C, H, W) and seed that it takes."""
    takes = inspect.signature(network).parameters
    known = {"classes": len(data.classes), "shape": tuple(data.mean_image.shape), "seed": seed}
    given = {name: value for name, value in known.items() if name in takes}
    with seeded(seed, torch.device("cpu")):
        return network(**given)


def pretrained(name: str) -> LeNet:
    """Load a LeNet with the weights of the reference run, the slides' settings in full.

    Parameters
    ----------
    name : str
        ``"standard"``, ``"mixed"`` or ``"adversarial"``.

    Returns
    -------
    LeNet
        In evaluation mode, on the CPU.

    Raises
    ------
    ValueError
        If there is no such model.
    DamagedFileError
        If the file of weights is damaged.
    """
    if name not in PRETRAINED:
        raise ValueError(f"name must be one of {', '.join(PRETRAINED)}, not {name!r}")
    state, _ = checkpoints.load(REFERENCE / f"{name}.safetensors")
    model = LeNet()
    model.load_state_dict(state)
    return model.eval()
