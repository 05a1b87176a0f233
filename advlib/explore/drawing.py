"""What the panel shows, as HTML: images as PNG, bars as SVG, and tables for screen readers."""

import base64
import io
from collections.abc import Iterable
from html import escape
from math import inf
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from advlib.data import Dataset
from advlib.explore.attacking import LARGEST, Choice, Outcome, Result
from advlib.explore.pictures import Picture, Pixels
from advlib.show.figures import BLUE, VERMILLION
from advlib.show.words import percent

STYLE = f"<style>{Path(__file__).with_name('panel.css').read_text(encoding='utf-8')}</style>"
ROW, WIDTH, LABEL = 15, 250, 16
"""Of the bars: the height of a class, the width, and what of it the class's name takes."""
SWEEP, SHOWN = 40, 0.5
"""Of the curves over epsilon: their height, and the largest epsilon, the slider's."""
CHOOSE = "attack towards this class"


def draw_image(pixels: Pixels, words: str, side: int = 132) -> str:
    """Return pixels [H, W] or [H, W, 3] of [0, 1] as an HTML image, with words in its place."""
    values = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(values)
    picture.thumbnail((400, 400), Image.Resampling.BOX)
    picture.save(file, "PNG", compress_level=1)
    coded = base64.b64encode(file.getvalue()).decode()
    height, width = values.shape[:2]
    longer = max(height, width)
    size = f'width="{round(side * width / longer)}" height="{round(side * height / longer)}"'
    kind = ' class="pixels"' if longer <= 64 else ""
    return f'<img{kind} {size} alt="{escape(words)}" src="data:image/png;base64,{coded}">'


def as_printed(pixels: Tensor) -> Pixels:
    """Return pixels [..., H, W] as MNIST is printed, dark on light, [H, W]."""
    return np.asarray(1 - pixels.reshape(pixels.shape[-2:]).double().numpy().clip(0, 1))


def colour_change(change: Pixels, largest: float) -> Pixels:
    """Return a change of pixels [H, W] as colours: lighter blue, darker vermillion, none white."""
    share = (change / (largest or 1)).clip(-1, 1)
    ends = [np.array([int(c[n : n + 2], 16) / 255 for n in (1, 3, 5)]) for c in (VERMILLION, BLUE)]
    colour = np.where(share[..., None] > 0, *ends)
    return np.asarray(1 - np.abs(share)[..., None] * (1 - colour))


def draw_images(result: Result, data: Dataset) -> str:
    """Return the image, the perturbation and the adversarial image as HTML."""
    clean, adversarial = (
        data.to_pixels(each) for each in (result.sample.image, result.adversarial)
    )
    change = (adversarial - clean).reshape(clean.shape[-2:]).double().numpy()
    sample, choice = result.sample, result.choice
    largest = f"{100 * float(np.abs(change).max()):.1f}"
    place = f"test image {sample.source}" if isinstance(sample.source, int) else sample.source
    true = f"class {data.classes[sample.label]}" + f", says {sample.told_by}" * bool(sample.told_by)
    size = f"ε = {choice.epsilon:.3f}: {largest} % of black to white; blue lighter, orange darker"
    scale = data.epsilon_in_pixels(choice.epsilon)
    made = f"{choice.attack.panel} on {choice.model}"
    if choice.target is not None:
        made += f", towards {data.classes[choice.target]}"
        made += ", which it is" * (choice.target == sample.label)
    if not choice.valid:
        made += "; drawn within black and white"
    images = (
        ("image", as_printed(clean), f"{place}, {true}"),
        ("+ perturbation", colour_change(change, scale), size),
        ("= adversarial image", as_printed(adversarial), made),
    )
    return "".join(
        f"<figure>{draw_image(pixels, title)}"
        f"<figcaption><b>{title}</b><br>{escape(words)}</figcaption></figure>"
        for title, pixels, words in images
    )


def draw_result(result: Result, data: Dataset) -> str:
    """Return all that an attack leads to as HTML."""
    cards = "".join(
        draw_card(name, outcome, data.classes, result.choice)
        for name, outcome in result.outcomes.items()
    )
    source = result.sample.source
    shown = result.sample.label if isinstance(source, int) else ""  # the digit that is pressed
    return (
        f'<div class="advx" data-shown="{shown}">'
        f'<div class="advx-images">{draw_images(result, data)}</div>'
        f'<p class="advx-summary" role="status">{escape(summarize(result, data.classes))}</p>'
        f'<div class="advx-key"><span class="before"></span> probability of each class before'
        f' <span class="after"></span> and after the attack; in the curves, under FGSM on the'
        f" network itself with ε from 0 to {SHOWN:g}:"
        f' <span class="before"></span> of the true class,'
        f' <span class="after"></span> of the likeliest other</div>'
        f'<div class="advx-cards">{cards}</div>{UNDONE}</div>'
    )


