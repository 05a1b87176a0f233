"""The training loop: epochs, history, checkpoints and resuming."""

import hashlib
import inspect
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from advlib import checkpoints
from advlib.checks import (
    NotFiniteError,
    as_found,
    check_classes,
    check_images,
    check_labels,
    check_model,
    logits_of,
)
from advlib.data import Dataset
from advlib.epochs import Training, derived_seed, seeded, train_epoch
from advlib.evaluation import errors
from advlib.identity import identity
from advlib.methods import METHODS, Gradients, Method
from advlib.parameters import check
from advlib.progress import Progress

FIGURES = ("objective", "top1_error", "top5_error")
PARTS = ("train", "train_adversarial", "validation")
COLUMNS = ("epoch", *(f"{figure}_{part}" for figure in FIGURES for part in PARTS), "seconds")


class DivergedError(ArithmeticError):
    """The loss of a training is no longer finite."""


def train(
    model: nn.Module,
    data: Dataset,
    *,
    method: str | Gradients = "adversarial",
    epochs: int = 30,
    epsilon: float = 0.1,
    alpha: float = 0.5,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    seed: int = 0,
    device: str | torch.device = "auto",
    run: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Train a model in place.

    Each epoch is a function of the weights, the seed and the epoch's number: its shuffle is drawn
    anew and the momentum starts at zero. The same seed, machine and number of threads give the same
    bits.

    Parameters
    ----------
    model : Module
        Returns logits [N, classes]. It is trained in training mode and validated in evaluation
        mode, and handed back in the mode and on the device it came in.
    data : Dataset
        `data.train` trains, `data.validation` validates: images float [N, ...], labels int64 [N].
    method : str or callable, optional
        ``"standard"``, ``"mixed"``, ``"adversarial"``, ``"mixed-epochwise"``, or a function like
        those of `advlib.methods`.
    epochs, batch_size : int, optional
        At least 1.
    epsilon, alpha : float, optional
        FGSM's step, at least 0, in the images' unit; the weight of the clean gradient, in [0, 1].
    learning_rate, momentum, weight_decay : float, optional
        v <- momentum v - weight_decay w - g; w <- w + learning_rate v, on biases too.
    seed : int, optional
        Of the shuffles (and of dropout's noise); the initial weights are the model's.
    device : str or device, optional
        Where to train; ``"auto"`` is a GPU if torch finds one, else the CPU.
    run : path-like, optional
        A folder to keep a checkpoint in, written after each epoch. A training that was stopped goes
        on from there to the same bits, on its device, with its number of threads and its precision
        of matrix products; a finished one is loaded. Two processes on one folder take turns. The
        code of a network of your own, and what a method of your own refers to, are not compared:
        when you change them, take another folder.

    Returns
    -------
    DataFrame
        A row for each epoch: ``epoch``, then ``objective_...``, ``top1_error_...`` and
        ``top5_error_...`` (percent) for ``train`` and ``train_adversarial``, running means over the
        epoch's minibatches (NaN where there are no adversarial images), and for ``validation``,
        after the epoch; then ``seconds``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or `run` holds a training with other settings, data,
        network, initial weights or code, or of another version of torch.
    RuntimeError
        If a run is to be kept and advlib's code has changed since it was imported.
    DivergedError
        If the loss is no longer finite; the model is then of no use.
    DamagedFileError
        If the checkpoint in `run` is damaged.
    """
    folder = None if run is None else _folder(run)
    name, chosen = _method(method, named=run is not None)
    given = {
        "epochs": epochs,
        "epsilon": epsilon,
        "alpha": alpha,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "seed": seed,
    }
    training = Training(name, chosen, **{key: check(key, value) for key, value in given.items()})
    _check_work(model, data)
    place = _device(device)
    if folder is None:
        with _running(model, place):
            return _loop(model, data, training, place, [], None)
    decides = identity(model, data, training.deciding())
    checkpoint = checkpoints.Checkpoint.resume(folder, decides, place)
    history = _frame(checkpoint.history)
    if len(history) == training.epochs and checkpoint.tells(history):
        # read without the lock: it may lie where nothing can be written
        model.load_state_dict(checkpoint.state)
        return history
    with checkpoints.held(folder):
        checkpoint = checkpoints.Checkpoint.resume(folder, decides, place)
        if checkpoint.state:
            model.load_state_dict(checkpoint.state)
        place = _device(checkpoint.device)
        with checkpoint.conditions(), _running(model, place):
            return _loop(model, data, training, place, checkpoint.history, checkpoint)


def _folder(run: Any) -> Path:
    problem = f"run must be the path of a folder or None, not {run!r}"
    try:
        folder = Path(run)
    except TypeError:
        raise TypeError(problem) from None
    if not os.fspath(run):
        raise ValueError(problem)
    return folder


def _method(method: object, *, named: bool) -> tuple[str, Method]:
    """The method and its name; with `named`, a caller's own function is named by its source too."""
    if not callable(method):
        return check("method", method), METHODS[str(method)]
    name = getattr(method, "__name__", type(method).__name__)
    if not named:
        return name, Method(method)
    try:
        source = inspect.getsource(method)
    except (OSError, TypeError):
        raise ValueError(
            f"method must be a function whose source is known to be kept in a run, not {method!r}"
        ) from None
    return f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:12]}", Method(method)


