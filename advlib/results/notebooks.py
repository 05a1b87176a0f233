"""The executed notebooks of a report, each read once: what it shows, and what it says of itself.

The report's order is the front matter, the chapters by the number that their file names begin with,
the back matter; copies of one notebook, one for each training method, are in the methods' order.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from advlib.kept import files
from advlib.settings import Experiment, read_origin, repeats_slides

MATTER = ("front-matter.ipynb", "back-matter.ipynb")
LEFT_OUT = {"notebook-only", "parameters", "injected-parameters"}
"""Tags of cells that the report does not show, nor what they display."""

CONDITIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "slides": lambda settings: settings.get("slides", repeats_slides(settings)),
    "lenet": lambda settings: settings.get("network", Experiment.network) == Experiment.network,
    "trained": lambda settings: settings.get("weights") is None,
}
"""What an experiment may be: cells with the tag ``if-NAME`` are shown only where it is, those with
``unless-NAME`` only where it is not."""

Cells = list[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Notebook:
    """An executed notebook."""

    path: Path
    source: str
    """The name, without suffix, of the notebook that was executed: copies have the same."""
    parameters: dict[str, Any]
    experiment: dict[str, Any]
    """All settings of the experiment; empty where the runner did not store them."""
    seconds: float | None
    """How long its execution took."""
    cells: Cells
    """The cells that the report shows, as they are in the file, with their numbers from 1."""
    code: list[tuple[int, str, bool]]
    """The code of all cells, also of those that are not shown, with their numbers, and whether they
    give the parameters."""
    shown: list[tuple[dict[str, Any], dict[str, Any]]]
    """Of each figure and table what it says of itself (`advlib.show.captions`), and its content
    by media type."""


def read_notebooks(
    folder: str | os.PathLike[str], names: Iterable[str] | None = None
) -> list[Notebook]:
    """Read a folder's executed notebooks, or those of some file names, in the report's order.

    Cells with the tag ``once`` are only in the first copy of a notebook.

    Raises
    ------
    FileNotFoundError
        If one of `names` is not there.
    ValueError
        If one of `names` is not a name that a report's notebook has.
    DamagedFileError
        If a file is not what the runner wrote, or no notebook.
    """
    names = _find_names(Path(folder)) if names is None else set(names)
    read = sorted((_read(Path(folder, name)) for name in sorted(names)), key=_place)
    sources = [notebook.source for notebook in read]
    return [
        _without_once(notebook) if notebook.source in sources[:index] else notebook
        for index, notebook in enumerate(read)
    ]


def read_chapters(folder: str | os.PathLike[str]) -> list[Notebook]:
    """Read a folder's executed notebooks but for the front and the back matter.

    For these two to read: one that is there is old, and may be replaced at this moment.
    """
    return read_notebooks(folder, _find_names(Path(folder)) - {*MATTER})


def _find_names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.ipynb") if _number(path.name) is not None}


def _number(name: str) -> float | None:
    """Return what sorts a file name; None if no notebook of a report has it."""
    digits = re.match("[0-9]+", name)
    if name in MATTER:
        return (-math.inf, math.inf)[MATTER.index(name)]
    return float(digits[0]) if digits and not name.endswith(".failed.ipynb") else None


def _place(notebook: Notebook) -> tuple[float, str, int, str]:
    name = notebook.path.name
    methods = [read_origin(method).shown for method in notebook.experiment.get("methods", [])]
    method = notebook.parameters.get("method")
    turn = methods.index(method) if method in methods else len(methods)
    return _number(name) or 0.0, notebook.source, turn, name


def _read(path: Path) -> Notebook:
    if _number(path.name) is None:
        raise ValueError(
            f"{path.name!r} is no name of an executed notebook: it must begin with a number or be"
            f" one of {', '.join(MATTER)}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"the executed notebook {path} is missing")
    files.check_seal(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        metadata = content["metadata"]
        about = metadata.get("papermill", {})
        parameters = dict(about.get("parameters", {}))
        own = path.stem.removesuffix(f"-{parameters.get('method')}")
        experiment = dict(metadata.get("advlib", {}).get("experiment", {}))
        numbered = enumerate(content["cells"], start=1)
        cells = [(n, cell) for n, cell in numbered if _is_shown(cell, experiment)]
        return Notebook(
            path=path,
            source=PurePath(about.get("input_path") or own).name.removesuffix(".ipynb"),
            parameters=parameters,
            experiment=experiment,
            seconds=about.get("duration"),
            cells=cells,
            code=_read_code(content["cells"]),
            shown=_figures_and_tables(cells),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise files.DamagedFileError(
            f"{path} is not a notebook ({error!r}); remove it and make it again"
        ) from error


def _is_shown(cell: dict[str, Any], experiment: Mapping[str, Any]) -> bool:
    tags = cell["metadata"].get("tags", [])
    return LEFT_OUT.isdisjoint(tags) and all(
        is_so(experiment) == (tag == f"if-{name}")
        for name, is_so in CONDITIONS.items()
        for tag in tags
        if tag in (f"if-{name}", f"unless-{name}")
    )


def _read_code(cells: list[dict[str, Any]]) -> list[tuple[int, str, bool]]:
    """Return code with the number of its cell; of the parameters, those that were given."""
    tags = [set(cell["metadata"].get("tags", [])) for cell in cells]
    given = "injected-parameters" if any("injected-parameters" in t for t in tags) else "parameters"
    return [
        (n, "".join(cell.get("source", "")), given in t)
        for n, (cell, t) in enumerate(zip(cells, tags, strict=True), start=1)
        if cell["cell_type"] == "code" and (given in t or "parameters" not in t)
    ]


def _without_once(notebook: Notebook) -> Notebook:
    cells = [
        (n, cell) for n, cell in notebook.cells if "once" not in cell["metadata"].get("tags", [])
    ]
    return replace(notebook, cells=cells, shown=_figures_and_tables(cells))


def _figures_and_tables(cells: Cells) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    outputs = [output for _, cell in cells for output in cell.get("outputs", [])]
    said = [(output.get("metadata", {}).get("advlib", {}), output) for output in outputs]
    return [
        (about, output["data"])
        for about, output in said
        if about.get("kind") in ("figure", "table")
    ]