def summarize(result: Result, classes: tuple[str, ...]) -> str:
    """Say in a sentence who is fooled, and who is led to the attack's target."""
    by = dict[str, list[str]]()
    for name, outcome in result.outcomes.items():
        by.setdefault(outcome if isinstance(outcome, str) else outcome.verdict, []).append(name)
    words = [
        f"{heading}: {', '.join(by[verdict])}"
        for verdict, heading in (
            ("fooled", "Fooled"),
            ("holds", "Not fooled"),
            ("wrong before", "Wrong without an attack"),
        )
        if verdict in by
    ]
    if (target := result.choice.target) is not None:
        outcomes = {n: each for n, each in result.outcomes.items() if not isinstance(each, str)}
        led = [name for name, each in outcomes.items() if each.after == target]
        words.append(f"Led to {classes[target]}: {', '.join(led) or 'none'}")
    return ". ".join(words) + "."


def draw_card(name: str, outcome: Outcome | str, classes: tuple[str, ...], choice: Choice) -> str:
    """Return what one network makes of the image as HTML."""
    attacked = name == choice.model
    mark = " <small>attacked</small>" * attacked
    head = f'<div class="advx-name">{escape(name)}{mark}</div>'
    start = f'<section class="advx-card{" attacked" * attacked}" aria-label="{escape(name)}">'
    if isinstance(outcome, str):
        return f'{start}{head}<p class="advx-error" role="alert">{escape(outcome)}</p></section>'
    kind = outcome.verdict.replace(" ", "-")
    lines = "".join(
        f'<div class="advx-line"><span class="{when}"></span>{when} <b>{escape(classes[found])}</b>'
        f" <span>{percent(100 * float(probabilities[found]), 1)}</span></div>"
        for when, found, probabilities in zip(
            ("before", "after"), (outcome.before, outcome.after), outcome.probabilities, strict=True
        )
    )
    return (
        f'{start}{head}<span class="advx-verdict {kind}">{outcome.verdict}</span>{lines}'
        f"{_draw_bars(outcome, classes)}{_write_table(outcome, classes)}"
        f"{_draw_sweep(outcome, choice)}"
        f'<p class="advx-smallest" title="{SMALLEST}">{write_smallest(outcome)}</p></section>'
    )


# What ipywidgets leaves undone, once the panel is there: a name for each slider that a screen
# reader finds, and which digit is shown; no shortcuts of JupyterLab within it, where "d d" deletes
# the cell, also after a click on words, which else gives the cell the keys; a click on a class
# makes it the attack's target.
UNDONE = (
    '<img class="advx-hidden" alt="" src="data:," onerror="'
    "const panel = this.closest('.advx-panel'); if (panel) {"
    " panel.tabIndex = -1; [panel, ...panel.querySelectorAll('*')]"
    ".forEach(each => each.dataset.lmSuppressShortcuts = 'true');"
    " panel.querySelectorAll('.widget-slider').forEach(each => each.querySelector('[role=slider]')"
    "?.setAttribute('aria-label', each.querySelector('label').textContent));"
    " const shown = this.parentElement.dataset.shown;"
    " panel.querySelectorAll('.advx-digits button').forEach((each, n) =>"
    " each.setAttribute('aria-current', String(n) === shown));"
    " const target = panel.querySelector('.advx-target select');"
    " panel.querySelectorAll('[data-class]').forEach(each => each.onclick = () => {"
    " target.selectedIndex = 1 + Number(each.dataset.class);"
    " target.dispatchEvent(new Event('change', {bubbles: true})); }); }\">"
)
SMALLEST = (
    "FGSM made on this network, looked for in steps of 0.01 up to 1 and then of 0.001; FGSM is not"
    " monotone, so an epsilon between these may do as well"
)


def write_smallest(outcome: Outcome) -> str:
    """Say the smallest epsilon at which FGSM fools a network."""
    if outcome.sweep is None:
        return "FGSM on it fools it from ε = …"
    if outcome.sweep.smallest == inf:
        return f"FGSM on it fools it at no ε up to {LARGEST / 1000:g}"
    if outcome.sweep.smallest == 0:
        return "it is wrong without an attack"
    return f"FGSM on it fools it from ε = <b>{outcome.sweep.smallest:.3f}</b>"


