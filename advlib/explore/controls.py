"""The panel's controls: each labelled, each to be used with the keyboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from advlib.explore.attacking import ATTACKS

LARGEST, STEP, MOST_STEPS = 0.5, 0.005, 200
WIDE = {"description_width": "initial"}


@dataclass(frozen=True, eq=False)
class Controls:
    """The widgets that choose; their values are the panel's state."""

    digits: list[Any]
    another: Any
    fooled: Any
    index: Any
    model: Any
    attack: Any
    epsilon: Any
    steps: Any
    valid: Any
    in_pixels: Any
    picture_shown: Any
    networks_shown: Any
    code_shown: Any
    picture: Any
    true_class: Any
    run: Any
    add_run: Any


def make_controls(classes: Sequence[str], images: int, models: Sequence[str]) -> Controls:
    """Make the controls for a data set's classes, a number of test images, and networks by name."""
    return Controls(
        digits=[
            widgets.Button(description=name, tooltip=f"The next test image of class {name}")
            for name in classes
        ],
        another=widgets.Button(description="Random", tooltip="A test image at random"),
        fooled=widgets.Button(
            description="One that is fooled",
            tooltip="A test image with which this attack fools the network",
        ),
        index=widgets.BoundedIntText(
            description="Test image",
            min=0,
            max=images - 1,
            tooltip=f"The number of the test image, 0 to {images - 1}",
            layout={"width": "140px"},
            style=WIDE,
        ),
        model=_choose("Network", models, "The network that is attacked", "210px"),
        attack=_choose("Attack", list(ATTACKS), "How it is attacked", "140px"),
        epsilon=_slide(
            widgets.FloatSlider, "ε", 0.1, (0, LARGEST, STEP), "300px", readout_format=".3f"
        ),
        steps=_slide(widgets.IntSlider, "Steps", 20, (1, MOST_STEPS, 1), "240px", disabled=True),
        valid=widgets.Checkbox(
            description="valid pixels only",
            indent=False,
            tooltip="Whether the adversarial image is kept within black and white",
            layout={"width": "auto"},
        ),
        in_pixels=widgets.HTML(),
        picture_shown=_open("A picture of your own", "Load a picture of a digit"),
        networks_shown=_open("More networks", "Networks of make report, and your own"),
        code_shown=_open("Show the code", "Three lines of code that give the same result"),
        picture=widgets.FileUpload(
            description="Choose a PNG",
            accept=".png",
            tooltip="A PNG of a digit: any size, dark on light or light on dark",
            layout={"width": "150px"},
        ),
        true_class=_choose(
            "It is a",
            [("… what the network says", None), *((name, n) for n, name in enumerate(classes))],
            "The true class of the picture, which the attack leads away from",
            "240px",
        ),
        run=_choose("From report/build", [], "A training that make report has kept", "480px"),
        add_run=widgets.Button(description="Put it beside ours", tooltip="Add the chosen network"),
    )


def _choose(name: str, options: Sequence[Any], tooltip: str, width: str) -> Any:
    return widgets.Dropdown(
        description=name, options=options, tooltip=tooltip, layout={"width": width}, style=WIDE
    )


def _slide(
    kind: Any,
    name: str,
    value: float,
    reach: tuple[float, float, float],
    width: str,
    **others: Any,
) -> Any:
    low, high, step = reach
    return kind(
        description=name,
        value=value,
        min=low,
        max=high,
        step=step,
        layout={"width": width},
        style=WIDE,
        **others,
    )


def _open(name: str, tooltip: str) -> Any:
    return widgets.ToggleButton(description=name, tooltip=tooltip, layout={"width": "auto"})


def lay_out(controls: Controls, parts: dict[str, Any], style: str) -> Any:
    """Return the whole panel.

    `parts` are the widgets that are written to: "note", "refused" and "result", and in the sections
    "steps", "runs" and "code".
    """
    c = controls
    digits = _boxed(widgets.HBox, c.digits, "advx-digits")
    chosen = _boxed(
        widgets.VBox,
        [
            _row("Image", digits, c.another, c.fooled, c.index),
            _row("Attack", c.model, c.attack, c.steps),
            _row("Size", c.epsilon, c.in_pixels, c.valid),
        ],
        "advx-controls",
    )
    sections = [
        (c.picture_shown, [_row("", c.picture, c.true_class), parts["steps"]]),
        (c.networks_shown, [_row("", c.run, c.add_run), parts["runs"]]),
        (c.code_shown, [parts["code"]]),
    ]
    boxes = [_hide_until(opener, _boxed(widgets.VBox, inside)) for opener, inside in sections]
    openers = _row("More", *(opener for opener, _ in sections))
    shown = [parts[name] for name in ("note", "refused", "result")]
    return _boxed(
        widgets.VBox, [widgets.HTML(style), chosen, *shown, openers, *boxes], "advx-panel"
    )


def _boxed(kind: Any, children: list[Any], name: str = "") -> Any:
    box = kind(children)
    return box.add_class(name) if name else box


def _row(heading: str, *children: Any) -> Any:
    label = [widgets.HTML(f'<span class="advx">{heading}</span>').add_class("advx-heading")]
    return _boxed(widgets.HBox, [*(label if heading else []), *children], "advx-row")


def _hide_until(opener: Any, box: Any) -> Any:
    """Show a box only while its button is pressed."""

    def show(_: object = None) -> None:
        box.layout.display = None if opener.value else "none"

    opener.observe(show, "value")
    show()
    return box
