"""For the chapters of old, and it goes with them: the name of the model that is shown."""

from collections.abc import Sequence


def find_shown(methods: Sequence[str]) -> str:
    """Return the name of the method whose model is shown where one is: standard, else the first."""
    names = [method.rpartition(":")[2].replace("_", "-") for method in methods]
    return "standard" if "standard" in names else names[0]