def _draw_sweep(outcome: Outcome, choice: Choice) -> str:
    """The probabilities of the true class and the likeliest other against epsilon, under FGSM.

    A line stands where the prediction turns, another at the chosen epsilon.
    """
    if outcome.sweep is None:
        return f'<svg viewBox="0 0 {WIDTH} {SWEEP}" aria-hidden="true"></svg>'
    shown = outcome.sweep.probabilities[: int(100 * SHOWN) + 1].tolist()
    across = WIDTH / (len(shown) - 1)
    lines = "".join(
        f'<polyline class="{when}" points="'
        + " ".join(
            f"{n * across:.1f},{(SWEEP - 2) * (1 - each) + 1:.1f}" for n, each in enumerate(row)
        )
        + '"/>'
        for when, row in zip(("before", "after"), zip(*shown, strict=True), strict=True)
    )
    marks = "".join(
        f'<line class="{kind}" x1="{at}" x2="{at}" y1="0" y2="{SWEEP}"/>'
        for kind, place in (("turn", outcome.sweep.smallest), ("now", choice.epsilon))
        if 0 < place <= SHOWN
        for at in [round(WIDTH * place / SHOWN, 1)]
    )
    return (
        f'<svg class="advx-sweep" viewBox="0 0 {WIDTH} {SWEEP}" aria-hidden="true">'
        f"<title>under FGSM, ε from 0 to {SHOWN:g}: the probability of the true class (blue) and of"
        f" the likeliest other (orange)</title>{marks}{lines}</svg>"
    )


def _draw_bars(outcome: Outcome, classes: tuple[str, ...]) -> str:
    """Two bars a class, before and after; the true class on a band. The table has the words."""
    label = LABEL if max(map(len, classes)) <= 2 else 76
    parts = [f'<rect class="true" y="{outcome.label * ROW}" width="{WIDTH}" height="{ROW}"/>']
    for n, name in enumerate(classes):
        weight = ' class="label"' if n == outcome.label else ""
        parts.append(f'<text{weight} x="{label - 5}" y="{n * ROW + 11.5}">{escape(name)}</text>')
        for shift, when, row in zip(
            (1.5, 8), ("before", "after"), outcome.probabilities, strict=True
        ):
            width = max(float(row[n]) * (WIDTH - label - 2), 0.5)
            place = f'x="{label}" y="{n * ROW + shift}" width="{width:.1f}" height="6"'
            parts.append(f'<rect class="{when}" {place}/>')
        place = f'y="{n * ROW}" width="{WIDTH}" height="{ROW}"'
        parts.append(
            f'<rect class="choose" data-class="{n}" {place}><title>{CHOOSE}</title></rect>'
        )
    height = ROW * len(classes)
    return f'<svg viewBox="0 0 {WIDTH} {height}" aria-hidden="true">{"".join(parts)}</svg>'


def _write_table(outcome: Outcome, classes: tuple[str, ...]) -> str:
    """The probabilities for a screen reader, which is told nothing of the bars."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{percent(100 * float(each[n]))}</td>" for each in outcome.probabilities)
        + "</tr>"
        for n, name in enumerate(classes)
    )
    head = (
        '<tr><th scope="col">class</th><th scope="col">before</th><th scope="col">after</th></tr>'
    )
    return f'<table class="advx-hidden"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def draw_steps(picture: Picture, word: str, similar: bool) -> str:
    """Return how a picture came to the data's form as HTML, with the word on its likeness."""
    figures = "".join(
        f"<figure>{draw_image(each.pixels, each.words, 104)}<figcaption>{number}. "
        f"{escape(each.words)}</figcaption></figure>"
        for number, each in enumerate(picture.steps, 1)
    )
    kind = "advx-note" if similar else "advx-warning"
    return (
        f'<div class="advx"><div class="advx-steps">{figures}</div>'
        f'<p class="{kind}" role="status">{escape(word)}</p></div>'
    )


def write_note(words: str, kind: str = "note") -> str:
    """Return words as HTML: a "note", "busy" or an "error"; nothing where there are none."""
    if not words:
        return ""
    role = "alert" if kind == "error" else "status"  # an alert is read out at once
    return f'<div class="advx"><p class="advx-{kind}" role="{role}">{escape(words)}</p></div>'


def write_code(lines: Iterable[str]) -> str:
    """Return lines of code as HTML that can be selected and copied."""
    code = escape("\n".join(lines))
    return f'<div class="advx"><pre class="advx-code" tabindex="0"><code>{code}</code></pre></div>'
