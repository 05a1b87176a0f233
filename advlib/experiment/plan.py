"""What make is to know of an experiment, computed from the notebooks and the code.

    python3 -m advlib.experiment.plan [--name] [PARAMETERS=...] [EPSILON=...]
    python -m advlib.experiment.plan --begin [PARAMETERS=...] [EPSILON=...]

`make` runs this before any set-up, so it needs the standard library only. It prints the Makefile's
variables and rules, one after another with "@@" between them, because make reads a single line;
with --name the first of them alone, which is all that a make needs before its turn. With --begin,
before a report's first notebook, it says how many there are to execute instead, and notes which.
"""

import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from advlib.experiment import pace
from advlib.experiment.kernel import SIDE_BY_SIDE
from advlib.experiment.parameters import (
    folder_name,
    read_arguments,
    resolve_early,
    warn_of_environment,
)
from advlib.kept.code import find_assigned, find_files, find_shown, read_cells
from advlib.kept.folders import BUILD, MATTER, NOTEBOOKS, PACKAGE, PROJECT, STYLE
from advlib.settings import Experiment


@dataclass(frozen=True)
class Execution:
    """A notebook that is executed: to where, with what options, and after which others."""

    source: Path
    target: Path
    options: str = ""
    after: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    """Executed ones whose numbers it takes: when one of them is new it is executed again."""

    @property
    def made_from(self) -> tuple[Path, ...]:
        return self.source, *sorted(find_files(self.source)), *self.reads

    @property
    def trains(self) -> bool:
        """Whether it is about one method, and trains it where no weights are given."""
        return self.options.startswith("-p method")


WORK = {"5-every-epsilon": 0.07, "6-stronger-attacks": 0.17}
"""Of a notebook for each attacked image and model, measured: 1 is a thousand images trained on."""
BESIDE = 10
"""What each chapter has besides, for each model, and the matter at once."""
READ = {"9-luck-or-law": ("1-data", "4-results", "4-transfer")}
"""Of a chapter that reads others: the first, which has the settings, and those whose numbers it
takes, where it does not need all."""
EPOCH = 55_000
"""Images of an epoch, where they are not limited."""


def estimate_work(each: Execution, experiment: Experiment) -> float:
    """Return about how much work a notebook is."""
    if each.trains and experiment.weights is None:
        return (experiment.images or EPOCH) * experiment.epochs / 1000
    if each.source.is_relative_to(MATTER):
        return BESIDE
    attack = WORK.get(each.target.stem, 0) * experiment.attacked
    return (BESIDE + attack) * len(experiment.origins)


def find_chapters() -> list[Path]:
    """Return the report's chapters: the notebooks whose names begin with a number, in its order."""
    numbered = [(re.match(r"[0-9]+", p.name), p) for p in NOTEBOOKS.glob("*.ipynb")]
    for found, path in numbered:
        if found and not re.fullmatch(r"[\w.-]+", path.name):
            raise ValueError(f"{path}: make takes letters, digits, _, . and - in a name: rename it")
    return [path for _, path in sorted((int(found[0]), path) for found, path in numbered if found)]


def check_labels(chapters: Iterable[Path]) -> None:
    """Refuse two chapters that show a figure or table of one name, as a copy does: it would stop
    the report when all is computed.
    """
    known: dict[str, Path] = {}
    for path in chapters:
        code = [cell["source"] for cell in read_cells(path) if cell["cell_type"] == "code"]
        for label in (label for each in code for label in find_shown("".join(each))):
            if label[:4] in ("fig-", "tbl-") and known.setdefault(label, path) != path:
                raise ValueError(
                    f"{known[label]} and {path.name} both show {label}: if one is a copy, remove it"
                )


