"""What of a user's own goes into an experiment: checked before any training, and known by content.

Standard library only, but for `check_content`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from advlib.experiment.own_files import check_definition, describe_own, find_weights, list_own
from advlib.kept.folders import METHOD_TEXTS
from advlib.kept.names import name_method, split_own
from advlib.settings import DATASETS, TRAINING_IMAGES, Experiment, is_folder, repeats_slides

LENET, LENET_SHAPE = "LeNet", (1, 28, 28)
"""Our network, and the shape of the images that it takes."""


def check_early(experiment: Experiment) -> None:
    """Check what of a user's own an experiment names, as far as that takes no time.

    Raises
    ------
    ValueError, OSError
        As `check_own`.
    """
    _check_images(experiment)
    check_own(experiment)


def _check_images(experiment: Experiment) -> None:
    """Refuse more training images than a known data set has."""
    images, dataset = experiment.images, experiment.dataset
    if dataset in DATASETS and images is not None and images > TRAINING_IMAGES:
        raise ValueError(
            f"IMAGES must be at most {TRAINING_IMAGES}, all that {dataset} has for training, not"
            f" {images}"
        )


def known_methods() -> list[str]:
    """Return the names of the methods that the report has a text about."""
    return sorted(path.stem for path in METHOD_TEXTS.glob("*.md"))


def check_own(experiment: Experiment) -> None:
    """Check what of a user's own an experiment names, as far as reading tells.

    Raises
    ------
    ValueError, OSError
        If something is missing, is no Python, or has a name that is taken. The message names it and
        what to do.
    """
    check_methods(experiment.methods, experiment.weights)
    for what in list_own(experiment):
        check_definition(what)
    if experiment.weights:
        find_weights(experiment)


def check_methods(methods: Sequence[str], weights: str | None) -> None:
    """Refuse methods that are unknown, or whose names in the report are not their own."""
    seen: dict[str, str] = {}
    for method in methods:
        name, own = name_method(method), split_own(method)
        if weights and own:
            raise ValueError(
                f"METHODS must be names alone where WEIGHTS is given, not {method!r}: give"
                f" {own[1]!r}, and {own[1]}.safetensors is read"
            )
        if own and name in known_methods():
            raise ValueError(
                f"METHODS: {method} has the name of advlib's own method {name}, and the report"
                f" tells methods apart by their names: rename the function in {own[0]}"
            )
        if not own and not weights and method not in known_methods():
            raise ValueError(
                f"METHODS must be of {', '.join(known_methods())}, or FILE.py:NAME for a function"
                f" of your own (a path without commas), not {method!r}"
            )
        other = seen.setdefault(name.lower(), method)
        if other != method:
            raise ValueError(
                f"METHODS: {other} and {method} have one name in the report, {name}: rename one"
            )


def _check_shape(dataset: str, shape: tuple[int, ...], network: str) -> None:
    channels, height, width = shape
    if network == LENET and shape != LENET_SHAPE:
        raise ValueError(
            f"{LENET} takes grey images of 28 x 28 pixels, and those in {dataset} are "
            f"{'grey' if channels == 1 else 'colour'} ones of {height} x {width}: bring a network "
            "of your own for them, NETWORK=FILE.py:NAME"
        )


def is_about_slides(settings: Mapping[str, Any]) -> bool:
    """Tell whether an experiment repeats the slides' (`repeats_slides`), MNIST lying anywhere."""
    dataset = str(settings.get("dataset", Experiment.dataset))
    if is_folder(dataset):
        from advlib.data import recognize

        dataset = recognize(Path(dataset)) or dataset
    return repeats_slides({**settings, "dataset": dataset})


def describe_inputs(experiment: Experiment) -> list[str]:
    """Return a line for each input of the user's own that changes where its files do."""
    lines = describe_own(experiment)
    if is_folder(experiment.dataset):
        from advlib.data import digest_files

        lines.append(f"DATASET: files {digest_files(Path(experiment.dataset))}")
    return lines


def check_content(experiment: Experiment) -> None:
    """Read all images of a folder of data and try a user's code, before any training.

    Raises
    ------
    ValueError, OSError
        As `advlib.load_data`, if the images do not fit the network, and as
        `advlib.experiment.own_checks.check_by_trying`.
    """
    own = bool(list_own(experiment) or experiment.weights)
    if not is_folder(experiment.dataset) and not own:
        return
    from advlib.data import load_data

    data = load_data(experiment.dataset, images=experiment.images)
    _check_names(data.classes)
    _check_shape(experiment.dataset, tuple(data.mean_image.shape), experiment.network)
    if own:
        from advlib.experiment.own_checks import check_by_trying

        check_by_trying(experiment, data)


def _check_names(classes: Iterable[str]) -> None:
    """Refuse classes with names that the report's figures cannot show."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    known = FT2Font(findfont("STIXGeneral")).get_charmap()
    for name in classes:
        if unknown := "".join(sorted({c for c in name if ord(c) not in known})):
            raise ValueError(
                f"the class {name!r} has characters that the figures' font has not, {unknown!r}: "
                "rename its folders in train and test"
            )
