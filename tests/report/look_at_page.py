"""What a browser makes of a page, in a process of its own, as JSON: look_at_page.py PAGE WIDTH...

For each width, light and dark: the serious and critical findings of axe-core with all folds open,
whether the page scrolls to the side, what covers what, what is cut or hidden without a cue, and how
bright the brightest pixel is. Then the page is used, with and without its script.
"""

import io
import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import sync_playwright

# What the contents and the bar cover: what is fixed covers all that comes by.
COVERED = """() => {
  const wide = innerWidth >= 1216, covers = wide ? ['#contents', '.bar'] : [];
  const meets = (a, b) => a.left < b.right - 1 && a.right > b.left + 1;
  return covers.map(each => document.querySelector(each).getBoundingClientRect()).flatMap(own =>
    [...document.querySelectorAll('main *')]
      .filter(each => meets(each.getBoundingClientRect(), own))
      .map(each => each.tagName + ' ' + each.textContent.slice(0, 40)));
}"""
# Blocks of the text that run into the next, and panels that do.
OVERLAP = """() => [...document.querySelectorAll('main > *, .panels > *')].filter(each => {
  const next = each.nextElementSibling;
  if (!next || !each.checkVisibility() || !next.checkVisibility()) return false;
  const [a, b] = [each, next].map(one => one.getBoundingClientRect());
  const within = (from, to) => a[to] > b[from] + 1 && b[to] > a[from] + 1;
  return within('top', 'bottom') && within('left', 'right');
}).map(each => each.outerHTML.slice(0, 80))"""
CUT = """() => [...document.querySelectorAll('pre')].filter(each => {
  const box = each.closest('div.sourceCode') || each;
  return each.scrollWidth > each.clientWidth + 1 || box.scrollWidth > box.clientWidth + 1;
}).map(each => each.textContent.slice(0, 60))"""
# What is wider than its frame has a shade, and can be reached from its left end to its right.
HIDDEN = """() => [
  ...document.querySelectorAll('main .table, main .scroll, main math[display=block]')
].filter(each => {
  const inner = each.querySelector('table, .panels > *, :scope > *').getBoundingClientRect();
  const own = each.getBoundingClientRect();
  const shaded = getComputedStyle(each).backgroundImage.includes('gradient');
  const sticks = each.matches('.scroll, math') ||
    [...each.querySelectorAll('tbody tr:not(.group)')].every(row =>
      [...row.cells].some(cell => getComputedStyle(cell).position === 'sticky'));
  const wide = each.scrollWidth > each.clientWidth + 1;
  return inner.left < own.left - 1 || (wide && !(shaded && sticks));
}).map(each => each.outerHTML.slice(0, 80))"""
MARK = """async () => {
  const links = [...document.querySelectorAll('#contents a')], found = [];
  for (const link of links) {
    document.getElementById(link.hash.slice(1)).scrollIntoView();
    await new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)));
    found.push(document.querySelector('#contents [aria-current]')?.hash);
  }
  const at = links.findIndex((link, index) => found[index] !== link.hash);
  const end = scrollY + innerHeight >= document.documentElement.scrollHeight - 1;
  return at < 0 || end ? null : links[at].hash; // near the end the text cannot be scrolled so far
}"""


@contextmanager
def opening(path):
    """Give what opens a page in Chromium, and a list of what it asks for and complains of."""
    address, said = Path(path).resolve().as_uri(), list[str]()

    def open_page(**how):
        page = browser.new_page(**how)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto(address)
        said[:] = [each for each in said if each != address]
        return page

    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield open_page, said
        browser.close()


def find_violations(page, context=None):
    """Return what axe finds, each with the first of its elements."""
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in Axe().run(page, context=context).response["violations"]
    ]


def find_contents(page, width):
    """Return what is wrong with the contents: where they are, what they hide."""
    nav, button = page.locator("#contents"), page.locator(".bar button")
    if width >= 1216:
        return [] if nav.is_visible() and not button.is_visible() else ["no column of contents"]
    wrong = ["they are open at first"] * nav.is_visible()
    page.mouse.wheel(0, 2000)
    button.click()
    wrong += ["they do not open"] * (not nav.is_visible())
    nav.locator("a").nth(1).click()
    wrong += ["they stay"] * nav.is_visible()
    below = """() => document.getElementById(location.hash.slice(1)).getBoundingClientRect().top
      - document.querySelector('.bar').getBoundingClientRect().bottom"""
    return wrong + ["the bar hides a heading"] * (page.evaluate(below) < 0)


def look(page, width):
    """Return what is to be said of the page at a width."""
    page.set_viewport_size({"width": width, "height": 900})
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    open_all = "open => document.querySelectorAll('details').forEach(each => each.open = open)"
    page.evaluate(open_all, False)
    found = {"contents": find_contents(page, width), "hidden": page.evaluate(HIDDEN)}
    folded = page.evaluate(sideways)
    page.evaluate(open_all, True)
    found |= {"covered": page.evaluate(COVERED), "overlap": page.evaluate(OVERLAP)}
    found |= {"sideways": [folded, page.evaluate(sideways)], "cut": page.evaluate(CUT)}
    found["mark"] = page.evaluate(MARK)
    return found | {"axe": find_violations(page)}


def find_brightest(page):
    """Return the largest value of a pixel of the page, 0 to 255."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    return int(np.asarray(picture.convert("RGB")).max())


def use(page):
    """Use the page with mouse and keyboard; return what comes of it."""
    page.set_viewport_size({"width": 1366, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")
    preview, done = page.locator("#preview"), dict[str, Any]()
    for name, link in (
        ("work", "main a[role=doc-biblioref]"),
        ("figure", "main p a[href^='#fig']"),
    ):
        page.locator(link).first.hover()
        preview.wait_for(state="visible")
        done[name] = preview.inner_text(), preview.locator("svg").count()
        page.keyboard.press("Escape")
        preview.wait_for(state="hidden")
    page.locator("#all-code").check()
    done["folded"] = page.locator("details.code:not([open])").count()
    copy = page.locator("details.code .copy").first
    copy.click()
    done["copied"] = page.evaluate("() => getSelection().toString()")
    return done


def main(path, *widths):
    """Run the command line; see the module's docstring."""
    found = {}
    with opening(path) as (open_page, said):
        for scheme in ("light", "dark"):
            page = open_page(color_scheme=scheme)
            here = widths if scheme == "light" else widths[-1:]  # dark differs in colours alone
            found |= {f"{width} {scheme}": look(page, int(width)) for width in here}
            found[f"brightest, {scheme}"] = find_brightest(page)
        found["use"] = use(page)
        still = open_page(java_script_enabled=False, color_scheme="dark")
        found["brightest, dark"] = max(found["brightest, dark"], find_brightest(still))
        still.locator("#swap").check()
        found["swapped"] = find_brightest(still)
        found["said"] = [each for each in said if not each.startswith("data:")]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
