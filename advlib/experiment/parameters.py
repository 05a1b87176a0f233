"""The parameters of an experiment: make's command line, the parameter sets, the folder's name.

`advlib.experiment.plan` uses it before any set-up, with a Python that may have no package, so it
needs the standard library only (reading a parameter set needs PyYAML). Names and values are checked
then; files, folders and code of the user's when the parameters are written, after the set-up.

    python3 -m advlib.experiment.parameters --help                    the parameters, for people
    python -m advlib.experiment.parameters --yaml=FILE EPSILON=0.2    writes all of them to FILE
"""

import hashlib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from advlib.experiment.own import describe_own
from advlib.kept.folders import METHOD_TEXTS, PARAMETER_SETS
from advlib.settings import Experiment, check, declared, find_path, is_folder, read_origin


class Variant(NamedTuple):
    """A training that only a replication has: of a method, with something changed."""

    method: str
    weights_of: str
    """The method with whose initial weights it begins."""
    factors: Mapping[str, float] = MappingProxyType({})
    """What settings are multiplied with."""


VARIANTS = {
    "standard-shared": Variant("standard", "adversarial"),
    "adversarial-doubled": Variant(
        "adversarial", "mixed", {"learning_rate": 2.0, "weight_decay": 0.5}
    ),
}
NAMES = tuple(declared(Experiment))
"""The parameters of an experiment, in their order."""
LONGEST = 60
"""Letters of the longest name of a report's folder."""


def parse(name: str, text: str) -> tuple[str, Any]:
    """Read a parameter, by its name in capitals, from make's command line.

    One that is not of `NAMES` stays text: it may be a method's own.
    """
    if name != name.upper():
        raise ValueError(f"parameters have names in capitals, such as EPSILON, not {name!r}")
    if name.lower() not in NAMES:
        return name.lower(), text
    rule = declared()[name.lower()].metadata["rule"]
    try:
        return name.lower(), rule.check(name, rule.parse(text))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {rule.allowed}, not {text!r}") from None


def sets() -> tuple[str, ...]:
    """Return the names of the parameter sets, the files of `PARAMETER_SETS`."""
    return tuple(sorted(path.stem for path in PARAMETER_SETS.glob("*.yaml")))


def _find_set(name: str) -> Path:
    """Return the file of a parameter set: one of ours by its name, or a user's by its path."""
    if name in sets():
        return PARAMETER_SETS / f"{name}.yaml"
    path = Path(find_path(name))
    if not path.is_file() or not (os.sep in name or path.suffix in (".yaml", ".yml")):
        raise ValueError(
            f"PARAMETERS must be one of {', '.join(sets())}, or a file such as my/experiment.yaml,"
            f" not {name!r} ({path} is no such file)"
        )
    return path


def folder_name(set_name: str, overrides: Mapping[str, object]) -> str:
    """Name the folder of an experiment: the parameter set and what is changed in it.

    For example ``"seed-epochs5-epsilon0.2"``: names in alphabetical order, values in one form
    (``0.20`` and ``0.2`` are the same folder).
    """
    path = _find_set(set_name)
    # a user's own set by its content, which is the same on everybody's machine
    content = path.read_text(encoding="utf-8", errors="surrogateescape")
    parts = [set_name if set_name in sets() else _name_paths(path.stem, content)]
    for name in sorted(overrides):
        value: Any = overrides[name]
        if name not in NAMES or name in ("title", "author"):  # a method's own, or words
            safe = re.fullmatch("[A-Za-z0-9_.+-]+", str(value))
            parts.append(name + (str(value) if safe else _name_paths(str(value), str(value))))
            continue
        value = check(name, value)
        text = declared()[name].metadata["rule"].none if value is None else str(value)
        if isinstance(value, float):
            text = text.removesuffix(".0")
        if name in ("methods", "network", "attacks") and value:
            named = {each: read_origin(each) for each in ([value] if name == "network" else value)}
            own = [each for each, origin in named.items() if origin.file]
            text = _name_paths("+".join(origin.shown for origin in named.values()), *own)
        elif value is not None and (name in ("weights", "text") or is_folder(str(value))):
            text = _name_paths(Path(value).name, value)
        parts.append(name + text)
    name = "-".join(parts)
    return name if len(name) <= LONGEST else _name_paths(name[: LONGEST - 9], name)


