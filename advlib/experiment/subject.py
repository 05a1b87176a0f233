"""What an experiment is about, resolved once: its data, its network, its methods and its models.

A user's file of Python is code, and loading it runs it; weights run nothing. What a user brought is
tried by one real step before any training.
"""

import hashlib
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from advlib import runs
from advlib.attacks import fgsm
from advlib.data import Dataset, Split, load_data
from advlib.data.known import find_published
from advlib.evaluation import evaluate, warn_of_order
from advlib.experiment.gpu import run_on, use_gpu
from advlib.experiment.own import digest_own, find_own
from advlib.kept import checkpoints
from advlib.kept.code import digest_definitions
from advlib.lenet import LeNet
from advlib.methods import Method, find_method
from advlib.settings import (
    DATASETS,
    Experiment,
    OfExperiment,
    Origin,
    extend,
    is_folder,
    read_origin,
)
from advlib.training import check_alone, check_training
from advlib.worst_case import robustness

TRIED = 3
"""Images of the step; not two, of which all else that asks a network takes."""
IS_FILE = f"what it imports must be installed for {sys.executable}, or lie beside it"
IS_METHOD = (
    "a method is a function (model, batch, settings), or an advlib.methods.Method with one, that"
    " returns an advlib.methods.Step: for each trained parameter its gradient, in their order, and"
    " the outcome on the clean images"
)
IS_ATTACK = (
    "an attack is a function (model, images, labels, epsilon, *, bounds, seed, batch_size) that"
    " returns the adversarial images; **_ takes what it has no use for"
)
IS_NETWORK = (
    "a network is a class or a function, called with those of classes, shape and seed that it"
    " takes, that gives a torch.nn.Module; this returns a logit for each class, [N, classes]"
)


class OwnCodeError(ValueError):
    """A user's file fails, or gives what it should not."""


@dataclass(frozen=True, eq=False)
class Subject(OfExperiment):
    """An experiment and what it names."""

    data: Dataset
    network: Callable[..., nn.Module]
    """The class or function that gives the network."""
    rows: dict[str, Method]
    """The methods by their names in the report; none where the models were trained elsewhere."""
    attacks: dict[str, Callable[..., Tensor]]
    """Attacks of the user's own by their names in the report."""

    @property
    def shown(self) -> str:
        """The method whose model is shown where one is: standard, else the first."""
        return self.experiment.shown

    def build_network(self) -> nn.Module:
        """Return the network as it is built, in evaluation mode."""
        return runs.build_network(self.network, self.data, self.experiment.seed).eval()

    def open_models(self) -> dict[str, nn.Module]:
        """Return the models by the names of the methods, as `open_training` does each."""
        return {method: self.open_training(method)[0] for method in self.methods}

    def open_training(self, method: str) -> tuple[nn.Module, pd.DataFrame | None]:
        """Return what `load_training` does, the model on the GPU where there is one.

        It takes images and gives logits on the CPU all the same.
        """
        model, history = self.load_training(method)
        if use_gpu():
            run_on(model, "cuda")
        return model, history

    def load_training(
        self, method: str, folder: str | None = None
    ) -> tuple[nn.Module, pd.DataFrame | None]:
        """Return the model of a method, by its name, on the CPU, and its history.

        It is trained now if that was not done before; trainings are kept in `folder`, by default
        where all are. Where weights are given they are loaded, and there is no history.
        """
        if not self.trained:
            model = runs.build_network(self.network, self.data, 0)
            load_weights(model.eval(), self.find_weights(method))
            few = self.data.test.sample(1000)
            warn_of_order(model, few.images, few.labels, self.data.classes, method)
            return model, None
        wanted = self.want_training(method, runs=folder)
        return wanted.model, wanted.train()

    def find_processor(self, method: str) -> str:
        """Return the processor on which a method's training, which is kept, has begun."""
        _, record = checkpoints.load(self.want_training(method).folder / checkpoints.NAME)
        return str(record["processor"])

    def want_training(self, method: str, **others: Any) -> runs.Wanted:
        """Name a method's training; `others` as for `runs.Wanted.find`."""
        return runs.Wanted.find(
            method,
            self.data,
            self.experiment,
            row=self.find_method(method),
            network=self.network,
            code=self._digest_code(method),
            **others,
        )

    def find_method(self, method: str) -> Method:
        """Return a method by its name, also one of ours that the experiment does not name."""
        return self.rows[method] if method in self.rows else find_method(method)

    def title(self, method: str) -> str:
        """Return the heading of a method's part of the report."""
        return self.find_method(method).title if self.trained else f"Model {method}"

    def find_weights(self, method: str) -> Path:
        """Return the file of the weights that a method's model has."""
        name = self.experiment.origins[method].name
        return Path(self.experiment.weights or "", f"{name}.safetensors")

    def _digest_code(self, method: str) -> str:
        """Return the digest of the user's code that makes a training, and of what it reaches."""
        origins = self.experiment.origins.get(method), read_origin(self.experiment.network)
        found = ""
        for file, name in filter(None, origins):
            if file:
                places = [(file, name), *((path, "*") for path in find_own(file))]
                found += digest_own(file) + digest_definitions(places, file.parent)
        return found


