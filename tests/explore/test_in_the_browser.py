"""The notebook in JupyterLab in a headless Chromium: what only a browser can tell."""

import re

import browser
import pytest
import torch
from test_pictures import digit, large, load, write

import advlib

CHROMIUM = browser.find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium (apt install chromium)"
)
NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
OURS = {name: advlib.pretrained(name) for name in ("standard", "mixed", "adversarial")}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The notebook, run; a copy, so that the project's stays as it is."""
    folder = tmp_path_factory.mktemp("lab")
    for file in (NOTEBOOK, NOTEBOOK.with_suffix(".png")):
        (folder / file.name).write_bytes(file.read_bytes())
    assert CHROMIUM is not None
    with browser.serve_lab(folder) as address, browser.open_browser(CHROMIUM) as headless:
        page = headless.new_page(viewport={"width": 1280, "height": 1400})
        browser.open_notebook(page, address, NOTEBOOK.name)
        page.locator(".jp-RenderedMarkdown img").wait_for()  # how it looks, before it is run
        browser.run_all(page)
        page.locator(".advx-panel .advx-smallest").first.wait_for()
        page.set_default_timeout(300_000)
        yield page


@pytest.fixture
def panel(page):
    return page.locator(".advx-panel")


def field(panel, label):
    return panel.get_by_label(label, exact=True)


def button(panel, name):
    return panel.get_by_role("button", name=name, exact=True)


def wait_for_caption(panel, words):
    """Wait until the captions of the images say this."""
    panel.locator(".advx-images").filter(has_text=words).wait_for()


def read_cards(panel):
    """What is shown of each network, once every smallest epsilon is there."""
    panel.page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.advx-smallest')];"
        " return all.length && all.every(each => !each.textContent.includes('…')); }"
    )
    found = {}
    for card in panel.locator(".advx-card").all():
        rows = [row.locator("td").all_text_contents() for row in card.locator("tbody tr").all()]
        numbers = [[float(re.sub(r"[^0-9.]", "", text)) for text in row] for row in rows]
        found[card.get_attribute("aria-label")] = {
            "verdict": card.locator(".advx-verdict").inner_text(),
            "percentages": torch.tensor(numbers).T,
        }
    return found


def first():
    """Return the image that the panel begins with, and its label."""
    return load().test.images[[8]], load().test.labels[[8]]


def assert_is_the_librarys(panel, adversarial):
    images, labels = first()
    cards = read_cards(panel)
    assert list(cards) == list(OURS)
    for name, model in OURS.items():
        with torch.no_grad():
            both = 100 * model(torch.cat([images, adversarial])).softmax(1)
        assert torch.allclose(cards[name]["percentages"], both, atol=0.02)
        before, after = (int(row.argmax()) for row in both)
        verdict = "fooled" if after != labels else "holds"
        assert cards[name]["verdict"] == (verdict if before == labels else "wrong before")


def test_it_begins_with_the_librarys_numbers(panel):
    assert_is_the_librarys(panel, advlib.fgsm(OURS["standard"], *first(), 0.1))


def test_the_slider_is_moved_with_the_keyboard_and_the_newest_position_is_shown(panel):
    handle = panel.get_by_role("slider", name="ε")
    handle.focus()
    for _ in range(30):
        panel.page.keyboard.press("ArrowRight")
    wait_for_caption(panel, "ε = 0.250: 37.1 % of black to white")
    assert_is_the_librarys(panel, advlib.fgsm(OURS["standard"], *first(), 0.25))
    for _ in range(20):
        panel.page.keyboard.press("ArrowLeft")
    wait_for_caption(panel, "ε = 0.150")


def test_no_key_reaches_jupyterlab_and_a_click_on_a_class_is_the_target(panel):
    """There "d d" deletes the cell."""
    assert button(panel, "5").get_attribute("aria-current") == "true"  # of test image 8
    button(panel, "8").focus()
    for _ in range(2):
        panel.page.keyboard.press("d")
    panel.locator("[data-class='3']").first.click(force=True)
    panel.locator(".advx-summary", has_text="Led to 3: ").wait_for()
    for place in (".advx-summary", "[data-class='3']"):  # what has no focus of its own
        panel.locator(place).first.click(force=True)
        for _ in range(2):
            panel.page.keyboard.press("d")
    button(panel, "Show the code").click()
    code = panel.locator(".advx-code")
    code.filter(has_text="target_labels=torch.tensor([3])").wait_for()
    field(panel, "Towards").select_option("any other")
    code.filter(has_not_text="target_labels").wait_for()
    button(panel, "Show the code").click()


def test_an_attack_is_chosen_and_its_code_is_shown(panel):
    panel.page.evaluate(
        "() => { window.advxBusy = []; new MutationObserver(() => {"
        " const busy = document.querySelector('.advx-busy');"
        " if (busy) window.advxBusy.push(busy.textContent); })"
        ".observe(document.querySelector('.advx-panel'), {childList: true, subtree: true}); }"
    )
    button(panel, "Show the code").click()
    field(panel, "Attack").select_option("APGD")
    wait_for_caption(panel, "APGD on standard")
    panel.get_by_role("slider", name="Steps").focus()
    for _ in range(3):
        panel.page.keyboard.press("ArrowRight")
    panel.get_by_label("valid pixels only").check()
    code = panel.locator(".advx-code")
    code.filter(has_text="steps=23, stop=False, bounds=data.bounds").wait_for()
    names = {}
    exec(code.inner_text(), names)
    assert_is_the_librarys(panel, names["adversarial"])
    assert any("APGD is at work" in text for text in panel.page.evaluate("window.advxBusy"))


def test_a_picture_of_ones_own_is_loaded(panel, tmp_path):
    mine, damaged = tmp_path / "mine.png", tmp_path / "damaged.png"
    mine.write_bytes(write(1 - large(digit(3000))))
    damaged.write_bytes(b"no picture")
    button(panel, "A picture of your own").click()
    for path in (damaged, mine):
        with panel.page.expect_file_chooser() as chooser:
            panel.locator("button.jupyter-widget-upload, .widget-upload").first.click()
        chooser.value.set_files(path)
        if path == damaged:
            panel.get_by_role("alert").filter(has_text="damaged.png is no PNG").wait_for()
    wait_for_caption(panel, f"mine.png, class {int(load().test.labels[3000])}")
    assert panel.locator(".advx-steps figure").count() == 7


def test_it_is_accessible_and_no_error_is_shown_outside_of_it(panel):
    """With all of its sections open, by axe's rules."""
    from axe_playwright_python.sync_playwright import Axe

    button(panel, "More networks").click()
    panel.get_by_label("From report/build").wait_for()
    found = Axe().run(panel.page, context=".advx-panel").response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    told = panel.page.locator(".jp-OutputArea-output[data-mime-type*=stderr]").all_inner_texts()
    assert [text for text in told if "building the font cache" not in text] == []  # of a new home
    assert panel.page.locator(".jp-RenderedText[data-mime-type*=error]").count() == 0
