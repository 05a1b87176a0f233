"""When a defence is an illusion: what the chapter on it shows, computed once, by `make illusions`.

    python -m advlib.experiment.illusions [FASHION_FOLDER]

Five methods are trained on MNIST and on Fashion-MNIST with the slides' settings, and on MNIST once
more at a learning rate at which each has converged. Each training is a task of a local cluster
(`advlib.experiment.cluster`), the slides' learning rate first and PGD training last. All is kept in
the folder of runs after every epoch, and goes on from there; the CSV files in
advlib/reference/illusions follow as it comes.

A pass of an image takes 0.25 ms of an idle core here, 0.4 ms of a busy one. The 30 epochs of a
training are then 7 to 11 minutes (standard), 14 to 22 (mixed, adversarial, fast), 75 to 120 (pgd),
and all of it, 99 million passes, is 7 to 11 hours of a core.
"""

import logging
import math
import sys
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advlib import apgd, evaluate, fgsm, load_data, pgd, robustness, worst_case
from advlib.attacks import random_signs
from advlib.data import Dataset, Split
from advlib.experiment import cluster, provenance
from advlib.experiment.replicate import count_passes, digest_code, name_file, write_table
from advlib.kept import checkpoints
from advlib.kept.folders import ILLUSIONS, runs_folder
from advlib.kept.machine import processor
from advlib.kept.parent import end_with_make
from advlib.lenet import LeNet
from advlib.methods import find_method
from advlib.runs import begin, build_network
from advlib.settings import TRAINING_IMAGES, Training
from advlib.square import square
from advlib.training import deciding_code, train_epoch

DATA = ("MNIST", "FashionMNIST")
TUNED = "MNIST"
"""The data set on which each method is trained at a learning rate of its own as well."""
GROUPS = (("standard", "mixed", "adversarial"), ("standard", "fast", "pgd"))
"""The models that are attacked together, also with each other's images: as many as in a report."""
METHODS = tuple(dict.fromkeys(sum(GROUPS, ())))
SETTINGS = Training()
KEYS = {
    "epochs": ["data", "method", "learning_rate", "epoch"],
    "robustness": ["data", "rates", "method"],
}
"""The CSV files, and the columns that say which row it is."""


@dataclass(frozen=True)
class Plan:
    """How much is computed."""

    fashion: str = ""
    """The folder of Fashion-MNIST's files; without one they are downloaded."""
    images: int | None = None
    epochs: int = SETTINGS.epochs
    trial: int = 5
    """The epochs after which rates are compared, by the error under PGD on validation images."""
    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    watched: int = 500
    """The images that are attacked after each epoch."""
    attacked: int = 1000
    steps: int = 50
    queries: int = 1000
    draws: int = 100
    """How often signs are drawn at random for an image."""

    def load(self, name: str) -> Dataset:
        return load_data(name, (name != "MNIST" and self.fashion) or None, self.images)


