"""The parameters of an experiment: their names, what each may be, and the folder they lead to.

`make` runs this module before any set-up, with whatever ``python3`` it finds, so it needs the
standard library only (reading a parameter set needs PyYAML) and no syntax newer than Python 3.9.

    python3 -m advlib.parameters PARAMETERS=seed EPSILON=0.2          prints seed-epsilon0.2
    python -m advlib.parameters --yaml=FILE EPSILON=0.2               writes all parameters to FILE
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

METHODS = ("standard", "mixed", "adversarial", "mixed-epochwise")
DATASETS = ("MNIST", "FashionMNIST", "KMNIST")
SETS_FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "parameters"


@dataclass(frozen=True)
class _Rule:
    """What a parameter may be: its type, the condition on its value, and both in words."""

    kind: type[str] | type[int] | type[float]
    allowed: str
    holds: Callable[[Any], bool]
    none: bool = False

    @property
    def convert(self) -> Callable[[Any], Any]:
        return self.kind


def _one_of(names: tuple[str, ...]) -> _Rule:
    return _Rule(str, "one of " + ", ".join(names), lambda value: value in names)


_RULES = {
    "method": _one_of(METHODS),
    "dataset": _one_of(DATASETS),
    "images": _Rule(
        int,
        "a whole number of at least 1, or None (on the command line: all)",
        lambda n: n >= 1,
        none=True,
    ),
    "epsilon": _Rule(float, "a finite number of at least 0", lambda x: x >= 0),
    "alpha": _Rule(float, "a number from 0 to 1", lambda x: 0 <= x <= 1),
    "epochs": _Rule(int, "a whole number of at least 1", lambda n: n >= 1),
    "batch_size": _Rule(int, "a whole number of at least 1", lambda n: n >= 1),
    "learning_rate": _Rule(float, "a finite number above 0", lambda x: x > 0),
    "momentum": _Rule(float, "a number of at least 0 and below 1", lambda x: 0 <= x < 1),
    "weight_decay": _Rule(float, "a finite number of at least 0", lambda x: x >= 0),
    "seed": _Rule(int, "a whole number of at least 0 and below 2^63", lambda n: 0 <= n < 2**63),
}
NAMES = tuple(name for name in _RULES if name != "method")
"""The parameters of an experiment, in the order of the parameter sets."""


def check(name: str, value: object) -> Any:
    """Check one parameter.

    Parameters
    ----------
    name : str
        A parameter's name, such as ``"epsilon"``.
    value : object
        Its value. Integers are accepted where a float is expected, and NumPy's numbers as Python's;
        a bool is not a number.

    Returns
    -------
    str, int, float or None
        The value as Python's own type.

    Raises
    ------
    TypeError
        If the value is of the wrong type.
    ValueError
        If there is no such parameter, or the value is not allowed.
    """
    if name not in _RULES:
        raise ValueError(f"there is no parameter {name!r}; there are {', '.join(_RULES)}")
    return _checked(name, _RULES[name], value)


def _checked(label: str, rule: _Rule, value: object) -> Any:
    problem = f"{label} must be {rule.allowed}, not {value!r}"
    if value is None and rule.none:
        return None
    abstract: dict[type, type] = {str: str, int: Integral, float: Real}
    if not isinstance(value, abstract[rule.kind]) or isinstance(value, bool):
        raise TypeError(f"{problem} ({type(value).__name__})")
    try:
        plain = rule.convert(value)
    except OverflowError:
        raise ValueError(problem) from None
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise ValueError(problem)
        plain += 0.0  # -0.0 becomes 0.0
    if not rule.holds(plain):
        raise ValueError(problem)
    return plain


def parse(name: str, text: str) -> tuple[str, Any]:
    """Read a parameter from make's command line.

    Parameters
    ----------
    name : str
        The parameter's name in capitals, such as ``"EPSILON"``.
    text : str
        Its value; ``"all"`` is no limit on IMAGES.

    Returns
    -------
    tuple
        The name in small letters and the checked value.

    Raises
    ------
    ValueError
        If there is no such parameter, or the value is not allowed.
    """
    if name != name.upper() or name.lower() not in NAMES:
        names = ", ".join(["PARAMETERS", *map(str.upper, NAMES)])
        raise ValueError(f"there is no parameter {name!r}; there are {names}")
    rule = _RULES[name.lower()]
    value: object = text
    if rule.none and text == "all":
        value = None
    elif rule.kind is int and re.fullmatch(r"[+-]?[0-9]{1,1000}", text):
        value = int(text)
    elif rule.kind is float and re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", text):
        try:
            value = float(text)
        except ValueError:  # "1.2.3"
            value = text
    try:
        return name.lower(), _checked(name, rule, value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {rule.allowed}, not {text!r}") from None


def sets() -> tuple[str, ...]:
    """Return the names of the parameter sets, the files of `SETS_FOLDER`."""
    return tuple(sorted(path.stem for path in SETS_FOLDER.glob("*.yaml")))


def _check_set(name: str) -> str:
    if name not in sets():
        raise ValueError(f"PARAMETERS must be one of {', '.join(sets())}, not {name!r}")
    return name


def folder_name(set_name: str, overrides: Mapping[str, object]) -> str:
    """Name the folder of an experiment: the parameter set and what is changed in it.

    Parameters
    ----------
    set_name : str
        A parameter set, such as ``"seed"``.
    overrides : mapping
        Parameters by their names in small letters.

    Returns
    -------
    str
        For example ``"seed-epochs5-epsilon0.2"``: names in alphabetical order, values in one
        form (``0.20`` and ``0.2`` are the same folder).

    Raises
    ------
    TypeError, ValueError
        As `check`; also for an unknown parameter set.
    """
    parts = [_check_set(set_name)]
    for name in sorted(overrides):
        value = check(name, overrides[name])
        text = "all" if value is None else str(value)
        parts.append(name + (text.removesuffix(".0") if isinstance(value, float) else text))
    return "-".join(parts)


def resolve(set_name: str, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Read a parameter set and change some of it. Needs PyYAML.

    Parameters
    ----------
    set_name : str
        A parameter set, such as ``"seed"``.
    overrides : mapping, optional
        Parameters by their names in small letters.

    Returns
    -------
    dict
        Every parameter in `NAMES`, in that order, checked.

    Raises
    ------
    TypeError, ValueError
        As `check`; also if the file of the set is not one, or lacks a parameter.
    """
    import yaml

    path = SETS_FOLDER / f"{_check_set(set_name)}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or set(content) != set(NAMES):
        raise ValueError(f"{path} must give {', '.join(NAMES)} and nothing else")
    for name in overrides or {}:
        if name not in NAMES:
            raise ValueError(f"there is no parameter {name!r}; there are {', '.join(NAMES)}")
    given = {**content, **(overrides or {})}
    try:
        return {name: check(name, given[name]) for name in NAMES}
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} (parameter set {path})") from None


def _write(path: Path, values: Mapping[str, object]) -> None:
    """Write parameters as YAML unless they are there already."""
    import yaml

    from advlib import files

    text = yaml.safe_dump(dict(values), sort_keys=False).encode()
    if path.exists() and path.read_bytes() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.turn(path.with_name(".lock"), lambda: print(f"waiting: another make is at {path}")):
        files.remove_temporaries(path.parent)
        files.write_bytes(path, text)


def main(arguments: Iterable[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status: 0, or 2."""
    set_name, target = "seed", ""
    overrides: dict[str, object] = {}
    try:
        for text in arguments:
            name, equals, value = text.partition("=")
            if not equals:
                raise ValueError(f"expected NAME=value, such as EPSILON=0.2, not {text!r}")
            if name == "--yaml":
                target = value
            elif name == "PARAMETERS":
                set_name = value
            else:
                overrides.update([parse(name, value)])
        folder = folder_name(set_name, overrides)
        if target:
            _write(Path(target), resolve(set_name, overrides))
        else:
            print(folder)
    except (TypeError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
