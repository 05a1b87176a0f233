"""Harnessing adversarial examples: FGSM, adversarial training and transfer on MNIST.

The public face. A name is loaded from its module when it is first used: ``import advlib`` costs
next to nothing, and ``python -m advlib.experiment.parameters`` needs nothing but Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from advlib.architecture import architecture_table
    from advlib.attacks import apgd, fgsm, pgd
    from advlib.data import load_data
    from advlib.evaluation import evaluate, transfer
    from advlib.intervals import wilson_interval
    from advlib.lenet import LeNet
    from advlib.runs import pretrained
    from advlib.training import train
    from advlib.worst_case import robustness

_HOMES = {
    "LeNet": "lenet",
    "apgd": "attacks",
    "architecture_table": "architecture",
    "evaluate": "evaluation",
    "fgsm": "attacks",
    "load_data": "data",
    "pgd": "attacks",
    "pretrained": "runs",
    "robustness": "worst_case",
    "train": "training",
    "transfer": "evaluation",
    "wilson_interval": "intervals",
}

__all__ = [
    "LeNet",
    "apgd",
    "architecture_table",
    "evaluate",
    "fgsm",
    "load_data",
    "pgd",
    "pretrained",
    "robustness",
    "train",
    "transfer",
    "wilson_interval",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'advlib' has no attribute {name!r}")
    return getattr(import_module(f"advlib.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
