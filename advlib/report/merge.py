"""The executed notebooks merged into one, and that as Pandoc's Markdown with its figures' files."""

import re
from collections.abc import Sequence
from typing import Any

import nbformat
from nbconvert.exporters import MarkdownExporter
from nbformat import NotebookNode

from advlib.experiment.executed import Notebook
from advlib.keeping.folders import STYLE
from advlib.report import ReportError

PREFIXES = {"figure": "fig-", "table": "tbl-"}
MEDIA = {"figure": "image/svg+xml", "table": "text/markdown"}
OWN = {"method", "executed"}
"""Parameters that are a notebook's own, and not the experiment's."""
TEXT_WIDTH = 6.3 * 72
"""Width, in points, of a figure that is as wide as the text."""


def write_markdown(notebooks: Sequence[Notebook]) -> tuple[str, dict[str, bytes]]:
    """Return the report's text in Pandoc's Markdown, and the SVG files that it names.

    Raises
    ------
    ReportError
        If a notebook did not succeed, or a figure or table lacks something.
    """
    exporter = MarkdownExporter(  # type: ignore[no-untyped-call]
        template_file=str(STYLE / "report.md.j2"),
        filters={"attribute": _attribute, "fence": _fence},
    )
    text, resources = exporter.from_notebook_node(merge_notebooks(notebooks))
    return text, dict(resources["outputs"])


def merge_notebooks(notebooks: Sequence[Notebook]) -> NotebookNode:
    """Return executed notebooks as one, with only the outputs that the report shows.

    Each cell's ``metadata.advlib`` holds its notebook's name and its number in it, counted from 1;
    each output's says what it is (`advlib.chapters.captions`): its ``kind`` is "figure", "table" or
    "prose".
    """
    _check_alike(notebooks)
    merged: NotebookNode = nbformat.v4.new_notebook()
    labels: set[str] = set()
    for notebook in notebooks:
        name = notebook.path.stem
        for number, cell in _nodes(notebook):
            if cell.cell_type == "code":
                place = f"{name}, cell {number}"
                outputs = [_output(output, place, labels) for output in cell.outputs]
                cell.outputs = [output for output in outputs if output]
                if not cell.outputs:
                    continue
            cell.metadata["advlib"] = {"notebook": name, "number": number}
            cell["id"] = f"{name}-{number}"  # copies of a notebook have the same
            merged.cells.append(cell)
    return merged


def _nodes(notebook: Notebook) -> list[tuple[int, NotebookNode]]:
    """Return copies of a notebook's cells, lists of lines joined, with their numbers."""
    numbers = [number for number, _ in notebook.cells]
    content = {"cells": [cell for _, cell in notebook.cells], "metadata": {}}
    return list(zip(numbers, nbformat.v4.to_notebook(content).cells, strict=True))


def _check_alike(notebooks: Sequence[Notebook]) -> None:
    """Refuse notebooks that were executed with different parameters of the experiment."""
    first: dict[str, tuple[str, Any]] = {}
    for notebook in notebooks:
        given = {**notebook.experiment, **notebook.parameters}
        for name in sorted(set(given) - OWN):
            other, value = first.setdefault(name, (notebook.path.stem, given[name]))
            if value != given[name]:
                raise ReportError(
                    f"the notebooks were executed with different parameters: {name} is {value!r} in"
                    f" {other} and {given[name]!r} in {notebook.path.stem}; execute them again"
                )


def _output(output: NotebookNode, place: str, labels: set[str]) -> NotebookNode | None:
    """Return an output as the report needs it; None if it is not part of the report."""
    if output.output_type == "error":
        raise ReportError(f"{place}: it failed with {output.ename}: {output.evalue}")
    about = output.get("metadata", {}).get("advlib", {})
    if output.output_type == "stream" or about.get("kind") == "caption":
        return None
    if about:
        output.metadata["advlib"] = _checked(about, output, place, labels)
        output.metadata["filename"] = about["label"]
        output.data = NotebookNode({media: output.data[media] for media in [MEDIA[about["kind"]]]})
        return output
    if "text/markdown" in output.data:
        output.metadata["advlib"] = {"kind": "prose"}
        output.data = NotebookNode({"text/markdown": output.data["text/markdown"]})
        return output
    if any(media.startswith("image/") or media == "text/html" for media in output.data):
        raise ReportError(
            f"{place}: a figure or table without a label; advlib.chapters.figures.show "
            "and advlib.chapters.tables.show give it one"
        )
    return None


def _checked(
    about: dict[str, Any], output: NotebookNode, place: str, labels: set[str]
) -> dict[str, Any]:
    """Return what a figure or table says of itself, each on one line, and a figure's width."""
    kind, label = about.get("kind"), about.get("label", "")
    if kind not in PREFIXES:
        raise ReportError(f"{place}: kind must be one of {list(PREFIXES)}, is {kind!r}")
    if not re.fullmatch(PREFIXES[kind] + r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", label):
        raise ReportError(
            f"{place}: the label of a {kind} must be {PREFIXES[kind]}name, is {label!r}"
        )
    if label in labels:
        raise ReportError(f"{place}: the label {label} is used twice")
    labels.add(label)
    required = {"figure": ("caption", "alt"), "table": ("caption",)}[kind]
    for field in required:
        if not str(about.get(field) or "").strip():
            raise ReportError(f"{place}: {label} has no {field}")
    if MEDIA[kind] not in output.data:
        raise ReportError(f"{place}: {label} has no output of type {MEDIA[kind]}")
    text = {field: " ".join(about[field].split()) for field in required}
    width = _width(output.data[MEDIA[kind]]) if kind == "figure" else None
    return {"kind": kind, "label": label, "width": width, **text}


def _width(svg: str) -> int:
    """Return a figure's width in percent of the text's."""
    found = re.search(r'<svg\b[^>]*\bwidth="([\d.]+)pt"', svg)
    return min(100, round(100 * float(found[1]) / TEXT_WIDTH)) if found else 100


def _attribute(text: str) -> str:
    """Return text for an attribute in Pandoc's Markdown: entities but for letters and digits."""
    return re.sub(r"[^\w ]", lambda character: f"&#{ord(character[0])};", text)


def _fence(code: str) -> str:
    """Return a fence that no line of the code closes."""
    return "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 3)
