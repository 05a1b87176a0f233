"""Which files a notebook or a module is made from: what it imports of advlib, and their data.

The answer is read from the code, without running it, so it needs the standard library only.
"""

import ast
import json
import symtable
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from advlib.kept import folders
from advlib.kept.folders import PACKAGE, PROJECT


@cache
def find_sources(path: Path) -> frozenset[Path]:
    """Return the modules of advlib that a notebook or a module needs, and the data they read."""
    found: set[Path] = set()
    new = {path}
    while new:
        modules, data = find_imports(new.pop())
        new |= modules - found - {path}
        found |= modules | data
    return frozenset(found - {path})


@cache
def find_imports(path: Path) -> tuple[frozenset[Path], frozenset[Path]]:
    """Return the modules of advlib that a file itself imports, and the data that it reads."""
    modules: set[Path] = set()
    data: set[Path] = set()
    for node in _run_nodes(ast.parse(read_code(path), str(path))):
        for name in _dotted_names(node):
            parts = find_home(name).split(".")
            if parts[0] != "advlib":
                continue
            modules |= {f for n in range(1, len(parts) + 1) for f in _module_files(parts[:n])}
            if parts[:-1] == ["advlib", "kept", "folders"]:
                data |= _data_files(parts[-1])
    return frozenset(modules), frozenset(data)


def read_code(path: Path) -> str:
    """Return a file's Python; of a notebook, that of its code cells without IPython's magics."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]
    return "\n".join(remove_magics("".join(cell["source"])) for cell in cells)


def read_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return a notebook's cells.

    Raises
    ------
    ValueError
        If it is no notebook.
    """
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{notebook} is not a notebook ({error!r}); restore it") from error
    return cells


def remove_magics(code: str) -> str:
    lines = [] if code.startswith("%%") else code.splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def find_assigned(code: str) -> frozenset[str]:
    """Return the names that a cell gives a value; none of one that is no Python."""
    try:
        symbols = symtable.symtable(remove_magics(code), "cell", "exec").get_symbols()
    except SyntaxError:
        return frozenset()
    return frozenset(symbol.get_name() for symbol in symbols if symbol.is_assigned())


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, past what is imported only for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _run_nodes(node)


def _dotted_names(node: ast.AST) -> set[str]:
    """Return the dotted names that a node imports, or takes from advlib."""
    match node:
        case ast.Import(names=names):
            return {name.name for name in names}
        case ast.ImportFrom(module=str(module), names=names):
            return {f"{module}.{name.name}" for name in names}
        case ast.Attribute(value=ast.Name(id="advlib"), attr=name):
            return {f"advlib.{name}"}
        case ast.Attribute(value=ast.Name(id="folders"), attr=name):
            return {f"advlib.kept.folders.{name}"}
    return set()


def find_home(name: str) -> str:
    """Return a dotted name, one of the package's public face by its module's."""
    package, _, rest = name.partition(".")
    return f"advlib.{_homes()[rest]}.{rest}" if package == "advlib" and rest in _homes() else name


@cache
def _homes() -> dict[str, str]:
    """The modules of the public face's names."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    homes: dict[str, str] = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES"
    )
    return homes


def _module_files(parts: list[str]) -> set[Path]:
    """Return the file of a dotted name that is a module's or a package's, if it is."""
    path = PROJECT.joinpath(*parts)
    return {file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()}


def _data_files(name: str) -> set[Path]:
    """Return the files of a folder that holds data, by its name in `folders`; else none."""
    place: Path = getattr(folders, name)
    if place not in folders.DATA:
        return set()
    return {place} if place.is_file() else {p for p in place.iterdir() if p.is_file()}
