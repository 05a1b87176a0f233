"""What code is made of, read from its text: what it imports, what it names, and what these reach.

One graph of names serves three askers: make (which files is a notebook made from), the kept
trainings (which definitions decide their numbers) and a user's files (what do they import beside
themselves). Standard library only; no code is run. What cannot be told apart counts as a whole, so
that where the graph is unsure a training is repeated.
"""

import ast
import dis
import hashlib
import importlib
import inspect
import json
import symtable
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from advlib.kept import folders
from advlib.kept.folders import PACKAGE, PROJECT

T = TypeVar("T")
Place = tuple[Path, str]
"""A definition: its file and its name; "" is what a file only does, "*" all of it."""
_DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef


def read_library() -> dict[Path, str]:
    """Return the texts of the library's modules, without the settings: their values are known."""
    paths = {*PACKAGE.rglob("*.py")} - {PACKAGE / "settings.py"}
    return {path: path.read_text(encoding="utf-8") for path in paths}


_IMPORTED = read_library()


def find_files(path: Path, root: Path = PROJECT) -> frozenset[Path]:
    """Return the files below `root` that a module or a notebook needs, and they, and so on."""

    def follow(file: Path) -> Iterator[Path]:
        files = find_imports(file, root) if file.suffix in (".py", ".ipynb") else ()
        return (each for each in files if each.is_relative_to(root))

    return frozenset(_reach([path], follow) - {path})


def find_imports(path: Path, root: Path = PROJECT) -> frozenset[Path]:
    """Return the modules that a file itself imports, and the data whose places it names."""
    return _load(path, root, _read_code(path)).files


def find_definitions(
    places: Iterable[Place], root: Path = PROJECT, library: Mapping[Path, str] = _IMPORTED
) -> frozenset[Place]:
    """Return the definitions that some reach, with these; `library` has the texts of advlib's."""
    return frozenset(_reach(places, lambda each: _follow(_read(each[0], root, library), each[1])))


def digest_definitions(
    places: Iterable[Place], root: Path = PROJECT, library: Mapping[Path, str] = _IMPORTED
) -> str:
    """Return the SHA-256 of the definitions that some reach, without their words."""
    texts = []
    for path, name in find_definitions(places, root, library):
        source = _read(path, root, library)
        texts.append(f"{path.relative_to(source.root).as_posix()} {name}\n{_write(source, name)}")
    return hashlib.sha256("\0".join(sorted(texts)).encode()).hexdigest()


def running_code(functions: Iterable[Any]) -> str:
    """Return the digest of the library's code that functions and classes reach.

    Raises
    ------
    RuntimeError
        If that code has changed since it was imported.
    """
    places = [place for function in functions for place in find_places(function)]
    code, now = digest_definitions(places), read_library()
    if now != _IMPORTED and digest_definitions(places, library=now) != code:
        raise RuntimeError(
            "advlib's code has changed since it was imported, and what it trains now would be taken"
            " for the new code's: start Python, or the notebook's kernel, anew"
        )
    return code


def read_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return a notebook's cells; a ValueError says where it is none."""
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{notebook} is not a notebook ({error!r}); restore it") from error
    return cells


def find_assigned(code: str) -> frozenset[str]:
    """Return the names that a cell gives a value; none of one that is no Python."""
    try:
        symbols = symtable.symtable(_remove_magics(code), "cell", "exec").get_symbols()
    except SyntaxError:
        return frozenset()
    return frozenset(symbol.get_name() for symbol in symbols if symbol.is_assigned())


def find_shown(code: str) -> frozenset[str]:
    """Return the texts that a cell gives to what is called `show`; none if it is no Python."""
    if "show" not in code:  # most have none, and parsing is slow
        return frozenset()
    try:
        tree = ast.parse(_remove_magics(code))
    except SyntaxError:
        return frozenset()
    found = list[ast.expr]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "show":
            found += [*node.args, *(keyword.value for keyword in node.keywords)]
    return frozenset(a.value for a in found if isinstance(a, ast.Constant) and type(a.value) is str)


