"""The published numbers of the slides, their corrections, and a check that finds what is wrong.

`published.json` holds the numbers as they are printed, in percent, the later revision's beside
them, and where they come from. Nothing that `findings` returns is typed in: it is computed from
the printed numbers.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

METHODS = ("standard", "mixed", "adversarial")
TRANSFER_ORDER = ("standard", "adversarial", "mixed")
"""The models of the transfer tables, in their order."""
FIGURES = ("correct", "error", "confidence", "confidence_correct", "confidence_error")
IMAGES = ("clean", "adversarial")
TRANSFER_FIGURES = ("error", "confidence_error")
IDENTITY_TOLERANCE = 0.01
"""How far two-decimal figures can be off the identity, in points. Three rounded confidences each
add up to half a hundredth, the two of the parts in proportion to their rates, which sum to one;
rates over 10,000 images are exact."""

_CONTENT: dict[str, Any] = json.loads(
    (Path(__file__).parent / "published.json").read_text(encoding="utf-8")
)
_TIMES = "\N{MULTIPLICATION SIGN}"
_SLACK = 1e-9  # rounding of the float arithmetic, far below the last printed digit


@dataclass(frozen=True)
class Finding:
    """Something wrong or loose in the published numbers.

    Attributes
    ----------
    where : str
        The slide or table.
    printed, corrected : str
        The number as it is printed, and as it should be.
    problem : str
        What is wrong, with the computation that shows it.
    """

    where: str
    printed: str
    corrected: str
    problem: str


def evaluation(method: str, *, corrected: bool = False) -> dict[str, dict[str, float]]:
    """Return a method's evaluation table.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    corrected : bool
        Whether a misprinted figure is replaced by the later revision's.

    Returns
    -------
    dict
        By images (`IMAGES`), then by figure (`FIGURES`), in percent.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    _one_of("method", method, METHODS)
    table = {images: dict(column) for images, column in _CONTENT["evaluation"][method].items()}
    if corrected:
        checked = confidence_identity()
        for images in checked.loc[(checked["method"] == method) & ~checked["holds"], "images"]:
            table[images]["confidence"] = _revised_confidence(method, images)
    return table


def _revised_confidence(method: str, images: str) -> float:
    """Return the later revision's figure, or without one what the identity gives."""
    revised = _CONTENT["later_revision"].get(f"evaluation.{method}.{images}.confidence")
    computed = _expected_confidence(_CONTENT["evaluation"][method][images])
    return round(computed, 2) if revised is None else float(revised)


def _expected_confidence(column: Mapping[str, float]) -> float:
    correct, error = column["correct"] / 100, column["error"] / 100
    return correct * column["confidence_correct"] + error * column["confidence_error"]


def transfer(figure: str, *, corrected: bool = False) -> pd.DataFrame:
    """Return a transfer table.

    Parameters
    ----------
    figure : str
        ``"error"`` or ``"confidence_error"``.
    corrected : bool
        Whether misprinted cells are replaced by the later revision's.

    Returns
    -------
    pandas.DataFrame
        Percent; a row is the model under test, a column the model that the images were made
        against.

    Raises
    ------
    ValueError
        If there is no such figure.
    """
    _one_of("figure", figure, TRANSFER_FIGURES)
    cells = _CONTENT["transfer"][figure]
    if corrected:
        cells = _CONTENT["later_revision"].get(f"transfer.{figure}", cells)
    return pd.DataFrame(cells, index=list(TRANSFER_ORDER), columns=list(TRANSFER_ORDER))