@dataclass(frozen=True)
class Run:
    """A training."""

    plan: Plan
    data: str
    method: str
    rate: float = SETTINGS.learning_rate

    @property
    def name(self) -> str:
        return f"{self.data}-{self.method}-{self.rate:g}"

    @property
    def file(self) -> Path:
        decides = self.plan.images, self.plan.trial, self.plan.watched
        return _name_file(self.name, *decides, _training_code(self.method))

    def open(self) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
        """Return the latest weights, and a row for each epoch so far."""
        return checkpoints.load(self.file) if self.file.exists() else ({}, [])

    def left(self, epochs: int) -> int:
        """Return how many epochs are left; none of a training that has diverged."""
        _, rows = self.open()
        return 0 if rows and math.isnan(rows[-1]["clean"]) else max(0, epochs - len(rows))

    def tried(self) -> float:
        """Return the error by which rates are compared; that of a diverged training is infinite."""
        errors = [row["validation_pgd"] for row in self.open()[1]]
        return min((each for each in errors if not math.isnan(each)), default=math.inf)

    def cost(self) -> int:
        """Return the passes of an epoch, about."""
        passes = count_passes(self.method, find_method(self.method).settings())
        return passes * (self.plan.images or TRAINING_IMAGES)

    def model(self) -> nn.Module:
        model = LeNet()
        model.load_state_dict(self.open()[0])
        return model.eval()

    def work(self, epochs: int) -> None:
        """Train the epochs that are missing, and measure after each."""
        data, row = self.plan.load(self.data), find_method(self.method)
        settings = row.settings(learning_rate=self.rate)
        parts = [part.sample(self.plan.watched) for part in (data.test, data.validation)]
        model, (state, rows) = begin(self.method, data, SETTINGS.seed), self.open()
        model.load_state_dict(state or model.state_dict())
        place = _place()
        while self.left(epochs):
            start, epoch = time.perf_counter(), len(rows) + 1
            counted = [rows[-1]["passes"] if rows else 0]
            # every pass of a training is one with a gradient
            hook = model.register_forward_pre_hook(lambda _, x, n=counted: n.append(len(x[0])))
            train_epoch(model, data.train.images, data.train.labels, row, settings, epoch)
            hook.remove()
            found = {
                "clean": _error(model, parts[0]),
                "fgsm": _error(model, parts[0], fgsm, bounds=data.bounds),
                "pgd": _error(model, parts[0], pgd, bounds=data.bounds),
                "validation_pgd": math.nan,
            }
            if epoch == self.plan.trial:
                found["validation_pgd"] = _error(model, parts[1], pgd, bounds=data.bounds)
            seconds = time.perf_counter() - start
            named = {"data": self.data, "method": self.method, "learning_rate": self.rate}
            spent = {"epoch": epoch, "passes": sum(counted), "seconds": seconds, "n": len(parts[0])}
            rows.append({**named, **spent, **found, **place})
            checkpoints.save(self.file, model.state_dict(), rows)
            about = {"share": epoch / epochs}
            logging.getLogger("advlib").info(f"{self.name}: epoch {epoch} of {epochs}", extra=about)


@dataclass(frozen=True)
class Epochs(cluster.Task):
    """A training up to an epoch."""

    run: Run
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.run.name}, {self.epochs} epochs"

    def cost(self, plan: Plan) -> float:
        return self.run.cost() * self.run.left(self.epochs)

    def compute(self, plan: Plan, given: None) -> None:
        self.run.work(self.epochs)


@dataclass(frozen=True)
class Group(cluster.Task):
    """Trained models that are attacked together, with the slides' learning rate or a chosen one."""

    plan: Plan
    rates: str
    runs: tuple[Run, ...]

    @property
    def file(self) -> Path:
        plan = self.plan
        decides = self.rates, plan.epochs, plan.attacked, plan.steps, plan.queries, plan.draws
        states = [run.file.name for run in self.runs]
        code = digest_code((robustness, square, apgd))
        return _name_file(f"attacked-{self.runs[0].data}", *decides, *states, code)

    def open(self) -> list[dict[str, Any]]:
        """Return a row for each model, if there are any yet."""
        rows: list[dict[str, Any]] = checkpoints.load(self.file)[1] if self.file.exists() else []
        return rows

    @property
    def name(self) -> str:
        return f"attacks on {self.runs[0].data}, {self.rates} rates, {self.runs[-1].method}"

    def cost(self, plan: Plan) -> float:
        return 2000 * plan.attacked * len(self.runs)

    def is_ready(self, plan: Plan) -> bool:
        return not any(run.left(plan.epochs) for run in self.runs)

    def compute(self, plan: Plan, given: None) -> None:
        """Attack the models in every way; each standard model is in the first group's rows."""
        data = plan.load(self.runs[0].data)
        few, (low, high) = data.test.sample(plan.attacked), data.bounds
        models = {run.method: run.model() for run in self.runs}
        signs = partial(random_signs, restarts=plan.draws)
        own = {
            "Square": partial(square, queries=plan.queries),
            f"random signs, {plan.draws} draws": signs,
        }
        options: dict[str, Any] = {"bounds": data.bounds, "seed": SETTINGS.seed}
        more: dict[str, Any] = {"attacks": own, "steps": plan.steps}
        found = robustness(models, few.images, few.labels, SETTINGS.epsilon, **more, **options)
        illusions = worst_case.find_illusions(found)
        everywhere = float((high - low).max())
        rows = []
        for run in self.runs:
            model = models[run.method]
            checked = {
                "APGD, twice the steps": _error(model, few, apgd, steps=2 * plan.steps, **options),
                "APGD, any size": _error(model, few, apgd, everywhere, steps=plan.steps, **options),
            }
            row: dict[str, Any] = {"data": run.data, "rates": self.rates, "method": run.method}
            row |= {"learning_rate": run.rate, "illusion": illusions.get(run.method, "")}
            errors = {str(attack): each for attack, each in found.error[run.method].items()}
            row |= {"n": found.n, **errors, **checked, **_place()}
            rows.append(row)
        checkpoints.save(self.file, {}, rows)