def _read_code(path: Path) -> str:
    """Return a file's Python; of a notebook, that of its code cells."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8-sig")
    cells = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]
    return "\n".join(_remove_magics("".join(cell["source"])) for cell in cells)


def _remove_magics(code: str) -> str:
    other = code.startswith("%%") and not code.startswith(("%%time", "%%capture"))
    lines = [] if other else code.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


class _Source:
    """A file's definitions by their names, and what its other names stand for in other files."""

    def __init__(self, path: Path, root: Path, text: str) -> None:
        self.path, self.root, self.text = path, root, text
        self.tree = ast.parse(text, str(path))
        self.imported: dict[str, set[Place]] = defaultdict(set)
        self.offered: dict[str, set[Place]] = defaultdict(set)
        """What is imported for type checking alone: a lazy package gives it when it is asked."""
        for statement, for_types in _walk_statements(self.tree):
            for name, parts, level in _read_import(statement):
                if place := self._resolve(parts, level):
                    known = self.offered if for_types else self.imported
                    known[name].add(place)
                    if place[1] != "*":  # a name that the whole file hands on
                        known["*"].add(place)

    def _resolve(self, parts: Sequence[str], level: int) -> Place | None:
        """Return what an import gives, if it is the library's or from a file below the root."""
        folder = self.root
        if level:
            folder = self.path.parents[level - 1]
            if (folder / "__init__.py").is_file():
                return _go((folder / "__init__.py", "*"), parts)
        elif parts[0] == PACKAGE.name:
            folder = PROJECT
        elif self.path.is_relative_to(PACKAGE):  # beside an installed advlib lies all of Python
            return None
        for count, part in enumerate(parts, start=1):
            if module := _find_module(folder, part):
                return _go((module, "*"), parts[count:])
            folder = folder / part
        return None

    @cached_property
    def files(self) -> frozenset[Path]:
        """The modules that it needs itself, with the packages that these are in, and data."""
        places: set[Place] = set().union(*self.imported.values())
        if any(file.name in ("__init__.py", "folders.py") for file, name in places if name == "*"):
            for first, *attributes in _find_names(self.tree):  # they give more than themselves
                places |= {_go(place, attributes) for place in self.imported.get(first, ())}
        for file, name in [*places]:
            if file.name == "__init__.py" and name != "*":
                places |= _load(file, self.root, _read_code(file)).offered.get(name, set())
        found = {file for file, _ in places}
        found |= {folder / "__init__.py" for file in found for folder in file.parents}
        for name in (name for file, name in places if file == PACKAGE / "kept" / "folders.py"):
            data = getattr(folders, name, None)
            if data in folders.DATA:
                found |= {data, *data.iterdir()} if data.is_dir() else {data}
        return frozenset(file for file in found if file.is_file())

    @cached_property
    def defined(self) -> dict[str, list[ast.stmt]]:
        """Its statements by the names that they define; "" has those that do something."""
        found: dict[str, list[ast.stmt]] = defaultdict(list)
        for statement in _parse_without_words(self.text).body:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                for name in (*_find_defined(statement), "*"):
                    found[name].append(statement)
        return found


_load = cache(_Source)


@cache
def _follow(source: _Source, name: str) -> frozenset[Place]:
    """Return what a definition names, here and in other files."""
    found = {(source.path, "")} | source.imported.get(name, set()) | source.offered.get(name, set())
    for statement in source.defined.get(name, ()):
        for first, *attributes in _find_names(statement):
            if first in source.defined:
                found.add((source.path, first))
            found |= {_go(place, attributes) for place in source.imported.get(first, ())}
    return frozenset(found)


@cache
def _write(source: _Source, name: str) -> str:
    """Write a definition without its words."""
    return "\n".join(map(ast.unparse, source.defined.get(name, ())))


def _read(path: Path, root: Path, library: Mapping[Path, str]) -> _Source:
    if path.is_relative_to(PACKAGE):
        return _load(path, PROJECT, library.get(path, ""))
    return _load(path, root, _read_code(path))


def _reach(first: Iterable[T], follow: Callable[[T], Iterable[T]]) -> set[T]:
    found: set[T] = set()
    new = [*first]
    while new:
        if (one := new.pop()) not in found:
            found.add(one)
            new += follow(one)
    return found


