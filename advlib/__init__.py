"""Harnessing adversarial examples: FGSM, adversarial training and transfer on MNIST.

The public face. A name is loaded from its module when it is first used: ``import advlib`` costs
next to nothing, and ``python -m advlib.experiment.parameters`` needs nothing but Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors; what counts is _HOMES
    from advlib.architecture import architecture_table as architecture_table
    from advlib.attacks import apgd as apgd
    from advlib.attacks import fgsm as fgsm
    from advlib.attacks import pgd as pgd
    from advlib.data import load_data as load_data
    from advlib.evaluation import evaluate as evaluate
    from advlib.evaluation import transfer as transfer
    from advlib.intervals import wilson_interval as wilson_interval
    from advlib.lenet import LeNet as LeNet
    from advlib.runs import pretrained as pretrained
    from advlib.training import train as train
    from advlib.worst_case import robustness as robustness

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
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'advlib' has no attribute {name!r}")
    return getattr(import_module(f"advlib.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
