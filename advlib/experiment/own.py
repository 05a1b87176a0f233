"""A user's own files that an experiment names, known by their content. Standard library only."""

import hashlib
import os
from pathlib import Path

from advlib.kept.code import find_files
from advlib.kept.files import list_files
from advlib.kept.folders import PACKAGE
from advlib.settings import Experiment, is_folder


def describe_own(experiment: Experiment) -> list[str]:
    """Return a line for each thing of the user's own, which changes where its content does."""
    lines = [f"{file.name}: {digest_own(file)}" for file in experiment.own_files]
    if experiment.text:
        lines.append(f"{Path(experiment.text).name}: {_digest(Path(experiment.text).read_bytes())}")
    folders = [experiment.dataset] * is_folder(experiment.dataset) + [experiment.weights or ""]
    for folder in filter(None, folders):
        # the time of a change cannot be set, as that of the content can (cp -p, rsync -t)
        found = [(str(path), path.stat()) for path in list_files(folder)]
        states = [(path, state.st_size, state.st_ctime_ns) for path, state in found]
        lines.append(f"{Path(folder).name}: {_digest(repr(states).encode())}")
    return lines


def digest_own(file: Path) -> str:
    """Return the SHA-256 of the contents of a user's file and of those that it imports."""
    paths = sorted(find_own(file))
    contents = {os.path.relpath(p, file.parent): _digest(p.read_bytes()) for p in paths}
    return _digest(repr(contents).encode())


def find_own(file: Path) -> frozenset[Path]:
    """Return a user's file and those that it imports from its folder, and they, and so on."""
    try:
        imported = find_files(file, file.parent)
    except (SyntaxError, ValueError):  # no Python: who runs it says where
        imported = frozenset()
    return frozenset({file, *(path for path in imported if not path.is_relative_to(PACKAGE))})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
