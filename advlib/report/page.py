"""The page, from what pandoc has written: figures in it, ways back, data, a citation, scripts."""

import csv
import json
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO, StringIO
from textwrap import shorten
from typing import Any
from urllib.parse import quote

from bs4 import BeautifulSoup, Tag
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from advlib.kept.folders import STYLE
from advlib.report import LIVE
from advlib.report.drawing import draw
from advlib.results.notebooks import Notebook

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#1d3f72"/>
<path d="M11 5C8 3 5 4 5 6c0 1 2 2 4 2-2 0-4 1-4 2 0 2 4 3 6 1" fill="none" stroke="#fff"
stroke-width="1.5"/></svg>"""
"""An epsilon."""


def finish_page(page: bytes, notebooks: Sequence[Notebook], tables: Mapping[str, str]) -> bytes:
    """Return the page with all that its reader can do with it; `tables` are CSV, by label."""
    soup: Any = BeautifulSoup(page, "html.parser")
    shown = {about["label"]: (about, data) for each in notebooks for about, data in each.shown}
    _set_formulas(soup)
    _head_rows(soup)
    _link_here(soup)
    _tell_what_is_behind(soup, tables)
    _link_back(soup)
    _describe(soup, notebooks)
    figures = {}
    for figure in soup.select("figure"):
        about, data = shown[str(figure["id"])]
        svg, png = ("".join(data.get(media, "")) for media in ("image/svg+xml", "image/png"))
        figures[f'<svg id="{figure["id"]}-svg"></svg>'] = draw(figure["id"], about["alt"], svg, png)
        figure.img.replace_with(soup.new_tag("svg", id=f"{figure['id']}-svg"))
    live = [data[LIVE] for _, data in shown.values() if LIVE in data]
    _add_scripts(soup, live)
    for style in soup.find_all("style"):
        style.string = _cut_font(style.get_text(), soup)
    text = str(soup)
    for place, picture in figures.items():
        text = text.replace(place, picture)
    return text.encode()


def _parse(html: str) -> Any:
    return BeautifulSoup(html, "html.parser")


# ---- Formulas ------------------------------------------------------------------------------------

SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}


def _set_formulas(page: Any) -> None:
    """Set formulas as TeX does, where browsers do not.

    Accents are as wide as they are drawn, a letter's subscript is where another's is, and there is
    a little space around the name of a function.
    """
    for over in page.select("mover:has(> mo[accent])"):
        over["accent"] = "true"
        sign = over.find("mo", recursive=False)
        sign.string = {"\u0303": "~", "\u203e": "\u00af"}.get(sign.get_text(), sign.get_text())
        sign["stretchy"] = "false"
    for letter in page.select("msub > mi:first-child"):
        letter.wrap(page.new_tag("mpadded", depth="0"))
    for name in page.select("math mi"):
        if len(name.get_text()) < 2:
            continue
        whole = name
        while whole.parent.name in SCRIPTS or whole.parent.get_text() == f"{name.get_text()}\u2061":
            whole = whole.parent
        for beside, put in (
            (whole.previous_sibling, whole.insert_before),
            (whole.next_sibling, whole.insert_after),
        ):
            if isinstance(beside, Tag) and beside.name not in ("mo", "mspace"):
                put(page.new_tag("mspace", width="0.167em"))


def _cut_font(style: str, page: Any) -> str:
    """Keep of the font for formulas what these need."""
    found = re.search(r'"Report Math";\s*src: url\("?data:font/woff2;base64,([^")]*)', style)
    if not found:
        return style
    letters = "".join(each.get_text() for each in page.select("semantics > :first-child"))
    letters += "\N{SQUARE ROOT}" * bool(page.select("msqrt, mroot"))  # which is drawn, not written
    plain = unicodedata.normalize("NFKC", letters)  # browsers write a variable in italics
    italics = [*map(chr, range(0x1D434, 0x1D7CC)), "\N{PLANCK CONSTANT}"]
    needed = {each for each in italics if unicodedata.normalize("NFKC", each) in plain}
    font, file = TTFont(BytesIO(b64decode(found[1])), recalcTimestamp=False), BytesIO()
    subsetter = Subsetter(Options(layout_features=["*"], name_IDs=["*"], notdef_outline=True))
    subsetter.populate(text="".join({*letters, *needed}))
    subsetter.subset(font)
    font.flavor = "woff2"
    font.save(file)
    return style.replace(found[1], b64encode(file.getvalue()).decode())


# ---- Figures and tables --------------------------------------------------------------------------


def _head_rows(page: Any) -> None:
    """Say what heads a column and a row.

    Where a first cell is of several rows, those below it being empty, it spans them, and stands
    once more above them, for a narrow window.
    """
    for head in page.select(".table thead th"):
        head["scope"] = "colgroup" if "colspan" in head.attrs else "col"
    for body in page.select(".table tbody"):
        rows = body.find_all("tr", recursive=False)
        cells = [[*row.find_all("td", recursive=False)] for row in rows]
        empty = [not first.get_text().strip() for first, *_ in cells]
        grouped = any(empty) and not empty[0]
        for at, (row, (first, *others)) in enumerate(zip(rows, cells, strict=True)):
            if not empty[at]:
                count = next(
                    (n for n, e in enumerate(empty[at + 1 :], 1) if not e), len(empty) - at
                )
                first.name, first["scope"] = "th", "rowgroup" if grouped else "row"
                if grouped:
                    first["rowspan"] = str(count)
                    width = sum(int(cell.get("colspan", 1)) for cell in cells[at])
                    again = f'<th colspan="{width}" scope="rowgroup"><span></span></th>'
                    row.insert_before(_parse(f'<tr class="group">{again}</tr>'))
                    row.previous_sibling.span.extend(_parse(first.decode_contents()).contents)
            elif grouped:
                first.extract()
            if grouped and others and others[0].get_text().strip():
                others[0].name, others[0]["scope"] = "th", "row"
            for cell in (first, *others):
                if len(cell.get_text()) > LONG:
                    cell["class"] = [*cell.get("class", []), "long"]
        if grouped:
            body.parent["class"] = [*body.parent.get("class", []), "grouped"]


LONG = 24
"""Letters of a table's cell that is not set in a line of its own."""


