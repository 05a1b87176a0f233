"""Takes the README's pictures in a headless Chromium: the panel, and the reference report's page.

    python .make/picture.py

For the panel, which notebooks/explore.ipynb shows as well, it runs that notebook in JupyterLab.
`make picture` runs this.
"""

import io
import sys
import tempfile
from pathlib import Path

import browser
from PIL import Image

from advlib.kept.files import write_bytes
from advlib.kept.folders import REFERENCE_REPORT

NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
WIDTH, HEIGHT = 1280, 1400
COLOURS = 64


def take_panel(chromium: str) -> bytes:
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


def take_page(chromium: str) -> bytes:
    """Open the reference report and return the first that one sees of it, to the live figure."""
    with browser.open_browser(chromium) as headless:
        page = headless.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((REFERENCE_REPORT / "report.html").as_uri())
        page.wait_for_selector("#fig-live canvas")
        page.wait_for_timeout(2000)  # the figure computes
        end = page.locator("#fig-live").bounding_box()
        height = end["y"] + end["height"]
        seen: bytes = page.screenshot(
            clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True
        )
        return seen


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
    write_bytes(NOTEBOOK.with_suffix(".png"), make_small(take_panel(chromium)))
    write_bytes(REFERENCE_REPORT / "page.png", make_small(take_page(chromium)))
