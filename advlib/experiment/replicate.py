"""An experiment over many seeds, on Dask: `make replicate`.

    python -m advlib.experiment.replicate [SEEDS=10] [SCHEDULER=tcp://...] [METHODS=...] [...]

Each training is a task, and so is what is measured on trained models. What has ended is kept in the
folder of runs, one by one, and its numbers follow in a CSV file that more seeds and methods add to.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from advlib import evaluate, robustness, transfer
from advlib.attacks import Make, random_signs, slides_fgsm
from advlib.evaluation import FIGURES
from advlib.experiment import cluster, parameters, provenance
from advlib.experiment.own import digest_own, find_own
from advlib.experiment.parameters import VARIANTS, Replication, Variant, read_replication
from advlib.experiment.subject import Subject, resolve_subject, try_subject
from advlib.kept import checkpoints, files
from advlib.kept.code import running_code
from advlib.kept.folders import BUILD, runs_folder
from advlib.kept.parent import end_with_make
from advlib.results.expected import KEYS
from advlib.runs import Wanted
from advlib.settings import DATASETS, read_origin
from advlib.square import square
from advlib.worst_case import choose_effort

REPLICATED = BUILD / "replicated"
MEASURING = evaluate, transfer, slides_fgsm, robustness, square, random_signs, choose_effort
"""What of the library the tasks measure with: with other code of these they measure anew."""

FILES = checkpoints.NAME, checkpoints.HISTORY
LAST = "objective_train", "top1_error_validation", "top1_error_validation_adversarial"
"""What is told of a training's last epoch."""


@dataclass(frozen=True, eq=False)
class Work:
    """What all tasks work with."""

    subject: Subject
    known: dict[tuple[int, str], Wanted] = field(default_factory=dict)

    @cached_property
    def attacks(self) -> list[list[str]]:
        """The user's own attacks, each with the digest of its files when first asked."""
        named = self.subject.experiment.own_attacks.values()
        return [[each.name, digest_own(each.file)] for each in named if each.file]

    def want(self, seed: int, method: str) -> Wanted:
        """Name the training of a method, or of a variant of one, from a seed."""
        if (seed, method) not in self.known:
            variant = VARIANTS.get(method, Variant(method, ""))
            settings = self.subject.experiment
            changed = {name: f * getattr(settings, name) for name, f in variant.factors.items()}
            subject = replace(self.subject, experiment=replace(settings, seed=seed, **changed))
            found = subject.want_training(variant.method, weights_of=variant.weights_of)
            self.known[seed, method] = found
        return self.known[seed, method]


@dataclass(frozen=True)
class Train(cluster.Task):
    """A training."""

    seed: int
    method: str

    @property
    def name(self) -> str:
        return f"{self.method} training, seed {self.seed}"

    def cost(self, work: Work) -> float:
        settings = work.want(self.seed, self.method).settings
        variant = VARIANTS.get(self.method, Variant(self.method, ""))
        return (
            settings.epochs * len(work.subject.data.train) * count_passes(variant.method, settings)
        )

    def is_done(self, work: Work) -> bool:
        return work.want(self.seed, self.method).is_finished

    def compute(self, work: Work, given: None) -> dict[str, bytes]:
        """Train, or go on where this worker's own folder of runs says that it was stopped."""
        wanted = work.want(self.seed, self.method)
        wanted.train()
        return {name: (wanted.folder / name).read_bytes() for name in FILES}

    def keep(self, work: Work, found: Mapping[str, bytes]) -> None:
        if self.is_done(work):  # on a disk that all share, where a report may be reading it
            return
        folder = work.want(self.seed, self.method).folder
        folder.mkdir(parents=True, exist_ok=True)
        with files.replace_files({folder / name: found[name] for name in FILES}):
            pass


