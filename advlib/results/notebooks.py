"""The executed notebooks of a report, each read once: what it shows, and what it says of itself.

The report's order is the front matter, the chapters by the number that their file names begin with,
the back matter; copies of one notebook, one for each training method, are in the methods' order.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from advlib.kept.files import DamagedFileError
from advlib.settings import read_origin

MATTER = ("front-matter.ipynb", "back-matter.ipynb")
LEFT_OUT = {"notebook-only", "parameters", "injected-parameters"}
"""Tags of cells that the report does not show, nor what they display."""


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
    cells: list[tuple[int, dict[str, Any]]]
    """The cells that the report shows, as they are in the file, with their numbers from 1."""
    warnings: tuple[str, ...] = ()
    """What advlib warned of, in whatever cell."""

    @property
    def shown(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Of each figure and table what it says of itself (`advlib.show.captions`), and its content
        by media type."""
        outputs = [output for _, cell in self.cells for output in cell.get("outputs", [])]
        said = [(output.get("metadata", {}).get("advlib", {}), output) for output in outputs]
        return [(a, output["data"]) for a, output in said if a.get("kind") in ("figure", "table")]


def read_notebooks(folder: str | os.PathLike[str]) -> list[Notebook]:
    """Read a report's executed notebooks, in its order."""
    front, back = (_read(Path(folder, name)) for name in MATTER)
    return [front, *read_chapters(folder), back]


def read_chapters(folder: str | os.PathLike[str]) -> list[Notebook]:
    """Read a folder's executed notebooks but for the front and the back matter."""
    paths = [p for p in Path(folder).glob("[0-9]*.ipynb") if not p.name.endswith(".failed.ipynb")]
    return sorted(map(_read, paths), key=_place)


def find_warnings(notebooks: Iterable[Notebook]) -> dict[str, list[str]]:
    """Return what advlib warned of, each sentence once, with the sources of its notebooks."""
    found: dict[str, dict[str, None]] = {}
    for notebook in notebooks:
        for words in notebook.warnings:
            found.setdefault(words, {})[notebook.source] = None
    return {words: [*sources] for words, sources in found.items()}


def digest_cells(content: bytes) -> str:
    """Return what tells a notebook's cells from others; their outputs do not count."""
    cells = [
        (cell["cell_type"], "".join(cell["source"]), sorted(_tags(cell)), cell.get("attachments"))
        for cell in json.loads(content)["cells"]
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _place(notebook: Notebook) -> tuple[int, str, int, str]:
    name = notebook.path.name
    (digits,) = re.findall("^[0-9]+", name)
    methods = [read_origin(method).shown for method in notebook.experiment.get("methods", [])]
    method = notebook.parameters.get("method")
    turn = methods.index(method) if method in methods else len(methods)
    return int(digits), notebook.source, turn, name


def _read(path: Path) -> Notebook:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about = content["metadata"].get("papermill", {})
        return Notebook(
            path=path,
            source=PurePath(about.get("input_path") or path).stem,
            parameters=about.get("parameters", {}),
            experiment=content["metadata"].get("advlib", {}).get("experiment", {}),
            seconds=about.get("duration"),
            cells=[
                (number, cell)
                for number, cell in enumerate(content["cells"], start=1)
                if not LEFT_OUT & _tags(cell)
            ],
            warnings=tuple(
                said["words"]
                for cell in content["cells"]
                for output in cell.get("outputs", [])
                if (said := output.get("metadata", {}).get("advlib", {})).get("kind") == "warning"
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(
            f"{path} is not a notebook ({error!r}); remove it and make it again"
        ) from error


def _tags(cell: dict[str, Any]) -> set[str]:
    return set(cell["metadata"].get("tags", []))
