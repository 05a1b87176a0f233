"""What an experiment is about, resolved once: its data, its network, its methods and its models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
from torch import nn

from advlib import runs
from advlib.data import Dataset, load_data
from advlib.experiment.inputs import is_about_slides
from advlib.experiment.own import find_code, find_network, load_weights, register_methods
from advlib.experiment.own_files import find_weights
from advlib.kept.names import find_shown, name_method
from advlib.methods import Method, find_method
from advlib.settings import DATASETS, Experiment


@dataclass(frozen=True, eq=False)
class Subject:
    """An experiment and what it names."""

    experiment: Experiment
    data: Dataset

    @cached_property
    def slides(self) -> bool:
        """Is it about what the slides' experiment is: MNIST, LeNet, one of the three methods?"""
        return is_about_slides(vars(self.experiment))

    @property
    def lenet(self) -> bool:
        return self.experiment.network == Experiment.network

    @property
    def trained(self) -> bool:
        """Are the models trained for it, and not elsewhere?"""
        return self.experiment.weights is None

    @property
    def conditions(self) -> dict[str, bool]:
        """What `%%say` can ask by name alone."""
        return {"slides": self.slides, "lenet": self.lenet, "trained": self.trained}

    @property
    def methods(self) -> list[str]:
        """The methods' names in the report, in its order."""
        return [name_method(method) for method in self.experiment.methods]

    @property
    def shown(self) -> str:
        """The method whose model is shown where one is: standard, else the first."""
        return find_shown(self.experiment.methods)

    @property
    def network(self) -> Callable[..., nn.Module]:
        """The class or function that gives the network."""
        return find_network(self.experiment.network)

    def find_method(self, method: str) -> Method:
        """Return a method by its name, also one of ours that the experiment does not name."""
        self._register()
        return find_method(method)

    def build_network(self) -> nn.Module:
        """Return the network as it is built, in evaluation mode."""
        self._register()
        network = find_network(self.experiment.network)
        return runs.build_network(network, self.data, self.experiment.seed).eval()

    def open_models(self) -> dict[str, nn.Module]:
        """Return the models by the names of the methods, as `open_training` does each."""
        return {method: self.open_training(method)[0] for method in self.methods}

    def open_training(self, method: str) -> tuple[nn.Module, pd.DataFrame | None]:
        """Return the model of a method, by its name, and its history.

        It is trained now if that was not done before. Where weights are given they are loaded, and
        there is no history.
        """
        self._register()
        network = find_network(self.experiment.network)
        if not self.trained:
            model = runs.build_network(network, self.data, 0).eval()
            load_weights(model, find_weights(self.experiment)[method])
            return model, None
        named = dict(zip(self.methods, self.experiment.methods, strict=True))
        code = find_code(named.get(method, method), self.experiment.network)
        run = runs.trained(method, self.data, self.experiment, network=network, code=code)
        return run.model, run.history

    def _register(self) -> None:
        if self.trained:
            register_methods(self.experiment.methods)


def resolve_subject(experiment: Experiment) -> Subject:
    """Load what an experiment names."""
    data = load_data(experiment.dataset, images=experiment.images)
    if data.name in DATASETS:  # in whatever folder it lies
        experiment = replace(experiment, dataset=data.name)
    return Subject(experiment, data)