@dataclass(frozen=True)
class Measured(cluster.Task):
    """What is measured on trained models, by their seeds and methods."""

    seed: int

    @property
    def models(self) -> Sequence[tuple[int, str]]:
        raise NotImplementedError

    def measure(self, work: Work, models: Sequence[nn.Module]) -> dict[str, pd.DataFrame]:
        """Return tables as in a report."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        values = [str(getattr(self, each.name)) for each in fields(self)]
        return f"{type(self).__name__.lower()} {' '.join(values)}"

    def file(self, work: Work) -> Path:
        runs = [work.want(*each).folder.name for each in self.models]
        settings = work.subject.experiment
        code = digest_code(MEASURING)
        sizes = settings.attack_epsilon, settings.tested, settings.attacked
        decides = [self.name, runs, *sizes, code]
        kind = type(self).__name__.lower()
        return name_file(f"replicated/{kind}", [*decides, *work.attacks])

    def is_ready(self, work: Work) -> bool:
        return all(work.want(*each).is_finished for each in self.models)

    def is_done(self, work: Work) -> bool:
        return self.file(work).exists()

    def give(self, work: Work) -> list[tuple[dict[str, Tensor], Any]]:
        return [
            checkpoints.load(work.want(*each).folder / checkpoints.NAME) for each in self.models
        ]

    def compute(self, work: Work, given: Sequence[tuple[dict[str, Tensor], Any]]) -> Any:
        models = []
        for each, (state, _) in zip(self.models, given, strict=True):
            model = work.want(*each).model
            model.load_state_dict(state)
            models.append(model.eval())
        return {name: table.to_dict("index") for name, table in self.measure(work, models).items()}

    def keep(self, work: Work, found: Any) -> None:
        """Keep the numbers one by one, each with where its models are from."""
        records = [record for _, record in self.give(work)]
        made = {
            name: " + ".join(sorted({str(record[name]) for record in records}))
            for name in ("processor", "threads")
        }
        made |= {"torch": str(torch.__version__), "commit": provenance.commit()}
        rows = [
            {"table": table, "row": row, "column": column, "seed": self.seed, "value": value} | made
            for table, lines in found.items()
            for row, cells in lines.items()
            for column, value in cells.items()
        ]
        path = self.file(work)
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.save(path, {}, rows)

    def open(self, work: Work) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = checkpoints.load(self.file(work))[1]
        return rows


@dataclass(frozen=True)
class Evaluate(Measured):
    """The evaluations and transfer tables of a seed's models, and how their trainings ended."""

    methods: tuple[str, ...]

    @property
    def models(self) -> list[tuple[int, str]]:
        return [(self.seed, method) for method in self.methods]

    def cost(self, work: Work) -> float:
        return len(work.subject.data.test) * len(self.methods) * (4 + len(self.methods))

    def measure(self, work: Work, models: Sequence[nn.Module]) -> dict[str, pd.DataFrame]:
        test, epsilon = work.subject.data.test, work.subject.experiment.attack_epsilon
        rows = {}
        for method, model in zip(self.methods, models, strict=True):
            adversarial = slides_fgsm(model, test.images, test.labels, epsilon)
            for words, images in {"clean": test.images, "adversarial": adversarial}.items():
                found = evaluate(model, images, test.labels)
                rows[f"{method}, {words}"] = {name: getattr(found, name) for name in FIGURES}
        named = dict(zip(self.methods, models, strict=True))
        moved = transfer(named, test.images, test.labels, epsilon, attack=slides_fgsm)
        return {
            "tbl-evaluation": pd.DataFrame(rows).T,
            "tbl-transfer-error": moved.error,
            "tbl-transfer-confidence": moved.confidence_error,
        }

    def keep(self, work: Work, found: Any) -> None:
        ends = {}
        for method, (_, record) in zip(self.methods, self.give(work), strict=True):
            ends[method] = {name: record["history"][-1][name] for name in LAST}
        super().keep(work, {**found, "last epoch": ends})


@dataclass(frozen=True)
class Exchange(Measured):
    """A model on the images made against another seed's of the same method (Madry et al., A')."""

    other: int
    method: str

    @property
    def models(self) -> list[tuple[int, str]]:
        return [(self.seed, self.method), (self.other, self.method)]

    def cost(self, work: Work) -> float:
        return len(work.subject.data.test) * 4

    def measure(self, work: Work, models: Sequence[nn.Module]) -> dict[str, pd.DataFrame]:
        test, (model, other) = work.subject.data.test, models
        epsilon = work.subject.experiment.attack_epsilon
        found = evaluate(model, slides_fgsm(other, test.images, test.labels, epsilon), test.labels)
        row = {"error": found.error, "confidence_error": found.confidence_error}
        return {"independent": pd.DataFrame({self.method: row}).T}


@dataclass(frozen=True)
class AttackAll(Measured):
    """A model under the attacks of the report's stronger ones, and their worst case."""

    method: str

    @property
    def models(self) -> list[tuple[int, str]]:
        return [(self.seed, self.method)]

    def cost(self, work: Work) -> float:
        attacked = work.subject.experiment.attacked
        return sum(choose_effort(attacked)) * min(attacked, len(work.subject.data.test))

    def measure(self, work: Work, models: Sequence[nn.Module]) -> dict[str, pd.DataFrame]:
        data, settings = work.subject.data, work.subject.experiment
        few = data.test.sample(settings.attacked)
        steps, queries, draws = choose_effort(settings.attacked)
        own: dict[str, Make] = {
            f"random signs, {draws} times": partial(random_signs, restarts=draws),
            "Square": partial(square, queries=queries),
            **work.subject.attacks,
        }
        found = robustness(
            {self.method: models[0]},
            *(few.images, few.labels, settings.attack_epsilon),
            bounds=data.bounds,
            attacks=own,
            steps=steps,
            seed=self.seed,
        )
        return {"tbl-robustness": found.error}


