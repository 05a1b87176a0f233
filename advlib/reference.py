"""Renew the reference run from a finished report with the seed's settings: `make reference`.

    python -m advlib.reference report/build/seed

The models' weights and the results go into the package, the rendered report and the results into
report/reference. The epoch-wise reading of mixed training, which no report trains, is trained here.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from advlib import checkpoints, evaluate, fgsm, files, load_data, published, runs
from advlib.comparison import evaluation_data, settings_found
from advlib.parent import end_with_make
from advlib.results import CHAPTERS, collect, write

PACKAGE = Path(__file__).parent / "reference"
REPORT = Path(__file__).parents[1] / "report" / "reference"
PICTURE = "fig-curves-adversarial"


def renew(report: Path) -> None:
    """Take over a report's results and models, and train and measure the epoch-wise reading.

    Parameters
    ----------
    report : Path
        The folder of a finished report, in which ``notebooks`` are the executed notebooks.

    Raises
    ------
    ValueError
        If it was not made with the seed's settings.
    """
    tables = collect(report / "notebooks")
    settings = settings_found(tables)
    if not published.applies(settings):
        raise ValueError(f"{report} was not made with the seed's settings, but with {settings}")
    data = load_data(settings.pop("dataset"), images=settings.pop("images"))
    images, labels = data.test.images, data.test.labels
    PACKAGE.mkdir(exist_ok=True)
    REPORT.mkdir(exist_ok=True)
    for method in (*runs.PRETRAINED, "mixed-epochwise"):
        run = runs.trained(method, data, **settings)
        if method in runs.PRETRAINED:
            record = {"method": method, "settings": run.settings}
            checkpoints.save(PACKAGE / f"{method}.safetensors", run.model.state_dict(), record)
            continue
        adversarial = fgsm(run.model, images, labels, settings["epsilon"])
        evaluations = {
            "clean": evaluate(run.model, images, labels),
            "adversarial": evaluate(run.model, adversarial, labels),
        }
        tables[f"tbl-evaluation-{method}"] = evaluation_data(evaluations)
        tables[f"fig-curves-{method}"] = run.history
    for folder in (PACKAGE, REPORT):
        write(tables, folder / "results")
    for name in ("report.html", "report.pdf"):
        files.write_bytes(REPORT / name, (report / name).read_bytes())
    files.write_text(REPORT / "curves-adversarial.svg", _picture(report / "notebooks"))


def _picture(notebooks: Path) -> str:
    """The SVG of the figure that the README shows."""
    for name in CHAPTERS:
        notebook = json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                if output.get("metadata", {}).get("advlib", {}).get("label") == PICTURE:
                    return "".join(output["data"]["image/svg+xml"])
    raise ValueError(f"no figure {PICTURE} in {notebooks}")


def main(arguments: Sequence[str]) -> None:
    """Run the command line; see the module's docstring."""
    (report,) = arguments
    renew(Path(report))


if __name__ == "__main__":
    end_with_make()
    main(sys.argv[1:])
