"""The audit of the HTML page: it loads and runs nothing, and its numbers are the PDF's."""

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from advlib.report import ReportError


@dataclass
class Page:
    """What an HTML report prints and links to."""

    numbers: dict[str, str] = field(default_factory=dict)
    """By identifier, the number printed at what it names."""
    references: list[tuple[str, str]] = field(default_factory=list)
    """The identifier and the number printed of each cross-reference."""
    identifiers: list[str] = field(default_factory=list)
    date: str = ""


class _Reader(HTMLParser):
    """Reads a page; refuses what would load or run something, and images without alternative."""

    LOADING = frozenset(
        {"src", "srcset", "href", "xlink:href", "data", "poster", "background", "action"}
    )
    FORBIDDEN = frozenset({"script", "iframe", "object", "embed", "link", "base", "form"})

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: tuple[str, str] | None = None
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        refresh = tag == "meta" and "http-equiv" in attributes
        if tag in self.FORBIDDEN or refresh or any(name.startswith("on") for name in attributes):
            raise ReportError(
                f"the HTML has a {tag} that could load or run something: {attributes}"
            )
        for name in self.LOADING & attributes.keys():
            allowed = ("#", "http://", "https://") if (tag, name) == ("a", "href") else ("data:",)
            if not attributes[name].startswith(allowed):
                raise ReportError(f"the HTML would load {attributes[name]!r} for {tag}")
        self._refuse_urls(attributes.get("style", ""))
        if tag == "img" and not attributes.get("alt", "").strip():
            raise ReportError("the HTML has an image without text alternative")
        if "id" in attributes:
            self.page.identifiers.append(attributes["id"])
        self.page.date = attributes.get("datetime", self.page.date)
        self._style = tag == "style"
        if "data-of" in attributes:
            self._open = ("number", attributes["data-of"])
        elif attributes.get("class") == "ref":
            self._open = ("reference", attributes["href"][1:])

    def handle_data(self, data: str) -> None:
        if self._style:
            self._refuse_urls(data)
        if self._open:
            kind, identifier = self._open
            number = data.split()[-1].strip("()")  # without the word before it
            if kind == "reference":
                self.page.references.append((identifier, number))
            elif self.page.numbers.setdefault(identifier, number) != number:
                raise ReportError(f"the HTML has two numbers for {identifier}")
            self._open = None

    def _refuse_urls(self, style: str) -> None:
        if re.search(r"@import|image-set|url\((?!['\"]?data:)", style, re.IGNORECASE):
            raise ReportError(f"the HTML's style would load something: {style[:200]}")


def read_page(html: str) -> Page:
    """Return what a page prints and links to.

    Raises
    ------
    ReportError
        If the page would load or run anything, uses an identifier twice, has an image without text
        alternative, or refers to a number that is not printed.
    """
    reader = _Reader()
    reader.feed(html)
    page = reader.page
    if twice := {name for name, count in Counter(page.identifiers).items() if count > 1}:
        raise ReportError(f"the HTML uses identifiers twice: {sorted(twice)}")
    for identifier, number in page.references:
        if page.numbers.get(identifier) != number:
            raise ReportError(
                f"a reference says {number}, {identifier} is {page.numbers.get(identifier)}"
            )
    return page


def compare_numbers(html: dict[str, str], pdf: dict[str, str]) -> None:
    """Refuse numbers that differ between the two documents."""
    differing = {name for name in html.keys() | pdf.keys() if html.get(name) != pdf.get(name)}
    if differing:
        lines = [
            f"{name}: {html.get(name)} in HTML, {pdf.get(name)} in PDF"
            for name in sorted(differing)
        ]
        raise ReportError("numbers differ:\n" + "\n".join(lines))