def _name_paths(name: str, *paths: str) -> str:
    """Return a name in safe letters and, if there are any, a digest of paths that it stands for."""
    safe = re.sub("[^A-Za-z0-9_.+-]+", "_", name).strip("._")
    digest = hashlib.sha256("\0".join(paths).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{safe}-{digest}" if paths else safe


def resolve(set_name: str, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read a parameter set, and change some of it; the rest is the slides'. Needs PyYAML.

    Where a name is none of `NAMES` the methods are loaded, whose own it must be.
    """
    path, overrides = _find_set(set_name), overrides or {}
    found, lines = _read_set(path)
    values = {**found, **overrides}
    try:
        experiment = Experiment(**{name: values[name] for name in NAMES if name in values})
        check_methods(experiment)
        return _add_own(experiment, values) if values.keys() - {*NAMES} else experiment
    except (TypeError, ValueError) as error:
        words = re.findall("[a-z_]+", str(error).lower())
        places = {name.lower(): lines[name] for name in lines.keys() - overrides.keys()}
        wrong = next((name for name in words if name in places), "")
        place = f" ({path}, line {places[wrong]})" if wrong else ""
        raise type(error)(f"{error}{place}") from None


def _add_own(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """Return the experiment with settings of its methods' own."""
    from advlib.experiment.subject import find_kind

    kind = find_kind(experiment)
    rules = {name: each.metadata["rule"] for name, each in declared(kind).items()}
    if unknown := sorted(values.keys() - rules):
        raise _unknown(unknown, rules)
    own = {
        name: rules[name].parse(value) if isinstance(value, str) else value
        for name, value in values.items()
        if name not in NAMES
    }
    return kind(**vars(experiment), **own)


def _unknown(unknown: Iterable[str], known: Iterable[str]) -> ValueError:
    names = ", ".join(["PARAMETERS", *map(str.upper, known)])
    wrong = ", ".join(name.upper() if name.islower() else name for name in unknown)
    return ValueError(
        f"there is no parameter {wrong}; there are {names}, in a file in small letters"
    )


def known_methods() -> list[str]:
    """Return the names of our methods: of those that the report has a text about."""
    return sorted(path.stem for path in METHOD_TEXTS.glob("*.md"))


def check_methods(experiment: Experiment) -> None:
    """Refuse methods that are unknown, or have the name of one of ours."""
    known = known_methods()
    for method, (name, origin) in zip(experiment.methods, experiment.origins.items(), strict=True):
        if experiment.weights and origin.file:
            raise ValueError(
                f"METHODS must be names alone where WEIGHTS is given, not {method!r}: give"
                f" {origin.name!r}, and {origin.name}.safetensors is read"
            )
        if not experiment.weights and (origin.file is None) != (name in known):
            raise ValueError(
                f"METHODS must be of {', '.join(known)}, or FILE.py:NAME for a function of your own"
                f" with another name (a path without commas), not {method!r}"
            )


def _read_set(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a parameter set, and in which line each name is; paths in it are relative to it."""
    import yaml

    lines: dict[str, int] = {}

    class Texts(yaml.BaseLoader):
        """Each value is a text, read as one on make's command line: YAML 1.1 takes 010 for 8."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise yaml.YAMLError(f"it gives {key.value!r} twice, again in line {line}")
                lines[key.value] = line
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Texts) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path} must give some of {', '.join(NAMES)}, or of its methods' own")
    values = {}
    conditions = Experiment().conditions  # what `make` writes there of itself
    for name in [name for name in content if name not in conditions]:
        value = content[name]
        value = None if value in ("null", "~", "") else value
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if isinstance(value, str) and name in NAMES:
            value = declared()[name].metadata["rule"].parse(value, str(path.parent))
        values[name] = value
    return values, lines


def _write(path: Path, experiment: Experiment) -> None:
    """Write parameters as YAML unless they are there already; first try what is the user's own."""
    import yaml

    from advlib.kept import files

    plain = {name: [*v] if isinstance(v, tuple) else v for name, v in vars(experiment).items()}
    # what the user's own files are is in comments: with others the notebooks are executed again
    comments = "".join(f"# {line}\n" for line in describe_own(experiment))
    text = comments + yaml.safe_dump(plain, sort_keys=False)
    if path.exists() and path.read_bytes().startswith(text.encode()):
        return
    if experiment.text:
        try:
            Path(experiment.text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"TEXT={experiment.text} cannot be read: {error}") from None
    if comments or experiment.dataset != Experiment.dataset:
        from advlib.experiment.pace import hear_warnings
        from advlib.experiment.subject import resolve_subject, try_subject

        subject = resolve_subject(experiment)
        with warnings.catch_warnings():
            hear_warnings(lambda words: print(f"beware: {words}", file=sys.stderr))
            try_subject(subject)
        experiment = subject.experiment
    text += yaml.safe_dump(experiment.conditions, sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.remove_temporaries(path.parent)  # one make at a time is at a report
    files.write_bytes(path, text.encode())


class Replication(NamedTuple):
    """An experiment over many seeds, as it is asked for."""

    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    """By their names in the report, with those of `VARIANTS`."""
    set_name: str
    overrides: dict[str, Any]
    scheduler: str


def read_replication(arguments: Iterable[str]) -> Replication:
    """Read the command line of `make replicate`."""
    given = {name: value for name, _, value in (text.partition("=") for text in arguments)}
    reasons = {"SEED": "it takes SEEDS", "WEIGHTS": "it trains its networks itself"}
    for name in given.keys() & reasons:
        raise ValueError(f"make replicate does not take {name}: {reasons[name]}")
    seeds, scheduler = read_seeds(given.pop("SEEDS", "10")), given.pop("SCHEDULER", "")
    names = given["METHODS"].split(",") if "METHODS" in given else []
    if names:
        trained = [VARIANTS[name].method if name in VARIANTS else name for name in names]
        given["METHODS"] = ",".join(dict.fromkeys(trained))
    set_name, overrides = read_arguments(f"{name}={value}" for name, value in given.items())
    experiment = resolve_early(set_name, overrides)
    methods = names or experiment.methods
    shown = tuple(dict.fromkeys(read_origin(name).shown for name in methods))
    return Replication(seeds, shown, set_name, overrides, scheduler)


def read_seeds(text: str) -> tuple[int, ...]:
    """Read seeds: how many from 0 on, a range such as 3-7, or a list such as 0,4,5."""
    ranges = f"0-{int(text) - 1}" if re.fullmatch(" *[0-9]{1,18} *", text) else text
    one = " *([0-9]{1,18})(?:-([0-9]{1,18}))? *"
    parts = [re.fullmatch(one, part) for part in ranges.split(",")]
    ends = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
    seeds = [n for first, last in ends for n in range(first, min(last, first + 10_000) + 1)]
    if not all(parts) or not seeds or len({*seeds}) != len(seeds):
        raise ValueError(
            "SEEDS must be how many, at least 1, a range such as 3-7 or a list such as 0,4,5, not"
            f" {text!r}"
        )
    return tuple(seeds)


def warn_of_environment(goal: str, arguments: Iterable[str], *others: str) -> None:
    """Say which parameters stand in the environment, where none is read."""
    given = {text.partition("=")[0] for text in arguments}
    known = {"PARAMETERS", *others, *map(str.upper, NAMES)}
    if os.environ.get("ADVLIB_TURN") is None:  # once
        for name in sorted(known & os.environ.keys() - given):
            print(
                f"note: {name} in the environment is not read; write"
                f" make {goal} {name}={os.environ[name]}",
                file=sys.stderr,
            )


def _help() -> str:
    rows = {
        "PARAMETERS": f"a parameter set: {', '.join(sets())} (in notebooks/parameters; seed has the"
        " slides' settings, and SEED is another thing), or a file of your own, FILE.yaml"
    }
    for name, each in declared().items():
        rows[name.upper()] = f"{each.metadata['words']}: {each.metadata['rule'].allowed}"
    rows["METHODS"] += f", with commas: {', '.join(known_methods())}"
    return "\n".join(f"  {name:<14} {words}" for name, words in rows.items())


def read_arguments(arguments: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Read make's command line: the parameter set, and the parameters that are changed in it."""
    set_name = "seed"
    overrides: dict[str, Any] = {}
    for text in arguments:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected NAME=value, such as EPSILON=0.2, not {text!r}")
        if name == "PARAMETERS":
            set_name = value
        else:
            overrides.update([parse(name, value)])
    return set_name, overrides


def resolve_early(set_name: str, overrides: Mapping[str, object]) -> Experiment:
    """Resolve an experiment also before the set-up, without PyYAML, for its methods and paths.

    What a parameter set of ours gives besides is then left out; a user's own needs the set-up. So
    does a method's own setting: what is none of `NAMES` may be one where methods are named.
    """
    own = overrides.keys() - {*NAMES}
    if own and "methods" not in overrides and set_name in sets():
        raise _unknown(sorted(own), NAMES)
    overrides = {name: value for name, value in overrides.items() if name in NAMES}
    try:
        return resolve(set_name, overrides)
    except ModuleNotFoundError:
        if set_name not in sets():
            raise ValueError(
                f"{set_name} cannot be read before the set-up: make .venv/ready first"
            ) from None
        experiment = Experiment(**overrides)  # type: ignore[arg-type]
        check_methods(experiment)
        return experiment


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status: 0, or 2."""
    first, *given = arguments
    if first == "--help":
        print(_help())
        return 0
    try:
        if first == "--replicate":
            warn_of_environment("replicate", given, "SEEDS", "SCHEDULER")
            read_replication(given)
            return 0
        _write(Path(first.removeprefix("--yaml=")), resolve(*read_arguments(given)))
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
