"""Trained models: those of an experiment, kept in a folder of runs, and those of the package."""

import hashlib
import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from advlib import checkpoints
from advlib.data import Dataset
from advlib.epochs import derived_seed
from advlib.files import cache_folder
from advlib.identity import running_code
from advlib.lenet import LeNet
from advlib.methods import METHODS
from advlib.parameters import check
from advlib.training import train

PRETRAINED = ("standard", "mixed", "adversarial")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training.

    Attributes
    ----------
    folder : Path
        Where its checkpoint and its history are kept.
    method : str
        The training method.
    settings : dict
        The settings that decide its numbers.
    model : LeNet
        The trained network, in evaluation mode.
    history : DataFrame
        What `advlib.train` returned.
    """

    folder: Path
    method: str
    settings: dict[str, Any]
    model: LeNet
    history: pd.DataFrame


def trained(
    method: str,
    data: Dataset,
    *,
    epochs: int,
    epsilon: float,
    alpha: float,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    seed: int,
    device: str = "auto",
    runs: str | os.PathLike[str] | None = None,
) -> Run:
    """Give an experiment's LeNet, trained with one method: from the folder of runs, or trained now.

    A run's folder is named by its settings, its data, the code that decides its numbers and torch's
    version, so that one made with others is never taken. The methods of an experiment draw their
    initial weights and their shuffles from its one seed, each its own.

    Parameters
    ----------
    method : str
        ``"standard"``, ``"mixed"``, ``"adversarial"`` or ``"mixed-epochwise"``.
    data : Dataset
        As `advlib.load_data` gives it.
    epochs, epsilon, alpha, batch_size, learning_rate, momentum, weight_decay, device
        As for `advlib.train`; `epsilon` and `alpha` count only for the methods that use them.
    seed : int
        The experiment's.
    runs : path-like, optional
        The folder of runs; by default $ADVLIB_RUNS, else one in the user's cache folder.

    Returns
    -------
    Run
        The finished training.

    Raises
    ------
    TypeError, ValueError, DivergedError, DamagedFileError
        As `advlib.train`.
    """
    check("method", method)
    settings: dict[str, Any] = {
        "epochs": epochs,
        "epsilon": epsilon,
        "alpha": alpha,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "seed": seed,
    }
    unused = {"epsilon", "alpha"} - {*METHODS[method].uses}
    settings = {name: check(name, value) for name, value in settings.items()}
    deciding = {name: value for name, value in settings.items() if name not in unused}
    decides = [method, deciding, data.fingerprint, running_code(), str(torch.__version__)]
    key = json.dumps(decides, sort_keys=True)
    name = f"{method}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    folder = (
        Path(runs or os.environ.get("ADVLIB_RUNS") or cache_folder() / "runs").absolute() / name
    )
    seed = settings["seed"]  # Python's own int: a NumPy one would derive other seeds
    model = LeNet(derived_seed(seed, method, "weights"), len(data.classes)).eval()
    shuffles = derived_seed(seed, method, "shuffles")
    history = train(
        model, data, method=method, device=device, run=folder, **{**settings, "seed": shuffles}
    )
    return Run(folder, method, deciding, model, history)


def pretrained(name: str) -> LeNet:
    """Load a LeNet with the weights of the reference run, the seed's settings in full.

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
    reference = resources.files("advlib") / "reference" / f"{name}.safetensors"
    with resources.as_file(reference) as path:
        state, _ = checkpoints.load(path)
    model = LeNet()
    model.load_state_dict(state)
    return model.eval()