def _link_here(page: Any) -> None:
    """Give headings, figures and tables a link to themselves."""
    for number in page.select("main .number[data-of]"):
        place = number.find_parent(["h2", "h3", "h4", "figcaption", "caption"])
        if place is not None:
            words = (
                number.get_text()
                if place.name.endswith("caption")
                else f"Section {number.get_text()}"
            )
            anchor = (
                f'<a class="anchor" href="#{number["data-of"]}" aria-label="Link to {words}"></a>'
            )
            (place.span if place.name == "caption" else place).append(_parse(anchor))


def _tell_what_is_behind(page: Any, tables: Mapping[str, str]) -> None:
    """Put beside the code of a figure or table what it shows, as a file."""
    for code in page.select("details.code"):
        above = code.find_previous_sibling(["figure", "div"])
        label = str((above if above.name == "figure" else above.table)["id"])
        behind = code.wrap(page.new_tag("div", attrs={"class": "behind", "data-behind": label}))
        content = tables.get(label) or (above.table and _write_cells(above.table))
        if content:
            data = f"data:text/csv;charset=utf-8,{quote(content)}"
            behind.append(_parse(f'<a download="{label}.csv" href="{data}">Data (CSV)</a>'))


def _write_cells(table: Any) -> str:
    """Return a table's rows as CSV, as they are read."""
    file = StringIO()
    rows = table.select("tr:not(.group)")
    csv.writer(file).writerows([cell.get_text() for cell in row(["th", "td"])] for row in rows)
    return file.getvalue()


