"""How the report's sentences are written: numbers and names in them, and `%%say`.

A cell of prose with holes begins with ``%%say``: Markdown and Jinja2, with the notebook's names.

    %%say
    {% if slides %}The slides print {{ theirs | percent }}.{% endif %} Ours is {{ ours | percent }}.

What Jinja2 fills begins with two signs and a space. In formulas braces without it are TeX's, as in
``$x_{{i}}$``; elsewhere the space has been forgotten. That, a name that is not there and any other
error in a template are errors of the cell; a cell that says nothing shows nothing.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

from IPython.display import Markdown, display
from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, Undefined

from advlib.settings import declared

UNDEFINED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, decimals: int = 2) -> str:
    """Write a number with a fixed count of decimals; a dash where it is undefined."""
    if value is None or math.isnan(value):
        return UNDEFINED
    text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS if text.strip("-0.,") else "")


def count_decimals(images: int) -> int:
    """Return how many decimals a percentage of so many images has: one of 1,000, none of 100."""
    return max(0, len(str(images - 1)) - 2)


def percent(value: float | None, decimals: int = 2) -> str:
    """Write a percentage with its unit; a dash where it is undefined."""
    text = number(value, decimals)
    return text if text == UNDEFINED else f"{text}\N{NO-BREAK SPACE}%"


def difference(value: float | None, decimals: int = 2) -> str:
    """Write a difference with its sign, zero without one; a dash where it is undefined."""
    text = number(value, decimals)
    return f"+{text}" if text[0] not in (MINUS, UNDEFINED) and text.strip("0.,") else text


def interval(low: float, high: float, decimals: int = 2) -> str:
    """Write an interval by its ends."""
    return f"{number(low, decimals)} to {number(high, decimals)}"


def write_setting(value: object, name: str = "images") -> str:
    """Write a setting's value, without decimals that are zero; None is what its rule calls it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        known = declared().get(name)
        return known.metadata["rule"].none if known else "none"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def write_list(items: Iterable[str]) -> str:
    """Return items as a sentence lists them: a, b and c."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def escape(text: object) -> str:
    """Return Markdown that shows exactly this text, in a sentence or in a table's cell."""
    line = " ".join(str(text).split())
    escaped = re.sub(r"([\\`*_{}\[\]()<>$^~@|#&\"'!])", r"\\\1", line)
    return re.sub(r"([-.])(?=\1)", r"\\\1", escaped)  # -- is no dash here, and ... no ellipsis


def write_paragraphs(text: str) -> str:
    """Return what somebody wrote, paragraph by paragraph, with no sign in it as markup."""
    return "\n\n".join(escape(part) for part in re.split(r"\n\s*\n", text.strip()))


def _check_said(value: object) -> object:
    """Refuse a number that no filter has written, with all its digits, and what is no number."""
    if isinstance(value, str | Integral | Undefined):
        return value
    raise TypeError(f"{value!r} in a sentence needs a filter: {', '.join(FILTERS)}")


def is_known(value: float | None) -> bool:
    """Whether there is a number: neither None nor NaN."""
    return value is not None and not math.isnan(value)


FILTERS: dict[str, Callable[..., str]] = {
    "difference": difference,
    "escape": escape,
    "list": write_list,
    "number": number,
    "paragraphs": write_paragraphs,
    "percent": percent,
    "setting": write_setting,
}
_TEMPLATES = Environment(
    block_start_string="{% ",
    variable_start_string="{{ ",
    comment_start_string="{# ",
    undefined=StrictUndefined,
    finalize=_check_said,
)
_TEMPLATES.filters = dict(FILTERS)
_TEMPLATES.globals = {}
_TEMPLATES.tests |= {"known": is_known}
_FORMULA = re.compile(r"(?<!\\)(\$\$?).+?\1", re.DOTALL)
_NO_SPACE = re.compile(r"\{[{%#](?! )")
_ALONE = re.compile(r"^[ \t]*((?:\{% (?:(?!%\}).)*%\}[ \t]*?)+)[ \t]*\n", re.DOTALL | re.MULTILINE)
"""Statements alone on their line, which leave none; a newline behind others stays."""


def render(text: str, names: Mapping[str, Any]) -> str:
    """Fill the holes of a text.

    Raises
    ------
    jinja2.TemplateError, TypeError
        If the template is not well formed, a name is not there, or a number has no filter.
    """
    if found := _NO_SPACE.search(_FORMULA.sub("", text)):
        raise TemplateSyntaxError(f"a hole begins with {found[0]!r} and a space", lineno=1)
    return _TEMPLATES.from_string(_ALONE.sub(r"\1", text)).render(names)


def load_ipython_extension(shell: Any) -> None:
    """Have a notebook know `%%say`."""

    def say(line: str, cell: str) -> None:
        told = shell.user_ns.get("subject") or shell.user_ns.get("report")  # of a chapter, of all
        about = getattr(told, "conditions", {})
        if text := render(cell, {**shell.user_ns, **about}).strip():
            display(Markdown(text))

    shell.register_magic_function(say, "cell", "say")
