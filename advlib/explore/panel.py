"""The panel of `notebooks/explore.ipynb`: one attacks a network by hand, and sees who is fooled."""

import random
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from torch import nn

from advlib.attacks import Make
from advlib.data import Dataset, load_data
from advlib.explore import drawing
from advlib.explore.attacking import (
    ATTACKS,
    TRIED,
    Choice,
    Result,
    Sample,
    Workshop,
    describe,
    own_attack,
    predict,
    write_lines,
)
from advlib.explore.controls import PICTURE, UNSAID, lay_out, make_controls
from advlib.explore.networks import find_runs, open_run, take
from advlib.explore.newest import NewestFirst
from advlib.explore.pictures import COMPARED, Picture, bring_to_form, judge
from advlib.runs import PRETRAINED, pretrained

FIRST = 8
"""The test image to begin with: the networks differ on it."""
PARTS = ("note", "refused", "result", "steps", "runs", "code")


class Panel:
    """Attack one network with one image by hand, and see what all of them make of it.

    It is shown where a notebook's cell ends with it. What is chosen is computed on a thread, the
    newest choice first; errors are shown in the panel.

    Parameters
    ----------
    models : Mapping, optional
        Networks of one's own by name, beside the package's; see `add`.
    data : Dataset, optional
        As `advlib.load_data` gives it, by default MNIST.
    attacks : Mapping, optional
        Attacks of one's own by name, beside the library's; as for `advlib.robustness`.

    Attributes
    ----------
    models : dict
        The networks by name.
    attacks : dict
        The attacks of one's own by name.
    result : Result, optional
        What is shown.
    """

    def __init__(
        self,
        models: Mapping[str, nn.Module] | None = None,
        data: Dataset | None = None,
        attacks: Mapping[str, Make] | None = None,
    ) -> None:
        self.data = load_data(images=COMPARED) if data is None else data
        self.workshop = Workshop(self.data, {name: pretrained(name) for name in PRETRAINED})
        self.sources = {name: f"advlib.pretrained({name!r})" for name in PRETRAINED}
        self.result: Result | None = None
        self.newest = NewestFirst()
        self._sample: Sample | Picture = self.workshop.take_test_image(FIRST)
        self._runs: dict[str, Path] = {}
        self.attacks = dict(attacks or {})
        rows = ATTACKS | {name: own_attack(name, make) for name, make in self.attacks.items()}
        self.controls = make_controls(self.data.classes, len(self.data.test), PRETRAINED, rows)
        self.parts = {name: widgets.HTML() for name in PARTS}
        self.widget = lay_out(self.controls, self.parts, drawing.STYLE)
        self.controls.index.value = FIRST
        self._connect()
        for name, model in (models or {}).items():
            self.add(name, model)
        self._update(self._sample, self._choice(), None)

    @property
    def models(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return self.workshop.models

    def add(self, name: str, model: nn.Module) -> None:
        """Put a network of one's own beside ours.

        Parameters
        ----------
        name : str
            What it is called; another of this name gives way.
        model : Module
            Any module that gives logits [N, 10] of images [N, 1, 28, 28] on the training scale.
            The panel keeps a copy of it as it is now, in evaluation mode; add it anew when it has
            been trained further. What is wrong with it is shown in the panel.
        """
        self._add(name, lambda: model, f"panel.models[{name!r}]")

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return dict(self.widget._repr_mimebundle_() or {})

    # ---- What is chosen: on the kernel's own thread, which must be free soon ---------------------

    def _connect(self) -> None:
        c = self.controls
        for label, button in enumerate(c.digits):
            button.on_click(lambda _, label=label: self._take_next(label))
        c.another.on_click(lambda _: self._take(random.randrange(len(self.data.test))))
        c.fooled.on_click(lambda _: self._find_fooled())
        c.index.observe(lambda change: self._take(change["new"]), "value")
        for control in (c.model, c.attack, c.target, c.epsilon, c.steps, c.valid, c.true_class):
            control.observe(lambda _: self._go_on(), "value")
        widgets.dlink((c.epsilon, "value"), (c.in_pixels, "value"), self._say_in_pixels)
        c.picture.observe(lambda change: self._load(change["new"]), "value")
        c.networks_shown.observe(lambda _: self._list_runs(), "value")
        c.add_run.on_click(lambda _: self._add_run())
        c.remove.on_click(lambda _: self._remove(c.model.value))

    def _choice(self) -> Choice:
        c = self.controls
        epsilon, steps = round(c.epsilon.value, 3), c.steps.value
        target = None if c.target.value == UNSAID else c.target.value
        return Choice(c.model.value, c.attack.value, epsilon, steps, c.valid.value, target)

    def _ask(self) -> None:
        """Have what is chosen now computed, if nothing newer comes."""
        value = self.controls.true_class.value
        true_class = None if value == UNSAID else value
        self.newest.ask(partial(self._update, self._sample, self._choice(), true_class))

    def _go_on(self) -> None:
        """Attack as is chosen now; that a network was refused has been read."""
        self.parts["refused"].value = ""
        self._ask()

    def _take(self, index: int) -> None:
        """Choose a test image."""
        if index == PICTURE:
            return
        self.parts["steps"].value = ""  # of a picture
        self._sample = self.workshop.take_test_image(index)
        if self.controls.index.value == index:
            self._ask()
        else:
            self.controls.index.value = index  # which comes back here

    def _take_next(self, label: int) -> None:
        """Choose the next test image of a class, from the beginning again after the last."""
        places = (self.data.test.labels == label).nonzero()[:, 0]
        after = places[places > self.controls.index.value]
        self._take(int(after[0] if len(after) else places[0]))

    def _say_in_pixels(self, epsilon: float) -> str:
        share = 100 * self.data.epsilon_in_pixels(epsilon)
        return f'<span class="advx">= {share:.1f} % of black to white</span>'

    def _load(self, files: tuple[Any, ...]) -> None:
        for file in files:  # one at most
            self.newest.ask(partial(self._read, bytes(file["content"]), str(file["name"])))
            self.controls.picture.value = ()  # so that the same file can be chosen again

    # ---- What is computed: on the thread of `newest` ---------------------------------------------

    def _note(self, words: str, kind: str = "note") -> None:
        self.parts["note"].value = drawing.write_note(words, kind)

    def _update(self, sample: Sample | Picture, choice: Choice, true_class: int | None) -> None:
        """Attack, show what comes of it, and then look for the smallest epsilons."""
        try:
            if choice.attack.takes_steps:
                steps = f"{choice.steps} step{'s' * (choice.steps > 1)}"
                self._note(f"{choice.attack.panel} is at work, {steps} on {choice.model} …", "busy")
            if isinstance(sample, Picture):
                sample = self._label(sample, choice, true_class)
            result = self.workshop.attack(sample, choice)
            self._show(result)
            self._note("")
            completed = self.workshop.complete(result, self.newest.is_outdated)
            if completed.outcomes != result.outcomes:
                self._show(completed)
        except Exception as error:  # of any kind: the network may be anybody's
            self.result, self.parts["result"].value, self.parts["code"].value = None, "", ""
            self._note(f"{choice.attack.panel} on {choice.model}: {describe(error)}", "error")

    def _label(self, picture: Picture, choice: Choice, true_class: int | None) -> Sample:
        """Take a picture's class from its owner, or else what the network says."""
        if true_class is not None:
            return Sample(picture.image, true_class, picture.name)
        model = self.models[choice.model]
        said = int(predict(model, picture.image, len(self.data.classes)).argmax())
        return Sample(picture.image, said, picture.name, told_by=choice.model)

    def _show(self, result: Result) -> None:
        self.result = result
        self.parts["result"].value = drawing.draw_result(result, self.data)
        lines = write_lines(result, self.data, self.sources)
        self.parts["code"].value = drawing.write_code(lines)

    def _find_fooled(self) -> None:
        choice, seed = self._choice(), random.randrange(2**31)

        def find() -> None:
            self._note(f"Looking for an image with which {choice.attack.panel} fools …", "busy")
            try:
                found = self.workshop.find_fooled(choice, seed, self.newest.is_outdated)
            except Exception as error:
                self._note(f"{choice.attack.panel} on {choice.model}: {describe(error)}", "error")
                return
            if self.newest.is_outdated():
                self._note("")
            elif found is None:
                self._note(
                    f"None of {TRIED:,} test images fools {choice.model} with"
                    f" {choice.attack.panel} at ε = {choice.epsilon:.3f}; try a larger one."
                )
            else:
                self._note("")
                self._take(found)

        self.newest.ask(find)

    def _read(self, content: bytes, name: str) -> None:
        """Bring a picture to the data's form, step by step in sight, and go on with it."""
        self._note(f"{name} is read …", "busy")
        try:
            picture = bring_to_form(content, name, self.data)
            similar, word = judge(picture, self.data)
        except (ValueError, MemoryError) as error:
            self._note("")
            self.parts["steps"].value = drawing.write_note(describe(error), "error")
            return
        self.parts["steps"].value = drawing.draw_steps(picture, word, similar)
        self._sample = picture
        self.controls.index.value = PICTURE
        self.controls.true_class.value = UNSAID  # that of the picture before
        self._ask()

    # ---- Networks --------------------------------------------------------------------------------

    def _add(self, name: str, make: Callable[[], nn.Module], source: str) -> None:
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                model, error = take(name, make(), self.data)
        except Exception as wrong:
            # in a place of its own: the note is the thread's, which may be at work
            words = f"{name} is not added: {describe(wrong)}"
            self.parts["refused"].value = drawing.write_note(words, "error")
            return
        self.parts["refused"].value = ""
        self.sources[name] = source
        chosen = self.controls.model.value
        self.workshop.models = {**self.models, name: model}
        self.controls.model.options = list(self.models)
        self.controls.model.value = chosen
        words = f"{name} is added; its error on 1,000 test images is {error:.1f} %."
        if error > 50:
            words += " Is it of other data, or not trained?"
        words += "".join(f" Beware: {word}." for word in sorted({str(w.message) for w in warned}))
        self.parts["runs"].value = drawing.write_note(words)
        self._ask()

    def _remove(self, name: str) -> None:
        """Show the other networks alone."""
        if len(self.models) > 1:
            self.workshop.models = {each: m for each, m in self.models.items() if each != name}
            self.controls.model.options = list(self.models)
            self._ask()

    def _list_runs(self) -> None:
        """List the trainings that are kept now."""
        self._runs = find_runs()
        self.controls.run.options = list(self._runs)
        self.controls.run.value = next(iter(self._runs), None)
        words = "A network of your own: panel.add(name, model), in a cell."
        if not self._runs:
            words = (
                "There are no trainings in report/build yet: make report PARAMETERS=quick makes"
                f" some. {words}"
            )
        self.parts["runs"].value = drawing.write_note(words)

    def _add_run(self) -> None:
        if name := self.controls.run.value:
            folder = self._runs[name]
            source = f"advlib.explore.networks.open_run({str(folder)!r})"
            self._add(name, partial(open_run, folder), source)
