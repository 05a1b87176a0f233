"""The settings of an experiment: each a field with its default, its rule, its words and its symbol.

A value is checked when it is made, at the door (make, a notebook, `advlib.train`), and trusted from
there on. Standard library only: make checks its parameters before any set-up.
"""

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, make_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple, Self


class KnownData(NamedTuple):
    """A data set with a name: one row."""

    words: str
    """What it has, in the report."""
    classes: tuple[str, ...] = ()
    """Their names, where torchvision's are others."""


DATASETS = {
    "MNIST": KnownData(
        "scans of handwritten digits, selected from the black-and-white images of NIST, brought to"
        " one size and centred; smoothing their edges made the grey values",
        classes=tuple("0123456789"),
    ),
    "FashionMNIST": KnownData("grey pictures of articles of clothing"),
    "KMNIST": KnownData("scans of handwritten Japanese characters in cursive"),
}
"""Those of torchvision that are as MNIST is; its class of that name knows the files."""
TRAINING_IMAGES = 55_000
"""How many each of them has for training; 5,000 more validate."""


class Origin(NamedTuple):
    """Where a method or a network is from: one of ours has a name alone, a user's own a file."""

    file: Path | None
    name: str

    @property
    def shown(self) -> str:
        """A method's name in the report and in the names of files."""
        return self.name.replace("_", "-")


def read_origin(text: object) -> Origin:
    """Take FILE.py:NAME apart, or the name of one of ours. Nobody else does."""
    own = re.fullmatch(r"(.+\.py):([A-Za-z_][A-Za-z0-9_]*)", str(text), re.DOTALL)
    return Origin(Path(own[1]), own[2]) if own else Origin(None, str(text))


def find_path(path: str, folder: str = "") -> str:
    """Make a path absolute, for it is read from elsewhere."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))


@dataclass(frozen=True)
class Rule:
    """What a value may be: its type, the condition on it, and both in words."""

    kind: type
    condition: str
    holds: Callable[[Any], bool]
    none: str = ""
    """What stands for None on a command line, if None is allowed."""
    read: Callable[[str, str], object] | None = None
    """Reads what stands on a command line, where the type alone does not say how: the text, and the
    folder that paths in it are relative to."""

    @property
    def allowed(self) -> str:
        """What is allowed on a command line, in words."""
        return self.condition + (f", or {self.none}" if self.none else "")

    def check(self, name: str, value: object) -> Any:
        """Return a value as Python's own type, or raise TypeError or ValueError with its name.

        Integers are accepted where a float is expected, and NumPy's numbers; a bool is no number.
        """
        if value is None and self.none:
            return None
        or_none = f", or None (on the command line: {self.none})" if self.none else ""
        problem = f"{name} must be {self.condition}{or_none}, not {value!r}"
        accepted = {int: Integral, float: Real, tuple: (tuple, list)}.get(self.kind, self.kind)
        if not isinstance(value, accepted) or isinstance(value, bool):  # type: ignore[arg-type]
            raise TypeError(f"{problem} ({type(value).__name__})")
        try:
            plain = self.kind(value)
        except OverflowError:
            raise ValueError(problem) from None
        if isinstance(plain, float):
            plain += 0.0  # -0.0 becomes 0.0
        if not self.holds(plain):
            raise ValueError(problem)
        return plain

    def parse(self, text: str, folder: str = "") -> object:
        """Read what stands on a command line, paths from a folder; what is no value stays text."""
        if self.none and text == self.none:
            return None
        if self.read and text:
            return self.read(text, folder)
        if self.kind is int and re.fullmatch(r"[+-]?[0-9]{1,1000}", text):
            return int(text)
        if self.kind is float and re.fullmatch(
            r"[+-]?([0-9]+\.?|[0-9]*\.[0-9]+)(e[+-]?[0-9]+)?", text, re.IGNORECASE
        ):
            return float(text)
        return text


def one_of(names: Iterable[str]) -> Rule:
    names = tuple(names)
    return Rule(str, "one of " + ", ".join(names), lambda value: value in names)


def is_folder(dataset: str) -> bool:
    """Tell whether a data set is named by a folder: by a path, or by what is a folder here."""
    separated = os.sep in dataset or "/" in dataset
    return dataset not in DATASETS and (separated or os.path.isdir(dataset))


def name_data(dataset: str) -> str:
    """Name a data set for people: of a folder's path the last part."""
    name = os.path.basename(os.path.normpath(dataset))
    if not is_folder(dataset):
        return dataset
    return f"./{name}" if name in DATASETS else name


def _find_data(dataset: str, folder: str) -> str:
    """Make a folder's path absolute; what names a data set stays, or what is neither."""
    path = find_path(dataset, folder)
    found = is_folder(dataset) or (dataset not in DATASETS and os.path.isdir(path))
    return path if found else dataset


def _find_own(text: str, folder: str) -> str:
    """Make the path in FILE.py:NAME absolute; other text stays."""
    file, name = read_origin(text)
    return f"{find_path(str(file), folder)}:{name}" if file else text


