"""The chapter on confidence: how far it can be believed, and what a threshold on it would do."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from advlib.attacks import slides_fgsm
from advlib.data import Dataset
from advlib.evaluation import measure_images
from advlib.show import figures, tables
from advlib.show.figures import ABREAST, CURVES, Array, draw_panels, new_figure, styled

BINS = 15
IMAGES = ("clean", "adversarial")
COVERAGE = 90
"""The share of the images, in percent, that a threshold keeps in the table."""

Certainties = Mapping[str, Mapping[str, tuple[Array, Array]]]
"""By model and images: the confidence of each image, from 0 to 1, and whether it is correct."""


def measure(models: Mapping[str, nn.Module], data: Dataset, epsilon: float) -> Certainties:
    """Run each model on the clean test images and on those attacked as the slides do."""
    test, labels = data.test.images, data.test.labels
    found: dict[str, dict[str, tuple[Array, Array]]] = {}
    for name, model in models.items():
        attacked = slides_fgsm(model, test, labels, epsilon)
        for images, changed in zip(IMAGES, (test, attacked), strict=True):
            confidence, correct = measure_images(model, changed, labels)
            found.setdefault(name, {})[images] = confidence.numpy(), correct.double().numpy()
    return found


def compute_reliability(confidence: Array, correct: Array) -> pd.DataFrame:
    """Return the mean confidence, the accuracy and the number of images of each bin of confidence.

    Bins of equal width, (0, 1/15] to (14/15, 1]; those without images are left out.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    frame = pd.DataFrame({"confidence": confidence, "accuracy": correct, "bin": place})
    grouped = frame.groupby("bin")
    return grouped.mean().assign(images=grouped.size())


def compute_calibration_error(confidence: Array, correct: Array) -> float:
    """Return the expected calibration error in percent (Naeini et al. 2015; Guo et al. 2017).

    The mean, weighted by the number of images, of the distance between confidence and accuracy in
    the bins of `compute_reliability`.
    """
    bins = compute_reliability(confidence, correct)
    distance = (bins["confidence"] - bins["accuracy"]).abs()
    return float(100 * (distance * bins["images"]).sum() / bins["images"].sum())


def list_bins(found: Certainties) -> pd.DataFrame:
    """Return the bins of `compute_reliability` of all models and images, in percent, as one table.

    Columns: model, split (clean or adversarial), bin (from 1), confidence, accuracy, n.
    """
    parts = [
        compute_reliability(*pair).reset_index().assign(model=name, split=images)
        for name, each in found.items()
        for images, pair in each.items()
    ]
    bins = pd.concat(parts, ignore_index=True).rename(columns={"images": "n"})
    bins["bin"] += 1
    bins[["confidence", "accuracy"]] *= 100
    return bins[["model", "split", "bin", "confidence", "accuracy", "n"]]


def list_risks(found: Certainties, shares: int) -> pd.DataFrame:
    """Return the error on the most confident images, for so many shares of all, evenly apart.

    Columns: model, split (clean or adversarial), coverage and error in percent, n.
    """
    rows = []
    for name, each in found.items():
        for images, pair in each.items():
            risk = compute_risk(*pair)
            kept = np.unique(np.ceil(len(risk) * np.arange(1, shares + 1) / shares).astype(int))
            coverage = 100 * kept / len(risk)
            rows += [
                (name, images, *row) for row in zip(coverage, risk[kept - 1], kept, strict=True)
            ]
    return pd.DataFrame(rows, columns=["model", "split", "coverage", "error", "n"])


def compute_risk(confidence: Array, correct: Array) -> Array:
    """Return the error in percent on the k most confident images, for each k from 1 on."""
    order = np.argsort(-confidence, kind="stable")
    risk: Array = 100 * np.cumsum(1 - correct[order]) / np.arange(1, len(order) + 1)
    return risk


def show_reliability(found: Certainties) -> None:
    """Show the reliability diagrams."""
    figures.show(
        draw_reliability(found),
        "fig-reliability",
        f"Reliability: accuracy against confidence, in {BINS} bins of confidence; the area of a dot"
        " is the number of its images. On the diagonal a model is as often right as it is"
        " confident; below it is too confident.",
        "A panel for each model, with a curve of dots for the clean images, one for the "
        "adversarial images, and the diagonal.",
        list_bins(found),
    )


@styled
def draw_reliability(found: Certainties) -> Figure:
    """Draw a panel for each model."""
    figure = new_figure(0.4 + 2.1 * -(-len(found) // ABREAST))
    for name, leftmost, (axes,) in draw_panels(figure, [*found]):
        each = found[name]
        if leftmost:
            axes.set_ylabel("accuracy (%)")
        axes.plot([0, 100], [0, 100], color="0.7", linewidth=0.6)
        for images, colour in zip(IMAGES, ("C0", "C1"), strict=True):
            bins = compute_reliability(*each[images])
            size = 90 * bins["images"] / bins["images"].sum()
            axes.plot(100 * bins["confidence"], 100 * bins["accuracy"], color=colour, alpha=0.5)
            axes.scatter(
                100 * bins["confidence"],
                100 * bins["accuracy"],
                s=2 + size,
                color=colour,
                label=f"{images} images",
            )
        axes.set(title=f"{name} model", xlabel="confidence (%)", xlim=(0, 102), ylim=(-3, 103))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def show_risk(found: Certainties) -> None:
    """Show risk against coverage."""
    figures.show(
        draw_risk(found),
        "fig-risk",
        "Risk against coverage: the error on those images that a threshold on the confidence keeps,"
        " against their share of all. Clean images and adversarial ones, each for themselves.",
        "Two panels, of clean and of adversarial images, with a curve of the error for each model "
        "over the share of the images that are kept.",
        list_risks(found, 20),
    )


@styled
def draw_risk(found: Certainties) -> Figure:
    """Draw a panel for clean and one for adversarial images."""
    figure, risks = new_figure(2.3 if len(found) <= ABREAST else 2.5), list_risks(found, 100)
    for axes, images in zip(figure.subplots(1, 2), IMAGES, strict=True):
        for name, curve in zip(found, CURVES, strict=False):
            shown = risks[(risks["model"] == name) & (risks["split"] == images)]
            axes.plot(
                "coverage", "error", data=shown, **curve, markevery=0.2, label=f"{name} model"
            )
        axes.set(title=f"{images} images", xlabel="coverage (%)", xlim=(0, 100))
        axes.set_ylim(bottom=0)
    figure.axes[0].set_ylabel("error (%)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def summarize(found: Certainties) -> pd.DataFrame:
    """Return for each model and images: calibration error, and the error with all and with fewer.

    Columns: calibration_error, error, error_kept (of the `COVERAGE` percent most confident).
    """
    rows = {}
    for name, each in found.items():
        for images in IMAGES:
            risk = compute_risk(*each[images])
            kept = risk[max(1, round(len(risk) * COVERAGE / 100)) - 1]
            rows[f"{name}, {images}"] = (compute_calibration_error(*each[images]), risk[-1], kept)
    columns = ["calibration_error", "error", "error_kept"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def show_summary(summary: pd.DataFrame) -> None:
    """Show the numbers of the two figures."""
    headings = ["Calibration error", "Error", f"Error, {COVERAGE} % kept"]
    tables.show(
        tables.lay_out(summary.set_axis(headings, axis="columns"), "Model, images"),
        "tbl-calibration",
        f"Expected calibration error, the mean distance of confidence and accuracy over {BINS} "
        f"bins, in points; error in percent on all images, and on the {COVERAGE} percent on which "
        "the model is most confident.",
        summary,
    )
