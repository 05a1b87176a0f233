"""Toy notebooks of a report, executed as the runner and advlib.chapters leave the real ones."""

import re

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

HOSTILE = """<b onclick=x>M & "N" | 'c' *i* _u_ $5$ </p>` @k # [l](javascript:1) {.a} \\n"""
ESCAPED = re.sub(r"([^A-Za-z0-9 ])", r"\\\1", HOSTILE)
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="453.6pt" height="90pt" viewBox="0 0 400 80">
<path d="M0 0L400 80"/></svg>"""
DATA = {
    "columns": ["error", "n"],
    "index": ["clean", "adversarial"],
    "data": [[1 / 3, 10], [None, 10]],
}
NUMBERS = {"data": DATA, "units": {"error": "%", "n": ""}, "shares": ["error"], "rows": []}
TABLE = """| Figure | Clean: ours | Clean: published | Note |
|:---|---:|---:|:---|
| Error | 1.40 | 1.53 | a \\| b |
| Confidence | \N{EN DASH} | 98.59 [98.60] | |
| Confidence, errors | \N{MINUS SIGN}0.13 | 69.95 | wide |"""
TABLE_TEXT = [
    "Figure",
    "Clean",
    "ours",
    "published",
    "Note",
    "1.40",
    "1.53",
    "a | b",
    "98.59 [98.60]",
    "\N{MINUS SIGN}0.13",
    "69.95",
]

LAYERS = range(20)
WIDE = "\n".join(
    f"| {name} | " + " | ".join(cells) + " |"
    for name, cells in {
        "layer": [str(layer) for layer in LAYERS],
        ":---": ["---:" for _ in LAYERS],
        "name": [f"layer{layer}" for layer in LAYERS],
        "memory": [f"{37 * layer}KB" for layer in LAYERS],
    }.items()
)
"""More columns than a page has room for."""

METHODS = ("standard", "mixed", "adversarial")
EXPERIMENT = {"epsilon": 0.1, "methods": [*METHODS]}


def display(data, about=None):
    return new_output("display_data", data=data, metadata={"advlib": about} if about else {})


def prose(text):
    return display({"text/markdown": text})


def cell(*outputs, source="run()", tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def text(source, *tags):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def shown(about, data):
    """A figure's or table's outputs, as `advlib.show.captions.publish` displays them."""
    caption = {"kind": "caption", "label": about["label"]}
    return [
        display(data, about),
        display({"text/markdown": f"*Caption.* {about.get('caption')}"}, caption),
    ]


def figure(name, caption="Curves of $J$.", alt="Falling curves.", **more):
    about = {"kind": "figure", "label": f"fig-{name}", "caption": caption, "alt": alt, **more}
    return cell(
        *shown(about, {"image/svg+xml": SVG, "text/plain": "x"}), source=f"show_figure({name!r})"
    )


TITLE = {
    "kind": "title",
    "title": r"A toy \& its title",
    "subtitle": "Of *toys*",
    "author": ["Ada L.", "Bo M."],
    "date": "2026-11-02",
}


def title(**changes):
    return cell(display({"text/markdown": "# A toy"}, {**TITLE, **changes}))


def table(name, caption="Five figures.", body=TABLE, numbers=NUMBERS):
    about = {"kind": "table", "label": f"tbl-{name}", "caption": caption, **numbers}
    return cell(
        *shown(about, {"text/markdown": body, "text/plain": body}),
        source=f"show_table({name!r})",
    )


def training(method):
    network = text("# Network\n\nSee Table *network*."), table("network", "The network.", WIDE, {})
    return [
        *(network if method == METHODS[0] else ()),
        cell(prose(f"# Training, {method}\n\nSee Figure *{method}* and Table *{method}*.")),
        cell(new_output("stream", name="stderr", text="progress 17 %"), source="train()"),
        figure(method, f"Curves of {method} training."),
        table(method, f"Figures of {method} training."),
    ]


def books():
    trainings = {f"3-training-{method}": training(method) for method in METHODS}
    return {
        "front-matter": [
            title(),
            cell(prose("Hidden."), source="import secret", tags=("notebook-only",)),
            text("1. Well?\n\n   <details>\n\n   Hidden.\n\n   </details>", "notebook-only"),
            cell(source="epsilon = 0.1", tags=("parameters",)),
            text("# Abstract"),
            cell(prose("The error is 96.64 %, as in the [slides](references.bib#meucci2017).")),
            text(
                "# Introduction\n\nSee [it](../notebooks/4-transfer.ipynb), Equation (fgsm) and"
                " [Goodfellow et al.](https://arxiv.org/abs/1412.6572)."
            ),
        ],
        "1-data": [
            text("# Data"),
            cell(prose(f"The data set is {ESCAPED}.")),
            figure("digits", f"Digits of {ESCAPED}.", f"Alternative of {HOSTILE}", **NUMBERS),
        ],
        "2-adversarial-examples": [
            text(
                "# Adversarial examples\n\n## FGSM\n\nLet\n\n"
                "$$\\eta = \\epsilon\\,\\nabla_x J \\tag{fgsm}$$\n\nthen"
            ),
            cell(source="eta = 0.1 * gradient.sign()", tags=("listing",)),
            text("$$\\tilde{x} = x + \\eta \\tag{sum}$$\n\nas Equation (sum) and [it](#FGSM) say."),
        ],
        **trainings,
        "4-transfer": [
            text("# Transfer"),
            table("error", body=TABLE.replace("1.40", "1.41")),
        ],
        "back-matter": [
            text("# Conclusion\n\nSee Figure *standard*, Figure *mixed* and Figure *adversarial*.")
        ],
    }


def executed_as(name):
    """Return the metadata that the runner writes into an executed notebook."""
    source, _, method = name.partition("ing-")
    if not method:
        return {"papermill": {"parameters": {}}, "advlib": {"experiment": EXPERIMENT}}
    about = {"input_path": f"{source}ing.ipynb", "parameters": {"method": method}}
    return {"papermill": about, "advlib": {"experiment": EXPERIMENT}}


def write(folder, content):
    """Write the notebooks as the runner leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, cells in content.items():
        write_notebook(folder, name, *cells, **executed_as(name))
    return folder


def write_notebook(folder, name, *cells, **metadata):
    notebook = new_notebook(cells=[*cells], metadata=metadata)
    for number, one in enumerate(notebook.cells):
        one["id"] = f"cell-{number}"  # papermill keeps them: the copies of a notebook have the same
    nbformat.write(notebook, folder / f"{name}.ipynb")


def says(about, *tags):
    """Return a cell with one output, that says this of itself."""
    return cell(display({}, about), tags=tags)
