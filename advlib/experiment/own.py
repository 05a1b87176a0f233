"""A user's own network and methods: loaded and tried; and the models of an experiment with them.

A file of Python is code, and loading it runs it. What is wrong with it is an `OwnCodeError`, one
line that names the file, the line and the remedy.
"""

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from advlib.experiment.own_files import digest_own, find_own_sources
from advlib.kept.code import digest_definitions
from advlib.kept.names import name_method, split_own
from advlib.lenet import LeNet
from advlib.methods import METHODS, Method

Network = Callable[..., nn.Module]


class OwnCodeError(ValueError):
    """A user's file fails, or gives what it should not."""


@contextmanager
def explained(what: str, doing: str) -> Iterator[None]:
    """Say where a user's code fails, in one line."""
    path = Path((split_own(what) or (what,))[0])
    try:
        yield
    except (KeyboardInterrupt, OwnCodeError, MemoryError):
        raise
    except BaseException as error:  # a file may even end the process
        words = f"{type(error).__name__}: {error}".rstrip(": ")
        remedy = "correct it"
        if isinstance(error, ModuleNotFoundError):
            remedy = f"install {error.name} for {sys.executable}, or put it beside the file"
        raise OwnCodeError(
            " ".join(f"{_find_place(error, path)}: {doing} fails with {words}; {remedy}".split())
        ) from error


def _find_place(error: BaseException, path: Path) -> str:
    """Return the last file and line of an error that are the user's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(path.parent)]
    ours = Path(__file__).parents[1]
    own = [frame for frame in own if not Path(frame.filename).is_relative_to(ours)]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else str(path)


def load_own(what: str) -> Any:
    """Load what FILE.py:NAME names: its file is run, once.

    Raises
    ------
    OwnCodeError, ValueError, OSError
        If the file cannot be read or run, or has no such name.
    """
    file, name = split_own(what) or ("", "")
    module = _run_file(Path(file).absolute())
    try:
        with explained(what, f"the name {name}"):
            return getattr(module, name)
    except OwnCodeError as error:
        if not isinstance(error.__cause__, AttributeError):
            raise
        names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
        raise OwnCodeError(f"{file} has no name {name!r}; it has {names}") from None


def _run_file(path: Path) -> ModuleType:
    """Run a user's file as a module of a name of its own, with its folder to import from."""
    name = f"own_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    digest = digest_own(f"{path}:all")
    if module := sys.modules.get(name):
        if vars(module)["__digest__"] != digest:
            raise OwnCodeError(
                f"{path}, or what it imports, has changed since it was run: start Python, or the"
                " notebook's kernel, anew"
            )
        return module
    module = ModuleType(name)
    vars(module).update(__file__=str(path), __digest__=digest)
    sys.modules[name] = module
    folder, written = str(path.parent), sys.dont_write_bytecode
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    try:
        with explained(f"{path}:all", "importing it"):
            exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
            _check_imported(path)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(folder)
        if folder not in sys.path:  # for what is imported later; it hides nothing
            sys.path.append(folder)
    return module


def _check_imported(path: Path) -> None:
    """Refuse an import from the file's folder that gave another file of the same name."""
    for file in find_own_sources(path)[1:]:
        if not file.is_relative_to(path.parent):
            continue
        parts = file.relative_to(path.parent).with_suffix("").parts
        dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found = getattr(sys.modules.get(dotted), "__file__", None)
        if found and Path(found).resolve() != file.resolve():
            raise OwnCodeError(
                f"{path} imports {dotted}, of which there are two, {file} and {found}: rename"
                f" {file.name}"
            )


def register_methods(methods: tuple[str, ...] | list[str]) -> list[str]:
    """Make a user's methods known to `advlib.methods.find_method`; return all names.

    Raises
    ------
    OwnCodeError
        If one is neither a function nor a `Method`.
    """
    for method in methods:
        if split_own(method):
            METHODS[name_method(method)] = _make_row(method, load_own(method))
    return [name_method(method) for method in methods]


def _make_row(method: str, found: Any) -> Method:
    if isinstance(found, Method):
        return found
    name = name_method(method)
    if not inspect.isfunction(found):
        raise OwnCodeError(
            f"{method} must be a function (model, batch, settings) that returns an"
            f" advlib.methods.Step, or an advlib.methods.Method, not {type(found).__name__}"
        )
    try:
        inspect.signature(found).bind(None, None, None)
    except TypeError:
        line = f"{found.__code__.co_filename}, line {found.__code__.co_firstlineno}"
        raise OwnCodeError(
            f"{line}: {found.__name__} must take (model, batch, settings), not"
            f" {inspect.signature(found)}"
        ) from None
    return Method(found, f"{name[0].upper()}{name[1:]} training")


def read_docstring(method: str) -> str:
    """Return the docstring of a user's method."""
    found = load_own(method)
    step = found.step if isinstance(found, Method) else found
    return inspect.getdoc(step) or ""


def find_network(network: str) -> Network:
    """Return the class or function that gives an experiment's networks."""
    own = split_own(network)
    if own is None:
        return LeNet
    found = load_own(network)
    if not callable(found) or isinstance(found, nn.Module):
        raise OwnCodeError(
            f"{network} must be a class or a function that gives a torch.nn.Module, not"
            f" {type(found).__name__}"
        )
    return found  # type: ignore[no-any-return]


def find_code(*whats: str) -> str:
    """Return a digest of the users' files among what is named, and of what they use of advlib."""
    found = []
    for file, name in filter(None, map(split_own, whats)):
        path = Path(file)
        places = [(path, name), *((each, "*") for each in find_own_sources(path))]
        found.append(digest_definitions(places, path.parent))
    return "".join(found)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights that were trained elsewhere into a network. Reading runs no code.

    Raises
    ------
    ValueError
        If the file cannot be read, or its tensors are not those of the network.
    """
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no safetensors file that can be read ({error})") from None
    wanted = model.state_dict()
    remedy = "save the weights of this network, with safetensors.torch.save_model"
    for problem, names in (
        ("lacks", wanted.keys() - state.keys() - _find_shared(wanted, state)),
        ("has, beside those of the network,", state.keys() - wanted.keys()),
    ):
        if names:
            shown = ", ".join(sorted(names)[:5])
            raise ValueError(f"{path} {problem} {shown}: {remedy}")
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise ValueError(
                f"{path}: {name} is of shape {[*tensor.shape]}, and in the network of"
                f" {[*wanted[name].shape]}: {remedy}"
            )
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{path}: {name} has values that are not finite: train it anew")
    model.load_state_dict(state, strict=False)


def _find_shared(state: dict[str, Tensor], given: Iterable[str]) -> set[str]:
    """Return the names of tensors that share the memory of one that is given."""
    places = {state[name].data_ptr() for name in given if name in state}
    return {name for name, tensor in state.items() if tensor.data_ptr() in places}
