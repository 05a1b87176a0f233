"""The parameters of an experiment: make's command line, the parameter sets, the folder's name.

`advlib.experiment.plan` uses it before any set-up, with a Python that may have no package, so it
needs the standard library only (reading a parameter set needs PyYAML).

    python3 -m advlib.experiment.parameters --help                    the parameters, for people
    python -m advlib.experiment.parameters --yaml=FILE EPSILON=0.2    writes all of them to FILE
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from advlib.keeping.folders import METHOD_TEXTS, PARAMETER_SETS
from advlib.settings import Experiment, check, declared

NAMES = tuple(declared(Experiment))
"""The parameters of an experiment, in their order."""


def parse(name: str, text: str) -> tuple[str, Any]:
    """Read a parameter, by its name in capitals, from make's command line.

    Raises
    ------
    ValueError
        If there is no such parameter, or the value is not allowed.
    """
    if name != name.upper() or name.lower() not in NAMES:
        names = ", ".join(["PARAMETERS", *map(str.upper, NAMES)])
        raise ValueError(f"there is no parameter {name!r}; there are {names}")
    rule = declared()[name.lower()].metadata["rule"]
    try:
        return name.lower(), rule.check(name, rule.parse(text))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {rule.allowed}, not {text!r}") from None


def sets() -> tuple[str, ...]:
    """Return the names of the parameter sets, the files of `PARAMETER_SETS`."""
    return tuple(sorted(path.stem for path in PARAMETER_SETS.glob("*.yaml")))


def _check_set(name: str) -> str:
    if name not in sets():
        raise ValueError(f"PARAMETERS must be one of {', '.join(sets())}, not {name!r}")
    return name


def _check_methods(names: Iterable[str]) -> None:
    """Refuse methods that the report has no text about."""
    for name in names:
        if name not in _known_methods():
            raise ValueError(f"METHODS must be of {', '.join(_known_methods())}, not {name!r}")


def _known_methods() -> list[str]:
    return sorted(path.stem for path in METHOD_TEXTS.glob("*.md"))


def folder_name(set_name: str, overrides: Mapping[str, object]) -> str:
    """Name the folder of an experiment: the parameter set and what is changed in it.

    For example ``"seed-epochs5-epsilon0.2"``: names in alphabetical order, values in one form
    (``0.20`` and ``0.2`` are the same folder).
    """
    parts = [_check_set(set_name)]
    for name in sorted(overrides):
        value = check(name, overrides[name])
        text = declared()[name].metadata["rule"].none if value is None else str(value)
        if isinstance(value, float):
            text = text.removesuffix(".0")
        parts.append(name + ("+".join(value) if isinstance(value, tuple) else text))
    return "-".join(parts)


def resolve(set_name: str, overrides: Mapping[str, object] | None = None) -> Experiment:
    """Read a parameter set and change some of it; what neither names is the seed's. Needs PyYAML.

    Raises
    ------
    TypeError, ValueError
        If a value is not allowed, or the file of the set is not one.
    """
    import yaml

    path = PARAMETER_SETS / f"{_check_set(set_name)}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not set(content) <= set(NAMES):
        raise ValueError(f"{path} must give some of {', '.join(NAMES)} and nothing else")
    for name in overrides or {}:
        if name not in NAMES:
            raise ValueError(f"there is no parameter {name!r}; there are {', '.join(NAMES)}")
    try:
        return Experiment(**{**content, **(overrides or {})})
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (parameter set {path})") from None


def _write(path: Path, experiment: Experiment) -> None:
    """Write parameters as YAML unless they are there already."""
    import yaml

    from advlib.keeping import files

    values = {name: getattr(experiment, name) for name in NAMES}
    plain = {name: [*v] if isinstance(v, tuple) else v for name, v in values.items()}
    text = yaml.safe_dump(plain, sort_keys=False).encode()
    if path.exists() and path.read_bytes() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting: another make is at {path}"
    with files.hold_lock(path.with_name(".lock"), lambda: print(waiting)):
        files.remove_temporaries(path.parent)
        files.write_bytes(path, text)


def _help() -> str:
    rows = {"PARAMETERS": f"a parameter set: {', '.join(sets())} (in notebooks/parameters)"}
    rows |= {name.upper(): each.metadata["rule"].said for name, each in declared().items()}
    rows["METHODS"] += f", with commas: {', '.join(_known_methods())}"
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
    _check_methods(overrides.get("methods", ()))
    return set_name, overrides


def read_methods(set_name: str, overrides: Mapping[str, object]) -> tuple[str, ...]:
    """Return the training methods of an experiment, also before the set-up, without PyYAML."""
    try:
        import yaml  # noqa: F401
    except ModuleNotFoundError:
        text = (PARAMETER_SETS / f"{_check_set(set_name)}.yaml").read_text(encoding="utf-8")
        if "methods" not in overrides and re.search("^methods:", text, re.MULTILINE):
            raise ValueError(f"{set_name}.yaml names methods: make .venv/ready first") from None
        methods: tuple[str, ...] = check("methods", overrides.get("methods", Experiment.methods))
        return methods
    methods = resolve(set_name, overrides).methods
    _check_methods(methods)
    return methods


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status: 0, or 2."""
    first, *given = arguments or [""]
    if first == "--help":
        print(_help())
        return 0
    try:
        if not first.startswith("--yaml="):
            raise ValueError(f"expected --help or --yaml=FILE first, not {first!r}")
        _write(Path(first.removeprefix("--yaml=")), resolve(*read_arguments(given)))
    except (TypeError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
