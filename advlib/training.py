"""The training loop: epochs, history, checkpoints and resuming."""

import ast
import hashlib
import inspect
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from advlib import checkpoints
from advlib.attacks import fgsm
from advlib.checks import check_classes, check_images, check_labels, check_model, logits_of
from advlib.data import Dataset
from advlib.evaluation import errors
from advlib.methods import METHODS, Batch, Gradients, Method, Outcome
from advlib.parameters import check
from advlib.progress import Progress

FIGURES = ("objective", "top1_error", "top5_error")
PARTS = ("train", "train_adversarial", "validation")
COLUMNS = ("epoch", *(f"{figure}_{part}" for figure in FIGURES for part in PARTS), "seconds")


class DivergedError(ArithmeticError):
    """The loss of a training is no longer finite."""


@dataclass(frozen=True)
class _Training:
    """A training's checked settings; the names are those of `train`."""

    name: str
    method: Method
    epochs: int
    epsilon: float
    alpha: float
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    seed: int

    def deciding(self) -> dict[str, Any]:
        """The settings that the numbers depend on."""
        names = ("epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "seed")
        values = {name: getattr(self, name) for name in (*self.method.uses, *names)}
        return {"method": self.name, **values}


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
        on from there, on its device and with its number of threads, to the same bits; a finished
        one is loaded. Two processes on one folder take turns.

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
        If an argument is not as above, or `run` holds a training with other settings, data, initial
        weights or code.
    DivergedError
        If the loss is no longer finite; the model is then of no use.
    DamagedFileError
        If the checkpoint in `run` is damaged.
    """
    name, chosen = _method(method)
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
    training = _Training(name, chosen, **{key: check(key, value) for key, value in given.items()})
    _check_work(model, data)
    place = _device(device)
    if run is None:
        with _running(model, place):
            return _loop(model, data, training, place, [], None)
    identity = {
        "settings": training.deciding(),
        "data": data.fingerprint,
        "initial weights": checkpoints.digest(model.state_dict()),
        "code": code_digest(),
    }
    folder = Path(run)
    with checkpoints.held(folder):
        checkpoint = checkpoints.Checkpoint.resume(folder, identity, place)
        if checkpoint.state:
            model.load_state_dict(checkpoint.state)
        with checkpoint.conditions(), _running(model, torch.device(checkpoint.device)):
            history = checkpoint.history
            place = torch.device(checkpoint.device)
            return _loop(model, data, training, place, history, checkpoint)


def derived_seed(*parts: object) -> int:
    """Derive a seed from others and from names, such as ``derived_seed(0, "mixed", "weights")``."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def code_digest() -> str:
    """Return the SHA-256 of the code that decides a training's bits, its words left out."""
    total = hashlib.sha256()
    for module in ("attacks", "convolution", "data", "lenet", "methods", "training"):
        tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):  # words decide nothing: comments and docstrings do not count
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [line for line in node.body if not _is_text(line)]
        total.update(ast.dump(tree).encode())
    return total.hexdigest()


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _method(method: object) -> tuple[str, Method]:
    """A method's name and the method; a caller's own function is named by its source."""
    if not callable(method):
        return check("method", method), METHODS[str(method)]
    try:
        source = inspect.getsource(method)
    except (OSError, TypeError):
        raise ValueError(
            f"method must be a function whose source is known, not {method!r}"
        ) from None
    source_digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    return f"{getattr(method, '__name__', 'method')}-{source_digest}", Method(method)


def _device(device: object) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device  # type: ignore[call-overload,no-any-return]
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(
            f'device must be "auto" or a device that torch has here, not {device!r}'
        ) from error


def _check_work(model: object, data: Any) -> None:
    """Check the data, and the model on two of its images."""
    for part in ("train", "validation"):
        split = getattr(data, part, None)
        if split is None:
            raise TypeError(f"data must be a Dataset, not {type(data).__name__}")
        check_images(split.images)
        check_labels(split.labels, split.images)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {model!r} ({type(model).__name__})")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameters to train (none requires a gradient)")
    parameter = next(model.parameters())
    images = data.train.images[:2].to(parameter.device)
    check_model(model, images)
    mode = model.training
    with torch.no_grad():
        logits = logits_of(model.eval(), images.clone())
    model.train(mode)
    for split in (data.train, data.validation):
        check_classes(split.labels, logits.shape[1])


