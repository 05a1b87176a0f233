"""The code behind a figure or a table: what its notebook computes, and the functions that it calls.

Read from the text, without running it. What only shows is left out: the figure itself shows that.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from advlib.experiment.imports import find_home, remove_magics
from advlib.keeping.folders import PROJECT

SHOWING = ("show", "_show", "draw", "lay_out", "describe", "note", "tell", "_headings")
"""How the names begin of functions that show what others have computed."""
ASIDE = frozenset(
    {f"advlib.{name}" for name in ("__init__", "_care", "_convolution", "settings", "runs", "data")}
    | {
        f"advlib.chapters.{n}"
        for n in ("figures", "tables", "captions", "wording", "opening", "models")
    }
)
"""Modules whose functions compute no number of their own: checks, words, files, and drawing."""
RINGS = ("advlib", "advlib.chapters")
"""The packages whose modules compute."""
TRAINS = {"advlib.runs.trained"}
TRAINS |= {f"advlib.chapters.models.{name}" for name in ("open_training", "open_models")}
"""What trains, or takes what is trained: how is said by TRAINING."""
TRAINING = ("advlib.training.train", "advlib.methods.")


@dataclass(frozen=True)
class Code:
    """What a figure or table is computed with."""

    statements: str
    """Those of the notebook that what is shown depends on."""
    functions: list[tuple[str, str, str]]
    """The functions that they call, and that these call: identifier, title and text of each."""
    earlier: list[tuple[str, str]]
    """Identifier and name of those that they call and that stand at an earlier figure or table."""


def find_code(
    cells: Sequence[tuple[str, bool]], parameters: Mapping[str, object], told: set[str]
) -> Code:
    """Return the code behind what the last of a notebook's cells shows.

    Parameters
    ----------
    cells : sequence of (str, bool)
        The sources of the notebook's code cells up to the one that shows, and whether they give
        the parameters.
    parameters : mapping
        The notebook's, as executed.
    told : set of str
        The functions that stand elsewhere; those that are found are added.
    """
    try:
        known = _imports(_parse(source) for source, _ in cells)
        kept, shown = _cut(cells)
    except SyntaxError:  # a magic that is no Python
        return Code(cells[-1][0], [], [])
    called = list(_find_all(map(_parse, kept + shown), known))
    if TRAINS & {*called}:
        method = str(parameters.get("method", "adversarial")).replace("-", "_")
        called += [TRAINING[0], TRAINING[1] + method]
    found = _follow(called)
    functions = [n for n in _follow(called, but="draw") if not _own(n).startswith(SHOWING)]
    computed = TRAINS & {*called} or _follow(_find_all(map(_parse, kept), known))
    if not computed:  # but where it is shown
        functions = [name for name in found if not _own(name).startswith(("show", "_show"))]
    new = [name for name in functions if name not in told]
    direct = {name for caller in (n for n in found if n in called) for name in _callees(caller)}
    earlier = [name for name in functions if name not in new and name in direct.union(called)]
    told.update(new)
    return Code(
        "\n".join(kept) or ("" if functions else cells[-1][0]),
        [(_identifier(name), _title(name), _definition(name)) for name in new],
        [(_identifier(name), _own(name)) for name in earlier],
    )


def _identifier(name: str) -> str:
    return "code-" + name.replace(".", "-").replace("_", "-")


def _title(name: str) -> str:
    return f"{_own(name)}, {_path(_module(name)).relative_to(PROJECT).as_posix()}"


def _own(name: str) -> str:
    return name.rpartition(".")[2]


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _parse(source: str) -> ast.Module:
    return ast.parse(remove_magics(source))


def _cut(cells: Sequence[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """Return the statements that the last cell depends on, and those of it that only show."""
    statements = [
        (source, node, index == len(cells) - 1, given)
        for index, (source, given) in enumerate(cells)
        for node in _parse(source).body
    ]
    needed: set[str] = set()
    kept, shown = [], []
    for source, node, is_last, given in reversed(statements):
        stored, loaded = _names_in(node)
        text = ast.get_source_segment(remove_magics(source), node) or ""
        if isinstance(node, ast.Expr):
            if is_last:
                shown.append(text)
                needed |= loaded
            continue
        if not stored & needed and not (given and "globals" in needed):
            continue
        needed = needed - stored | loaded
        kept.append(text)
    return kept[::-1], shown[::-1]


def _names_in(node: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names that a statement gives a value or changes, and those that it uses."""
    stored: set[str] = set()
    loaded: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            (loaded if isinstance(each.ctx, ast.Load) else stored).add(each.id)
        elif isinstance(each, ast.alias):
            stored.add((each.asname or each.name).partition(".")[0])
        elif isinstance(each, ast.FunctionDef | ast.ClassDef):
            stored.add(each.name)
        elif isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store):
            stored |= {name.id for name in ast.walk(each.value) if isinstance(name, ast.Name)}
    return stored, loaded


def _follow(names: Iterable[str], but: str = "-") -> list[str]:
    """Return the functions of this project among names, and those that they name in turn.

    Without those whose names begin with `but`, and what only these name.
    """
    found: dict[str, None] = {}
    new = list(names)
    while new:
        name = new.pop(0)
        module = _module(name)
        if (
            name in found
            or _own(name).startswith(but)
            or not _computes(module)
            or _own(name) not in _definitions(module)
        ):
            continue
        found[name] = None
        new += _callees(name)
    return list(found)


def _callees(name: str) -> list[str]:
    module = _module(name)
    return [*_find_all([_definitions(module)[_own(name)]], _module_names(module))]


def _computes(module: str) -> bool:
    aside = module in ASIDE or module.endswith("_words")
    return _module(module) in RINGS and not aside and _path(module).is_file()


def _find_all(trees: Iterable[ast.AST], known: Mapping[str, str]) -> Iterator[str]:
    """Yield the dotted names in trees that are somebody's of this project."""
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in known:
                yield find_home(f"{known[node.value.id]}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in known:
            yield known[node.id]


def _imports(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Return what names stand for that are imported of this project."""
    known: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            names = [(n.asname or n.name, n.name) for n in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(n.asname or n.name, f"{node.module}.{n.name}") for n in node.names]
        else:
            continue
        known |= {name: find_home(dotted) for name, dotted in names if dotted.startswith("advlib")}
    return known


def _path(module: str) -> Path:
    return PROJECT.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _text(module: str) -> str:
    return _path(module).read_text(encoding="utf-8")


@cache
def _definitions(module: str) -> dict[str, ast.FunctionDef]:
    body = ast.parse(_text(module)).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@cache
def _module_names(module: str) -> dict[str, str]:
    own = {name: f"{module}.{name}" for name in _definitions(module)}
    return _imports([ast.parse(_text(module))]) | own


def _definition(name: str) -> str:
    """Return the text of a function, with its decorators."""
    module = _module(name)
    node = _definitions(module)[_own(name)]
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(_text(module).splitlines()[first - 1 : node.end_lineno])