def list_runs(plan: Plan) -> dict[Run, int]:
    """Return the trainings that are wanted, as far as is known, and the epochs of each."""
    trials = [Run(plan, TUNED, method, rate) for method in METHODS for rate in plan.rates]
    slides = [Run(plan, data, method) for data in DATA for method in METHODS]
    chosen = [run for run in choose(plan).values() if run]
    return dict.fromkeys(trials, plan.trial) | dict.fromkeys([*slides, *chosen], plan.epochs)


def choose(plan: Plan) -> dict[str, Run | None]:
    """Return for each method the training with the learning rate that suits it best, once known."""
    found: dict[str, Run | None] = {}
    for method in METHODS:
        trials = [Run(plan, TUNED, method, rate) for rate in plan.rates]
        known = not any(run.left(plan.trial) for run in trials)
        found[method] = min(trials, key=lambda run: run.tried()) if known else None
    return found


def list_groups(plan: Plan) -> list[Group]:
    """Return the models that are attacked together, of the trainings that are known."""
    chosen, groups = choose(plan), []
    for methods in GROUPS:
        for data in DATA:
            groups.append(Group(plan, "slides", tuple(Run(plan, data, m) for m in methods)))
        own = tuple(run for method in methods if (run := chosen[method]))
        groups += [Group(plan, "chosen", own)] if len(own) == len(methods) else []
    return groups


def find_tasks(plan: Plan) -> list[Epochs | Group]:
    """Return what is not done, as far as is known, in the order to do it in."""
    left = [Epochs(run, n) for run, n in list_runs(plan).items() if run.left(n)]

    def rank(task: Epochs) -> tuple[bool, bool, float]:
        """Put what takes long last, and before it other rates than the slides'."""
        aside = task.run.rate != SETTINGS.learning_rate
        return task.run.method == "pgd", aside, task.cost(plan)

    groups = [group for group in list_groups(plan) if not group.open()]
    return [*groups, *sorted(left, key=rank)]


def _error(
    model: nn.Module,
    split: Split,
    attack: Any = None,
    epsilon: float = SETTINGS.epsilon,
    **given: Any,
) -> float:
    """Return the error in percent, of a diverged model NaN."""
    images, labels = split.images, split.labels
    with torch.no_grad():
        if not model(images).isfinite().all():
            return math.nan
    if attack:
        images = attack(model, images, labels, epsilon, **given)
    return evaluate(model, images, labels).error


def _name_file(name: str, *decides: Any) -> Path:
    """Name what is kept, also by what decides it."""
    return name_file(f"illusions/{name}", [name, *decides, str(torch.__version__)])


@cache
def _training_code(method: str) -> str:
    return deciding_code(find_method(method), LeNet, load_data, build_network)


@cache
def _place() -> dict[str, str | int]:
    """Return where a row comes from."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "commit": provenance.commit(),
    }


def write_tables(plan: Plan) -> None:
    """Write the rows that are kept into the CSV files; those of others that are there stay."""
    rows = {
        "epochs": [row for run in list_runs(plan) for row in run.open()[1]],
        "robustness": [row for group in list_groups(plan) for row in group.open()],
    }
    for name, keys in KEYS.items():
        write_table(ILLUSIONS / f"{name}.csv", rows[name], keys)


def main(arguments: list[str]) -> int:
    """Do all that there is to do; return how many tasks failed."""
    plan = Plan("".join(arguments[:1]))

    def find() -> list[Epochs | Group]:
        write_tables(plan)
        return find_tasks(plan)

    with checkpoints.hold(runs_folder() / "illusions"):
        failed = cluster.compute(find, plan, sent=plan, unpack=lambda plan, folder: plan)
    for name, reason in failed.items():
        print(f"error: {name} failed: {reason}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    end_with_make()
    from advlib.experiment import illusions as module  # whose tasks a worker can import

    sys.exit(module.main(sys.argv[1:]))
