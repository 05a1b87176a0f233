"""The panel's controls: each labelled, each to be used with the keyboard."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ipywidgets import (
    HTML,
    BoundedIntText,
    Button,
    Checkbox,
    Dropdown,
    FileUpload,
    FloatSlider,
    HBox,
    IntSlider,
    ToggleButton,
    VBox,
    dlink,
)

from advlib.attacks import Attack

UNSAID = PICTURE = -1
"""Of a class: none; as a test image's number: a picture of one's own is shown."""
LABELLED = BoundedIntText, Dropdown, FloatSlider, IntSlider
"""Those with their label beside them, which takes the room that it needs."""


def make_controls(
    classes: Sequence[str], images: int, models: Sequence[str], attacks: Mapping[str, Attack]
) -> Any:
    """Make the controls by name, of so many test images; their values are the panel's state."""
    numbered = [(name, n) for n, name in enumerate(classes)]
    # None would be "nothing is chosen" to a Dropdown
    return SimpleNamespace(
        digits=[_make(Button, name, f"The next test image of class {name}") for name in classes],
        another=_make(Button, "Random", "A test image at random"),
        fooled=_make(Button, "One that is fooled", "A test image that this attack turns"),
        index=_make(
            BoundedIntText,
            "Test image",
            f"The number of the test image, 0 to {images - 1}",
            "140px",
            min=PICTURE,
            max=images - 1,
        ),
        model=_make(Dropdown, "Network", "The network that is attacked", "210px", options=models),
        attack=_make(Dropdown, "Attack", "How it is attacked", "140px", options=[*attacks.items()]),
        epsilon=_make(
            FloatSlider, "ε", width="300px", value=0.1, max=0.5, step=0.005, readout_format=".3f"
        ),
        steps=_make(IntSlider, "Steps", width="240px", value=20, min=1, max=200),
        in_pixels=HTML(),
        valid=_make(
            Checkbox,
            "valid pixels only",
            "Whether the adversarial image is kept within black and white",
            "auto",
            indent=False,
        ),
        picture_shown=_make(ToggleButton, "A picture of your own", width="auto"),
        networks_shown=_make(ToggleButton, "More networks", width="auto"),
        code_shown=_make(ToggleButton, "Show the code", width="auto"),
        picture=_make(
            FileUpload,
            "Choose a PNG",
            "A PNG of a digit: any size, dark on light or light on dark",
            "150px",
            accept=".png",
        ),
        true_class=_make(
            Dropdown,
            "It is a",
            "The true class of the picture, which the attack leads away from",
            "240px",
            options=[("… what the network says", UNSAID), *numbered],
        ),
        target=_make(
            Dropdown,
            "Towards",
            "The class that the image is to be taken for; also by a click on a class below",
            "150px",
            options=[("any other", UNSAID), *numbered],
        ).add_class("advx-target"),
        run=_make(Dropdown, "From report/build", "A training that make report has kept", "480px"),
        add_run=_make(Button, "Put it beside ours", "Add the chosen network"),
        remove=_make(Button, "Remove the attacked one", "Show the other networks alone"),
    )


def _make(kind: Any, label: str, tooltip: str = "", width: str = "", **others: Any) -> Any:
    if width:
        others["layout"] = {"width": width}
    if kind in LABELLED:
        others["style"] = {"description_width": "initial"}
    return kind(description=label, tooltip=tooltip or None, **others)


def lay_out(controls: Any, parts: dict[str, Any], style: str) -> Any:
    """Return the whole panel; `parts` are the widgets that are written to, by name."""
    c = controls
    digits = HBox(c.digits).add_class("advx-digits")
    chosen = VBox(
        [
            _row("Image", digits, c.another, c.fooled, c.index),
            _row("Attack", c.model, c.attack, c.target, c.steps),
            _row("Size", c.epsilon, c.in_pixels, c.valid),
        ]
    )
    sections = {
        c.picture_shown: VBox([_row("", c.picture, c.true_class), parts["steps"]]),
        c.networks_shown: VBox([_row("", c.run, c.add_run, c.remove), parts["runs"]]),
        c.code_shown: VBox([parts["code"]]),
    }
    for opener, section in sections.items():  # which is shown while that is pressed
        dlink((opener, "value"), (section.layout, "display"), lambda on: None if on else "none")
    dlink((c.attack, "value"), (c.steps, "disabled"), lambda attack: not attack.takes_steps)
    whole = [HTML(style), chosen.add_class("advx-controls")]
    whole += [parts[name] for name in ("note", "refused", "result")]
    return VBox([*whole, _row("More", *sections), *sections.values()]).add_class("advx-panel")


def _row(heading: str, *children: Any) -> Any:
    label = [HTML(f'<span class="advx">{heading}</span>').add_class("advx-heading")]
    return HBox([*(label if heading else []), *children]).add_class("advx-row")
