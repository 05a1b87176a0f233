"""The notebook in JupyterLab in a headless Chromium: what each control changes is read."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import advlib

CHROMIUM = browser.find_chromium()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium (apt install chromium)"
)
NOTEBOOK = browser.ROOT / "notebooks" / "explore.ipynb"
DATA = advlib.load_data("MNIST", images=1)
OURS = {name: advlib.pretrained(name) for name in ("standard", "mixed", "adversarial")}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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
def panel(page: Any) -> Any:
    return page.locator(".advx-panel")


def field(panel: Any, label: str) -> Any:
    return panel.get_by_label(label, exact=True)


def button(panel: Any, name: str) -> Any:
    return panel.get_by_role("button", name=name, exact=True)


def choose_image(panel: Any, index: int) -> None:
    number = field(panel, "Test image")
    number.fill(str(index))
    number.press("Enter")


def wait_for_caption(panel: Any, *parts: str) -> None:
    """Wait until the captions of the images say all of this."""
    captions = panel.locator(".advx-images")
    for part in parts:
        captions.filter(has_text=part).wait_for()


def read_cards(panel: Any) -> dict[str, dict[str, Any]]:
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
            "smallest": card.locator(".advx-smallest b").inner_text(),
        }
    return found


def assert_is_the_librarys(panel: Any, index: int, adversarial: Tensor) -> None:
    images, label = DATA.test.images[[index]], int(DATA.test.labels[index])
    cards = read_cards(panel)
    assert list(cards)[:3] == list(OURS)
    for name, model in OURS.items():
        with torch.no_grad():
            both = 100 * model(torch.cat([images, adversarial])).softmax(1)
        assert torch.allclose(cards[name]["percentages"], both, atol=0.02)
        before, after = (int(row.argmax()) for row in both)
        verdict = "fooled" if after != label else "holds"
        assert cards[name]["verdict"] == (verdict if before == label else "wrong before")


def test_it_begins_with_the_librarys_numbers(panel: Any) -> None:
    images, labels = DATA.test.images[[8]], DATA.test.labels[[8]]
    assert_is_the_librarys(panel, 8, advlib.fgsm(OURS["standard"], images, labels, 0.1))
    for name, card in read_cards(panel).items():
        smallest = float(card["smallest"])
        errors = [
            advlib.evaluate(
                OURS[name], advlib.fgsm(OURS[name], images, labels, epsilon), labels
            ).error
            for epsilon in (smallest - 0.001, smallest)
        ]
        assert errors == [0, 100]


def test_the_slider_is_moved_with_the_keyboard_and_the_newest_position_is_shown(panel: Any) -> None:
    handle = panel.get_by_role("slider", name="ε")
    handle.focus()
    for _ in range(30):
        panel.page.keyboard.press("ArrowRight")
    wait_for_caption(panel, "ε = 0.250: 37.1 % of black to white")
    images, labels = DATA.test.images[[8]], DATA.test.labels[[8]]
    assert_is_the_librarys(panel, 8, advlib.fgsm(OURS["standard"], images, labels, 0.25))
    for _ in range(20):
        panel.page.keyboard.press("ArrowLeft")
    wait_for_caption(panel, "ε = 0.150")


def test_the_image_is_chosen(panel: Any) -> None:
    choose_image(panel, 17)
    wait_for_caption(panel, "test image 17, class 7")
    button(panel, "3").click()
    wait_for_caption(panel, "test image 18, class 3")
    button(panel, "Random").focus()
    panel.page.keyboard.press("Enter")
    panel.locator(".advx-images").filter(has_not_text="test image 18,").wait_for()
    choose_image(panel, 17)
    field(panel, "Network").select_option("mixed")
    panel.locator(".advx-card.attacked .holds").wait_for()
    button(panel, "One that is fooled").click()
    panel.locator(".advx-card.attacked .fooled").wait_for()
    index = int(field(panel, "Test image").input_value())
    images, labels = DATA.test.images[[index]], DATA.test.labels[[index]]
    wait_for_caption(panel, f"test image {index}, class {int(labels)}")
    assert_is_the_librarys(panel, index, advlib.fgsm(OURS["mixed"], images, labels, 0.15))


def test_network_attack_steps_and_valid_pixels_are_chosen(panel: Any) -> None:
    choose_image(panel, 8)
    field(panel, "Network").select_option("adversarial")
    panel.page.evaluate(
        "() => { window.advxBusy = []; new MutationObserver(() => {"
        " const busy = document.querySelector('.advx-busy');"
        " if (busy) window.advxBusy.push(busy.textContent); })"
        ".observe(document.querySelector('.advx-panel'), {childList: true, subtree: true}); }"
    )
    field(panel, "Attack").select_option("APGD")
    wait_for_caption(panel, "test image 8,", "APGD on adversarial")
    steps = panel.get_by_role("slider", name="Steps")
    steps.focus()
    for _ in range(3):
        panel.page.keyboard.press("ArrowRight")
    panel.get_by_label("valid pixels only").check()
    button(panel, "Show the code").click()
    code = panel.locator(".advx-code")
    code.filter(has_text="steps=23, bounds=data.bounds").wait_for()
    images, labels = DATA.test.images[[8]], DATA.test.labels[[8]]
    settings: Any = {"epsilon": 0.15, "steps": 23, "bounds": DATA.bounds}
    expected = advlib.apgd(OURS["adversarial"], images, labels, **settings)
    assert_is_the_librarys(panel, 8, expected)
    names: dict[str, Any] = {}
    exec(code.inner_text(), names)
    assert torch.equal(names["adversarial"], expected)
    assert any("APGD is at work" in text for text in panel.page.evaluate("window.advxBusy"))
    field(panel, "Attack").select_option("FGSM")
    wait_for_caption(panel, "FGSM on adversarial")


def load(panel: Any, path: Path) -> None:
    with panel.page.expect_file_chooser() as chooser:
        panel.locator("button.jupyter-widget-upload, .widget-upload").first.click()
    chooser.value.set_files(path)


def test_a_picture_of_ones_own_is_loaded(panel: Any, tmp_path: Path) -> None:
    pixels = 1 - DATA.to_pixels(DATA.test.images[3000])[0].numpy().clip(0, 1)
    file = io.BytesIO()
    Image.fromarray((np.kron(pixels, np.ones((5, 5))) * 255).astype(np.uint8)).save(file, "PNG")
    mine, damaged = tmp_path / "mine.png", tmp_path / "damaged.png"
    mine.write_bytes(file.getvalue())
    damaged.write_bytes(b"no picture")
    button(panel, "A picture of your own").click()
    load(panel, damaged)
    panel.get_by_role("alert").filter(has_text="damaged.png is no PNG").wait_for()
    load(panel, mine)
    wait_for_caption(panel, f"mine.png, class {int(DATA.test.labels[3000])}")
    assert panel.locator(".advx-steps figure").count() == 7
    panel.get_by_text("as near to the training data as its own digits").wait_for()
    panel.get_by_label("It is a").select_option("1")
    wait_for_caption(panel, "mine.png, class 1")


def test_a_network_of_ones_own_stands_beside_ours(panel: Any) -> None:
    run = (
        "code => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({code}).done.then(() => null)"
    )
    start = "from torch import nn\nmine = nn.Sequential(nn.Flatten(), nn.Linear(784, "
    panel.page.evaluate(run, f"{start}10))\npanel.add('mine', mine)")
    panel.locator(".advx-card[aria-label=mine]").wait_for()
    panel.page.evaluate(run, f"{start}7))\npanel.add('seven', mine)")
    panel.get_by_role("alert").filter(has_text="seven is not added").wait_for()
    button(panel, "More networks").click()
    panel.get_by_label("From report/build").wait_for()


def test_it_is_accessible(panel: Any) -> None:
    """With all of its sections open, by axe's rules."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(panel.page, context=".advx-panel").response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_no_error_is_shown_outside_of_the_panel(panel: Any) -> None:
    assert panel.page.locator(".jp-OutputArea-output[data-mime-type*=stderr]").count() == 0
    assert panel.page.locator(".jp-RenderedText[data-mime-type*=error]").count() == 0