def curves(method: str) -> pd.DataFrame:
    """Return what the eye reads off the slides' training curves.

    Parameters
    ----------
    method : str
        One of `METHODS`.

    Returns
    -------
    pandas.DataFrame
        A row per curve, with the columns quantity (objective, top1_error or top5_error), split
        (train or validation), first and last (epoch); errors in percent. The slides' train curve
        is of the clean images for standard training, of the adversarial images for adversarial
        training, and the sum of both for mixed training.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    _one_of("method", method, METHODS)
    rows = [
        # The plots' errors are fractions.
        (quantity, split, *(value * (1 if quantity == "objective" else 100) for value in ends))
        for quantity, splits in _CONTENT["curves_read_off_the_figures"][method].items()
        for split, ends in splits.items()
    ]
    return pd.DataFrame(rows, columns=["quantity", "split", "first", "last"])


def goodfellow() -> pd.DataFrame:
    """Return the figures of Goodfellow et al. (arXiv:1412.6572) on MNIST at epsilon 0.25.

    Returns
    -------
    pandas.DataFrame
        Columns model, training, made_against (the model that the adversarial images are made
        against), error and confidence (mean; the adversarially trained network's, on its errors),
        in percent; NaN where not quoted. Epsilon is in pixels of [0, 1].
    """
    table = _CONTENT["goodfellow2014"]
    return pd.DataFrame(table["rows"], columns=table["columns"])


def wording() -> pd.DataFrame:
    """Return the slides' slips of wording: columns where, printed, corrected, problem."""
    return pd.DataFrame(_CONTENT["wording"])


def settings() -> dict[str, Any]:
    """Return the settings of the published experiment by the names of our parameters."""
    return dict(_CONTENT["settings"])


def applies(parameters: Mapping[str, object]) -> bool:
    """Tell whether the published numbers are of the experiment with these parameters.

    Parameters
    ----------
    parameters : mapping
        Some or all of the parameters; one that is left out does not count. Any seed and method
        will do.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        If there is no such parameter.
    """
    published = settings()
    for name in parameters:
        _one_of("parameter", name, (*published, "seed", "method"))
    given = {name: parameters[name] for name in published if name in parameters}
    if given.get("images") == _CONTENT["split"]["train"]:
        given["images"] = None
    return all(value == published[name] for name, value in given.items())


def confidence_identity() -> pd.DataFrame:
    """Check that each confidence is the mean of its two parts, weighted by their rates.

    Returns
    -------
    pandas.DataFrame
        A row per column of the evaluation tables: method, images, printed, computed, difference
        (in points) and holds, which allows for rounding (`IDENTITY_TOLERANCE`).
    """
    rows = []
    for method, images, column in _columns():
        computed = _expected_confidence(column)
        difference = column["confidence"] - computed
        holds = abs(difference) <= IDENTITY_TOLERANCE + _SLACK
        rows.append((method, images, column["confidence"], computed, difference, holds))
    names = ["method", "images", "printed", "computed", "difference", "holds"]
    return pd.DataFrame(rows, columns=names)


def findings() -> list[Finding]:
    """Check the published numbers against each other, the later revision and the split.

    Returns
    -------
    list of Finding
        What is wrong or loose, in the slides' order; empty where all checks hold.
    """
    return [
        *_wrong_training_images(),
        *_wrong_rate_sums(),
        *_wrong_confidences(),
        *_wrong_diagonals(),
        *_wrong_transfer_cells(),
        *_loose_drop(),
    ]


def _wrong_training_images() -> Iterator[Finding]:
    claim, split = _CONTENT["claims"]["training_images"], _CONTENT["split"]
    train, validation = split["train"], split["validation"]
    if claim["value"] != train:
        yield Finding(
            claim["where"],
            f"{claim['value']:,} images",
            f"{train:,} images",
            f"of the {train:,} + {validation:,} = {train + validation:,} images of the training "
            f"file {validation:,} only validate",
        )


def _wrong_rate_sums() -> Iterator[Finding]:
    for method, images, column in _columns():
        total = column["correct"] + column["error"]
        if abs(total - 100) > _SLACK:
            yield Finding(
                _cell(method, images, "error"),
                f"{column['error']:.2f}",
                f"{100 - column['correct']:.2f}",
                f"correct and error sum to {total:.2f}, not 100",
            )


def _wrong_confidences() -> Iterator[Finding]:
    checked = confidence_identity()
    for row in checked[~checked["holds"]].itertuples():
        method, images = str(row.method), str(row.images)
        column = _CONTENT["evaluation"][method][images]
        parts = " + ".join(
            f"{column[part] / 100:.4f} {_TIMES} {column[f'confidence_{part}']:.2f}"
            for part in ("correct", "error")
        )
        yield Finding(
            _cell(method, images, "confidence"),
            f"{row.printed:.2f}",
            f"{_revised_confidence(method, images):.2f}",
            f"{parts} = {row.computed:.2f}; {checked['holds'].sum()} of the {len(checked)} columns "
            f"agree to {IDENTITY_TOLERANCE}",
        )


def _wrong_diagonals() -> Iterator[Finding]:
    for figure in TRANSFER_FIGURES:
        for tested, attacked, printed in _transfer_cells(_CONTENT["transfer"][figure]):
            evaluated = _CONTENT["evaluation"][tested]["adversarial"][figure]
            if tested == attacked and printed != evaluated:
                yield Finding(
                    _transfer_name(figure, tested, attacked),
                    f"{printed:.2f}",
                    f"{evaluated:.2f}",
                    f"the table of {tested} training has {evaluated:.2f}",
                )


def _wrong_transfer_cells() -> Iterator[Finding]:
    for figure in TRANSFER_FIGURES:
        cells = _CONTENT["transfer"][figure]
        revised = _CONTENT["later_revision"].get(f"transfer.{figure}", cells)
        both = zip(_transfer_cells(cells), _transfer_cells(revised), strict=True)
        for (tested, attacked, old), (_, _, new) in both:
            if old == new:
                continue
            problem = f"the later revision prints {new:.2f}"
            if math.isclose(old, math.floor(new) / 100, abs_tol=_SLACK):
                problem = f"a fraction cut to two digits, not percent; {problem}"
            clean = _CONTENT["evaluation"][tested]["clean"][figure]
            if figure == "error" and old < clean:
                problem += f"; the model's error on clean images is {clean:.2f} already"
            where = _transfer_name(figure, tested, attacked)
            yield Finding(where, f"{old:.2f}", f"{new:.2f}", problem)


def _loose_drop() -> Iterator[Finding]:
    claim = _CONTENT["claims"]["error_drop"]
    before = _CONTENT["evaluation"]["standard"]["adversarial"]["error"]
    defended = ("mixed", "adversarial")
    after = [_CONTENT["evaluation"][method]["adversarial"]["error"] for method in defended]
    points = [before - error for error in after]
    if all(abs(drop - claim["value"]) < 1 for drop in points):
        return
    yield Finding(
        claim["where"],
        f"~{claim['value']} %",
        " and ".join(f"{drop:.1f}" for drop in points) + " points",
        f"from {before:.2f} to "
        + " and ".join(
            f"{error:.2f} ({method})" for error, method in zip(after, defended, strict=True)
        )
        + ", which is "
        + " and ".join(f"{100 * drop / before:.0f}" for drop in points)
        + " % of it; the slides do not say whether they mean points",
    )


def _columns() -> Iterator[tuple[str, str, dict[str, float]]]:
    for method in METHODS:
        for images in IMAGES:
            yield method, images, _CONTENT["evaluation"][method][images]


def _cell(method: str, images: str, figure: str) -> str:
    return f"{method.capitalize()} training, {images} images, {figure.replace('_', ' ')}"


def _transfer_cells(table: list[list[float]]) -> Iterator[tuple[str, str, float]]:
    for tested, row in zip(TRANSFER_ORDER, table, strict=True):
        for attacked, value in zip(TRANSFER_ORDER, row, strict=True):
            yield tested, attacked, value


def _transfer_name(figure: str, tested: str, attacked: str) -> str:
    return f"Transfer, {figure.replace('_', ' ')}, {tested} model on the {attacked} model's images"


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}, not {value!r}")
