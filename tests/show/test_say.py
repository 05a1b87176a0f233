"""Prose with holes: what is filled, what stays, and what stops the notebook."""

import re
import subprocess
import sys

import pytest
from jinja2 import TemplateError, UndefinedError
from kernels import write
from papermill.exceptions import PapermillExecutionError

from advlib.experiment.runner import execute
from advlib.kept.folders import PROJECT
from advlib.show.words import render
from notebooks import executing

NAMES = {
    "error": 3.14159,
    "lost": float("nan"),
    "n": 1000,
}
LOADED = "%load_ext advlib.show.words"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ error | percent }}", "3.14\N{NO-BREAK SPACE}%"),
        ("{{ error | number(1) }} and {{ n | number(0) }}", "3.1 and 1,000"),
        ("{{ n }} images", "1000 images"),
        ("{% if lost is known %}no{% elif n > 1 %}yes{% endif %}", "yes"),
        ("a{# not said #} b", "a b"),
        # lines of statements alone are none, and sentences stay apart
        ("{% if n %}One.{% endif %}\n{% if n %}Two.{% endif %}\n", "One.\nTwo."),
        (
            "One.\n {% if n > 1\n  and n %} \nTwo.\n{% endif %}{% if n %}\nThree.\n{% endif %}\n",
            "One.\nTwo.\nThree.\n",
        ),
        # of formulas
        (r"$\frac{{a}}{{b}}$", r"$\frac{{a}}{{b}}$"),
        (r"$x_{{i}}^{{}} = {{ n }}$", r"$x_{{i}}^{{}} = 1000$"),
        ("$$x_{#1} {%\ny}$$", "$$x_{#1} {%\ny}$$"),
        (r"costs \$1, ${{{x}}}$", r"costs \$1, ${{{x}}}$"),
    ],
)
def test_holes_are_filled_and_braces_of_formulas_stay(text, said):
    assert render(text, NAMES) == said


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{{ nothing }}", UndefinedError),
        ("{% if nothing %}a{% endif %}", UndefinedError),
        ("{{ error }}", TypeError),  # all its digits
        ("{{ none }}", TypeError),
        ("{% if n %}a", TemplateError),
        ("{{n}}", TemplateError),
        ("$x$ {{n}} $y$", TemplateError),
        ("{%if n %}a{% endif %}", TemplateError),
        ("{{\nn }}", TemplateError),
    ],
)
def test_what_is_wrong_is_an_error(text, error):
    with pytest.raises(error):
        render(text, NAMES)


def test_a_cell_says_what_its_conditions_allow_or_nothing():
    class Subject:
        conditions = {"slides": False}  # noqa: RUF012

    with executing({"subject": Subject(), "slides": "a name of the notebook's", "n": 2}) as cells:
        cells.run(LOADED)
        cells.run("%%say\n\n{% if not slides %}\n{{ n }} images.\n{% endif %}\n")
        cells.run("%%say\n{% if slides %}Of the slides.{% endif %}\n")
    assert cells.said == ["2 images."]


def test_what_is_wrong_stops_nbval_and_make(tmp_path):
    """Each with the number of the cell."""
    cells = ["images = 5", LOADED, "%%say\n{{ nothing }}"]
    source = write(tmp_path / "wrong" / "a.ipynb", *cells)
    with pytest.raises(PapermillExecutionError, match=r'at "In \[3\]"'):
        execute(source, tmp_path / "executed.ipynb", {}, {})
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "conftest", "--nbval"]
    command += ["--nbval-current-env", "-p", "no:cacheprovider", str(tmp_path / "wrong")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert re.search("FAILED .*a.ipynb::Cell 2", done.stdout), done.stdout
