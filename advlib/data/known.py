"""The data sets with a name: MNIST comes with the package, torchvision downloads the others."""

import hashlib
import socket
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

from advlib.data.idx import FORMS
from advlib.kept.files import cache_folder, lock
from advlib.kept.folders import MNIST

DIGESTS = {
    "ca679089cd9dd461d7b26e36e51216fc71f9271f8082e09656a7c1d29a50483b": "MNIST",
    "697249e9d1e87d6b2c6a738e828c890264cffecccb13840d472e3585751a5582": "FashionMNIST",
}
"""By the SHA-256 of the lines with the SHA-256 of the four unpacked files, as in `idx.FILES`."""
SILENCE = 30.0
"""Seconds that a download waits for a server that says nothing."""
_NO_NETWORK = (RuntimeError, URLError, ConnectionError, TimeoutError, HTTPException)


def find_name(checksums: Iterable[str]) -> str | None:
    """Return the data set that has four files of these SHA-256."""
    return DIGESTS.get(hashlib.sha256("\n".join(checksums).encode()).hexdigest())


def name_classes(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes."""
    return tuple("0123456789") if name == "MNIST" else tuple(_find_class(name).classes)


def find_folder(name: str) -> Path:
    """Return the folder of a data set's files, downloaded if they are not there or damaged."""
    if name == "MNIST":
        return MNIST
    from torchvision.datasets.utils import check_integrity, download_url

    known, folder = _find_class(name), cache_folder() / "data" / name
    if all(check_integrity(folder / file, md5) for file, md5 in known.resources):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    with lock(folder / ".lock", wait=600):
        try:
            socket.setdefaulttimeout(SILENCE)  # torchvision sets no limit
            for file, md5 in known.resources:
                download_url(known.mirrors[0] + file, folder, file, md5)
        except _NO_NETWORK as error:
            raise RuntimeError(
                f"{name} could not be downloaded ({' '.join(str(error).split())}). Without a "
                "network, name the folder that has it: make report DATASET=a/folder, or "
                f'load_data("{name}", folder=...) in Python; {FORMS}'
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    return folder


def _find_class(name: str) -> Any:
    """Return torchvision's class of a data set."""
    import torchvision.datasets  # late: it takes a second or two

    return getattr(torchvision.datasets, name)