def _find_each(text: str, folder: str) -> tuple[str, ...]:
    return tuple(_find_own(part.strip(), folder) for part in text.split(","))


def _are_named(values: tuple[Any, ...]) -> bool:
    allowed = "[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*"
    names = [read_origin(value).shown for value in values if isinstance(value, str)]
    named = len(names) == len(values) and all(re.fullmatch(allowed, name) for name in names)
    return named and 1 <= len(values) <= 8 and len({*map(str.lower, names)}) == len(values)


WHOLE = Rule(int, "a whole number of at least 1", lambda n: n >= 1)
LIMIT = Rule(int, WHOLE.condition, WHOLE.holds, none="all")
SIZE = Rule(float, "a finite number of at least 0", lambda x: 0 <= x < math.inf)
SIZE_OR_SAME = Rule(float, SIZE.condition, SIZE.holds, none="epsilon")
RATE = Rule(float, "a finite number above 0", lambda x: 0 < x < math.inf)
SHARE = Rule(float, "a number from 0 to 1", lambda x: 0 <= x <= 1)
DECAY = Rule(float, "a number of at least 0 and below 1", lambda x: 0 <= x < 1)
DATA = Rule(
    str,
    f"one of {', '.join(DATASETS)}, or a folder, such as ./mine",
    lambda value: value in DATASETS or is_folder(value),
    read=_find_data,
)
SEED = Rule(int, "a whole number of at least 0 and below 2^63", lambda n: 0 <= n < 2**63)
METHODS = Rule(
    tuple,
    "one to eight training methods, each with a name of its own (letters, digits, _ and -), ours or"
    " FILE.py:NAME (a path without commas)",
    _are_named,
    read=_find_each,
)
ATTACKS = Rule(
    tuple,
    "one to eight attacks of your own, FILE.py:NAME each (a path without commas), with names as"
    " methods have them",
    lambda values: _are_named(values) and all(read_origin(value).file for value in values),
    none="none",
    read=_find_each,
)
NETWORK = Rule(
    str,
    "LeNet, or FILE.py:NAME",
    lambda value: value == "LeNet" or read_origin(value).file is not None,
    read=_find_own,
)
FOLDER = Rule(str, "a folder", bool, none="none", read=find_path)
FILE = Rule(str, "a file", bool, none="none", read=find_path)
LINE = Rule(str, "a line of text", lambda s: bool(s.strip()) and s.isprintable(), none="none")
PLAIN = {
    int: Rule(int, "a whole number", lambda n: True),
    float: Rule(float, "a finite number", lambda x: True),
    str: Rule(str, "a text", lambda text: True),
}
"""The rules of settings of one's own that say no more than their default."""