def _device(device: object) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    problem = f'device must be "auto", a CPU or a GPU of CUDA that torch has here, not {device!r}'
    try:
        found = torch.empty(0, device=device).device  # type: ignore[call-overload]
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(problem) from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(problem)
    return found  # type: ignore[no-any-return]


def _check_work(model: object, data: Any) -> None:
    """Check the data, and the model on two images of each part."""
    for part in ("train", "validation"):
        split = getattr(data, part, None)
        if split is None:
            raise TypeError(f"data must be a Dataset, not {type(data).__name__}")
        check_images(split.images, f"data.{part}.images")
        check_labels(split.labels, split.images, f"data.{part}.labels")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {model!r} ({type(model).__name__})")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameters to train (none requires a gradient)")
    device = next(model.parameters()).device
    for part in ("train", "validation"):
        split = getattr(data, part)
        images = split.images[:2].to(device)
        check_model(model, images, images_name=f"data.{part}.images")
        with _modes(model), as_found(model, device), torch.inference_mode(False), torch.no_grad():
            logits = logits_of(model.eval(), images.clone())
        check_classes(split.labels, logits.shape[1], f"data.{part}.labels")


@contextmanager
def _modes(model: nn.Module) -> Iterator[None]:
    """Give the model back in the modes it came in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _running(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have the model on the device, and give it back in the mode and the place it came in."""
    home = next(model.parameters()).device
    exact = (
        torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        if device.type == "cuda"
        else nullcontext()
    )
    try:
        with _modes(model), exact, torch.inference_mode(False), torch.enable_grad():
            model.to(device)
            yield
    finally:
        model.zero_grad(set_to_none=True)
        model.to(home)


def _loop(
    model: nn.Module,
    data: Dataset,
    training: Training,
    device: torch.device,
    history: list[dict[str, float]],
    checkpoint: checkpoints.Checkpoint | None,
) -> pd.DataFrame:
    """Train the epochs that `history` lacks."""
    progress = Progress(training.name, training.epochs)
    images, labels = data.train.images.to(device), data.train.labels.to(device)
    validation = data.validation.images.to(device), data.validation.labels.to(device)
    for epoch in range(len(history) + 1, training.epochs + 1):
        begin = time.perf_counter()
        try:
            trained = train_epoch(model.train(), images, labels, training, epoch)
            with seeded(derived_seed(training.seed, epoch, "validation"), device):
                validated = errors(model.eval(), *validation)
        except NotFiniteError as error:
            raise _diverged(training, epoch) from error
        figures = (*trained, validated)
        # NaN only where there were no adversarial images at all
        objectives = [part[0] for part in figures if not math.isnan(part[1])]
        if not all(map(math.isfinite, objectives)):
            raise _diverged(training, epoch)
        row = {
            f"{f}_{p}": v[i]
            for i, f in enumerate(FIGURES)
            for p, v in zip(PARTS, figures, strict=True)
        }
        history.append({"epoch": epoch, **row, "seconds": time.perf_counter() - begin})
        if checkpoint:
            checkpoint.save(model.state_dict(), history)
        progress.tell(history[-1])
    frame = _frame(history)
    if checkpoint:
        checkpoint.finish(frame)
    return frame


def _frame(history: list[dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(history, columns=list(COLUMNS))


def _diverged(training: Training, epoch: int) -> DivergedError:
    return DivergedError(
        f"{training.name} training: the loss is not finite in epoch {epoch} at learning rate"
        f" {training.learning_rate:g}; try a smaller learning rate, or larger minibatches than"
        f" {training.batch_size}"
    )
