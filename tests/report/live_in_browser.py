"""What the live figure of a page does, as JSON: live_in_browser.py PAGE, in a process of its own.

The engine's numbers are asked of the page's own script; then the figure is used as a reader would.
"""

import json
import sys
import time

from look_at_page import find_violations, opening

READ = """
  const live = JSON.parse(document.getElementById('live').content.textContent);
  const read = readLive(live), size = live.shape[0] * live.shape[1];
  const all = decode(live.images, Uint8Array);
  const digits = live.labels.map((_, at) => all.subarray(at * size, (at + 1) * size));
"""
DRAWN = """() => {  // three drawings, of two strokes
  const context = document.querySelector('.drawing canvas').getContext('2d');
  const drawn = [0, 60, 120].map(shift => {
    context.clearRect(0, 0, 280, 280);
    context.lineWidth = 24;
    context.beginPath();
    context.moveTo(60, 40);
    context.lineTo(90 + shift, 60);
    context.lineTo(80, 230);
    context.stroke();
    return readDrawing(context);
  });
  context.clearRect(0, 0, 280, 280);
  return drawn;
}"""
COMPUTED = f"""([drawn, few, every, epsilon, steps]) => {{{READ}
  const images = [...digits.slice(0, few), ...drawn];
  const labels = [...live.labels.slice(0, few), 7, 7, 7];
  const models = read.networks.map(network => images.map((bytes, at) => {{
    const image = read.toInputs(bytes), label = labels[at], aim = {{ label, target: null }};
    const {{ points }} = climb(network, image, aim, epsilon, 1, read.valid);
    const found = {{ logits: network.forward(image), fgsm: points[1] }};
    if (at % every === 0) {{
      const {{ points, best }} = climb(network, image, aim, epsilon, steps, read.valid);
      found.pgd = network.forward(points[best]);
      const towards = {{ label, target: (label + 1) % 10 }};
      found.targeted = climb(network, image, towards, epsilon, 1, read.free).points[1];
    }}
    for (const name of Object.keys(found)) found[name] = Array.from(found[name]);
    return found;
  }}));
  return {{ models }};
}}"""
SMALLEST = f"""async few => {{{READ}
  const found = [];
  for (const network of read.networks) for (let at = 0; at < few; at++) {{
    const aim = {{ label: live.labels[at], target: null }};
    const each = await findSmallest(network, read.toInputs(digits[at]), aim, read.valid);
    found.push(each === Infinity ? null : each);
  }}
  return found;
}}"""
SLIDE = """async value => {
  const slider = document.querySelector('.live .epsilon');
  const root = document.querySelector('.live');
  const shown = new Promise(go => root.addEventListener('shown', go, { once: true }));
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  await shown;
}"""
COUNT = """() => {
  window.answers = 0;
  document.querySelector('.live').addEventListener('shown', () => { window.answers += 1; });
}"""
STATE = """() => {
  const texts = selector => [...document.querySelectorAll(selector)].map(each => each.innerText);
  return {
    found: document.querySelector('.live .found').textContent,
    models: texts('.live thead th').map(text => text.split('\\n')[0]),
    step: document.querySelector('.live .step + output').textContent,
    pressed: texts('.live [aria-pressed=true]'),
    still: [document.querySelector('#fig-live .panels').checkVisibility()],
    smallest: texts('.live tfoot td'),
  };
}"""
WIDTHS = (320, 768, 1366)
PATIENCE = 120
"""The windows that are looked at; seconds that an answer may take."""


def wait(page, script):
    """Wait until a function gives true; the page's policy forbids playwright's own way."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(script):
        if time.monotonic() > end:
            raise TimeoutError(script)
        page.wait_for_timeout(50)


def draw(page, *, finger):
    """Draw a 1 with the mouse or a finger."""
    box = page.locator(".live .drawing canvas").bounding_box()
    middle, top, low = box["x"] + box["width"] / 2, box["y"] + 15, box["y"] + box["height"] - 15
    if finger:
        browser = page.context.new_cdp_session(page)
        for kind, at in ("touchStart", [top]), ("touchMove", [low]), ("touchEnd", []):
            points = [{"x": middle, "y": y} for y in at]
            browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        return
    page.mouse.move(middle, top)
    page.mouse.down()
    page.mouse.move(middle, low, steps=5)
    page.mouse.up()


def look(page, width):
    """Return what is wrong with the figure in a window of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    wide = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    sideways = ["the page scrolls to the side"] * page.evaluate(wide)
    return sideways + find_violations(page, "#fig-live")


def use(page):
    """Use the figure with mouse, keyboard and finger; return what it says at each stage."""
    states = {}

    def keep(name, act):
        before = page.evaluate("() => window.answers")
        act()
        wait(page, f"() => window.answers > {before}")
        states[name] = page.evaluate(STATE)

    wait(page, "() => document.querySelector('.live .found').textContent")
    page.evaluate(COUNT)
    keep("first", lambda: page.evaluate(SLIDE, 0.1))
    wait(page, "() => !document.querySelector('.live tfoot').textContent.includes('…')")
    states["searched"] = page.evaluate(STATE)["smallest"]
    keep("largest", lambda: page.locator(".live .epsilon").press("End"))
    keep("usual", lambda: page.evaluate(SLIDE, 0.1))
    keep("many steps", lambda: page.locator(".live input[value=PGD]").check())
    keep("no step", lambda: page.locator(".live .step").press("Home"))
    keep("target", lambda: page.locator(".live tbody button").nth(3).press("Enter"))
    page.locator(".live .draw").click()
    keep("drawn", lambda: draw(page, finger=False))
    page.locator(".live .clear").tap()
    keep("drawn by finger", lambda: draw(page, finger=True))
    states["widths"] = {width: look(page, width) for width in WIDTHS}
    page.emulate_media(media="print")
    states["print"] = page.evaluate(STATE)["still"], page.locator(".live").is_visible()
    return states


def main(path):
    """Run the command line; see the module's docstring."""
    with opening(path) as (open_page, said):
        page = open_page(viewport={"width": 1366, "height": 900}, has_touch=True)
        found = {"states": use(page), "drawn": page.evaluate(DRAWN)}
        found |= page.evaluate(COMPUTED, [found["drawn"], 40, 8, 0.1, 20])
        found["smallest"] = page.evaluate(SMALLEST, 3)
        found["below"] = page.locator("#fig-live").evaluate(
            "it => it.previousElementSibling.className"
        )
        found["wrong"] = [each for each in said if not each.startswith(("data:", "blob:"))]
        still = open_page(java_script_enabled=False)
        picture, alive = still.locator("#fig-live .panels"), still.locator(".live")
        found["without"] = picture.is_visible(), alive.count()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
