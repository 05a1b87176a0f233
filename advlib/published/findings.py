"""What is wrong or loose in the published numbers.

Nothing that `findings` returns is typed in: it is computed from the printed numbers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from advlib.published.slides import (
    CONTENT,
    IDENTITY_TOLERANCE,
    IMAGES,
    METHODS,
    SLACK,
    TRANSFER_FIGURES,
    TRANSFER_ORDER,
    confidence_identity,
    evaluation,
)

_TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Finding:
    """Something wrong or loose: where, as it is printed, as it should be, and why."""

    where: str
    printed: str
    corrected: str
    problem: str


def findings() -> list[Finding]:
    """Check the published numbers against each other, the later revision and the split."""
    return [
        *_wrong_training_images(),
        *_wrong_rate_sums(),
        *_wrong_confidences(),
        *_wrong_diagonals(),
        *_wrong_transfer_cells(),
        *_loose_drop(),
    ]


def _wrong_training_images() -> Iterator[Finding]:
    claim, split = CONTENT["claims"]["training_images"], CONTENT["split"]
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
        if abs(total - 100) > SLACK:
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
        column = evaluation(method)[images]
        parts = " + ".join(
            f"{column[part] / 100:.4f} {_TIMES} {column[f'confidence_{part}']:.2f}"
            for part in ("correct", "error")
        )
        yield Finding(
            _cell(method, images, "confidence"),
            f"{row.printed:.2f}",
            f"{evaluation(method, corrected=True)[images]['confidence']:.2f}",
            f"{parts} = {row.computed:.2f}; {checked['holds'].sum()} of the {len(checked)} columns "
            f"agree to {IDENTITY_TOLERANCE}",
        )


def _wrong_diagonals() -> Iterator[Finding]:
    for figure in TRANSFER_FIGURES:
        for tested, attacked, printed in _transfer_cells(CONTENT["transfer"][figure]):
            evaluated = evaluation(tested)["adversarial"][figure]
            if tested == attacked and printed != evaluated:
                yield Finding(
                    _transfer_name(figure, tested, attacked),
                    f"{printed:.2f}",
                    f"{evaluated:.2f}",
                    f"the table of {tested} training has {evaluated:.2f}",
                )


def _wrong_transfer_cells() -> Iterator[Finding]:
    for figure in TRANSFER_FIGURES:
        cells = CONTENT["transfer"][figure]
        revised = CONTENT["later_revision"].get(f"transfer.{figure}", cells)
        both = zip(_transfer_cells(cells), _transfer_cells(revised), strict=True)
        for (tested, attacked, old), (_, _, new) in both:
            if old == new:
                continue
            problem = f"the later revision prints {new:.2f}"
            if math.isclose(old, math.floor(new) / 100, abs_tol=SLACK):
                problem = f"a fraction cut to two digits, not percent; {problem}"
            clean = evaluation(tested)["clean"][figure]
            if figure == "error" and old < clean:
                problem += f"; the model's error on clean images is {clean:.2f} already"
            where = _transfer_name(figure, tested, attacked)
            yield Finding(where, f"{old:.2f}", f"{new:.2f}", problem)


def _loose_drop() -> Iterator[Finding]:
    claim = CONTENT["claims"]["error_drop"]
    before = evaluation("standard")["adversarial"]["error"]
    defended = ("mixed", "adversarial")
    after = [evaluation(method)["adversarial"]["error"] for method in defended]
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
            yield method, images, evaluation(method)[images]


def _cell(method: str, images: str, figure: str) -> str:
    return f"{method.capitalize()} training, {images} images, {figure.replace('_', ' ')}"


def _transfer_cells(table: list[list[float]]) -> Iterator[tuple[str, str, float]]:
    for tested, row in zip(TRANSFER_ORDER, table, strict=True):
        for attacked, value in zip(TRANSFER_ORDER, row, strict=True):
            yield tested, attacked, value


def _transfer_name(figure: str, tested: str, attacked: str) -> str:
    return f"Transfer, {figure.replace('_', ' ')}, {tested} model on the {attacked} model's images"