def is_of_parameters(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell is tagged as the one of the parameters."""
    return "parameters" in cell["metadata"].get("tags", [])


@cache
def find_parameters(notebook: Path) -> frozenset[str]:
    """Return the names of a notebook's parameters."""
    sources = ["".join(c["source"]) for c in read_cells(notebook) if is_of_parameters(c)]
    return frozenset().union(*map(find_assigned, sources))


def plan_chapters(folder: Path, experiment: Experiment) -> list[Execution]:
    """Return the executions of the chapters: the one with a `method` once for each method.

    In all but the first of these cells with the tag ``once`` are left out. A chapter that shows one
    model (it has `shown`) comes after that one's training, and those behind the trainings after all
    of them. One that reads others (it has `executed`) comes after those.
    """
    found, trainings, readers = list[Execution](), list[Path](), list[Path]()
    check_labels(find_chapters())
    for source in find_chapters():
        named = find_parameters(source)
        if "method" in named:
            again = ""
            for method in experiment.origins:
                trainings.append(folder / f"{source.stem}-{method}.ipynb")
                found.append(Execution(source, trainings[-1], f"-p method {method}{again}"))
                again = " --left-out once"
        elif "shown" in named:
            training = [s for s in find_chapters() if "method" in find_parameters(s)]
            after = tuple(folder / f"{s.stem}-{experiment.shown}.ipynb" for s in training)
            options = f"-p shown {experiment.shown}"
            found.append(Execution(source, folder / source.name, options, after))
        elif "executed" in named:
            readers.append(source)
        else:
            found.append(Execution(source, folder / source.name, after=tuple(trainings)))
    others = {each.target.stem: each.target for each in found}
    for source in readers:
        names = READ.get(source.stem, others)
        read = tuple(target for name, target in others.items() if name in names)
        found.append(plan_reader(source, folder, read))
    return found


def plan_reader(source: Path, folder: Path, executed: tuple[Path, ...]) -> Execution:
    """Return the execution of a notebook that reads a folder's executed ones."""
    options = f"-p executed {os.path.relpath(folder, source.parent)}"  # where it is executed
    return Execution(source, folder / source.name, options, reads=executed)


def plan_report(name: str, experiment: Experiment) -> tuple[list[Execution], list[Execution]]:
    """Return the executions of a report, by the name of its folder: those of the chapters, and
    those of the front and back matter, which read the executed chapters.
    """
    folder = BUILD / name / "notebooks"
    chapters = plan_chapters(folder, experiment)
    executed = tuple(each.target for each in chapters)
    sources = sorted(MATTER.glob("*.ipynb"), reverse=True)
    return chapters, [plan_reader(source, folder, executed) for source in sources]


def write_rules(name: str, experiment: Experiment) -> list[str]:
    """Return the Makefile's variables and rules for an experiment, by the name of its folder."""
    chapters, matter = plan_report(name, experiment)

    def follow(each: Execution) -> float:
        """Return the work of a notebook, and of the longest that waits for it."""
        waiting = [follow(e) for e in chapters if each.target in (*e.reads, *e.after)]
        return estimate_work(each, experiment) + max(waiting, default=0)

    # make begins in this order: the longest first, or the others would wait for it at the end
    first = sorted(chapters, key=lambda each: -follow(each))
    entry = PACKAGE / "report" / "__main__.py"
    style = {path for path in STYLE.rglob("*") if path.is_file()}
    lines = [
        f"name := {name}",
        f"methods := {' '.join(experiment.origins)}",
        f"chapters := {_list(each.target for each in first)}",
        f"matter := {_list(each.target for each in matter)}",
        f"typeset_from := {_list(sorted({entry, *find_files(entry), *style}))}",
    ]
    for each in (*chapters, *matter):
        target = _list([each.target])
        lines += [
            f"{target}: source := {_list([each.source])}",
            f"{target}: options := {each.options}",
            f"{target}: {_list(each.made_from)} | {_list(each.after)}",
        ]
    return lines


def find_old(executions: Sequence[Execution], others: Sequence[Path]) -> set[Path]:
    """Return the targets that make will make: missing, or older than what they are made from.

    That are the `others` too. Those that read others come after them.
    """
    old = set[Path]()

    def age(path: Path) -> float:
        return math.inf if path in old else path.stat().st_mtime_ns if path.exists() else 0

    for each in executions:
        if age(each.target) < max(map(age, [*each.made_from, *others])):
            old.add(each.target)
    return old


def begin(name: str, experiment: Experiment) -> None:
    """Say and note which notebooks are to be executed."""
    chapters, matter = plan_report(name, experiment)
    parameters = BUILD / name / "parameters.yaml"
    old = find_old([*chapters, *matter], [parameters, PROJECT / "requirements.lock"])
    about = {
        each.target.stem: {
            "done": each.target not in old,
            "trains": each.trains and experiment.weights is None,
            "stage": 2 if each in matter else 1 if each.after else 0,
            "work": estimate_work(each, experiment),
        }
        for each in (*chapters, *matter)
    }
    if old:
        pace.begin(parameters, about)
    words = f"{len(old)} to execute, {SIDE_BY_SIDE} at once" if old else "nothing to execute"
    print(f"{parameters.parent.relative_to(PROJECT)}: {len(about)} notebooks, {words}", flush=True)


def _list(paths: Iterable[Path]) -> str:
    return " ".join(path.relative_to(PROJECT).as_posix() for path in paths)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status: 0, or 2."""
    given = [each for each in arguments if each not in ("--begin", "--name")]
    warn_of_environment("report", given)
    try:
        set_name, overrides = read_arguments(given)
        name = folder_name(set_name, overrides)
        experiment = resolve_early(set_name, overrides)
        if "--begin" in arguments:
            begin(name, experiment)
        elif "--name" in arguments:
            check_labels(find_chapters())
            print(f"name := {name}")
        else:
            print("@@".join(write_rules(name, experiment)))
    except (TypeError, ValueError, OSError, SyntaxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
