"""Renew the reference run from a finished report with the slides' settings: `make reference`.

    python -m advlib.report.reference report/build/seed

The models' weights and the results go into the package, the rendered report into report/reference.
The epoch-wise reading of mixed training, which no report trains, is trained here.
"""

import sys
from pathlib import Path

import pandas as pd

from advlib import evaluate, fgsm, load_data
from advlib.kept import checkpoints, files
from advlib.kept.folders import REFERENCE, REFERENCE_REPORT, RESULTS
from advlib.kept.parent import end_with_make
from advlib.published import slides
from advlib.results.notebooks import read_notebooks
from advlib.results.tables import collect_from, write, write_numbers
from advlib.runs import PRETRAINED, Wanted
from advlib.settings import Experiment


def renew(report: Path) -> None:
    """Take over a report's results and models, and train and measure the epoch-wise reading.

    Raises
    ------
    ValueError
        If the report, a finished one's folder, was not made with the slides' settings.
    """
    notebooks = read_notebooks(report / "notebooks")
    tables = collect_from(notebooks)
    experiment = Experiment.chosen(notebooks[-1].experiment)
    if not slides.applies(vars(experiment)):
        raise ValueError(f"{report} was not made with the slides' settings, but with {experiment}")
    data = load_data(experiment.dataset, images=experiment.images)
    REFERENCE.mkdir(exist_ok=True)
    REFERENCE_REPORT.mkdir(exist_ok=True)
    for method in PRETRAINED:
        wanted = Wanted.find(method, data, experiment)
        wanted.train()
        record = {"method": method, "settings": wanted.method.method.deciding(wanted.settings)}
        checkpoints.save(REFERENCE / f"{method}.safetensors", wanted.model.state_dict(), record)
    wanted = Wanted.find("mixed-epochwise", data, experiment)
    model, history = wanted.model, wanted.train()
    images, labels = data.test.images, data.test.labels
    adversarial = fgsm(model, images, labels, experiment.epsilon, loss="log-loss")
    evaluations = {
        "clean": evaluate(model, images, labels),
        "adversarial": evaluate(model, adversarial, labels),
    }
    tables["tbl-evaluation-mixed-epochwise"] = pd.DataFrame(
        map(vars, evaluations.values()), index=[*evaluations]
    )
    tables["fig-curves-mixed-epochwise"] = history.drop(columns="seconds")
    write(tables, RESULTS, write_numbers(notebooks))
    for name in ("report.html", "report.pdf"):
        files.write_bytes(REFERENCE_REPORT / name, (report / name).read_bytes())


if __name__ == "__main__":
    end_with_make()
    renew(Path(sys.argv[1]))
