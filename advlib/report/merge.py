"""The executed notebooks merged into one, and that as HTML for pandoc with its figures' files."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import nbformat
from nbconvert.exporters import MarkdownExporter
from nbconvert.filters.ansi import strip_ansi
from nbformat import NotebookNode

from advlib.kept.folders import STYLE
from advlib.report import ReportError
from advlib.report.prose import read_line, read_markdown, write_verbatim
from advlib.results.notebooks import Notebook

PREFIXES = {"figure": "fig-", "table": "tbl-"}
MEDIA = {"figure": "image/svg+xml", "table": "text/markdown"}
REQUIRED = {
    "figure": ("caption", "alt"),
    "table": ("caption",),
    "title": ("title", "subtitle", "author", "date"),
}
OWN = {"method", "executed", "shown"}
"""Parameters that are a notebook's own, and not the experiment's."""
TEXT_WIDTH = 6.3 * 72
"""Width, in points, of a figure that is as wide as the text."""


def write_html(notebooks: Sequence[Notebook]) -> tuple[str, dict[str, bytes]]:
    """Return the report's text in the HTML that report.lua reads, and the SVG files that it names.

    Raises
    ------
    ReportError
        If a notebook did not succeed, shows something that would be lost, or a figure or table
        lacks something.
    """
    # of nbconvert's exporters this one takes the figures out of the notebook
    exporter = MarkdownExporter(
        template_file=str(STYLE / "merged.html.j2"),
        filters={"verbatim": lambda code: write_verbatim(code, "python")},
    )
    text, resources = exporter.from_notebook_node(merge_notebooks(notebooks))
    return text, dict(resources["outputs"])


def merge_notebooks(notebooks: Sequence[Notebook]) -> NotebookNode:
    """Return executed notebooks as one, with only the outputs that the report shows.

    Each cell's ``metadata.advlib`` holds its notebook's name, that of the notebook which was
    executed, and its number in it, counted from 1; each output's says what it is
    (`advlib.show.captions`): its ``kind`` is "figure", "table", "title" or "prose".
    """
    _check_alike(notebooks)
    merged: NotebookNode = nbformat.v4.new_notebook()
    labels: set[str] = set()
    for notebook in notebooks:
        name = notebook.path.stem
        for number, cell in _nodes(notebook):
            place = f"{name}, cell {number}"
            about = {"notebook": name, "source": notebook.source, "number": number}
            if cell.cell_type == "raw":
                raise ReportError(f"{place}: a raw cell would be lost; make it a Markdown cell")
            if cell.cell_type == "markdown":
                about["html"] = _read(read_markdown, cell.source, place)
            else:
                outputs = [_output(output, place, labels) for output in cell.outputs]
                cell.outputs = [output for output in outputs if output]
                if not cell.outputs:
                    continue
                if any(output.metadata.advlib.kind in PREFIXES for output in cell.outputs):
                    about["code"] = cell.source
            cell.metadata["advlib"] = about
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


def _read(read: Callable[[str], str], text: str, place: str) -> str:
    """Return a notebook's text as HTML."""
    try:
        return read(text)
    except ValueError as error:
        raise ReportError(f"{place}: {error}") from error


def _output(output: NotebookNode, place: str, labels: set[str]) -> NotebookNode | None:
    """Return an output as the report needs it; None if it is not part of the report."""
    if output.output_type == "error":
        raise ReportError(f"{place}: it failed with {output.ename}: {output.evalue}")
    about = output.get("metadata", {}).get("advlib", {})
    if output.output_type == "stream":
        # what goes to stderr is a log, and nothing to read in a report
        return _prose(write_verbatim(_on_screen(output.text))) if output.name == "stdout" else None
    if about and about.get("kind") != "caption":
        return _labelled(about, output, place, labels)
    if about or not output.data:  # a progress bar that is gone leaves nothing
        return None
    for media in ("text/markdown", "text/latex"):
        if media in output.data:
            return _prose(_read(read_markdown, output.data[media], place))
    if [*output.data] == ["text/plain"]:
        return _prose(write_verbatim(_on_screen(output.data["text/plain"])))
    raise ReportError(
        f"{place}: an output of type {', '.join(output.data)} would be lost; a figure or table has"
        " a label, which advlib.show.figures.show and advlib.show.tables.show give it; the"
        " tag notebook-only leaves a cell out"
    )


def _on_screen(text: str) -> str:
    """Return what a terminal shows in the end: without colours, and lines that are overwritten."""
    lines = strip_ansi(text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _prose(text: str) -> NotebookNode:
    about = {"advlib": {"kind": "prose", "html": text}}
    output: NotebookNode = nbformat.v4.new_output("display_data", metadata=about)
    return output


def _labelled(
    about: dict[str, Any], output: NotebookNode, place: str, labels: set[str]
) -> NotebookNode:
    """Return a figure, a table or the title, with what it says of itself as HTML."""
    kind, label = about.get("kind"), about.get("label", "")
    if kind not in REQUIRED:
        raise ReportError(f"{place}: kind must be one of {[*REQUIRED]}, is {kind!r}")
    for field in REQUIRED[kind]:
        if not str(about.get(field) or "").strip():
            raise ReportError(f"{place}: {label or 'the title'} has no {field}")
    if kind == "title" and not place.startswith("front-matter,"):
        raise ReportError(f"{place}: the title is the front matter's")
    if kind == "title":
        return _prose(_write_title(about, place))
    if not re.fullmatch(PREFIXES[kind] + r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", label):
        raise ReportError(
            f"{place}: the label of a {kind} must be {PREFIXES[kind]}name, is {label!r}"
        )
    if label in labels:
        raise ReportError(f"{place}: the label {label} is used twice")
    labels.add(label)
    media = MEDIA[kind]
    if media not in output.data:
        raise ReportError(f"{place}: {label} has no output of type {media}")
    said = {"kind": kind, "label": label, "caption": _read(read_line, about["caption"], place)}
    if kind == "figure":
        said |= {"alt": " ".join(about["alt"].split()), "width": _width(output.data[media])}
        output.metadata["filename"] = label
        output.data = NotebookNode({media: output.data[media]})
    else:
        said["html"] = _read(read_markdown, output.data[media], place)
        output.data = NotebookNode()
    output.metadata["advlib"] = said
    return output


def _write_title(about: dict[str, Any], place: str) -> str:
    """Return what the report begins with, as report.lua expects it."""
    lines = [("title", about["title"]), ("subtitle", about["subtitle"])]
    lines += [("author", author) for author in about["author"]]
    lines += [("date", about["date"])]
    written = [
        f'<div class="advlib-{name}"><p>{_read(read_line, text, place)}</p></div>'
        for name, text in lines
    ]
    return f'<div class="advlib-title">{"".join(written)}</div>'


def _width(svg: str) -> int:
    """Return a figure's width in percent of the text's."""
    found = re.search(r'<svg\b[^>]*\bwidth="([\d.]+)pt"', svg)
    return min(100, round(100 * float(found[1]) / TEXT_WIDTH)) if found else 100
