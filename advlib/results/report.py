"""What a report found, for the notebooks that read the others to tell."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from IPython import get_ipython

from advlib.kept.folders import RESULTS
from advlib.methods import METHODS
from advlib.results.expected import LEAST
from advlib.results.notebooks import Notebook, find_warnings, read_chapters
from advlib.results.tables import collect_from, read
from advlib.settings import Experiment, OfExperiment
from advlib.show.words import escape, load_ipython_extension, percent, write_list


@dataclass(frozen=True, eq=False)
class Results(OfExperiment):
    """The chapters' results, and the experiment that they are of."""

    tables: Mapping[str, pd.DataFrame]
    """The numbers of all figures and tables, by label."""
    notebooks: Sequence[Notebook] = ()
    """The executed chapters; none of the reference run's."""

    @property
    def one_method(self) -> bool:
        """Are mixed and adversarial training one method, but for learning rate and decay?"""
        return self.three and self.experiment.alpha == 0.5

    @property
    def illusion(self) -> "pd.Series[Any] | None":
        """The mixed model's errors on Fashion-MNIST by attack, where its defence is an illusion."""
        found, wanted = self.tables.get("tbl-illusions"), ["FashionMNIST", "slides", "mixed"]
        if found is None:
            return None
        rows = found[(found[["data", "rates", "method"]] == wanted).all(axis="columns")]
        hidden = rows["worst case"] > (3 * rows["FGSM"]).clip(lower=50)
        return rows.iloc[0] if hidden.any() else None

    def count_seeds(self, claim: str, least: int = LEAST) -> int:
        """Return over how many seeds a claim (of Table *claims*) holds: at each of them, or 0."""
        held = self.tables.get("tbl-claims", pd.DataFrame())
        if claim not in held.index:
            return 0
        seeds, holds = (int(held[name][claim]) for name in ("seeds", "holds"))
        return seeds if holds == seeds >= least else 0

    @property
    def warnings(self) -> list[str]:
        """What advlib warned of, and in which sections: Markdown, a sentence each."""
        return [
            f"{escape(words[:1].upper() + words[1:])}"
            f" ({write_list(f'[{source}]({source}.ipynb)' for source in sources)})."
            for words, sources in find_warnings(self.notebooks).items()
        ]

    @property
    def attacked(self) -> int:
        """How many test images are attacked in every way."""
        return min(self.experiment.attacked, int(self.evaluation("clean")["n"].min()))

    def evaluation(self, images: str) -> pd.DataFrame:
        """Return the figures on "clean" or on "adversarial" images, a row for each method."""
        rows = [f"{method}, {images}" for method in self.methods]
        return self.tables["tbl-evaluation"].loc[rows].set_axis(self.methods)

    def title(self, method: str) -> str:
        """Return the heading of a method's part of the report."""
        notebooks = [each for each in self.notebooks if each.parameters.get("method") == method]
        texts = [text for each in notebooks for _, cell in each.cells for text in _texts(cell)]
        found = [heading[1] for text in texts if (heading := re.match("## +(.+)", text))]
        return found[-1] if found else METHODS[method].title

    def name(self, method: str) -> str:
        """Name a method in a sentence: mixed training, or the mixed model."""
        return lower_first(self.title(method)) if self.trained else f"the {method} model"

    def after(self, method: str) -> str:
        """Return "after mixed training", or "with the mixed model"."""
        return f"{'after' if self.trained else 'with'} {self.name(method)}"

    def write(self, numbers: "pd.Series[float]") -> str:
        """Write percentages by method: "1.7 % after standard training and 1.8 % after ..."."""
        return write_list(
            f"{percent(number, 1)} {self.after(str(method))}" for method, number in numbers.items()
        )


def _texts(cell: Mapping[str, Any]) -> Iterable[str]:
    """Yield a cell's Markdown: what stands in it, or what it says."""
    if cell["cell_type"] == "markdown":
        yield "".join(cell["source"])
    for output in cell.get("outputs", []):
        yield "".join(output.get("data", {}).get("text/markdown", ""))


def open_results(executed: str) -> Results:
    """Return what a folder's executed chapters found, for those that read others to tell.

    Opened by hand, without a folder, these tell of the reference run. From here on a notebook knows
    `%%say`.

    Raises
    ------
    FileNotFoundError
        If there is no executed chapter.
    """
    if shell := get_ipython():
        load_ipython_extension(shell)
    if not executed:
        return Results(Experiment(), read(RESULTS))
    chapters = read_chapters(executed)
    if not chapters:
        raise FileNotFoundError(f"there is no executed chapter of a report in {executed}")
    experiment = Experiment.chosen(chapters[0].experiment)
    if chapters[0].experiment["slides"]:  # in whatever folder their data lie
        experiment = replace(experiment, dataset=Experiment.dataset)
    return Results(experiment, collect_from(chapters), chapters)


def lower_first(heading: str) -> str:
    """Return a heading as it stands within a sentence."""
    return heading if heading[1:2].isupper() else heading[:1].lower() + heading[1:]
