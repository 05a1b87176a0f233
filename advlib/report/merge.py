"""The executed notebooks as one text in HTML for pandoc, with the files of its figures.

Each cell is a block that says where it is from, so that report.lua, which checks labels and
references, can say where an error lies.
"""

import html
import re
from collections.abc import Sequence
from typing import Any

from nbconvert.filters.ansi import strip_ansi

from advlib.report import ReportError
from advlib.report.prose import read_line, read_markdown, write_verbatim
from advlib.results.notebooks import Notebook
from advlib.show.captions import WIDTH


def write_html(notebooks: Sequence[Notebook]) -> tuple[str, dict[str, bytes]]:
    """Return the report's text in the HTML that report.lua reads, and the SVG files that it names.

    Raises
    ------
    ReportError
        If a notebook did not succeed or was executed for another experiment, or shows something
        that would be lost.
    """
    first, *others = notebooks
    for other in others:
        if other.experiment != first.experiment:
            raise ReportError(
                f"{first.path.stem} and {other.path.stem} were executed with different parameters;"
                " execute them again"
            )
    figures = {
        f"{about['label']}.svg": "".join(data["image/svg+xml"]).encode()
        for notebook in notebooks
        for about, data in notebook.shown
        if about["kind"] == "figure"
    }
    blocks = []
    for notebook in notebooks:
        name = notebook.path.stem
        for number, cell in notebook.cells:
            try:
                shown = _write_cell(cell, name)
            except ValueError as error:
                raise ReportError(f"{name}, cell {number}: {error}") from error
            place = f'notebook="{name}" source="{notebook.source}" number="{number}"'
            if shown:
                blocks.append(f'<div class="advlib-cell" {place}>\n{shown}\n</div>\n')
    return "".join(blocks), figures


def _write_cell(cell: dict[str, Any], notebook: str) -> str:
    """Return what the report shows of a cell."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return read_markdown(source)
    if cell["cell_type"] == "raw":
        raise ValueError("a raw cell would be lost; make it a Markdown cell")
    shown = []
    if "listing" in cell["metadata"].get("tags", []):
        shown.append(write_verbatim(source, "python"))
    for output in cell["outputs"]:
        about = output.get("metadata", {}).get("advlib", {})
        shown.append(_write_output(output, about))
        if about.get("kind") in ("figure", "table"):
            place = f'label="{about["label"]}" notebook="{notebook}"'
            code = write_verbatim(source, "python")
            shown.append(f'<div class="advlib-code" {place}>\n{code}</div>')
    return "\n".join(filter(None, shown))


def _write_output(output: dict[str, Any], about: dict[str, Any]) -> str:
    """Return an output by what it says of itself (`advlib.show.captions`), or by its type."""
    if output["output_type"] == "error":
        raise ValueError(f"it failed with {output['ename']}: {output['evalue']}")
    if output["output_type"] == "stream":
        # what goes to stderr is a log, and nothing to read in a report
        return _write_screen(output["text"]) if output["name"] == "stdout" else ""
    data = output["data"]
    match about.get("kind"):
        case "figure":
            return _write_figure(about, "".join(data["image/svg+xml"]))
        case "table":
            shown = read_markdown("".join(data["text/markdown"]))
            shown += f"<p>{read_line(about['caption'])}</p>"
            return f'<div class="advlib-table" label="{about["label"]}">{shown}</div>'
        case "title":
            return _write_title(about)
        case "caption" | "warning":
            return ""
    for media in ("text/markdown", "text/latex"):
        if media in data:
            return read_markdown("".join(data[media]))
    if [*data] == ["text/plain"]:
        return _write_screen(data["text/plain"])
    if not data:  # a progress bar that is gone leaves nothing
        return ""
    raise ValueError(
        f"an output of type {', '.join(data)} would be lost; a figure or table has a label, which"
        " advlib.show.figures.show and advlib.show.tables.show give it; the tag notebook-only"
        " leaves a cell out"
    )


def _write_screen(text: str | list[str]) -> str:
    """Return what a terminal shows in the end: without colours, and lines that are overwritten."""
    lines = strip_ansi("".join(text)).replace("\r\n", "\n").split("\n")
    return write_verbatim("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))


def _write_figure(about: dict[str, Any], svg: str) -> str:
    points = re.search(r'<svg\b[^>]*\bwidth="([\d.]+)pt"', svg)
    width = min(100, round(100 * float(points[1]) / (72 * WIDTH))) if points else 100
    alt = html.escape(" ".join(about["alt"].split()))
    image = f'<img src="{about["label"]}.svg" alt="{alt}" width="{width}%">'
    caption = f"<figcaption>{read_line(about['caption'])}</figcaption>"
    return f'<figure id="{about["label"]}">{image}{caption}</figure>'


def _write_title(about: dict[str, Any]) -> str:
    """Return what the report begins with, as report.lua expects it."""
    said = [(name, about[name]) for name in ("title", "subtitle", "date")]
    said += [("author", author) for author in about["author"]]
    lines = [f'<div class="advlib-{name}"><p>{read_line(text)}</p></div>' for name, text in said]
    return f'<div class="advlib-title">{"".join(lines)}</div>'
