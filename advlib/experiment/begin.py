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
from advlib.experiment.plan import Execution, plan_chapters, plan_matter
from advlib.kept.folders import BUILD, PROJECT
from advlib.settings import Experiment

WORK = {"5-every-epsilon": 0.07, "6-stronger-attacks": 0.17}
"""Of a notebook for each attacked image and model, measured: 1 is a thousand images trained on."""
BESIDE = 10
"""What each chapter has besides, for each model, and the matter at once."""
EPOCH = 55_000, 2_500
"""Images of an epoch, where they are not limited, and what its validation is like."""


def estimate_work(target: Path, experiment: Experiment) -> float:
    """Return about how much work a notebook is that trains nothing."""
    attack = WORK.get(target.stem, 0) * experiment.attacked
    return BESIDE if target.stem.endswith("matter") else (BESIDE + attack) * len(experiment.origins)


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
    full, validated = EPOCH
    epochs = ((experiment.images or full) + validated) * experiment.epochs / 1000
    about = {}
    for each in (*chapters, *matter):
        trains = each.options.startswith("-p method") and experiment.weights is None
        about[each.target.stem] = {
            "done": each.target not in old,
            "trains": trains,
            "stage": 2 if each in matter else 1 if each.after else 0,
            "work": epochs if trains else estimate_work(each.target, experiment),
        }
    if old:
        pace.begin(parameters, about)
    words = f"{len(old)} to execute, {SIDE_BY_SIDE} at once" if old else "nothing to execute"
    print(f"{folder.relative_to(PROJECT)}: {len(about)} notebooks, {words}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