def count_passes(method: str, settings: Any) -> int:
    """Return the passes that a method takes of an image of each minibatch, about."""
    return {"standard": 1, "pgd": 1 + getattr(settings, "pgd_steps", 0)}.get(method, 2)


digest_code = cache(running_code)
"""As `running_code`, which takes seconds, of what a process asks for again and again."""


def name_file(prefix: str, decides: Sequence[Any]) -> Path:
    """Name what is kept in the folder of runs by what decides it."""
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
    return runs_folder() / f"{prefix}-{digest[:12]}.safetensors"


def list_tasks(seeds: Sequence[int], methods: Sequence[str]) -> list[Any]:
    """Return all tasks, the trainings of a seed before those of the next, what takes long last."""
    pairs = dict.fromkeys((seed, seed + 1 if seed % 2 == 0 else seed - 1) for seed in seeds)
    order = sorted(methods, key=lambda method: method == "pgd")
    trainings = [Train(seed, method) for seed in seeds for method in order]
    measured: list[Any] = [Evaluate(seed, tuple(methods)) for seed in seeds]
    measured += [
        Exchange(*pair, method) for pair in pairs if {*pair} <= {*seeds} for method in methods
    ]
    measured += [AttackAll(seed, method) for seed in seeds for method in methods]
    slow = [each for each in trainings if each.method == "pgd"]
    return measured + [each for each in trainings if each.method != "pgd"] + slow


def send(subject: Subject) -> dict[str, Any]:
    """Return what a worker needs of a subject: its data, its settings, its own files as text."""
    paths = {path for file in subject.experiment.own_files for path in find_own(file)}
    return {
        "data": subject.data,
        "settings": vars(subject.experiment),
        "files": {str(path): path.read_bytes() for path in paths},
    }


def receive(sent: Mapping[str, Any], folder: str) -> Work:
    """Make on a worker what was sent; a user's files go below a folder there."""
    place = Path(folder, "own")
    for name, content in sent["files"].items():
        path = place / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def move(value: str) -> str:
        file, name = read_origin(value)
        return f"{place / str(file).lstrip('/')}:{name}" if file else value

    settings = dict(sent["settings"])
    settings["methods"] = tuple(map(move, settings["methods"]))
    settings["attacks"] = tuple(map(move, settings["attacks"] or ())) or None
    settings["network"] = move(settings["network"])
    data = sent["data"]
    settings["dataset"] = data.name if data.name in DATASETS else str(place)
    place.mkdir(exist_ok=True)
    return Work(resolve_subject(parameters.resolve("seed", settings), data))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], keys: Sequence[str] = KEYS) -> None:
    """Write numbers, which `keys` tell apart; those of others that are there stay."""
    if not rows:
        return
    empty: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}  # NA is a name
    there = [pd.read_csv(path, **empty)] if path.exists() else []
    table = pd.concat([pd.DataFrame(rows), *there]).drop_duplicates([*keys]).sort_values([*keys])
    content = table.to_csv(index=False).encode()
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, content)


def replicate(asked: Replication) -> int:
    """Do what is asked for; return how many tasks failed."""
    subject = resolve_subject(parameters.resolve(asked.set_name, asked.overrides))
    try_subject(subject)
    work = Work(subject)
    tasks = list_tasks(asked.seeds, asked.methods)
    about = {name: value for name, value in asked.overrides.items() if name != "methods"}
    path = REPLICATED / f"{parameters.folder_name(asked.set_name, about)}.csv"

    def find_tasks() -> list[Any]:
        left = [task for task in tasks if not task.is_done(work)]
        done = [t for t in tasks if isinstance(t, Measured) and t not in left]
        write_table(path, [row for task in done for row in task.open(work)])
        return left

    with checkpoints.hold(runs_folder() / "replicated"):
        failed = cluster.compute(
            find_tasks, work, sent=send(subject), unpack=receive, scheduler=asked.scheduler
        )
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}")
    if path.exists():
        print(path)
    return len(failed)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status."""
    try:
        return int(replicate(read_replication(arguments)) > 0)
    except (TypeError, ValueError, OSError, cluster.ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
    return 2


if __name__ == "__main__":
    end_with_make()
    from advlib.experiment import replicate as module  # whose tasks a worker can import

    sys.exit(module.main(sys.argv[1:]))
