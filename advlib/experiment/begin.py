"""Before a report's first notebook: say how many there are to execute, and note which.

python -m advlib.experiment.begin [PARAMETERS=...] [EPSILON=...]
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from advlib.experiment import pace
from advlib.experiment.kernel import SIDE_BY_SIDE
from advlib.experiment.parameters import folder_name, read_arguments, resolve_early
from advlib.experiment.plan import Execution, estimate_work, plan_chapters, plan_matter
from advlib.kept.folders import BUILD, PROJECT


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


def main(arguments: Sequence[str]) -> None:
    """Run the command line; see the module's docstring."""
    set_name, overrides = read_arguments(arguments)
    folder = BUILD / folder_name(set_name, overrides)
    experiment, notebooks = resolve_early(set_name, overrides), folder / "notebooks"
    chapters = plan_chapters(notebooks, experiment)
    matter = plan_matter(notebooks, chapters)
    parameters = folder / "parameters.yaml"
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
    print(f"{folder.relative_to(PROJECT)}: {len(about)} notebooks, {words}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
