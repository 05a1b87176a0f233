"""The data sets with a name: MNIST comes with the package, the others are downloaded."""

import hashlib
import socket
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

from advlib.data.idx import FILES, FORMS
from advlib.kept.files import cache_folder, lock
from advlib.kept.folders import MNIST
from advlib.settings import DATASETS

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


def find_published(folder: Path) -> str | None:
    """Return the data set whose files a folder has, gzipped as they are published."""
    paths = [folder / f"{file}.gz" for file in FILES.values()]
    if not all(path.is_file() for path in paths):
        return None
    sums = [hashlib.md5(path.read_bytes()).hexdigest() for path in paths]
    published = {name: [md5 for _, md5 in _find_source(name).resources] for name in DATASETS}
    return next((name for name in DATASETS if published[name] == sums), None)


def name_classes(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes."""
    return DATASETS[name].classes or tuple(_find_source(name).classes)


def find_folder(name: str) -> Path:
    """Return the folder of a data set's files, downloaded if they are not there or damaged."""
    if name == "MNIST":
        return MNIST
    from torchvision.datasets.utils import check_integrity, download_url

    source, folder = _find_source(name), cache_folder() / "data" / name
    if all(check_integrity(folder / file, md5) for file, md5 in source.resources):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    with lock(folder / ".lock", wait=600):
        try:
            socket.setdefaulttimeout(SILENCE)  # torchvision sets no limit
            for file, md5 in source.resources:
                download_url(source.mirrors[0] + file, folder, file, md5)
        except _NO_NETWORK as error:
            raise RuntimeError(
                f"{name} could not be downloaded ({' '.join(str(error).split())}). Without a "
                "network, name the folder that has it: make report DATASET=a/folder, or "
                f'load_data("{name}", folder=...) in Python; {FORMS}'
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    return folder


def _find_source(name: str) -> Any:
    """Return torchvision's class, which knows its files with their MD5, and its classes."""
    import torchvision.datasets  # late: it takes a second or two

    return getattr(torchvision.datasets, name)
