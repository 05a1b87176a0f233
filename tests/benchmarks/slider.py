"""How long it takes from the slider to the picture, in JupyterLab in a headless Chromium.

    python -m benchmarks.slider

The slider of epsilon is moved key by key; a move's time ends with the frame that follows the first
change of what is shown.
"""

import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import browser

NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
MOVES, WARM_UP = 200, 10
MEASURE = """async (moves) => {
  const handles = document.querySelectorAll('.advx-panel [role=slider]');
  const slider = [...handles].find(each => each.getAttribute('aria-label') === 'ε');
  const shown = document.querySelector('.advx-images').closest('.widget-html-content');
  const times = [];
  slider.focus();
  for (let n = 0; n < moves; n++) {
    const key = n % 60 < 30 ? 'ArrowRight' : 'ArrowLeft';
    const begin = performance.now();
    await new Promise((done, fail) => {
      const seen = new MutationObserver(() => { seen.disconnect(); done(); });
      seen.observe(shown, {childList: true, subtree: true});
      slider.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
      setTimeout(fail, 20000, 'nothing changes');
    });
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - begin);
    await new Promise(done => setTimeout(done, 50));
  }
  return times;
}"""


def measure() -> list[float]:
    """Return each move's time in milliseconds."""
    chromium = browser.find_chromium()
    assert chromium is not None, "there is no Chromium (apt install chromium)"
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.serve_lab(Path(folder)) as address,
        browser.open_browser(chromium) as headless,
    ):
        shutil.copy(NOTEBOOK, folder)
        page: Any = headless.new_page(viewport={"width": 1280, "height": 1400})
        browser.open_notebook(page, address, NOTEBOOK.name)
        browser.run_all(page)
        page.locator(".advx-panel .advx-smallest b").first.wait_for()
        page.wait_for_timeout(3000)
        times: list[float] = page.evaluate(MEASURE, WARM_UP + MOVES)
        return times[WARM_UP:]


def main() -> None:
    times = sorted(measure())
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(
        f"{len(times)} moves on {os.cpu_count()} cores: median"
        f" {statistics.median(times):.0f} ms, 95 of 100 within"
        f" {times[round(0.95 * len(times)) - 1]:.0f} ms, worst {times[-1]:.0f} ms (load {load})"
    )


if __name__ == "__main__":
    main()
