"""A notebook's Markdown as Jupyter reads it, written in HTML, by nbconvert's reader."""

import html
import re
from typing import Any

from nbconvert.filters.markdown_mistune import (
    IPythonRenderer,
    MarkdownWithMath,
    MathInlineParser,
)

# characters for private use, which reading.lua turns back: what is escaped is no quotation mark, no
# dash and no ellipsis
AS_IT_IS = str.maketrans({sign: chr(0xE000 + ord(sign)) for sign in "\"'-."})


class _Reader(MathInlineParser):
    """Reads what stands in a line."""

    def parse_escape(self, m: re.Match[str], state: Any) -> int:
        text = re.sub(r"\\(.)", r"\1", m[0]).translate(AS_IT_IS)
        self.process_text(text, state, parse_emphasis=False)
        return m.end()


class _Markdown(MarkdownWithMath):
    """Reads what JupyterLab reads beside the common Markdown."""

    DEFAULT_PLUGINS: Any = ("strikethrough", "table", "url", "task_lists")


class _Renderer(IPythonRenderer):
    """Writes formulas as pandoc's reader of HTML expects them."""

    def inline_math(self, body: str) -> str:
        return _script("math/tex", body)

    def block_math(self, body: str) -> str:
        return _script("math/tex; mode=display", body)

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def block_code(self, code: str, info: str | None = None) -> str:
        language = (info or "").partition(" ")[0]
        if language == "mermaid":
            raise ValueError("a mermaid diagram would be lost")
        return write_verbatim(code, language)


def _script(kind: str, formula: str) -> str:
    """Return a formula as an element of HTML, in which nothing is escaped."""
    if re.search(r"\n[ \t]*\n", formula):
        raise ValueError(f"an empty line within the formula {' '.join(formula.split())!r}")
    return f'<script type="{kind}">{formula.strip().replace("</", "< /")}</script>'


def read_markdown(text: str) -> str:
    """Return Markdown as HTML.

    Raises
    ------
    ValueError
        If part of it would be lost.
    """
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    read = _Markdown(renderer, inline=_Reader(hard_wrap=False))
    try:
        return str(read(text))
    except Exception as error:
        raise ValueError(str(error)) from error


def read_line(text: str) -> str:
    """Return Markdown that is one paragraph, such as a caption, as HTML without the paragraph.

    Raises
    ------
    ValueError
        If it is more than that, or part of it would be lost.
    """
    found = re.fullmatch(r"<p>(.*)</p>\s*", read_markdown(" ".join(text.split())), re.DOTALL)
    if not found or "<p>" in found[1]:
        raise ValueError(f"{text!r} is not one paragraph")
    return found[1]


def write_verbatim(text: str, language: str = "") -> str:
    """Return text as a block that shows it as it is."""
    return f'<pre class="{language}"><code>{html.escape(text)}</code></pre>\n'
