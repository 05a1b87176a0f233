"""Data sets that torchvision knows: their classes, their checksums, and their download."""

import contextlib
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

from advlib.kept.files import replace_file

SILENCE = 30.0
"""Seconds that a download waits for a server that says nothing."""
_NO_NETWORK = (RuntimeError, URLError, ConnectionError, TimeoutError, HTTPException)


def find_class(name: str) -> Any:
    """Return torchvision's class of a data set."""
    import torchvision.datasets  # late: it takes a second or two

    return getattr(torchvision.datasets, name)


def find_packed(source: Path) -> str:
    """Return the data set that a packed file is of, by its MD5; empty if it is none's."""
    with source.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    mnist = find_class("MNIST")
    for each in (mnist, *mnist.__subclasses__()):
        resources = vars(each).get("resources")  # a dict where the files have other names
        if isinstance(resources, list) and md5 in dict(resources).values():
            return str(each.__name__)
    return ""


def download(name: str, folder: Path, files: Iterable[str], which: str) -> None:
    """Download a data set's files into a folder; `which` says in words which they are.

    Raises
    ------
    RuntimeError
        If they cannot be had.
    """
    # a name that remove_temporaries knows
    with tempfile.TemporaryDirectory("-download", ".part-", folder) as temporary:
        try:
            with _quiet_unless_terminal(), _time_limit():
                made = find_class(name)(temporary, train=False, download=True)
        except _NO_NETWORK as error:
            raise RuntimeError(
                f"{name} could not be downloaded ({' '.join(str(error).split())}). Without a "
                "network, name the folder that has it: make report DATASET=a/folder, or "
                f'load_data("{name}", folder=...) in Python; {which}'
            ) from error
        for file in files:
            with replace_file(folder / file) as target:
                os.replace(Path(made.raw_folder) / file, target)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Have torchvision, which sets no limit, wait no longer than `SILENCE` for a server."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    """Keep torchvision's progress bars out of notebooks and logs."""
    if sys.stderr.isatty():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
