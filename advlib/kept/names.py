"""How a user's files and methods are named: FILE.py:NAME, and the NAME. Standard library only."""

import os
import re
from collections.abc import Sequence


def split_own(text: object) -> tuple[str, str] | None:
    """Split FILE.py:NAME, which names something in a user's file; None if it is no such text."""
    found = re.fullmatch(r"(.+\.py):([A-Za-z_][A-Za-z0-9_]*)", str(text), re.DOTALL)
    return (found[1], found[2]) if found else None


def name_method(method: str) -> str:
    """Name a method for tables and file names: of FILE.py:NAME it is the NAME, with hyphens."""
    own = split_own(method)
    return (own[1] if own else method).replace("_", "-")


def find_shown(methods: Sequence[str]) -> str:
    """Return the name of the method whose model is shown where one is: standard, else the first."""
    names = [name_method(method) for method in methods]
    return "standard" if "standard" in names else names[0]


def find_path(path: str, folder: str = "") -> str:
    """Make a path absolute, for it is read from elsewhere."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(path)))
