"""Where the project has what: the one place that knows its folders. Standard library only."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
PROJECT = PACKAGE.parent
"""What is below PROJECT, but not below PACKAGE, is there in a checkout only."""
NOTEBOOKS = PROJECT / "notebooks"
MATTER = PROJECT / "report"
"""The report's front and back matter."""
BUILD = MATTER / "build"
REFERENCE_REPORT = MATTER / "reference"
PARAMETER_SETS = NOTEBOOKS / "parameters"

MNIST = PACKAGE / "mnist"
"""The bundled data set."""
REFERENCE = PACKAGE / "reference"
"""The reference run's weights."""
RESULTS = REFERENCE / "results"
"""The reference run's results."""
ILLUSIONS = REFERENCE / "illusions"
"""What the chapter on illusions shows: what `make illusions` computed."""
SEEDS = REFERENCE / "seeds"
"""What the experiment gives over many seeds, by parameter set: what `make replicate` computed."""
PUBLISHED = PACKAGE / "published" / "slides.json"
PARAMETERS = "ADVLIB_PARAMETERS"
"""Names, in the environment of a report's notebooks, the file with the report's parameters."""
NOTEBOOK = "ADVLIB_NOTEBOOK"
"""Is there the executed notebook's name."""
METHOD_TEXTS = NOTEBOOKS / "methods"
STYLE = MATTER / "style"
FONTS = PACKAGE / "show" / "fonts"
"""The figures' typeface."""

DATA = frozenset(
    {MNIST, REFERENCE, RESULTS, ILLUSIONS, SEEDS, PUBLISHED, METHOD_TEXTS, STYLE, FONTS}
)
"""The places whose files a module reads that imports their names."""


def runs_folder() -> Path:
    """Return where trainings are kept: $ADVLIB_RUNS, else the checkout's, else the user's cache."""
    from advlib.kept.files import cache_folder

    chosen = os.environ.get("ADVLIB_RUNS")
    if chosen:
        return Path(chosen).absolute()
    return BUILD / "runs" if NOTEBOOKS.is_dir() else cache_folder() / "runs"
