"""Small notebooks, and whether a process is alive."""

import json
import subprocess

import nbformat
from nbclient import NotebookClient
from nbformat import v4

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
# a training as the runner sees it: it reports, and leaves a trace of its life
TRAINING = """
import os, time
for epoch in range(6000):
    with open("alive", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.1)
"""


def write(path, parameters, *cells):
    """Write a notebook with a parameters cell and other code cells."""
    first = v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = v4.new_notebook(cells=[first, *map(v4.new_code_cell, cells)], metadata=KERNEL)
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)
    return path


def outputs(path):
    """Return what an executed notebook printed."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [output.get("text", []) for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(text) for text in texts)


def exists(pid):
    """Return whether a process is at work; an ended one that waits for its parent (Z) is not."""
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return status.stdout.strip()[:1] not in (b"", b"Z")


class _ByHand(NotebookClient):
    """Executes a notebook as a front end with a reader does, and sees what is displayed."""

    input_allowed: bool
    shown: list[str]

    async def async_start_new_kernel_client(self):
        client = await super().async_start_new_kernel_client()
        client.allow_stdin = self.input_allowed
        return client

    def process_message(self, message, *others):
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.shown += [message["content"]["data"].get("text/plain", "")]
        return super().process_message(message, *others)


def execute_by_hand(*cells, input_allowed=True):
    """Execute a notebook as a person does; return it, and all that was displayed meanwhile."""
    notebook = v4.new_notebook(cells=[*map(v4.new_code_cell, cells)], metadata=KERNEL)
    client = _ByHand(notebook, allow_errors=True)
    client.input_allowed, client.shown = input_allowed, []
    client.execute()
    return notebook, [text for text in client.shown if text]
