"""A user's network, methods and weights, tried on a few images before any training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from advlib._state import seeded
from advlib.attacks import fgsm
from advlib.data import Dataset
from advlib.experiment.own import (
    OwnCodeError,
    explained,
    find_network,
    load_weights,
    register_methods,
)
from advlib.experiment.own_files import find_weights
from advlib.kept.names import name_method, split_own
from advlib.methods import METHODS, Method, Outcome, Step
from advlib.runs import build_network
from advlib.settings import Experiment, Training, declared
from advlib.training import check_training, deciding_code

TRIED = 3
"""Images; not two, of which all else that asks a network takes."""


def check_by_trying(experiment: Experiment, data: Dataset) -> None:
    """Try a user's code on a few images; load weights that were trained elsewhere.

    Raises
    ------
    ValueError, OSError
        If something fails or does not fit. The message names it and what to do.
    """
    network, methods = experiment.network, experiment.methods
    if experiment.weights is None:
        register_methods(methods)
    model = _try_network(network, data)
    if experiment.weights:
        for path in find_weights(experiment).values():
            load_weights(model, path)
            with explained(network, f"the network with the weights of {path.name}"):
                _check_logits(model.eval(), network, data)
        _try_attack(model, network, data)
        return
    with explained(network, "the network in a training"):
        for passes in {METHODS[name_method(method)].passes for method in methods}:
            check_training(model, data, experiment.batch_size, passes)
    for method in methods:
        with explained(method, "finding its code"):
            deciding_code(METHODS[name_method(method)], find_network(network))
    _try_attack(model, network, data)
    for method in methods:
        _try_method(method, _try_network(network, data), data, experiment)


def _try_network(network: str, data: Dataset) -> nn.Module:
    """Build a network and run it; the same seed must give the same weights."""
    make = find_network(network)
    with explained(network, "calling it"):
        model, again = (build_network(make, data, 0) for _ in range(2))
    if not isinstance(model, nn.Module):
        raise OwnCodeError(
            f"{network} must give a torch.nn.Module, not {type(model).__name__}: return one"
        )
    with explained(network, "comparing the weights that it is built with"):
        pairs = zip(model.state_dict().values(), again.state_dict().values(), strict=True)
        same = all(torch.equal(*pair) for pair in pairs)
    if not same:
        raise OwnCodeError(
            f"{network} gives other weights each time, with the same seed: draw them from torch's"
            " random numbers, or take an argument seed"
        )
    for mode in (True, False):
        with explained(network, f"running it in {'training' if mode else 'evaluation'} mode"):
            _check_logits(model.train(mode), network, data)
    return again


def _try_attack(model: nn.Module, network: str, data: Dataset) -> None:
    """Attack the images of all reports once: the images' gradient is needed."""
    images, labels = data.train.images[:TRIED].clone(), data.train.labels[:TRIED].clone()
    with explained(network, f"an attack on {TRIED} images"):
        fgsm(model.eval(), images, labels, bounds=data.bounds)


def _check_logits(model: nn.Module, network: str, data: Dataset) -> None:
    images, classes = data.train.images[:TRIED].clone(), len(data.classes)
    with torch.no_grad(), seeded(0, images.device):
        logits: Any = model(images)
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise OwnCodeError(
            f"{network} must return a tensor of logits [N, {classes}], not {type(logits).__name__}"
        )
    if logits.shape != (TRIED, classes):
        raise OwnCodeError(
            f"{network} must return logits of shape [N, {classes}], a number for each class of the"
            f" data; for {TRIED} images it returns {[*logits.shape]}: take the argument classes, or"
            " mend the last layer"
        )
    if not logits.isfinite().all():
        raise OwnCodeError(f"{network} returns logits that are not finite: correct it")


def _try_method(method: str, model: nn.Module, data: Dataset, experiment: Experiment) -> None:
    """Take one step on a few images, and check its gradients."""
    row = METHODS[name_method(method)]
    given = {n: getattr(experiment, n) for n in declared(Training)}
    images, labels = data.train.images[:TRIED].clone(), data.train.labels[:TRIED].clone()
    order = Generator().manual_seed(0)
    # in one of ours it is the network that fails
    what = method if split_own(method) else experiment.network
    doing = f"a step of {name_method(method)} training on {TRIED} images"
    with explained(what, doing), seeded(0, images.device):
        settings = row.settings(**given)
        batch = next(iter(row.batches(model.train(), images, labels, settings, order)))
        step = row.step(model, batch, settings)
    place = _find_line(method, row)
    if not isinstance(step, Step):
        raise OwnCodeError(
            f"{place} must return an advlib.methods.Step, not {type(step).__name__}: return"
            " Step(gradients, clean)"
        )
    _check_gradients(place, step.gradients, model)
    for name in ("clean", "adversarial"):
        outcome = getattr(step, name)
        fits = isinstance(outcome, Outcome) and all(t.shape == (len(t),) for t in outcome)
        if not fits and (name, outcome) != ("adversarial", None):
            raise OwnCodeError(
                f"{place}: the Step's {name} must be an advlib.methods.Outcome of objective [N] and"
                " rank [N], such as the outcome of advlib.methods.differentiate"
            )


def _find_line(method: str, row: Method) -> str:
    code = getattr(row.step, "__code__", None)
    return f"{code.co_filename}, line {code.co_firstlineno}: {code.co_name}" if code else method


def _check_gradients(place: str, gradients: Sequence[Tensor], model: nn.Module) -> None:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    wanted = "a gradient for each of the model's parameters that require one, in their order"
    if not isinstance(gradients, list | tuple):
        kind = type(gradients).__name__
        raise OwnCodeError(f"{place} must give {wanted}, in a list or a tuple, not {kind}")
    if len(gradients) != len(named):
        raise OwnCodeError(
            f"{place} must give {wanted}: {len(named)}, not {len(gradients)}; those of"
            " advlib.methods.differentiate are"
        )
    for gradient, (name, parameter) in zip(gradients, named, strict=True):
        if not isinstance(gradient, Tensor) or gradient.shape != parameter.shape:
            found = [*gradient.shape] if isinstance(gradient, Tensor) else type(gradient).__name__
            raise OwnCodeError(
                f"{place} must give {wanted}: that of {name} must be of shape"
                f" {[*parameter.shape]}, not {found}"
            )
        if (gradient.dtype, gradient.device) != (parameter.dtype, parameter.device):
            raise OwnCodeError(
                f"{place} must give {wanted}: that of {name} must be {parameter.dtype} on"
                f" {parameter.device}, not {gradient.dtype} on {gradient.device}"
            )
        if not gradient.isfinite().all():
            raise OwnCodeError(f"{place} gives a gradient of {name} that is not finite: correct it")
