"""The panel without a browser: its widgets are moved as a browser does."""

import datetime
import re
from html import unescape
from pathlib import Path

import nbformat
import pytest
import torch
from test_pictures import digit, large, load, write
from torch import nn

import advlib
from advlib import runs
from advlib.explore.attacking import ATTACKS, Choice
from advlib.explore.networks import find_runs, open_run
from advlib.explore.panel import Panel
from advlib.kept import checkpoints
from advlib.settings import Training

ROOT = Path(__file__).parents[2]


@pytest.fixture
def panel():
    return Panel(data=load())


def settle(panel):
    assert panel.newest.wait(600)
    return panel.result


def text(widget):
    return unescape(re.sub("<[^>]+>", " ", widget.value))


def assert_the_code_gives(adversarial, panel, /, **names):
    """Execute the code that is shown; the names are what there is before."""
    (code,) = re.findall("<code>(.*?)</code>", panel.parts["code"].value, re.DOTALL)
    exec(unescape(code), names)
    assert torch.equal(names["adversarial"], adversarial)


def upload(panel, content, name):
    file = {
        "name": name,
        "type": "image/png",
        "size": len(content),
        "content": memoryview(content),
        "last_modified": datetime.datetime.now(tz=datetime.UTC),
    }
    panel.controls.picture.value = (file,)


def test_it_begins_with_a_result(panel):
    result = panel.result
    assert result.choice == Choice("standard", ATTACKS["FGSM"], 0.1, 20, False)
    outcomes = result.outcomes
    assert all(each.sweep for each in outcomes.values())
    verdicts = {name: each.verdict for name, each in outcomes.items()}
    assert verdicts == {"standard": "fooled", "mixed": "holds", "adversarial": "fooled"}


def test_each_control_changes_the_choice(panel):
    c = panel.controls
    assert c.steps.disabled
    c.attack.value, c.model.value, c.epsilon.value, c.steps.value = ATTACKS["PGD"], "mixed", 0.15, 3
    c.valid.value, c.index.value = True, 17
    assert not c.steps.disabled
    result = settle(panel)
    assert result.choice == Choice("mixed", ATTACKS["PGD"], 0.15, 3, True)
    assert (result.sample.source, result.sample.label) == (17, 7)
    c.target.value = 2
    assert settle(panel).choice.target == 2
    c.target.value = -1
    c.digits[3].click()
    assert settle(panel).sample.source == 18
    c.digits[3].click()
    assert settle(panel).sample.source == 30
    c.another.click()
    assert settle(panel).sample.source == c.index.value
    c.fooled.click()
    settle(panel)
    assert settle(panel).outcomes["mixed"].verdict == "fooled"


