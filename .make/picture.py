"""Takes the picture of the panel, which the README and notebooks/explore.ipynb show.

    python .make/picture.py

It runs the notebook in JupyterLab in a headless Chromium; `make picture` runs this.
"""

import io
import sys
import tempfile
from pathlib import Path

import browser
from PIL import Image

from advlib.kept.files import write_bytes

NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
PICTURE = NOTEBOOK.with_suffix(".png")
WIDTH, HEIGHT = 1280, 1400
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
    file = io.BytesIO()
    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    chromium = browser.find_chromium()
    if chromium is None:
        sys.exit("error: make picture needs Chromium (apt install chromium)")
    write_bytes(PICTURE, make_small(take_picture(chromium)))
