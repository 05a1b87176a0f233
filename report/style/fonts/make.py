"""Make this folder's fonts, and the figures': what the report uses of the whole OpenType fonts.

python make.py FOLDER     # with LibertinusSerif-{Regular,Italic,Bold}.otf and NewCMMath-Book.otf
"""

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

# Latin, Greek, signs
TEXT = """
20-7E A0-17F 391-3A9 3B1-3C9 2007-2027 202F 2030-203A 20AC 2190-2193 2212 2248 2260 2264 2265
"""
# Letters, accents; signs, invisible operators, arrows; operators, fences; letters of other styles
MATH = """
20-7E A0-FF 131 237 391-3A9 3B1-3C9 3D1 3D5 3F5 302-304 307 308 30C 20D7
2016 2020-2022 2026 2032 2033 2061-2064 2190-2194 21A6 21D0-21D4
2200 2202 2203 2205-2209 220F 2211-2213 2217-221A 221D 221E 2223 2225 2227-222B 223C 2248 2260 2261
2264 2265 226A 226B 2282 2283 2286 2287 2295 2297 2299 22C5 22EE-22F1 2308-230B 27E8 27E9
2102 210B 210E 2110 2112 2115 211B 211D 2124 212C 2130 2131 2133
1D400-1D4B5 1D538-1D550 1D6A4 1D6A5 1D6FC-1D71B 1D7CE-1D7D7
"""
TEXT_FEATURES = [
    "kern",
    "liga",
    "lnum",
    "tnum",
    "pnum",
    "onum",
    "smcp",
    "c2sc",
    "ccmp",
    "mark",
    "locl",
]
MATH_FEATURES = ["ssty", "math", "dtls", "flac", "ccmp", "mark"]
FIGURES = Path(__file__).parents[3] / "advlib" / "show" / "fonts"


def codes(ranges: str) -> list[int]:
    """Return the code points of hexadecimal ranges such as "20-7E A0"."""
    ends = [[int(end, 16) for end in part.split("-")] for part in ranges.split()]
    return [code for end in ends for code in range(end[0], end[-1] + 1)]


def make(
    source: Path, target: Path, ranges: str, features: list[str], name: str | None = None
) -> None:
    """Write the part of a font, as the target's suffix says, under another name if one is given."""
    font = TTFont(source, recalcTimestamp=False)
    options = Options(
        layout_features=features, hinting=False, desubroutinize=True, drop_tables=["FFTM", "PfEd"]
    )
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=codes(ranges))
    subsetter.subset(font)
    if name:
        for record in font["name"].names:
            if record.nameID in (1, 3, 4, 6, 16):
                record.string = name.replace(" ", "") if record.nameID == 6 else name
        font["CFF "].cff.fontNames = [name.replace(" ", "")]
    font.flavor = "woff2" if target.suffix == ".woff2" else None
    font.save(target)


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(__file__).parent
    for face in ("Regular", "Italic", "Bold"):
        name = f"LibertinusSerif-{face}"
        make(source / f"{name}.otf", target / f"{name}.woff2", TEXT, TEXT_FEATURES)
        make(source / f"{name}.otf", FIGURES / f"{name}.otf", TEXT, ["kern"])
    make(
        source / "NewCMMath-Book.otf",
        target / "ReportMath.woff2",
        MATH,
        MATH_FEATURES,
        "Report Math",
    )
