"""What `make report` ends with: a report's main table, what to make of it, and where it is.

python -m advlib.published.summary FOLDER METHOD...
"""

import math
import os
import sys
import time
from pathlib import Path

from advlib.published import slides
from advlib.results.compare import SETTINGS, find_set, read_report
from advlib.results.expected import expect, read_seeds
from advlib.results.notebooks import find_warnings, read_chapters
from advlib.show.words import write_setting

IMAGES = "clean", "adversarial"


def summarize(folder: str, *methods: str) -> None:
    """Print a report's errors, the published and the expected ones beneath, and what is where."""
    tables = read_report(folder)
    settings = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for (_, name), value in tables[SETTINGS].items()
    }
    name, changed = find_set(tables[SETTINGS])
    expected = {} if changed else expect(tables, read_seeds(name))
    other = slides.differ(settings)
    width = max([12, *(len(method) + 1 for method in methods)])

    def say(words: str, *cells: str) -> None:
        print(f"{words:<{width}}{''.join(f'{cell:>20}' for cell in cells)}".rstrip())

    print()
    say("error", "clean", "one step (FGSM)", "worst case")
    for method in methods:
        places = [("tbl-evaluation", f"{method}, {images}", "error") for images in IMAGES]
        places.append(("tbl-robustness", "worst case", method))
        found = [tables.get(place[0], {}).get(place[1:]) for place in places]
        say(method, *("" if value is None else f"{value:.2f} %" for value in found))
        if method in slides.METHODS and not other:
            printed = slides.evaluation(method, corrected=True)
            say("  slides", *(f"{printed[images]['error']:.2f} %" for images in IMAGES))
        known = [expected.get(place) for place in places]
        if any(known):
            words = (f"{'' if x.inside else 'not '}{x.interval}" if x else "" for x in known)
            say("  expected", *words)
    print("\nworst case: of all attacks together, on the images that are attacked in every way")
    if expected:
        print("expected: the 95 % prediction interval of each number alone, for any seed")
    if other:
        ours = {
            at: f"{write_setting(settings[at], at)} ({write_setting(x, at)})"
            for at, x in other.items()
        }
        print("These are not the slides' settings, and so not their numbers; in brackets theirs:")
        print(", ".join(f"{at} = {value}" for at, value in ours.items()))
        print("With the slides' settings: make report")
    for warned in find_warnings(read_chapters(Path(folder, "notebooks"))):
        print(f"beware: {warned}")
    print(f"\nto read: {folder}/report.html\n         {folder}/report.pdf")
    print(f"numbers: {folder}/results/numbers.csv\nto try:  make lab, to attack by hand")
    if begun := os.environ.get("ADVLIB_BEGUN"):
        minutes, seconds = divmod(round(time.time() - int(begun)), 60)
        print(f"time:    {minutes} min {seconds} s")


if __name__ == "__main__":
    summarize(*sys.argv[1:])
