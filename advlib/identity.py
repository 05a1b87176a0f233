"""What decides a training's numbers, as digests: a run made with another is never taken for it."""

import ast
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advlib import checkpoints
from advlib.data import Dataset

DECIDING = (
    *("data", "lenet", "convolution", "attacks", "methods"),
    *("evaluation", "epochs", "training"),
)
"""The modules whose code decides a training's weights and history."""


def identity(model: nn.Module, data: Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what decides a training's numbers, by names for people.

    Parameters
    ----------
    model : Module
        The model before its training.
    data : Dataset
        The images and labels that train and validate.
    settings : dict
        What JSON can hold.

    Raises
    ------
    RuntimeError
        As `running_code`.
    """
    tensors = {
        f"{part} {kind}": getattr(getattr(data, part), kind)
        for part in ("train", "validation")
        for kind in ("images", "labels")
    }
    return {
        "settings": settings,
        "data": checkpoints.digest(tensors),
        "initial weights": checkpoints.digest(model.state_dict()),
        "network": repr(model),
        "trained parameters": [name for name, p in model.named_parameters() if p.requires_grad],
        "code": running_code(),
        "torch": str(torch.__version__),
    }


def code_digest() -> str:
    """Return the SHA-256 of the code that decides a training's numbers, its words left out."""
    total = hashlib.sha256()
    for module in DECIDING:
        tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):  # words decide nothing: comments and docstrings do not count
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [line for line in node.body if not _is_text(line)]
        total.update(ast.dump(tree).encode())
    return total.hexdigest()


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


_IMPORTED = code_digest()


def running_code() -> str:
    """Return the digest of the code that runs.

    Raises
    ------
    RuntimeError
        If the files have changed since they were imported.
    """
    if code_digest() != _IMPORTED:
        raise RuntimeError(
            "advlib's code has changed since it was imported, and what it trains now would be taken"
            " for the new code's: start Python, or the notebook's kernel, anew"
        )
    return _IMPORTED
