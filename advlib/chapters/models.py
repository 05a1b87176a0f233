"""An experiment's models: trained, taken from the kept runs, or loaded from a user's weights."""

import pandas as pd
from torch import nn

from advlib import runs
from advlib.data import Dataset
from advlib.experiment.own import find_code, find_network, load_weights, register_methods
from advlib.experiment.own_files import find_weights
from advlib.keeping.names import name_method
from advlib.settings import Experiment


def open_network(experiment: Experiment, data: Dataset) -> nn.Module:
    """Return an experiment's network as it is built, in evaluation mode."""
    _register(experiment)
    return runs.build_network(find_network(experiment.network), data, experiment.seed).eval()


def open_models(experiment: Experiment, data: Dataset) -> dict[str, nn.Module]:
    """Return an experiment's models by the names of its methods."""
    names = map(name_method, experiment.methods)
    return {name: open_training(name, experiment, data)[0] for name in names}


def open_training(
    method: str, experiment: Experiment, data: Dataset
) -> tuple[nn.Module, pd.DataFrame | None]:
    """Return the model of a method, by its name, and its history.

    It is trained now if that was not done before. Where weights are given they are loaded, and
    there is no history.
    """
    _register(experiment)
    network = find_network(experiment.network)
    if experiment.weights is not None:
        model = runs.build_network(network, data, 0).eval()
        load_weights(model, find_weights(experiment)[method])
        return model, None
    named = {name_method(each): each for each in experiment.methods}
    code = find_code(named.get(method, method), experiment.network)
    run = runs.trained(method, data, experiment, network=network, code=code)
    return run.model, run.history


def _register(experiment: Experiment) -> None:
    """Make a user's methods known to `find_method`; where weights are given, there are none."""
    if experiment.weights is None:
        register_methods(experiment.methods)
