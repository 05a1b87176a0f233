"""A user's own Python files: which they are, what they import, what they define.

They are read here and not run, so this needs the standard library only; `advlib.experiment.own`
runs them.
"""

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from advlib.kept.code import find_files
from advlib.kept.folders import PACKAGE
from advlib.kept.names import name_method, split_own
from advlib.settings import Experiment


def list_own(experiment: Experiment) -> list[str]:
    """Return what an experiment names as FILE.py:NAME, each once."""
    return [*dict.fromkeys(w for w in (*experiment.methods, experiment.network) if split_own(w))]


def find_weights(experiment: Experiment) -> dict[str, Path]:
    """Return the file of weights of each method, by the name that the report gives it."""
    folder = Path(experiment.weights or "")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"WEIGHTS must be a folder with NAME.safetensors for each of METHODS: {folder} is none"
        )
    found = {name_method(each): folder / f"{each}.safetensors" for each in experiment.methods}
    missing = [path.name for path in found.values() if not path.is_file()]
    if missing:
        there = sorted(path.stem for path in folder.glob("*.safetensors"))
        remedy = f"METHODS={','.join(there)}" if there else "save the weights there"
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}: WEIGHTS must have NAME.safetensors for each of"
            f" METHODS ({remedy})"
        )
    return found


def check_definition(what: str) -> None:
    """Refuse FILE.py:NAME where the file is missing, is no Python, or clearly has no such name."""
    file, name = split_own(what) or ("", "")
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    tree = parse_file(path)
    names = _names_defined(tree)
    if name not in names and "*" not in names and "__getattr__" not in names:
        shown = ", ".join(n for n in names if not n.startswith("_")) or "nothing"
        raise ValueError(f"{path} has no name {name!r}; it has {shown}")


def parse_file(path: Path) -> ast.Module:
    """Parse a file of Python; a ValueError says where it is none."""
    try:
        content = path.read_bytes()
        content.decode()
        return ast.parse(content, str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8 ({error}); save it so") from None
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise ValueError(f"{path}{line} is no Python: {error.msg}; correct it") from None
    except ValueError as error:  # a zero byte, on older Pythons
        raise ValueError(f"{path} is no Python: {error}; correct it") from None


def _names_defined(tree: ast.Module) -> list[str]:
    """Return the names that a module's statements may define, in their order."""
    found: list[str] = []
    for node in _own_scope(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found += [(each.asname or each.name).split(".")[0] for each in names]
            case ast.Name(id=name, ctx=ast.Store()):
                found.append(name)
    return [*dict.fromkeys(found)]


def _own_scope(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, but for what is within functions and classes."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _own_scope(node)


def find_own_sources(path: Path) -> list[Path]:
    """Return a user's file and those that it imports from its folder, and they, and so on."""
    found = find_files(path, path.parent)
    return [path, *sorted(f for f in found if f.suffix == ".py" and PACKAGE not in f.parents)]


def digest_own(what: str) -> str:
    """Return the SHA-256 of the contents of a user's file and of those that it imports."""
    total = hashlib.sha256()
    path = Path((split_own(what) or ("",))[0])
    for file in find_own_sources(path):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        place = os.path.relpath(file, path.parent)
        total.update(f"{place}\0{content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def describe_own(experiment: Experiment) -> list[str]:
    """Return a line for each of a user's own things, which changes where their content does."""
    lines = [f"{Path(what).name}: {digest_own(what)}" for what in list_own(experiment)]
    if experiment.weights:
        for name, path in find_weights(experiment).items():
            about = path.stat()
            lines.append(f"weights of {name}: {about.st_size} bytes of {about.st_mtime_ns}")
    return lines