def _find_module(folder: Path, name: str) -> Path | None:
    files = folder / name / "__init__.py", folder / f"{name}.py"
    return next((file for file in files if file.is_file()), None)


def _go(place: Place, attributes: Sequence[str]) -> Place:
    """Return where a chain of attributes leads: through packages to a module, or a name in one."""
    file, name = place
    for attribute in attributes:
        if name != "*":
            break
        module = _find_module(file.parent, attribute) if file.name == "__init__.py" else None
        file, name = (module, "*") if module else (file, attribute)
    return file, name


def _walk_statements(tree: ast.AST, for_types: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield statements with those in them, and whether they are there for type checking alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            within = for_types or _is_for_types(node)
            yield node, within
            yield from _walk_statements(node, within)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"


def _name(node: ast.AST) -> str:
    """Return a name, or what is taken of something: of a.b it is b."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _read_import(node: ast.AST) -> Iterator[tuple[str, list[str], int]]:
    """Yield the names that an import gives, with the dotted names of what they are, and its level.

    The name is "" where it is not known: of a star.
    """
    if isinstance(node, ast.Import):
        for each in node.names:
            parts = each.name.split(".")
            yield each.asname or each.name, parts, 0
            yield parts[0], parts[:1], 0
    elif isinstance(node, ast.ImportFrom):
        for each in node.names:
            name = each.name.strip("*")
            parts = [*(node.module or "").split("."), name]
            yield each.asname or name, [part for part in parts if part], node.level


def _find_names(tree: ast.AST) -> Iterator[list[str]]:
    """Yield the names that code uses, each with the attributes taken of it: a.b is [a, b]."""
    seen: set[ast.AST] = set()
    for node in ast.walk(tree):
        if node in seen:
            continue
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
            seen.add(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield [node.id, *attributes]


def _find_defined(statement: ast.stmt) -> set[str]:
    """Return the names that a statement defines, and "" if it may do more."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    found = {node.name for node in ast.walk(statement) if isinstance(node, _DEFINITIONS)}
    names = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    found |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return found if found and isinstance(statement, ast.Assign | ast.AnnAssign) else {*found, ""}


def _parse_without_words(text: str) -> ast.Module:
    """Parse a text without docstrings, annotations, and what its errors say."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_DEFINITIONS)):
            node.body = [line for line in node.body if not (_is_for_types(line) or _is_text(line))]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
    return tree


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def find_places(function: Any) -> list[Place]:
    """Return where a function or class is in the library, or what a caller's own reaches of it."""
    found = []
    for _, value in _take_apart(function, strict=False):
        package, *modules = str(getattr(value, "__module__", "")).split(".")
        if package == PACKAGE.name and (isinstance(value, type) or inspect.isfunction(value)):
            file, _ = _go((PACKAGE / "__init__.py", "*"), modules)
            name = value.__qualname__.split(".")[0]
            found.append((file, "*" if name == "<lambda>" else name))
    return found


def source_of(value: Any) -> str:
    """Return a text that another function, class or other value of a caller's own has not.

    It has the source of functions and the values that they name, keep or have as defaults, and of
    what these reach, but for what is the library's, installed, or Python's: of that the names.

    Raises OSError or TypeError if a source or a value cannot be told from others.
    """
    return "\n".join(text for text, _ in _take_apart(value, strict=True))


def _take_apart(first: Any, *, strict: bool) -> Iterator[tuple[str, Any]]:
    """Yield a value and what it reaches, each once, with a text; not strict, "" where it has none.

    A tuple is no thing of its own: whether two that are equal are one is the compiler's choice.
    """
    seen: dict[int, tuple[int, Any]] = {}  # with the values, whose numbers are then no others'
    new = [first]
    while new:
        value = new.pop()
        if id(value) in seen:
            yield f"as {seen[id(value)][0]}", None
            continue
        if not isinstance(value, (*_PLAIN, tuple, frozenset)):
            seen[id(value)] = len(seen), value
        try:
            text, parts = _describe(value)
        except (OSError, TypeError):
            if strict:
                raise
            text, parts = "", []
        new += reversed(parts)
        yield f"{text} {len(parts)}", value


_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def _describe(value: Any) -> tuple[str, list[Any]]:
    """Return a text of a value, and the parts that it does not tell."""
    kind = type(value)
    if isinstance(value, _PLAIN):
        return repr(value), []
    if isinstance(value, Mapping):
        return kind.__name__, [part for item in value.items() for part in item]
    if isinstance(value, set | frozenset):
        return kind.__name__, sorted(value, key=repr)
    if isinstance(value, list | tuple):
        return kind.__name__, [*value]
    if inspect.ismodule(value):  # who names it takes what he uses of it
        return value.__name__, []
    if isinstance(value, type) or inspect.isfunction(value):
        if not _is_own(value):
            return f"{value.__module__}.{value.__qualname__}", []
        return _describe_class(value) if isinstance(value, type) else _describe_function(value)
    if isinstance(value, property | cached_property):
        return kind.__name__, [getattr(value, name, None) for name in ("fget", "fset", "func")]
    if hasattr(value, "__wrapped__"):  # a static method, what is cached
        return kind.__name__, [value.__wrapped__]
    if hasattr(value, "detach") or hasattr(value, "tobytes"):  # a tensor, an array
        array = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return f"{value.dtype} {[*value.shape]} {digest}", []
    try:
        made = value.__reduce_ex__(2)  # what pickle makes it anew from: all that there is to it
    except Exception as error:
        raise TypeError(f"the value cannot be told from others: {value!r:.80}") from error
    if isinstance(made, str):
        return f"{value.__module__}.{made}", []
    return kind.__qualname__, [*made[:3], *(each and [*each] for each in made[3:5])]


def _describe_function(function: types.FunctionType) -> tuple[str, list[Any]]:
    """Return a function's source, and the values that it names, keeps and has as defaults."""
    code, scope = function.__code__, function.__globals__
    names, modules = _names_in(code), [*_import_within(code)]
    known = {name: scope[name] for name in names & scope.keys()}
    known |= inspect.getclosurevars(function).nonlocals
    modules += filter(inspect.ismodule, known.values())
    for module in modules:
        if _is_own(module) or module.__name__.split(".")[0] == PACKAGE.name:
            for name in names & {*dir(module), *vars(module)}:
                known[f"{module.__name__}.{name}"] = value = getattr(module, name)
                modules += [value] * (inspect.ismodule(value) and value not in modules)
    kept = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
    defaults = [function.__defaults__, function.__kwdefaults__, kept]
    return inspect.getsource(code), [dict(sorted(known.items())), *defaults]


def _describe_class(kind: type) -> tuple[str, list[Any]]:
    """Return a class's name, and its bases, functions and values but for what is made for it."""
    parts: list[Any] = [*kind.__bases__]
    for name, value in sorted(vars(kind).items()):
        if inspect.isfunction(value):
            parts += [name, value] * (inspect.unwrap(value).__code__.co_filename != "<string>")
        elif not name.startswith("__") and name != "_abc_impl":
            parts += [name, value]
    return f"class {kind.__qualname__}", parts


def _is_own(value: Any) -> bool:
    """Is code a caller's own: neither the library's nor installed, nor Python's?"""
    name = value.__name__ if inspect.ismodule(value) else value.__module__
    package = str(name).split(".")[0]
    if package == PACKAGE.name or package in sys.builtin_module_names:
        return False
    file = Path(getattr(sys.modules.get(package), "__file__", None) or "own.py")
    installed = {"site-packages", "dist-packages"} & {*file.parts}
    return not (installed or file.is_relative_to(Path(inspect.__file__).parent))


def _import_within(code: types.CodeType) -> Iterator[types.ModuleType]:
    """Import what code imports when it is called, as it will itself."""
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            with suppress(ImportError):
                yield importlib.import_module(each.argval)


def _names_in(code: types.CodeType) -> set[str]:
    """Return the names that code takes from its file, with those of attributes."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return {*code.co_names}.union(*map(_names_in, inner))
