"""A notebook's Markdown as Jupyter reads it, written in HTML, by nbconvert's reader."""

import html
import re
from typing import Any, ClassVar

from nbconvert.filters.markdown_mistune import (
    IPythonRenderer,
    MarkdownWithMath,
    MathBlockParser,
    MathInlineParser,
)

# characters for private use, which reading.lua turns back: a quotation mark that is escaped or in
# code stays as it is
AS_IT_IS = str.maketrans({sign: chr(0xE000 + ord(sign)) for sign in "\"'"})
TABLE_RULE = re.compile(r"^\s*\|?(\s*:?-+:?\s*\|)+(\s*:?-+:?\s*)?$", re.MULTILINE)


class _Lines(MathInlineParser):
    """Reads what stands in a line."""

    def parse_escape(self, m: re.Match[str], state: Any) -> int:
        text = re.sub(r"\\(.)", r"\1", m[0]).translate(AS_IT_IS)
        self.process_text(text, state, parse_emphasis=False)
        return m.end()


class _Blocks(MathBlockParser):
    """Reads blocks; a heading's signs and its words are apart, as JupyterLab wants it."""

    SPECIFICATION: ClassVar[dict[str, str]] = {
        **MathBlockParser.SPECIFICATION,
        "atx_heading": r"^ {0,3}(?P<atx_1>#{1,6})(?!#+)(?P<atx_2>[ \t]*|[ \t]+.*?)$",
    }


class _Markdown(MarkdownWithMath):
    """Reads what JupyterLab reads beside the common Markdown."""

    DEFAULT_PLUGINS: Any = ("strikethrough", "table", "url", "task_lists")


class _Renderer(IPythonRenderer):
    """Writes what is no ordinary text as report.lua expects it."""

    def inline_math(self, body: str) -> str:
        return _write_formula("inline", body)

    def block_math(self, body: str) -> str:
        return _write_formula("display", body)

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def codespan(self, text: str) -> str:
        return f"<code>{html.escape(text.translate(AS_IT_IS))}</code>"

    def block_code(self, code: str, info: str | None = None) -> str:
        return write_verbatim(code, (info or "").partition(" ")[0])

    def paragraph(self, text: str) -> str:
        if TABLE_RULE.search(text):
            raise ValueError(
                "a table is not read as one: its rows must have as many cells as its heading, and a"
                " sign | in a cell is written \\|"
            )
        return str(super().paragraph(text))


def _write_formula(kind: str, formula: str) -> str:
    """Return a formula as an element that report.lua turns back; its lines are joined."""
    if re.search(r"(?<!\\)%", formula):
        raise ValueError(f"a comment within the formula {' '.join(formula.split())!r}")
    text = html.escape(formula.strip().translate(AS_IT_IS))
    return f'<code class="advlib-math {kind}">{text}</code>'


def _write_signs(text: str) -> str:
    """Return HTML with typographic quotation marks, and no break before a %; code as it is."""
    before, inside, parts = " ", 0, []
    for part in re.split(r"(<[^>]*>)", text):
        if part.startswith("<"):
            inside += bool(re.match("<(code|pre)\\b", part)) - bool(re.match("</(code|pre)>", part))
            before = " " if re.match("</?(p|li|h[1-6]|t[dh]|div|blockquote)\\b", part) else before
        elif inside:
            before = "x"
        else:
            written = ""
            for sign in html.unescape(part):
                opens = before.isspace() or before in "([\u2013\u2014/\u201c\u2018"
                pair = {'"': "\u201c\u201d", "'": "\u2018\u2019"}.get(sign)
                before = pair[not opens] if pair else sign
                written += before
            part = html.escape(re.sub(r"(?<=\d)\s%", "\u00a0%", written), quote=False)
        parts.append(part)
    return "".join(parts)


def read_markdown(text: str) -> str:
    """Return Markdown as HTML.

    Raises
    ------
    ValueError
        If part of it would be lost.
    """
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    read = _Markdown(renderer, block=_Blocks(), inline=_Lines(hard_wrap=False))
    try:
        found = str(read(text))
    except Exception as error:
        raise ValueError(str(error)) from error
    found = re.sub("<!--.*?-->", "", found, flags=re.DOTALL)
    if lost := re.search("<[!?][^>]*", found):  # pandoc would pass over it
        raise ValueError(f"raw html would be lost: {lost[0]}")
    return _write_signs(found)


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
    known = language if re.fullmatch(r"[A-Za-z][\w-]*", language) else ""
    return f'<pre class="{known}"><code>{html.escape(text)}</code></pre>\n'