def resolve_subject(experiment: Experiment, data: Dataset | None = None) -> Subject:
    """Load what an experiment names; its data only where they are not given.

    Raises
    ------
    ValueError, OSError
        If something is missing, or does not fit. The message names it and what is expected.
    """
    if data is None:
        data = _load_data(experiment)
        if (experiment.tested or 0) >= len(data.test):  # all there are
            experiment = replace(experiment, tested=None)
        data = replace(data, test=_draw(data, experiment.tested))
    if data.name in DATASETS:  # in whatever folder it lies
        experiment = replace(experiment, dataset=data.name)
    if len(data.train) < (experiment.images or 0):
        experiment = replace(experiment, images=None)
    origin = read_origin(experiment.network)
    network = load_own(origin) if origin.file else LeNet
    experiment = find_kind(experiment)(**vars(experiment))
    attacks = {name: load_own(origin) for name, origin in experiment.own_attacks.items()}
    return Subject(experiment, data, network, _load_methods(experiment), attacks)


def _load_data(experiment: Experiment) -> Dataset:
    """Load its data: also of a folder with the files of a data set that are known by themselves."""
    given = experiment.dataset
    if found := find_published(Path(given)) if is_folder(given) else None:
        return load_data(found, given, experiment.images)
    return load_data(given, images=experiment.images)


def _draw(data: Dataset, tested: int | None) -> Split:
    """Return so many of the test images, all if it is None."""
    drawn = data.test if tested is None else data.test.sample(tested)
    if {*drawn.labels.tolist()} < {*data.test.labels.tolist()}:
        raise ValueError(
            f"tested must be more than {tested}: of so few test images of {data.name} some class"
            " has none"
        )
    return drawn


def find_kind(experiment: Experiment) -> type[Experiment]:
    """Return the class of an experiment with its methods' own settings."""
    return extend(row.settings for row in _load_methods(experiment).values())


def _load_methods(experiment: Experiment) -> dict[str, Method]:
    origins = {} if experiment.weights else experiment.origins
    return {name: _load_method(origin) for name, origin in origins.items()}


def _load_method(origin: Origin) -> Method:
    """Return one of our methods, or a user's: a function, or a row."""
    if origin.file is None:
        return find_method(origin.name)
    found = load_own(origin)
    title = f"{origin.shown[0].upper()}{origin.shown[1:]} training"
    return found if isinstance(found, Method) else Method(found, title)


def load_own(origin: Origin) -> Any:
    """Return what FILE.py:NAME names: the file is run, once."""
    assert origin.file
    module = _run_file(origin.file)
    if not hasattr(module, origin.name):
        names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise OwnCodeError(f"{origin.file} has no name {origin.name!r}; it has {names}")
    return getattr(module, origin.name)


def _run_file(path: Path) -> ModuleType:
    """Run a user's file as a module of a name of its own, with its folder to import from."""
    name = f"own_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    digest = digest_own(path)
    if module := sys.modules.get(name):
        if vars(module)["__digest__"] != digest:
            raise OwnCodeError(
                f"{path}, or what it imports, has changed since it was run: start Python, or the"
                " notebook's kernel, anew"
            )
        return module
    module = ModuleType(name)
    folder, written = str(path.parent), sys.dont_write_bytecode
    # as if a package of its folder: from .beside import it
    vars(module).update(__file__=str(path), __digest__=digest, __path__=[folder])
    sys.modules[name] = module
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    try:
        with explained(path, "importing it", IS_FILE):
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
            _check_beside(path)
    except BaseException:
        for each in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[each]
        raise
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(folder)
        if folder not in sys.path:  # for what is imported later; it hides nothing
            sys.path.append(folder)
    return module


