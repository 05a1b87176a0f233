"""The code behind a figure or a table."""

import json

from advlib.keeping.folders import NOTEBOOKS
from advlib.report.sources import Code, find_code


def code_of(notebook: str, shows: str, told: set[str], **parameters: object) -> Code:
    """Return the code behind the cell of a notebook that has some words."""
    cells = json.loads((NOTEBOOKS / notebook).read_text(encoding="utf-8"))["cells"]
    code = [
        ("".join(cell["source"]), "parameters" in cell["metadata"].get("tags", []))
        for cell in cells
        if cell["cell_type"] == "code"
    ]
    last = next(index for index, (source, _) in enumerate(code) if shows in source)
    return find_code(code[: last + 1], parameters, told)


def names(code: Code) -> list[str]:
    return [title.split(",")[0] for _, title, _ in code.functions]


def test_a_training_curve_shows_the_training() -> None:
    code = code_of("3-training.ipynb", "show_curves", set(), method="mixed")
    assert "epochs = 3" in code.statements
    assert "model, history = open_training(method, experiment, data)" in code.statements
    assert "chapter.show_curves" not in code.statements
    assert {"train", "_loop", "train_epoch", "mixed", "differentiate"} <= {*names(code)}
    (train,) = [text for _, title, text in code.functions if title.startswith("train, ")]
    assert train.splitlines()[0] == "@shows(Training)"
    assert train.rstrip().endswith("checkpoint.history, checkpoint)"), "whole"


def test_an_evaluation_shows_attack_and_evaluation() -> None:
    told: set[str] = set()
    first = code_of("3-training.ipynb", "show_evaluation", told, method="standard")
    assert 'adversarial = fgsm(model, test, labels, attack_epsilon, loss="log-loss")' in (
        first.statements
    )
    assert {"fgsm", "evaluate", "climb"} <= {*names(first)}
    again = code_of("3-training.ipynb", "show_evaluation", told, method="standard")
    assert names(again) == [], "each stands once"
    assert {"fgsm", "evaluate", "train"} <= {name for _, name in again.earlier}


def test_what_a_chapter_computes_is_there_and_what_it_draws_is_not() -> None:
    code = code_of("5-every-epsilon.ipynb", "show_sweep", set())
    assert "swept = chapter.sweep_sizes(models, data, attacked, seed)" in code.statements
    assert {"sweep_sizes", "apgd", "evaluate"} <= {*names(code)}
    assert not [name for name in names(code) if name.startswith(("show", "draw", "lay_out"))]


def test_what_is_computed_where_it_is_drawn_shows_that() -> None:
    assert "draw_images" in names(code_of("1-data.ipynb", "show_images", set()))


def test_what_is_no_python_stands_as_it_is() -> None:
    cells = [("%%bash\nls |", False), ("show(", False)]
    assert find_code(cells, {}, set()) == Code("show(", [], [])
