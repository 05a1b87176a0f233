"""What make's terminal has while a report is made: how far it is, and about how long it takes.

What is known stands in a file beside the report's parameters, a line of JSON for each thing that is
new: `begin` writes the first ones, then runners and notebooks add theirs, one at a time. Standard
library only.
"""

import fcntl
import json
import logging
import math
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advlib.experiment.kernel import SIDE_BY_SIDE
from advlib.kept.folders import NOTEBOOK, PARAMETERS

FILE = ".pace"
SELDOM, SILENCE = 10, 30
"""Seconds between lines about a notebook's steps; without any line, until one says what goes on."""


@dataclass(frozen=True)
class Standing:
    """How far a report is: what is known of each of its notebooks."""

    known: Mapping[str, Mapping[str, Any]]
    silent: float
    """Seconds since anything was said."""

    @property
    def count(self) -> str:
        """How many notebooks are done, of all: "[ 4/11]"."""
        done, n = sum(each.get("done", False) for each in self.known.values()), len(self.known)
        return f"[{done:{len(str(n))}}/{n}]"

    @property
    def at_work(self) -> list[str]:
        return [n for n, each in self.known.items() if each.get("begun") and not each["done"]]

    @property
    def left(self) -> str:
        """How long the report still takes, as the end of a line; nothing where it is not known.

        It is when an epoch of each training was timed. The others' work is measured by these.
        """
        each_one = self.known.values()
        timed = [each for each in each_one if "work" in each and "seconds" in each]
        unknown = [
            "work" not in each or (each["trains"] and not each["done"] and "seconds" not in each)
            for each in each_one
        ]
        if not timed or any(unknown):
            return ""
        unit = sum(each["seconds"] for each in timed) / sum(each["work"] for each in timed)
        stages: dict[int, list[float]] = {}  # a stage begins when those before it are done
        for each in each_one:
            stages.setdefault(each["stage"], []).append(_left(each, unit))
        left = sum(max(*times, sum(times) / SIDE_BY_SIDE) for times in stages.values())
        rounded = f"{math.ceil(left / 60)} min" if left > 90 else f"{math.ceil(left / 10) * 10} s"
        return f"; in all about {rounded} left" if left else ""


def _left(each: Mapping[str, Any], unit: float) -> float:
    """Return how many seconds a notebook still takes."""
    if each["done"]:
        return 0
    now = time.time()
    begun = each["at"] if each.get("begun") else now
    whole = each["seconds"] * (1 - each["share"]) if "seconds" in each else each["work"] * unit
    return float(max(whole - (now - begun), 0))


def begin(parameters: Path, notebooks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what is known of a report's notebooks before the first of them is executed.

    Of each: is it done already; does it train; its stage, and its work in a unit of any size.
    """
    lines = [json.dumps({"notebook": name, **about}) for name, about in notebooks.items()]
    parameters.with_name(FILE).write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def hear(parameters: Path, notebook: str = "", **news: Any) -> Iterator[Standing]:
    """Add what is new of a notebook; within the block, which may say it, nobody else does so."""
    with parameters.with_name(FILE).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        silent = time.time() - os.fstat(file.fileno()).st_mtime
        if news:
            print(json.dumps({"notebook": notebook, "at": time.time(), **news}), file=file)
        os.utime(file.fileno())
        file.seek(0)
        known: dict[str, dict[str, Any]] = {}
        for line in map(json.loads, file):
            known.setdefault(line["notebook"], {}).update(line)
        yield Standing(known, silent)


@contextmanager
def no_silence(parameters: Path) -> Iterator[None]:
    """Within the block, say what is at work whenever nothing else was said for `SILENCE`."""
    ended, file = threading.Event(), parameters.with_name(FILE)

    def watch() -> None:
        while not ended.wait(SILENCE / 10):
            if time.time() - file.stat().st_mtime > SILENCE:
                with hear(parameters) as standing:
                    if standing.silent > SILENCE:
                        print(f"    at work: {', '.join(standing.at_work)}{standing.left}")
                        sys.stdout.flush()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Terminal(logging.Handler):
    """Writes the log, of many steps one in `SELDOM` seconds and the last, with the time left."""

    said = -math.inf

    def emit(self, record: logging.LogRecord) -> None:
        words, share = record.getMessage(), getattr(record, "share", 1)
        found = re.search(r"(\d+) min (\d+) s left$", words)  # of a training
        timed: dict[str, float] = {}
        if found and share < 1:
            seconds = 60 * int(found[1]) + int(found[2])
            timed = {"share": share, "seconds": seconds / (1 - share)}
        with hear(Path(os.environ[PARAMETERS]), os.environ[NOTEBOOK], **timed) as standing:
            if share == 1 or time.monotonic() - self.said > SELDOM:
                self.said = time.monotonic()
                print(f"    {words}{standing.left}", file=sys.stderr, flush=True)


def hear_warnings(tell: Callable[[str], None]) -> None:
    """Have what advlib warns of told in a sentence, each once; other warnings are as they were."""
    show, told = warnings.showwarning, set[str]()

    def show_or_tell(message: Warning | str, *about: Any, **others: Any) -> None:
        frame = sys._getframe(1)  # of what calls this, in the module warnings
        while frame.f_back and frame.f_globals["__name__"] in ("warnings", "_py_warnings"):
            frame = frame.f_back
        if frame.f_globals["__name__"] != "advlib._checks":
            return show(message, *about, **others)
        words = re.sub(r"^models?(\[.*?\])? ", "a model ", str(message))
        if words not in told:
            told.add(words)
            tell(words)
        return None

    warnings.showwarning = show_or_tell


def show_log() -> None:
    """Write advlib's log to the standard error, which the runner shows and no report does."""
    logging.basicConfig(handlers=[_Terminal()])
    logging.getLogger("advlib").setLevel(logging.INFO)