def _link_back(page: Any) -> None:
    """Give works, figures and tables links back to the sections that refer to them."""
    named: dict[str, dict[str, str]] = {}
    section = ""
    for number, each in enumerate(page.main.find_all(["h2", "h3", "h4", "a"])):
        if each.name != "a":
            section = (each.find(class_="number") or each).get_text()
        elif each.get("role") == "doc-biblioref" or "ref" in each.get("class", []):
            each["id"] = f"from-{number}"
            named.setdefault(str(each["href"])[1:], {}).setdefault(section, str(each["id"]))
    for place in page.select("[data-behind], .csl-entry"):
        places = named.get(str(place.get("data-behind", place.get("id"))), {})
        links = [
            f'<a href="#{at}" aria-label="Back to {"Section " * (not name.isalpha()) + name}">'
            f"{name}</a>"
            for name, at in places.items()
        ]
        if links:
            text = place.select_one(".csl-right-inline") or place
            text.append(_parse(f'<span class="back">{", ".join(links)}</span>'))


# ---- The head and what is under the title --------------------------------------------------------


def _describe(page: Any, notebooks: Sequence[Notebook]) -> None:
    """Say what the page is, for machines and for those who cite it."""
    abstract = page.select_one(".abstract")
    title, subtitle = (page.select_one(f"main > header {each}") for each in ("h1", ".subtitle"))
    said = [] if abstract is None else [each.get_text() for each in abstract.select("p")]
    for about in page.select("meta[data-about=description]"):
        del about["data-about"]
        about["content"] = shorten(" ".join(said), 300, placeholder=" \u2026")
    page.head.append(_parse(f'<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">'))
    commit = ""
    for row in page.select("#tbl-environment tbody tr"):
        what, here = (cell.get_text() for cell in row.find_all(["th", "td"]))
        commit = here if what == "Commit" else commit
    whole = ": ".join(each.get_text() for each in (title, subtitle) if each is not None)
    names = [str(each["content"]) for each in page.select("meta[name=author]")]
    fields = {
        "author": " and ".join(f"{{{_tex(name)}}}" for name in names),
        "title": f"{{{_tex(' '.join(whole.split()))}}}",
        "year": page.time["datetime"][:4],
        "date": page.time["datetime"],
        "note": _tex(f"Made with advlib {version('advlib')}" + f", commit {commit}" * bool(commit)),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    page.select_one(".bibtex").string = "\n".join(["@misc{advlib-report,", *lines, "}"])
    page.select_one(".commit").string = f"Commit {commit}" if commit else ""
    headings = [str(each["id"]) for each in page.main.find_all(["h2", "h3"], id=True)]
    for name in (notebook.path.stem for notebook in notebooks):
        first = next((each for each in headings if each.startswith(f"sec-{name}-")), "text")
        item = f'<li><a href="#{first}">{name}</a></li>'
        page.select_one(".notebooks").append(_parse(item))


def _tex(text: str) -> str:
    """Return text as BibTeX reads it."""
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


# ---- Scripts -------------------------------------------------------------------------------------


def _add_scripts(page: Any, live: Iterable[Mapping[str, Any]]) -> None:
    """Put the page's own scripts into it, and let its policy run them and no other.

    With a live figure's data (`advlib.report.live.pack`) its script comes too, and may start a
    worker.
    """
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})
    names = ["page.js"]
    for each in live:
        names.append("live.js")
        page.body.append(page.new_tag("template", id="live"))
        page.body.contents[-1].string = json.dumps(each, separators=(",", ":"))
    digests = []
    for name in names:
        script = page.new_tag("script")
        script.string = (STYLE / name).read_text(encoding="utf-8")
        digests.append(b64encode(sha256(script.string.encode()).digest()).decode())
        page.body.append(script)
    sources = " ".join(f"'sha256-{digest}'" for digest in digests)
    worker = " worker-src blob:;" if len(names) > 1 else ""
    own = f"default-src 'none'; script-src {sources};{worker}"
    policy["content"] = str(policy["content"]).replace("default-src 'none';", own)
