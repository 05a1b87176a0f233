"""What decides a training's numbers, as digests: a run made with another is never taken for it.

The code that decides is found in the text of the library: a function, the functions, classes and
constants that it names, what these name, and so on. Words (comments, docstrings, annotations)
decide nothing. What cannot be told apart counts as a whole, so that where it is unsure a training
is repeated.
"""

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from advlib.kept.folders import PACKAGE

UNDECIDING = ("__init__", "_checks", "runs", "settings")
"""Modules of the library that decide no number: checks, words, and values that are compared."""

Place = tuple[str, str]
"""A definition: the name of its module in the library and its own; "*" is all of the module."""


def read_library(package: Path = PACKAGE) -> dict[str, str]:
    """Return the texts of the library's modules that may decide a number, by their names."""
    paths = sorted(package.glob("*.py"))
    return {p.stem: p.read_text(encoding="utf-8") for p in paths if p.stem not in UNDECIDING}


_IMPORTED = read_library()


def running_code(functions: Iterable[Any]) -> str:
    """Return the digest of the code that functions and classes reach.

    Raises
    ------
    RuntimeError
        If that code has changed since it was imported.
    """
    places = [place for function in functions for place in find_places(function)]
    code = code_digest(places, _IMPORTED)
    now = read_library()
    if now != _IMPORTED and code_digest(places, now) != code:
        raise RuntimeError(
            "advlib's code has changed since it was imported, and what it trains now would be taken"
            " for the new code's: start Python, or the notebook's kernel, anew"
        )
    return code


def code_digest(places: Iterable[Place], library: Mapping[str, str]) -> str:
    """Return the SHA-256 of the definitions that others reach in the texts of a library."""
    modules = {name: _Module(name, text) for name, text in library.items()}
    reached: dict[Place, str] = {}
    new = list(places)
    while new:
        place = module, name = new.pop()
        if place in reached or module not in modules:
            continue
        code = modules[module].find(name)
        reached[place] = "\n".join(map(ast.unparse, code))
        new += [(module, ""), *modules[module].follow(name, code)]
    return hashlib.sha256(repr(sorted(reached.items())).encode()).hexdigest()


def code_of_files(texts: Mapping[str, str]) -> str:
    """Return the digest of the texts of a user's files and of what they reach in the library."""
    return code_digest([(name, "*") for name in texts], {**_IMPORTED, **texts})


class _Module:
    """A module's statements by the names that they define, and what it imports of the library.

    Where names are not that simple (`unsure`), any of them stands for all.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.defined: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, Place] = {}
        tree = _wordless(text)
        self.named: set[str] = set()
        self.unsure = False
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for known, place in _imports(node):
                    self.unsure |= self.imported.setdefault(known, place) != place
                    self.named.add(place[0])
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            for own in _names_defined(statement) or {""}:  # "": what is only done
                self.defined.setdefault(own, []).append(statement)
            self.unsure |= _is_compound(statement)
        self.unsure |= not self.imported.keys().isdisjoint(self.defined)

    def find(self, name: str) -> list[ast.stmt]:
        if name == "*" or self.unsure:
            return [statement for each in self.defined.values() for statement in each]
        return self.defined.get(name, [])

    def follow(self, name: str, code: list[ast.stmt]) -> Iterator[Place]:
        """Yield what the statements name."""
        if self.unsure:
            yield from ((module, "*") for module in self.named)
        if name in self.imported:
            yield self.imported[name]
        for first, attribute in _names_used(code):
            module, whole = self.imported.get(first, ("", ""))
            if whole == "*" and attribute:
                yield module, attribute
            elif first in self.imported:
                yield module, whole
            elif first in self.defined:
                yield self.name, first


def _wordless(text: str) -> ast.Module:
    """Parse a text without its docstrings and annotations."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [line for line in node.body if not _is_text(line)]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return tree


def _is_compound(statement: ast.stmt) -> bool:
    """Whether a statement that is no definition has definitions in it."""
    definitions = ast.FunctionDef, ast.ClassDef
    within = any(isinstance(node, definitions) for node in ast.walk(statement))
    return within and not isinstance(statement, definitions)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _imports(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Place]]:
    """Yield the names that an import of the library's modules, or from them, gives."""
    for each in statement.names:
        known = each.asname or each.name
        if isinstance(statement, ast.Import):
            if each.name.startswith("advlib."):
                yield known, (each.name.split(".")[1], "*")
        elif statement.module == "advlib":
            yield known, (each.name, "*")
        elif statement.module and statement.module.startswith("advlib."):
            yield known, (statement.module.split(".")[1], each.name)


def _names_defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = (node for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Attribute))
    return {_first(node) for node in targets if isinstance(node.ctx, ast.Store)} - {""}


def _names_used(code: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield names, each with the attribute that is taken of it, or ""."""
    for statement in code:
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield node.value.id, node.attr
            elif isinstance(node, ast.Attribute) and _first(node) == "advlib":
                module, _, rest = ast.unparse(node).removeprefix("advlib.").partition(".")
                yield f"advlib.{module}", rest.split(".")[0]
        taken = {id(n.value) for n in ast.walk(statement) if isinstance(n, ast.Attribute)}
        for node in ast.walk(statement):
            if (
                isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Load)
                and id(node) not in taken
            ):
                yield node.id, ""


def _first(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def find_places(function: Any) -> list[Place]:
    """Return where a function or class is in the library, or what a caller's own names of it."""
    function = _definition(function)
    package, _, module = (getattr(function, "__module__", None) or "").partition(".")
    if package == "advlib":
        name = function.__qualname__.split(".")[0]
        return [(module, "*" if name == "<lambda>" else name)]
    return [
        place
        for own in _own_functions(function)
        for value in _values_named(own)
        if (getattr(value, "__module__", None) or "").startswith("advlib.")
        for place in find_places(value)
    ]


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a caller's function or class and of those beside it that it names.

    Raises OSError, TypeError or SyntaxError if its source is not known.
    """
    return "\n".join(map(inspect.getsource, _own_functions(function)))


def _definition(value: Any) -> Any:
    """The function or class behind a value: of an instance its class, of a partial its function."""
    value = inspect.unwrap(getattr(value, "func", value))
    return value if hasattr(value, "__qualname__") else type(value)


def _own_functions(function: Any) -> list[Any]:
    found: list[Any] = []
    new = [function]
    while new:
        own = new.pop()
        if own not in found:
            found.append(own)
            home = getattr(own, "__module__", None)
            new += [
                value
                for value in _values_named(own)
                if inspect.isfunction(value) or inspect.isclass(value)
                if value.__module__ == home
            ]
    return found


def _values_named(function: Any) -> list[Any]:
    """The functions, classes and the like that a caller's function names, as they are now."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    module = sys.modules.get(function.__module__)
    scope = getattr(function, "__globals__", None) or vars(module or object)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, *rest = ast.unparse(node).split(".")
            value = scope.get(first)
            while rest and inspect.ismodule(value):
                value = getattr(value, rest.pop(0), None)
            if callable(value):
                found.append(_definition(value))
    return found
