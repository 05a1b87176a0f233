"""Weights with a record beside them in one file, never a pickle; the checkpoint of a run."""

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from advlib.kept import files
from advlib.kept.files import DamagedFileError, write_bytes
from advlib.kept.machine import processor

LOG = logging.getLogger("advlib")
NAME, HISTORY = "checkpoint.safetensors", "history.csv"
BEGAN_WITH = "device", "threads", "precision", "processor"
_BACKENDS: Any = torch.backends  # torch's own types lack some of them
_PRECISIONS = (_BACKENDS.mkldnn.matmul, _BACKENDS.mkldnn.conv, _BACKENDS.cuda.matmul)


def save(path: str | os.PathLike[str], state: Mapping[str, Tensor], record: object) -> None:
    """Write tensors, and a record that JSON can hold, as a safetensors file, whole or not."""
    # clones: safetensors refuses tensors that share memory, as tied weights do
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    text = json.dumps(record)
    metadata = {"record": text, "digest": digest(tensors, text)}
    write_bytes(path, safetensors.torch.save(tensors, metadata))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], Any]:
    """Read the tensors, on the CPU, and the record that `save` wrote. Reading runs no code."""
    with open(path, "rb"):  # an error here is the system's own; safetensors blurs them
        pass
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            # clones: the file is mapped into memory, and may be replaced
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        text = metadata["record"]
        if metadata["digest"] != digest(tensors, text):
            raise ValueError("the checksum of its content is another")
        return tensors, json.loads(text)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}); remove it, and it is made again from the start"
        ) from error


def digest(state: Mapping[str, Tensor], text: str = "") -> str:
    """Return the SHA-256 of a text, and of tensors and their names, dtypes and shapes."""
    total = hashlib.sha256(text.encode())
    for name, tensor in sorted(state.items()):
        total.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make a run's folder, and hold it for this process; wait while another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(files.lock(folder / ".lock"))
        except TimeoutError:
            LOG.info(f"waiting: another process trains in {folder}")
            stack.enter_context(files.lock(folder / ".lock", wait=math.inf))
        files.remove_temporaries(folder)
        yield


def _precision() -> list[str]:
    return [place.fp32_precision for place in _PRECISIONS]


def _set_precision(precision: list[str]) -> None:
    for place, value in zip(_PRECISIONS, precision, strict=True):
        if place.fp32_precision != value:
            place.fp32_precision = value


@dataclass
class Checkpoint:
    """What a run's folder holds: the weights and the history so far, and how they came about.

    `identity` is what decides the run's numbers: a folder with another is not taken for this run's.
    `device`, `threads`, `precision` (torch's ``fp32_precision``) and `processor` are those that the
    run began with; `state` has the weights after the last finished epoch, none before the first,
    and `history` a row for each finished epoch.
    """

    folder: Path
    identity: dict[str, Any]
    device: str
    threads: int
    precision: list[str]
    processor: str
    state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def resume(cls, folder: Path, identity: dict[str, Any], device: torch.device) -> "Checkpoint":
        """Read the checkpoint in a folder, or begin one; a run with another identity is refused."""
        path = folder / NAME
        if not path.exists():
            here = str(device), torch.get_num_threads(), _precision(), processor()
            return cls(folder, identity, *here)
        state, record = load(path)
        kept = record.get("identity", {}) if isinstance(record, dict) else {}
        other = [part for part in identity if kept.get(part) != identity[part]]
        if other:
            raise ValueError(
                f"run must be a new folder, or one with the same training: {folder} holds one with"
                f" other {', '.join(other)} ({kept.get('settings')})"
            )
        found = {part: record[part] for part in (*BEGAN_WITH, "history")}
        return cls(folder, identity, state=state, **found)

    @contextmanager
    def conditions(self) -> Iterator[None]:
        """Use the run's number of threads and its precision."""
        threads, found = torch.get_num_threads(), _precision()
        torch.set_num_threads(self.threads)
        _set_precision(self.precision)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            _set_precision(found)

    def save(self, state: Mapping[str, Tensor], history: list[dict[str, float]]) -> None:
        """Write the checkpoint anew."""
        record = {part: getattr(self, part) for part in ("identity", *BEGAN_WITH)}
        save(self.folder / NAME, state, {**record, "history": history})

    def finish(self, history: pd.DataFrame) -> None:
        """Write the history for people to read; no number is read back from it."""
        write_bytes(self.folder / HISTORY, history.to_csv(index=False).encode())

    def is_told_by(self, history: pd.DataFrame) -> bool:
        """Return whether the history that people read is this one."""
        path = self.folder / HISTORY
        return path.exists() and path.read_bytes() == history.to_csv(index=False).encode()
