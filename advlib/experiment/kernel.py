"""What a notebook computes with."""

import os

SIDE_BY_SIDE = 3
"""Notebooks that `make` executes at once, each with its share of the cores; threads of one training
wait for each other, so two trainings on a core each are faster than one on two."""


def share_cores() -> int:
    """Return how many threads a notebook computes with: $OMP_NUM_THREADS, or its share."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked) if asked.isdecimal() else (os.cpu_count() or 1) // SIDE_BY_SIDE)
