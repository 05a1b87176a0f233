"""What make is to know of an experiment, computed from the notebooks and the code.

    python3 -m advlib.experiment.plan [PARAMETERS=...] [EPSILON=...]

`make` runs this before any set-up, so it needs the standard library only. It prints the Makefile's
variables and rules, one after another with "@@" between them, because make reads a single line.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from advlib.experiment import inputs
from advlib.experiment.parameters import folder_name, read_arguments, resolve_early
from advlib.kept.code import find_assigned, find_files, read_cells
from advlib.kept.folders import BUILD, MATTER, NOTEBOOKS, PACKAGE, PROJECT, STYLE
from advlib.kept.names import find_shown, name_method


@dataclass(frozen=True)
class Execution:
    """A notebook that is executed: to where, with what options, and after which others."""

    source: Path
    target: Path
    options: str = ""
    after: tuple[Path, ...] = ()


def find_chapters() -> list[Path]:
    """Return the report's chapters: the notebooks whose names begin with a number, in its order."""
    numbered = [(re.match(r"[0-9]+", p.name), p) for p in NOTEBOOKS.glob("*.ipynb")]
    return [path for _, path in sorted((int(found[0]), path) for found, path in numbered if found)]


@cache
def find_parameters(notebook: Path) -> frozenset[str]:
    """Return the names of a notebook's parameters."""
    cells = [c for c in read_cells(notebook) if "parameters" in c["metadata"].get("tags", [])]
    return frozenset().union(*(find_assigned("".join(cell["source"])) for cell in cells))


def plan_chapters(folder: Path, methods: Sequence[str]) -> list[Execution]:
    """Return the executions of the chapters: the one with a `method` once for each method.

    A chapter that shows one model (it has `shown`) comes after that one's training, one that asks
    for all `methods` after all trainings.
    """
    trainings = [
        folder / f"{source.stem}-{method}.ipynb"
        for source in find_chapters()
        if "method" in find_parameters(source)
        for method in methods
    ]
    found = []
    for source in find_chapters():
        named = find_parameters(source)
        if "method" in named:
            found += [
                Execution(source, folder / f"{source.stem}-{method}.ipynb", f"-p method {method}")
                for method in methods
            ]
            continue
        after, options = trainings if "methods" in named else [], ""
        if "shown" in named:
            shown = find_shown(methods)
            options = f"-p shown {shown}"
            after = trainings[[*methods].index(shown) :: len(methods)]
        found.append(Execution(source, folder / source.name, options, tuple(after)))
    return found


def plan_matter(folder: Path) -> list[Execution]:
    """Return the executions of the front and the back matter, which read the executed chapters."""
    executed = os.path.relpath(folder, MATTER)
    return [
        Execution(source, folder / source.name, f"-p executed {executed}")
        for source in sorted(MATTER.glob("*.ipynb"), reverse=True)
    ]


def write_rules(name: str, methods: Sequence[str]) -> list[str]:
    """Return the Makefile's variables and rules for an experiment, by the name of its folder."""
    folder = BUILD / name / "notebooks"
    chapters, matter = plan_chapters(folder, methods), plan_matter(folder)
    typeset = {
        *find_files(PACKAGE / "report" / "__main__.py"),
        PACKAGE / "report" / "__main__.py",
    }
    typeset |= {path for path in STYLE.rglob("*") if path.is_file()}
    lines = [
        f"name := {name}",
        f"methods := {' '.join(methods)}",
        f"chapters := {_list(each.target for each in chapters)}",
        f"matter := {_list(each.target for each in matter)}",
        f"typeset_from := {_list(sorted(typeset))}",
    ]
    for each in (*chapters, *matter):
        target = _list([each.target])
        lines += [
            f"{target}: source := {_list([each.source])}",
            f"{target}: options := {each.options}",
            f"{target}: {_list([each.source, *sorted(find_files(each.source))])}"
            f" | {_list(each.after)}",
        ]
    return lines


def _list(paths: Iterable[Path]) -> str:
    return " ".join(path.relative_to(PROJECT).as_posix() for path in paths)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status: 0, or 2."""
    try:
        set_name, overrides = read_arguments(arguments)
        name = folder_name(set_name, overrides)
        experiment = resolve_early(set_name, overrides)
        inputs.check_early(experiment)
        print("@@".join(write_rules(name, [*map(name_method, experiment.methods)])))
    except (TypeError, ValueError, OSError, SyntaxError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
