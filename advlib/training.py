"""The training loop: an epoch, its validation, the history, checkpoints and resuming."""

import hashlib
import inspect
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from advlib import _checks
from advlib._progress import describe_epoch, show_steps
from advlib._state import (
    derived_seed,
    frozen,
    kept_modes,
    seeded,
    within_training,
)
from advlib.data import Dataset
from advlib.evaluation import BATCH_SIZE, Errors, errors
from advlib.kept import checkpoints
from advlib.kept.code import running_code, source_of
from advlib.methods import Batch, Method, Outcome, TakeStep, attack_as_well, find_method, seed_order
from advlib.settings import Training, declared

FIGURES = ("objective", "top1_error", "top5_error")
PARTS = ("train", "train_adversarial", "validation", "validation_adversarial")
COLUMNS = ("epoch", *(f"{figure}_{part}" for figure in FIGURES for part in PARTS), "seconds")


class DivergedError(ArithmeticError):
    """The loss of a training is no longer finite."""


class Known(NamedTuple):
    """A method of any name: who gives it to `train` answers for what a run is known by."""

    name: str
    method: Method


def train(
    model: nn.Module,
    data: Dataset,
    *,
    method: str | TakeStep | Method | Known = "adversarial",
    epochs: int = 30,
    epsilon: float = 0.1,
    alpha: float = 0.5,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    schedule: str = "constant",
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    seed: int = 0,
    device: str | torch.device = "auto",
    run: str | os.PathLike[str] | None = None,
    **others: Any,
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
        A name in `advlib.methods.METHODS`; or a function like those there: of (model, batch,
        settings), it gives an `advlib.methods.Step`; or an `advlib.methods.Method` with one.
    device : str or device, optional
        Where to train; ``"auto"`` is a GPU if torch finds one, else the CPU.
    run : path-like, optional
        A folder to keep a checkpoint in, written after each epoch. A training that was stopped goes
        on from there to the same bits, on its device, with its number of threads and its precision
        of matrix products; a finished one is loaded. Two processes on one folder take turns. A
        method and a network of your own are known by their code and all that this reaches, also
        values; not by files that they read.
    epochs, batch_size : int, optional
        At least 1.
    epsilon, alpha : float, optional
        FGSM's step, at least 0, in the images' unit; the weight of the clean gradient, in [0, 1].
    learning_rate, momentum, weight_decay : float, optional
        v <- momentum v - weight_decay w - g; w <- w + learning_rate v, on biases too.
    schedule : {"constant", "cosine"}, optional
        With ``"cosine"`` epoch e has the learning rate times (1 + cos(pi (e - 1) / epochs)) / 2.
    seed : int, optional
        Of the shuffles (and of dropout's noise); the initial weights are the model's.
    others
        The method's own settings, by name.

    Returns
    -------
    DataFrame
        A row for each epoch: ``epoch``, then ``objective_...``, ``top1_error_...`` and
        ``top5_error_...`` (percent) for ``train`` and ``train_adversarial``, running means over the
        epoch's minibatches (NaN where there are no adversarial images), and for ``validation`` and
        ``validation_adversarial``, after the epoch; then ``seconds``. Validation images are
        attacked as in training: by FGSM with the log-loss, of size `epsilon`.

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
    name, chosen = training = _method(method, named=run is not None)
    unknown = others.keys() - declared(chosen.settings)
    if unknown:
        raise TypeError(
            f"{name} training has no setting {', '.join(map(repr, sorted(unknown)))}; it has"
            f" {', '.join(declared(chosen.settings))}"
        )
    settings = chosen.settings(
        epochs=epochs,
        epsilon=epsilon,
        alpha=alpha,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        momentum=momentum,
        weight_decay=weight_decay,
        seed=seed,
        **others,
    )
    check_training(model, data, settings.batch_size, chosen.passes)
    place = _find_device(device)
    if folder is None:
        with _trained_on(model, place):
            return _loop(model, data, training, settings, place, [], None)
    decides = _identity(model, data, training, settings)
    if not isinstance(method, Known):
        decides["network"] += _digest_network(model)
    checkpoint = checkpoints.Checkpoint.resume(folder, decides, place)
    history = _frame(checkpoint.history)
    if len(history) == settings.epochs and checkpoint.is_told_by(history):
        # read without the lock: it may lie where nothing can be written
        model.load_state_dict(checkpoint.state)
        return history
    with checkpoints.hold(folder):
        checkpoint = checkpoints.Checkpoint.resume(folder, decides, place)
        if checkpoint.state:
            model.load_state_dict(checkpoint.state)
        place = _find_device(checkpoint.device)
        with checkpoint.conditions(), _trained_on(model, place):
            return _loop(model, data, training, settings, place, checkpoint.history, checkpoint)


def _loop(
    model: nn.Module,
    data: Dataset,
    training: Known,
    settings: Training,
    device: torch.device,
    history: list[dict[str, float]],
    checkpoint: checkpoints.Checkpoint | None,
) -> pd.DataFrame:
    """Train the epochs that `history` lacks."""
    name, method = training
    images, labels = data.train.images.to(device), data.train.labels.to(device)
    validation = data.validation.images.to(device), data.validation.labels.to(device)
    with show_steps(name, settings.epochs, len(history)) as report_step:
        for epoch in range(len(history) + 1, settings.epochs + 1):
            begin = time.perf_counter()
            try:
                trained = train_epoch(model.train(), images, labels, method, settings, epoch)
                figures = (*trained, *validate(model.eval(), *validation, settings, epoch))
                # NaN only where there were no adversarial images at all
                if not all(math.isfinite(part[0]) for part in figures if not math.isnan(part[1])):
                    raise _checks.NotFiniteError("a mean of the losses is not finite")
            except _checks.NotFiniteError as error:
                raise DivergedError(
                    f"{name} training: the loss is not finite in epoch {epoch} at learning rate"
                    f" {settings.learning_rate:g}; try a smaller learning rate, or larger"
                    f" minibatches than {settings.batch_size}"
                ) from error
            row = {
                f"{f}_{p}": v[i]
                for i, f in enumerate(FIGURES)
                for p, v in zip(PARTS, figures, strict=True)
            }
            history.append({"epoch": epoch, **row, "seconds": time.perf_counter() - begin})
            if checkpoint:
                checkpoint.save(model.state_dict(), history)
            report_step(*describe_epoch(name, settings.epochs, history[-1]))
    frame = _frame(history)
    if checkpoint:
        checkpoint.finish(frame)
    return frame


def train_epoch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    method: Method,
    settings: Training,
    epoch: int,
) -> tuple[list[float], list[float]]:
    """Train one epoch; return the figures on the clean and on the adversarial images."""
    parameters: list[Tensor] = [each for each in model.parameters() if each.requires_grad]
    # The fused update reads memory in its order, whatever the strides say.
    contiguous = all(parameter.is_contiguous() for parameter in parameters)
    # What `torch.optim.SGD` calls: to make one imports torch's compiler, two seconds in a process.
    momenta: list[Tensor | None] = [None for _ in parameters]
    update = partial(
        sgd,
        lr=settings.rate(epoch),
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        dampening=0,
        nesterov=False,
        maximize=False,
        foreach=not contiguous,
        fused=contiguous,
    )
    # One small tensor, changed in place: small ones kept from each step would lie between the large
    # ones that a step frees, and the C library could not give that memory out again.
    totals = torch.zeros(2, 4, dtype=torch.float64, device=images.device)
    order = seed_order(settings.seed, epoch)
    with within_training(), seeded(derived_seed(settings.seed, epoch, "noise"), images.device):
        batches = method.batches(model, images, labels, settings, order)
        for number, batch in enumerate(batches):
            # whatever the last step left: a mode, or gradients that backward() would add to
            model.train().zero_grad(set_to_none=True)
            with within_training(settings.seed, epoch, number):
                step = method.step(model, batch._replace(epoch=epoch), settings)
            with _explained(method.step):
                outcomes = step.clean, step.adversarial
                gradients = []
                for parameter, gradient in zip(parameters, step.gradients, strict=True):
                    parameter.grad = gradient.contiguous()  # refuses another shape, type or device
                    gradients.append(parameter.grad)
                sums = [None if each is None else _sums(each) for each in outcomes]
            with torch.no_grad():
                update(parameters, gradients, momenta)
            for i, found in enumerate(sums):
                if found is not None:
                    totals[i] += found
    clean, adversarial = map(_means, totals.tolist())
    return clean, adversarial


@contextmanager
def _explained(step: TakeStep) -> Iterator[None]:
    """Say over Python's own error that what a method gave was no step, and where the method is."""
    try:
        yield
    except (AttributeError, TypeError, ValueError, RuntimeError, IndexError) as error:
        code = getattr(inspect.unwrap(step), "__code__", None)
        place = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
        raise TypeError(
            f"the method {getattr(step, '__name__', step)}{place} must return an"
            " advlib.methods.Step: for each trained parameter its gradient, in their order, and"
            f" outcomes with an objective and a rank for each image ({error})"
        ) from error


def validate(
    model: nn.Module, images: Tensor, labels: Tensor, settings: Training, epoch: int
) -> tuple[Errors, Errors]:
    """Return the figures on the clean images and on the same attacked as in training."""
    with seeded(derived_seed(settings.seed, epoch, "validation"), images.device):
        clean = errors(model, images, labels)
    with seeded(derived_seed(settings.seed, epoch, "attack"), images.device), frozen(model):
        batches = zip(*(torch.split(each, BATCH_SIZE) for each in (images, labels)), strict=True)
        tries = (attack_as_well(model, Batch(*batch), settings.epsilon) for batch in batches)
        return clean, errors(model, torch.cat([attacked.images for _, attacked in tries]), labels)


def _sums(outcome: Outcome) -> Tensor:
    """Over a minibatch: the objective, the top-1 and the top-5 errors, and the images."""
    objective, rank = outcome
    if objective.shape != rank.shape or rank.dtype != torch.int64:
        raise ValueError(f"objective {[*objective.shape]}, rank {[*rank.shape]} {rank.dtype}")
    errors = (rank[:, None] >= rank.new_tensor([1, 5])).sum(0)
    count = rank.new_tensor([len(rank)])
    return torch.cat([objective.sum(0, keepdim=True, dtype=torch.float64), errors, count])


def _means(sums: list[float]) -> list[float]:
    """The mean objective and the errors in percent; NaN where there were no images."""
    objective, top1, top5, images = sums
    if not images:
        return [math.nan] * 3
    return [objective / images, 100 * top1 / images, 100 * top5 / images]


def check_training(model: Any, data: Any, batch_size: int, passes: int = 1) -> None:
    """Check what a training is given: the data, and the model on two images of each part."""
    _checks.check_model(model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameters to train (none requires a gradient)")
    device = next(model.parameters()).device
    with kept_modes(model):
        try:
            model.train().eval()
        except NotImplementedError as error:
            raise TypeError(
                "model must be a module that can be put in training and evaluation mode, not one"
                f" that was exported ({error}); train the model that it was exported from"
            ) from error
        for part in ("train", "validation"):
            split = getattr(data, part, None)
            if split is None:
                raise TypeError(f"data must be a Dataset, not {type(data).__name__}")
            _checks.check_images(split.images, f"data.{part}.images")
            _checks.check_labels(split.labels, split.images, f"data.{part}.labels")
            images = split.images[:2].to(device)
            _checks.check_fit(images, model, f"data.{part}.images")
            with torch.inference_mode(False):
                classes = _checks.count_classes(model, images)
                check_alone(model, images)
            _checks.check_classes(split.labels, classes, f"data.{part}.labels")
        images = data.train.images
        _checks.check_last(model.train(), images, batch_size, device=device, times=passes)


def check_alone(model: nn.Module, images: Tensor) -> None:
    """Refuse a model, in evaluation mode, that says of an image what depends on the others."""
    if _checks.mixes_images(model):  # which is batch norm's, and taken care of
        return
    with torch.no_grad():
        together = model(images.clone())
        if not torch.equal(together, model(images.clone())):  # it draws at random
            return
        alone = torch.cat([model(image.clone()) for image in torch.split(images, 1)])
    if not torch.allclose(alone, together, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise ValueError(
            "model must return for an image what does not depend on the others of its batch, in"
            " evaluation mode: does a layer take the images for a sequence (batch_first=True)?"
        )


def _folder(run: Any) -> Path:
    problem = f"run must be the path of a folder or None, not {run!r}"
    if not isinstance(run, str | os.PathLike):
        raise TypeError(problem)
    if not os.fspath(run):
        raise ValueError(problem)
    return Path(run)


def _method(method: object, *, named: bool) -> Known:
    """The method and its name; with `named`, a caller's own is named by what it reaches, too."""
    if isinstance(method, Known):
        return method
    if not callable(method) and not isinstance(method, Method):
        return Known(str(method), find_method(method))
    row = method if isinstance(method, Method) else Method(method)
    step = row.step
    name = getattr(step, "__name__", type(step).__name__)
    try:
        inspect.signature(step).bind(None, None, None)
    except (TypeError, ValueError):
        raise TypeError(f"method must take (model, batch, settings), and {name} does not") from None
    if not named:
        return Known(name, row)
    parts = [
        part
        for part in (step, row.batches, row.settings)
        if part is step or not part.__module__.startswith("advlib.")
    ]
    return Known(f"{name}-{_digest_source('method', parts)[:12]}", row)


def _digest_source(name: str, parts: Any) -> str:
    """Return the SHA-256 of what a caller's own functions, classes and values reach."""
    try:
        return hashlib.sha256(source_of(parts).encode()).hexdigest()
    except (OSError, TypeError) as error:
        raise ValueError(
            f"{name} must be one whose source, and the values that it names, are known to be kept"
            f" in a run ({error})"
        ) from None


def _identity(
    model: nn.Module, data: Dataset, training: Known, settings: Training
) -> dict[str, Any]:
    """What decides the numbers, by names for people."""
    tensors = {
        f"{part} {kind}": getattr(getattr(data, part), kind)
        for part in ("train", "validation")
        for kind in ("images", "labels")
    }
    name, method = training
    ours = {type(m) for m in model.modules() if type(m).__module__.startswith("advlib.")}
    return {
        "settings": {"method": name, **method.deciding(settings)},
        "data": checkpoints.digest(tensors),
        "initial weights": checkpoints.digest(model.state_dict()),
        "network": repr(model),
        "trained parameters": [name for name, p in model.named_parameters() if p.requires_grad],
        "code": deciding_code(method, *ours),
        "torch": str(torch.__version__),
    }


def _digest_network(model: nn.Module) -> str:
    """Return the digest of the classes of a caller's own in a network; "" if there are none."""
    kinds = {type(m) for m in model.modules()}
    own = [kind for kind in kinds if kind.__module__.split(".")[0] not in ("advlib", "torch")]
    own.sort(key=lambda kind: (kind.__module__, kind.__qualname__))
    return f" of {_digest_source('model', own)}" if own else ""


def deciding_code(method: Method, *others: Callable[..., Any]) -> str:
    """Return the digest of the code that decides a method's numbers, with that of other functions.

    It is an error if that code has changed since it was imported.
    """
    return running_code([_loop, _trained_on, method.step, method.batches, method.settings, *others])


@contextmanager
def _trained_on(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have the model on the device, and give it back in the mode and the place it came in."""
    home = next(model.parameters()).device
    exact = (
        torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        if device.type == "cuda"
        else nullcontext()
    )
    try:
        with kept_modes(model), exact, torch.inference_mode(False), torch.enable_grad():
            model.to(device)
            yield
    finally:
        model.zero_grad(set_to_none=True)
        model.to(home)


def _frame(history: list[dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(history, columns=list(COLUMNS))


def _find_device(device: object) -> torch.device:
    """Return the device that a name asks for."""
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
