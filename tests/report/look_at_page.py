"""What a browser makes of a page, in a process of its own, as JSON: look_at_page.py PAGE WIDTH...

For each width: the serious and critical findings of axe-core with all folds open, whether the page
scrolls to the side, what the opened contents cover, and what code is cut.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

# Text, tables and figures that the contents cover: what is fixed covers all that comes by.
COVERED = """() => {
  const nav = document.querySelector('nav');
  const fixed = getComputedStyle(nav).position === 'fixed';
  const own = nav.getBoundingClientRect();
  const covers = r => r.width > 0 && r.height > 0
    && r.left < own.right - 1 && r.right > own.left + 1
    && (fixed || (r.top < own.bottom - 1 && r.bottom > own.top + 1));
  return [...document.querySelectorAll('main p, main table, main img, main h1, main h2, main h3,'
    + 'main li, main pre, main summary, main math, main caption')]
    .filter(each => covers(each.getBoundingClientRect()))
    .map(each => each.tagName + ' ' + each.textContent.slice(0, 40));
}"""
CUT = """() => [...document.querySelectorAll('pre')].filter(each => {
  const box = each.closest('div.sourceCode') || each;
  return each.scrollWidth > each.clientWidth + 1 || box.scrollWidth > box.clientWidth + 1;
}).map(each => each.textContent.slice(0, 60))"""


def look(page: Any, width: int) -> dict[str, Any]:
    """Return what is to be said of the page at a width."""
    page.set_viewport_size({"width": width, "height": 900})
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    open_all = "open => document.querySelectorAll('details').forEach(each => each.open = open)"
    page.evaluate(open_all, False)
    folded = page.evaluate(sideways)
    page.click("nav summary")
    found = {"covered": page.evaluate(COVERED)}
    page.click("nav a >> nth=1")
    found["covered after a click"] = page.evaluate(COVERED)
    page.evaluate(open_all, True)
    found |= {"sideways": [folded, page.evaluate(sideways)], "cut": page.evaluate(CUT)}
    violations = Axe().run(page).response["violations"]
    found["axe"] = [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in violations
        if each["impact"] in ("serious", "critical") or each["id"] == "empty-table-header"
    ]
    return found


def main(path: str, *widths: str) -> None:
    """Run the command line; see the module's docstring."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(Path(path).resolve().as_uri())
        print(json.dumps({width: look(page, int(width)) for width in widths}))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
