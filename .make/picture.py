"""Takes the README's picture of the panel, and writes what notebooks/explore.ipynb stores of it.

    python .make/picture.py

It runs the notebook in JupyterLab in a headless Chromium; `make picture` runs this.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import browser

from advlib.kept.files import write_bytes, write_text

NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
PICTURE = NOTEBOOK.with_suffix(".png")
WIDTH, HEIGHT = 1280, 1400
STORED = ("image/png", "text/plain")
"""Of the panel; a widget without its kernel shows nothing."""
COLOURS = 64


def take_picture(chromium: str) -> bytes:
    """Run the notebook and return the panel's picture."""
    with (
        tempfile.TemporaryDirectory(prefix="advlib-picture-") as folder,
        browser.serve_lab(Path(folder)) as address,
        browser.open_browser(chromium) as headless,
    ):
        Path(folder, NOTEBOOK.name).write_bytes(NOTEBOOK.read_bytes())
        page = headless.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        browser.open_notebook(page, address, NOTEBOOK.name)
        browser.run_all(page)
        page.wait_for_function(
            "() => { const found = [...document.querySelectorAll('.advx-smallest')];"
            " return found.length && found.every(each => !each.textContent.includes('…')); }"
        )
        panel: bytes = page.locator(".advx-panel").screenshot()
        return panel


def make_small(picture: bytes) -> bytes:
    """Return a PNG with few colours: a third of the size, and the same to the eye."""
    import io

    from PIL import Image

    file = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def store_outputs() -> None:
    """Execute the notebook and keep of its outputs what can be seen without a kernel."""
    import nbformat
    from nbclient import NotebookClient

    text = NOTEBOOK.read_text(encoding="utf-8")
    executed: Any = nbformat.reads(text, 4)
    client = NotebookClient(
        executed, resources={"metadata": {"path": str(NOTEBOOK.parent)}}, record_timing=False
    )
    client.execute()
    notebook = json.loads(text)
    for cell, after in zip(notebook["cells"], executed.cells, strict=True):
        if cell["cell_type"] != "code":
            continue
        cell["execution_count"] = after.execution_count
        cell["outputs"] = [{**output} for output in after.outputs]
        for output in cell["outputs"]:
            data = output.get("data", {})
            output["data"] = {kind: data[kind] for kind in STORED if kind in data}
            output["data"]["text/plain"] = output["data"]["text/plain"].splitlines(keepends=True)
    write_text(NOTEBOOK, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    """Take the picture; return the exit status: 0, or 2 where there is no Chromium."""
    chromium = browser.find_chromium()
    if chromium is None:
        print("error: make picture needs Chromium (apt install chromium)", file=sys.stderr)
        return 2
    picture = make_small(take_picture(chromium))
    store_outputs()
    write_bytes(PICTURE, picture)
    print(f"{PICTURE.relative_to(browser.ROOT)}: {len(picture) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
