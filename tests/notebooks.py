"""The project's notebooks, executed in this process as make does it, and what they show."""

import contextlib
import json
import os
import re
import warnings
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from unittest import mock

import pandas as pd
import torch
import yaml
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from advlib.data import load_data
from advlib.experiment import subject
from advlib.experiment.runner import select
from advlib.kept.code import read_cells
from advlib.kept.folders import NOTEBOOKS, PARAMETERS
from advlib.report.prose import read_line, read_markdown
from advlib.results.notebooks import LEFT_OUT
from advlib.settings import Experiment, declared

FEW = 100
"""Images for validation and for tests, of whatever data."""


@dataclass
class Cells:
    """Cells that are run one after the other, what they define, and what they show."""

    shell: InteractiveShell
    outputs: list[dict[str, Any]]
    names: dict[str, Any]
    said: list[str] = field(default_factory=list)
    """The prose of a report's reader, in its order."""
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The figures and tables: what each says of itself, by its label, and its `content`."""
    executed: list[dict[str, Any]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    """The cells with their outputs, and what the runner stores of their notebook."""

    def run(self, source, *, left_out=False):
        """Run a cell; raise what it raises."""
        self.outputs.clear()
        self.shell.run_cell(source).raise_error()
        for output in [] if left_out else self.outputs:
            about, data = output["metadata"].get("advlib", {}), output["data"]
            assert data.keys() != {"text/plain"} or " at 0x" not in data["text/plain"], source
            if about.get("kind") in ("figure", "table"):
                assert about["label"] not in self.shown
                self.shown[about["label"]] = about | {"content": output["data"]}
            elif not about:  # the report would have the repr of a bare value as a listing
                self.said.append(output["data"]["text/markdown"])

    def write(self, target, left_out=""):
        """Write the executed notebook, with what the report reads of it; not cells of a tag."""
        cells = [c for c in self.executed if left_out not in c["metadata"].get("tags", [])]
        content = {"cells": cells, "metadata": self.about}
        target.write_text(json.dumps(content), encoding="utf-8")

    @property
    def words(self):
        """All that there is to be read, but for the tables' cells."""
        about = [f"{one['caption']}\n{one.get('alt', '')}" for one in self.shown.values()]
        return "\n\n".join([*self.said, *about])

    def numbers(self, label):
        """The numbers of a figure or table."""
        data = self.shown[label]["data"]
        return pd.DataFrame(data["data"], columns=data["columns"], index=data["index"])


@contextlib.contextmanager
def executing(names):
    """Give IPython for a while, with some names, as a notebook has it."""
    outputs = []
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    shell.user_ns |= names
    shell.display_pub = CapturingDisplayPublisher()
    shell.display_pub.outputs = outputs
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=outputs)
    try:
        yield Cells(shell, outputs, shell.user_ns)
    finally:
        shell.restore_sys_module_state()
        InteractiveShell.clear_instance()


@cache
def _load_few(*given, **named):
    """Load data, and leave few images to be measured: they take most of the time."""
    data = load_data(*given, **named)
    validation, test = data.validation.first(FEW), data.test.first(FEW)
    fingerprint = f"{data.fingerprint}, few"
    return replace(data, validation=validation, test=test, fingerprint=fingerprint)


def execute(notebook, folder, given, **settings):
    """Execute a notebook with an experiment's settings, and those that are given to it alone.

    As in a report all are in a file, in `folder`, and those that the notebook names are handed to
    it. Of the data there are few images to be measured.
    """
    experiment = Experiment.chosen(settings)
    values = settings | {name: getattr(experiment, name) for name in declared()}
    values["methods"] = [*values["methods"]]
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    chosen = select(notebook, values, given)
    threads = torch.get_num_threads()
    surroundings = mock.patch.dict(os.environ, {PARAMETERS: str(file), "OMP_NUM_THREADS": "1"})
    few = mock.patch.object(subject, "load_data", _load_few)
    place = contextlib.chdir(notebook.parent)
    with surroundings, few, place, warnings.catch_warnings(), executing({}) as cells:
        made = {"input_path": notebook.name, "parameters": chosen, "duration": 1.0}
        cells.about = {"papermill": made, "advlib": {"experiment": values | experiment.conditions}}
        try:
            for cell in read_cells(notebook):
                tags = set(cell["metadata"].get("tags", []))
                source, left_out = "".join(cell["source"]), bool(tags & LEFT_OUT)
                if cell["cell_type"] == "code":
                    cells.run(source, left_out=left_out)
                    shown = [{"output_type": "display_data"} | each for each in cells.outputs]
                    cell["outputs"] = shown
                elif not left_out:
                    cells.said.append(source)
                cells.executed.append(cell)
                if "parameters" in tags:
                    cells.names |= chosen
        finally:
            torch.set_num_threads(threads)
    return cells


def check_shown(cells):
    """Check that all of it can be typeset, and that nothing is undefined."""
    for label, shown in cells.shown.items():
        assert read_line(shown["caption"]), label
        if shown["kind"] == "figure":
            assert len(shown["alt"]) > 40, label
            assert shown["content"]["image/svg+xml"].startswith("<svg")
        else:
            assert "<table>" in read_markdown(shown["content"]["text/markdown"]), label
    assert cells.said[0].startswith("# ")
    assert all(map(read_markdown, cells.said))
    assert not re.search(r"\{[{%#] |\bnan\b|\bNone\b|Undefined", cells.words)


def check_committed(cells):
    """Check also that all of it is said to be committed results, and that references lead to it."""
    check_shown(cells)
    assert all("not this run's" in shown["caption"] for shown in cells.shown.values())
    for kind, name in re.findall(r"(Figure|Table)\s\*([\w-]+)\*", cells.words):
        assert f"{'fig' if kind == 'Figure' else 'tbl'}-{name}" in cells.shown


def find_cell(notebook, name):
    """Return the source of a chapter's cell, by its id."""
    cells = read_cells(NOTEBOOKS / f"{notebook}.ipynb")
    return next("".join(cell["source"]) for cell in cells if cell["id"] == name)
