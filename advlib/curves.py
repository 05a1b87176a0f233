"""What the slides' training curves show, which differs from method to method."""

import pandas as pd

QUANTITIES = {
    "objective": "objective",
    "top1_error": "top-1 error (%)",
    "top5_error": "top-5 error (%)",
}
"""The three quantities of a history, with their names in a figure."""

TRAINING_CURVES = {
    "standard": "training, clean images",
    "mixed": "training, clean plus adversarial images",
    "mixed-epochwise": "training, clean plus adversarial images",
    "adversarial": "training, adversarial images",
}
"""What the training curve of each method shows, in words."""


def training_curve(history: pd.DataFrame, method: str, quantity: str) -> "pd.Series[float]":
    """Return one training curve as the slides draw it for that method.

    Standard training shows the clean images, adversarial training the adversarial images only,
    and mixed training the sum of both: its totals are divided by the clean images' number.

    Parameters
    ----------
    history
        A row per epoch, as ``advlib.train`` returns it.
    method
        The training's name.
    quantity
        One of `QUANTITIES`.

    Raises
    ------
    ValueError
        If the history lacks the figures of the adversarial images.
    """
    clean, adversarial = f"{quantity}_train", f"{quantity}_train_adversarial"
    if method == "standard":
        return history[clean]
    if adversarial not in history or history[adversarial].isna().all():
        raise ValueError(f"history of {method} training has no values in {adversarial}")
    if method == "adversarial":
        return history[adversarial]
    return history[clean] + history[adversarial]


def ends(history: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the first and the last value of every curve.

    Parameters
    ----------
    history
        A row per epoch, as ``advlib.train`` returns it.
    method
        The training's name.

    Returns
    -------
    pandas.DataFrame
        Columns quantity, split (train, validation), first and last; a row per curve.
    """
    rows = []
    for quantity in QUANTITIES:
        splits = {
            "train": training_curve(history, method, quantity),
            "validation": history[f"{quantity}_validation"],
        }
        rows += [
            (quantity, split, curve.iloc[0], curve.iloc[-1]) for split, curve in splits.items()
        ]
    return pd.DataFrame(rows, columns=["quantity", "split", "first", "last"])