def _check_beside(path: Path) -> None:
    """Refuse an import from the file's folder that gave another file of the same name."""
    for file in find_own(path) - {path}:
        parts = file.relative_to(path.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        found = getattr(sys.modules.get(module), "__file__", None)
        if found and Path(found).resolve() != file.resolve():
            raise OwnCodeError(
                f"{path} imports {module}, of which there are two, {file} and {found}: rename one"
            )


@contextmanager
def explained(file: Path | None, doing: str, expected: str) -> Iterator[None]:
    """Say which file and line of a user's fails and what is expected, over Python's traceback."""
    try:
        yield
    except (Exception, SystemExit) as error:  # a file may even end the process
        if file is None or isinstance(error, OwnCodeError | MemoryError):
            raise
        raise OwnCodeError(
            f"{_find_place(error, file)}: {doing} fails; {expected}\n"
            + "".join(traceback.format_exception(error)).rstrip()
        ) from None


def _find_place(error: BaseException, file: Path) -> str:
    """Return the last file and line of an error that are the user's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) in find_own(file)]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else str(file)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights that were trained elsewhere into a network. Reading runs no code."""
    try:
        state, given = model.state_dict(), safetensors.torch.load_file(path)
        parallel = all(name.startswith("module.") for name in given) and not {*given} & {*state}
        whole = nn.ModuleDict({"module": model}) if parallel else model  # saved by DataParallel
        state = whole.state_dict()
        kinds = [
            f"{name} ({tensor.dtype})"
            for name, tensor in given.items()
            if name in state and not _is_alike(tensor, state[name])
        ]
        if not kinds:
            safetensors.torch.load_model(whole, path)
        broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
        problem = f"values are not finite in {', '.join(broken)}" if broken else ""
        problem = f"values are of another kind in {', '.join(kinds)}" if kinds else problem
    except (safetensors.SafetensorError, OSError, RuntimeError) as error:
        problem = " ".join(str(error).split())
    if problem:
        raise OwnCodeError(
            f"{path} must have the weights of this network, and finite ones, as"
            f" safetensors.torch.save_model saves them: {problem}"
        )


def _is_alike(one: Tensor, other: Tensor) -> bool:
    """May one's values stand for the other's? Whole numbers for weights are scaled ones."""
    return one.dtype == other.dtype or (one.is_floating_point() and other.is_floating_point())


def try_subject(subject: Subject) -> None:
    """Take one real step on a few images: train, attack, evaluate.

    Raises
    ------
    ValueError, OSError
        If that fails, or something is not what it must be.
    """
    _check_names(subject.data.classes)
    shape = tuple(subject.data.mean_image.shape)
    if subject.lenet and shape != (1, 28, 28):
        raise ValueError(
            f"LeNet takes grey images of 28 x 28 pixels, and those of {subject.data.name} are"
            f" {shape}: bring a network of your own for them, NETWORK=FILE.py:NAME"
        )
    _try_network(subject)
    few = subject.data.train.first(TRIED)
    data = replace(subject.data, train=few, validation=few, test=few)
    settings = replace(subject.experiment, epochs=1, batch_size=TRIED)
    small = replace(subject, experiment=settings, data=data)
    network = read_origin(subject.experiment.network).file
    for method, origin in subject.experiment.origins.items():
        file, expected = (origin.file, IS_METHOD) if origin.file else (network, IS_NETWORK)
        with (
            tempfile.TemporaryDirectory() as folder,
            explained(file, f"{method}: a step on {len(few)} images", expected),
        ):
            if subject.trained:
                model, passes = subject.build_network(), subject.find_method(method).passes
                check_training(model, subject.data, subject.experiment.batch_size, passes)
            whole = small if subject.trained else subject
            model, _ = whole.load_training(method, folder)
            evaluate(model, few.images, few.labels)
    if "Square" in subject.attacks:
        raise ValueError("ATTACKS must have names of their own, not 'Square', which a report has")
    for name, origin in subject.experiment.own_attacks.items():
        with explained(origin.file, f"{origin.name}: attacking {len(few)} images", IS_ATTACK):
            robustness(
                {"network": subject.build_network()},
                *(few.images, few.labels, subject.experiment.attack_epsilon),
                bounds=data.bounds,
                attacks={name: subject.attacks[name]},
                steps=1,
            )


def _try_network(subject: Subject) -> None:
    """Build the network twice, which must give the same weights; run it, and attack it."""
    origin, few = read_origin(subject.experiment.network), subject.data.train.first(TRIED)
    wanted = (len(few), len(subject.data.classes))
    with explained(origin.file, f"{origin.name}: running it on {len(few)} images", IS_NETWORK):
        model, again = subject.build_network(), subject.build_network()
        states = zip(model.state_dict().values(), again.state_dict().values(), strict=True)
        if not all(torch.equal(*pair) for pair in states):
            raise ValueError(
                "it has other weights each time, with the same seed: draw them from torch's random"
                " numbers, or take an argument seed"
            )
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():  # a head that begins with zeros hides all before it
                tensor += torch.rand_like(tensor) / 20
        seed = subject.experiment.seed ^ 1
        other = runs.build_network(subject.network, subject.data, seed).eval()
        other.load_state_dict(model.state_dict())
        given = few.images.clone()
        with torch.no_grad():
            logits = model(given)
            repeated, others = (each(few.images.clone()) for each in (model, other))
        if not torch.equal(given, few.images):
            raise ValueError("it changes the images that it is given: let it work on a copy")
        if logits.shape != wanted:
            raise ValueError(f"it returns {[*logits.shape]} and not {[*wanted]}")
        same = torch.allclose(logits, others, rtol=1e-3, atol=1e-3, equal_nan=True)
        if not same and torch.equal(logits, repeated):  # else it draws at random
            raise ValueError(
                "with another seed and the same state_dict() it says another thing: it has weights"
                " that its state does not hold, as layers in a Python list, where"
                " torch.nn.ModuleList holds them"
            )
        check_alone(model, few.images)
        fgsm(model, few.images.clone(), few.labels, bounds=subject.data.bounds)


def _check_names(classes: tuple[str, ...]) -> None:
    """Refuse classes with names that the report's figures cannot show."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    known = FT2Font(findfont("STIXGeneral")).get_charmap()
    for name in classes:
        if unknown := "".join(sorted({c for c in name if ord(c) not in known})):
            raise ValueError(
                f"the class {name!r} has characters that the figures' font has not, {unknown!r}:"
                " rename its folders in train and test"
            )