def setting(default: Any, rule: Rule, words: str, symbol: str = "") -> Any:
    """Declare a setting."""
    return field(default=default, metadata={"rule": rule, "words": words, "symbol": symbol})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings, checked when they are made; the message names what is wrong and what is allowed."""

    def __init_subclass__(cls) -> None:
        """Make settings of plain fields, such as ``steps: int = 7`` of a method of one's own."""
        for name in inspect.get_annotations(cls):
            default = vars(cls).get(name)
            if isinstance(default, Field):
                continue
            if type(default) not in PLAIN:
                kinds = ", ".join(f"{kind.__name__}" for kind in PLAIN)
                raise TypeError(f"{cls.__name__}.{name} must have a default: one of {kinds}")
            words = name.replace("_", " ").capitalize()
            setattr(cls, name, setting(default, PLAIN[type(default)], words))

    def __post_init__(self) -> None:
        for each in fields(self):
            value = each.metadata["rule"].check(each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    @classmethod
    def chosen(cls, names: Mapping[str, object]) -> Self:
        """Make settings of those names that are settings, of all that a notebook's file keeps."""
        return cls(**{name: names[name] for name in declared(cls) if name in names})


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """What decides a training beside its model, its data and its method."""

    epsilon: float = setting(0.1, SIZE, "Size of the perturbation in training", r"$\epsilon$")
    alpha: float = setting(
        0.5, SHARE, "Share of the clean gradient in adversarial training", r"$\alpha$"
    )
    epochs: int = setting(30, WHOLE, "Epochs")
    batch_size: int = setting(100, WHOLE, "Clean images in a minibatch", "$m$")
    learning_rate: float = setting(1e-3, RATE, "Learning rate", r"$\rho$")
    schedule: str = setting("constant", one_of(("constant", "cosine")), "Learning rate by epoch")
    momentum: float = setting(0.9, DECAY, "Momentum", r"$\mu$")
    weight_decay: float = setting(5e-4, SIZE, "Weight decay", r"$\lambda$")
    seed: int = setting(0, SEED, "Seed")

    def rate(self, epoch: int) -> float:
        """Return an epoch's learning rate, the first being 1; cosine: towards 0 after the last."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2


@dataclass(frozen=True, kw_only=True)
class _Subject(Settings):
    dataset: str = setting("MNIST", DATA, "Data set")
    images: int | None = setting(None, LIMIT, "Training images")
    network: str = setting("LeNet", NETWORK, "Network")


@dataclass(frozen=True, kw_only=True)
class Words(Settings):
    """What a report says of itself; no number depends on it."""

    title: str | None = setting(None, LINE, "Title")
    author: str | None = setting(None, LINE, "Author")
    text: str | None = setting(None, FILE, "A text of one's own, in Markdown")


@dataclass(frozen=True, kw_only=True)
class Experiment(Words, Training, _Subject):
    """The settings of a report: make's parameters, by default the slides'."""

    attack_epsilon: float = setting(None, SIZE_OR_SAME, "Size of the perturbation in attacks")
    tested: int | None = setting(None, LIMIT, "Test images")
    attacked: int = setting(1000, WHOLE, "Test images that are attacked in every way")
    methods: tuple[str, ...] = setting(
        ("standard", "mixed", "adversarial"), METHODS, "Training methods"
    )
    weights: str | None = setting(None, FOLDER, "Weights, trained elsewhere")
    attacks: tuple[str, ...] | None = setting(None, ATTACKS, "Attacks of one's own")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attack_epsilon is None:  # as large as in training
            object.__setattr__(self, "attack_epsilon", self.epsilon)
        if self.dataset in DATASETS and (self.images or 0) > TRAINING_IMAGES:
            raise ValueError(
                f"images must be at most {TRAINING_IMAGES}, all that {self.dataset} has for"
                f" training, not {self.images}"
            )

    @property
    def origins(self) -> dict[str, Origin]:
        """Where its methods are from, by their names in the report."""
        return {origin.shown: origin for origin in map(read_origin, self.methods)}

    @property
    def own_attacks(self) -> dict[str, Origin]:
        """The attacks of the user's own by their names in the report."""
        return {origin.shown: origin for origin in map(read_origin, self.attacks or ())}

    @property
    def own_files(self) -> list[Path]:
        """The user's files of code that it names."""
        named = (*self.origins.values(), *self.own_attacks.values(), read_origin(self.network))
        return sorted({origin.file for origin in named if origin.file})

    @property
    def shown(self) -> str:
        """The method whose model is shown where one is: standard, else the first."""
        return "standard" if "standard" in self.origins else next(iter(self.origins))

    @property
    def conditions(self) -> dict[str, bool]:
        """What the report's words ask: is it about what the slides' is, LeNet, trained for it?

        The slides' is MNIST, LeNet and at least one of the three methods, whatever the numbers.
        """
        lenet, trained = self.network == Experiment.network, self.weights is None
        same = lenet and trained and self.dataset == Experiment.dataset
        slides = same and not {*self.methods}.isdisjoint(Experiment.methods)
        return {"slides": slides, "lenet": lenet, "trained": trained}


@dataclass(frozen=True, eq=False)
class OfExperiment:
    """What has an experiment, and can be asked about it as prose does."""

    experiment: Experiment

    @property
    def conditions(self) -> dict[str, bool]:
        """What `%%say` can ask by name alone."""
        return self.experiment.conditions

    @property
    def slides(self) -> bool:
        """Is it about what the slides' experiment is: MNIST, LeNet, one of the three methods?"""
        return self.conditions["slides"]

    @property
    def three(self) -> bool:
        """Are the slides' three methods in it, trained for what theirs were?"""
        return self.slides and {*Experiment.methods} <= {*self.experiment.methods}

    @property
    def lenet(self) -> bool:
        return self.conditions["lenet"]

    @property
    def trained(self) -> bool:
        """Are the models trained for it, and not elsewhere?"""
        return self.conditions["trained"]

    @property
    def methods(self) -> list[str]:
        """The methods' names in the report, in its order."""
        return [*self.experiment.origins]


def extend(methods: Iterable[type[Training]]) -> type[Experiment]:
    """Return `Experiment` with the methods' own settings, each name with one default."""
    own: dict[str, Field[Any]] = {}
    for name, each in (item for kind in methods for item in declared(kind).items()):
        if name in declared():
            continue
        if own.setdefault(name, each).default != each.default:
            raise ValueError(f"two methods have a setting {name!r}, with different defaults")
    added = [
        (name, each.type, field(default=each.default, metadata=each.metadata))
        for name, each in own.items()
    ]
    if not added:
        return Experiment
    return make_dataclass("Experiment", added, bases=(Experiment,), frozen=True, kw_only=True)


def declared(settings: type[Settings] = Experiment) -> dict[str, "Field[Any]"]:
    """Return the fields of settings by name."""
    return {each.name: each for each in fields(settings)}


def check(name: str, value: object) -> Any:
    """Check one value by a setting's rule."""
    return declared()[name].metadata["rule"].check(name, value)