def test_a_picture_of_ones_own(panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = write(1 - large(digit(3000)))
    Path("mine's.png").write_bytes(content)
    upload(panel, content, "mine's.png")
    result = settle(panel)
    assert result.sample.source == "mine's.png"
    assert result.sample.label == int(load().test.labels[3000])
    assert panel.parts["steps"].value.count("<figure>") == 7
    assert_the_code_gives(result.adversarial, panel)
    panel.controls.true_class.value = 1
    assert settle(panel).sample.label == 1
    upload(panel, content, "another.png")  # its class is not that of the picture before
    assert settle(panel).sample.told_by == "standard"
    panel.controls.index.value = 8
    assert settle(panel).sample.source == 8
    assert panel.parts["steps"].value == ""
    upload(panel, content, "mine's.png")  # the same once more
    assert settle(panel).sample.source == "mine's.png"


def test_errors_are_in_the_panel(panel):
    upload(panel, b"no picture", "note.txt")
    settle(panel)
    assert "note.txt" in text(panel.parts["steps"])
    refused = panel.parts["refused"]
    panel.add("seven", nn.Sequential(nn.Flatten(), nn.Linear(784, 7)))
    assert "logits of 10 classes" in text(refused)
    panel.add("none", "a word")
    assert "none" in text(refused)
    assert list(panel.models) == ["standard", "mixed", "adversarial"]
    panel.add("good", nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    assert text(refused) == ""


class Sick(nn.Module):
    """Breaks when it is told to."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.broken = False

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return logits * torch.nan if self.broken else logits


class Keeping(Sick):
    """Keeps what it says, with its history."""

    def forward(self, images):
        self.kept = [super().forward(images)]
        return self.kept[0]


def test_a_network_that_keeps_an_output_is_copied_as_well(panel):
    model = Keeping()
    model(load().test.images[:2])
    panel.add("keeping", model)
    assert "keeping" in panel.models
    assert model.kept[0].requires_grad


def test_a_network_that_breaks_says_so_and_the_panel_goes_on(panel):
    panel.add("sick", Sick())
    settle(panel)
    sick = panel.models["sick"]
    sick.broken = True
    panel.controls.epsilon.value = 0.2
    assert "NaN" in settle(panel).outcomes["sick"]
    assert "NaN" in text(panel.parts["result"])
    panel.controls.model.value = "sick"
    assert settle(panel) is None
    assert "NaN" in text(panel.parts["note"])
    panel.controls.model.value = "mixed"
    assert settle(panel).outcomes["mixed"].sweep
    assert panel.parts["note"].value == ""


def test_a_network_of_ones_own_in_three_lines(panel):
    """Those of the notebook."""
    cells = nbformat.read(ROOT / "notebooks" / "explore.ipynb", 4).cells
    (code,) = re.findall(r"```python\n(.*?)```", "\n".join(c.source for c in cells), re.DOTALL)
    assert len(code.splitlines()) == 3
    torch.manual_seed(0)
    names = {"panel": panel}
    exec(code, names)
    panel.controls.model.value = "mine"
    result = settle(panel)
    assert [*result.outcomes] == ["standard", "mixed", "adversarial", "mine"]
    assert_the_code_gives(result.adversarial, panel, panel=panel)
    images, labels = load().test.images[[8]], load().test.labels[[8]]
    assert torch.equal(advlib.fgsm(names["mine"], images, labels, 0.1), result.adversarial)
    assert not panel.models["mine"].training


def test_a_reports_runs_are_listed_and_added(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path))
    panel.controls.networks_shown.value = True
    assert panel.controls.run.options == ()
    few = advlib.load_data("MNIST", images=200)
    settings = Training(epochs=1, epsilon=0.25, learning_rate=0.01)
    run = runs.Wanted.find("adversarial", few, settings)
    run.train()
    panel.controls.networks_shown.value = False
    panel.controls.networks_shown.value = True
    (name,) = panel.controls.run.options
    assert "ε 0.25" in name
    panel.controls.add_run.click()
    panel.controls.model.value = name
    result = settle(panel)
    assert_the_code_gives(result.adversarial, panel)
    expected = advlib.fgsm(run.model, load().test.images[[8]], load().test.labels[[8]], 0.1)
    assert torch.equal(result.adversarial, expected)
    panel.controls.remove.click()
    assert [*settle(panel).outcomes] == ["standard", "mixed", "adversarial"]


def test_a_damaged_run_and_one_of_another_network_say_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path))
    (tmp_path / "odd-1").mkdir()
    record = {"identity": {"settings": {"method": "mine", "epochs": 2}}, "history": [{}]}
    checkpoints.save(tmp_path / "odd-1" / checkpoints.NAME, {"x": torch.zeros(2)}, record)
    (tmp_path / "bad-2").mkdir()
    (tmp_path / "bad-2" / checkpoints.NAME).write_bytes(b"nothing")
    words = {"mine, 1 of 2 epochs, 1": "odd-1", "bad-2: damaged": "bad-2"}
    assert {said: folder.name for said, folder in find_runs().items()} == words
    with pytest.raises(ValueError, match="holds a network that is no LeNet"):
        open_run(tmp_path / "odd-1")


def test_the_notebook_stores_no_output():
    """A widget is nothing without its kernel: a picture stands in the text."""
    notebook = ROOT / "notebooks" / "explore.ipynb"
    cells = nbformat.read(notebook, 4).cells
    assert not [output for cell in cells for output in cell.get("outputs", [])]
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", "\n".join(cell.source for cell in cells))
    assert (notebook.parent / picture).is_file()