@contextmanager
def _running(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have the model on the device, and give it back in the mode and the place it came in."""
    mode, home = model.training, next(model.parameters()).device
    exact = (
        torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        if device.type == "cuda"
        else nullcontext()
    )
    try:
        with exact:
            model.to(device)
            yield
    finally:
        model.zero_grad(set_to_none=True)
        model.to(home).train(mode)


def _loop(
    model: nn.Module,
    data: Dataset,
    training: _Training,
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
        trained = _epoch(model.train(), images, labels, training, epoch)
        _check_finite(model, trained, training, epoch)
        validated = errors(model.eval(), *validation)
        figures = (*trained, validated)
        row = {
            f"{f}_{p}": v[i]
            for i, f in enumerate(FIGURES)
            for p, v in zip(PARTS, figures, strict=True)
        }
        history.append({"epoch": epoch, **row, "seconds": time.perf_counter() - begin})
        if checkpoint:
            checkpoint.save(model.state_dict(), history)
        progress.tell(history[-1])
    frame = pd.DataFrame(history, columns=list(COLUMNS))
    if checkpoint:
        checkpoint.finish(frame)
    return frame


def _epoch(
    model: nn.Module, images: Tensor, labels: Tensor, training: _Training, epoch: int
) -> tuple[list[float], list[float]]:
    """Train one epoch; return the figures on the clean and on the adversarial images."""
    optimizer = torch.optim.SGD(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        foreach=True,
    )
    parameters = optimizer.param_groups[0]["params"]
    # One small tensor, changed in place: small ones kept from each step would lie between the large
    # ones that a step frees, and the C library could not give that memory out again.
    totals = torch.zeros(2, 4, dtype=torch.float64, device=images.device)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derived_seed(training.seed, epoch, "noise"))
        for batch in _batches(model, images, labels, training, epoch):
            step = training.method.gradients(model, batch, training.epsilon, training.alpha)
            for parameter, gradient in zip(parameters, step.gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            for total, outcome in zip(totals, (step.clean, step.adversarial), strict=True):
                if outcome is not None:
                    total += _sums(outcome)
    clean, adversarial = totals.tolist()
    return _means(*clean), _means(*adversarial)


def _batches(
    model: nn.Module, images: Tensor, labels: Tensor, training: _Training, epoch: int
) -> Iterator[Batch]:
    """The epoch's minibatches, reshuffled."""
    n = len(images)
    generator = torch.Generator().manual_seed(derived_seed(training.seed, epoch, "order"))
    if not training.method.epochwise:
        order = torch.randperm(n, generator=generator).to(images.device)
        for chosen in torch.split(order, training.batch_size):
            yield Batch(images[chosen], labels[chosen])
        return
    stale = fgsm(model, images, labels, training.epsilon)
    order = torch.randperm(2 * n, generator=generator).to(images.device)
    for chosen in torch.split(order, training.batch_size):
        perturbed, chosen = chosen >= n, chosen % n
        batch = images[chosen]
        batch[perturbed] = stale[chosen[perturbed]]
        yield Batch(batch, labels[chosen], perturbed)


def _sums(outcome: Outcome) -> Tensor:
    """Over a minibatch: the objective, the top-1 and the top-5 errors, and the number of images."""
    objective, rank = outcome
    top1, top5 = (rank >= 1).sum(), (rank >= 5).sum()
    return torch.stack([objective.double().sum(), top1, top5, torch.ones_like(rank).sum()])


def _means(objective: float, top1: float, top5: float, images: float) -> list[float]:
    """The mean objective and the errors in percent; NaN where there were no images."""
    if not images:
        return [math.nan] * len(FIGURES)
    return [objective / images, 100 * top1 / images, 100 * top5 / images]


def _check_finite(
    model: nn.Module, trained: tuple[list[float], list[float]], training: _Training, epoch: int
) -> None:
    objectives = [trained[0][0]] + [trained[1][0]] * (not math.isnan(trained[1][1]))
    finite = all(map(math.isfinite, objectives))
    if not (finite and all(p.isfinite().all() for p in model.parameters())):
        raise DivergedError(
            f"{training.name} training: the loss is not finite in epoch {epoch} at learning rate"
            f" {training.learning_rate:g}; try a smaller learning rate, or larger minibatches than"
            f" {training.batch_size}"
        )
