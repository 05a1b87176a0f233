"""Which modules of advlib a notebook or a module imports, those of its modules included."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import advlib

ROOT = Path(__file__).parents[1]


def data_files() -> dict[str, tuple[str, ...]]:
    """Return the patterns of the package's data files, by the module that reads them."""
    return {
        "idx.py": ("mnist/*",),
        "published.py": ("published.json",),
        "results.py": ("reference/results/*",),
        "runs.py": ("reference/*.safetensors",),
    }


@cache
def imported_modules(path: str) -> frozenset[str]:
    """Return the modules of advlib that a file imports, as file names such as "data.py".

    Parameters
    ----------
    path : str
        A notebook or a module, relative to the project.
    """
    found: set[str] = set()
    new = direct(ROOT / path)
    while new:
        found |= new
        new = set().union(*(direct(ROOT / "advlib" / name) for name in new)) - found
    return frozenset(found | {"__init__.py"} if found else found)


def direct(path: Path) -> set[str]:
    """Return the modules of advlib that a file itself imports."""
    names = set().union(*(dotted(node) for node in runtime(ast.parse(source(path)))))
    files = {name.split(".")[1] + ".py" for name in names if name.startswith("advlib.")}
    own = {file for file in files if (ROOT / "advlib" / file).exists()}
    return own | {public(file.removesuffix(".py")) for file in files - own}


def source(path: Path) -> str:
    """Return a file's Python; of a notebook, that of its code cells without IPython's magics."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("%", "!")))


def runtime(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, past what is imported only for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from runtime(node)


def dotted(node: ast.AST) -> set[str]:
    """Return the dotted names that a node imports, or takes from advlib."""
    match node:
        case ast.Import(names=names):
            return {name.name for name in names}
        case ast.ImportFrom(module=str(module), names=names):
            return {f"{module}.{name.name}" for name in names}
        case ast.Attribute(value=ast.Name(id="advlib"), attr=name):
            return {f"advlib.{name}"}
    return set()


def public(name: str) -> str:
    """Return the module behind a name of the package's public face."""
    module: str = getattr(advlib, name).__module__
    return module.removeprefix("advlib.") + ".py"
