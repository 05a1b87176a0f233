"""Tasks on Dask's `distributed`: what can be done is done side by side, and kept as it comes.

A worker is a process with one thread. It needs no disk of this machine: what it works with, such as
the data, is sent to it once, and also to one that takes the place of another.
"""

import ctypes
import hashlib
import logging
import os
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

import dask
import torch
from distributed import Client, Future, LocalCluster, WorkerPlugin, get_worker
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from advlib.kept.code import read_library
from advlib.kept.folders import PACKAGE

TOPIC = "advlib"
PATIENCE, LATER = 20, 90
"""Seconds to wait for a scheduler; for a first worker, and for what a task has found."""
SILENCE = 600
"""Seconds after which a line says how much is left, also where nothing has ended."""
RETRIES = 3
"""How often a task whose worker dies is tried again."""
GONE = "the scheduler is gone; what had ended is kept, and the same command goes on"
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # in malloc.h
_HERE: dict[str, Any] = {
    # who waits for a worker that dies would be blamed as well: `compute` tries again
    "distributed.scheduler.allowed-failures": 0,
    # else each event loop is timed 50 times a second, and each worker's stack read 100 times, for
    # a dashboard that is not there: 6 % of the processor's time where the workers take every core
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}


class Task:
    """Something to compute, sent to a worker. `work` is what all work with, here and there."""

    @property
    def name(self) -> str:
        """What no other is called."""
        raise NotImplementedError

    def cost(self, work: Any) -> float:
        """Return how many passes of an image it takes, about."""
        raise NotImplementedError

    def is_ready(self, work: Any) -> bool:
        """Tell whether all that it needs is kept."""
        return True

    def give(self, work: Any) -> Any:
        """Return what it needs of what is kept."""

    def compute(self, work: Any, given: Any) -> Any:
        """Compute it, on a worker."""
        raise NotImplementedError

    def keep(self, work: Any, found: Any) -> None:
        """Keep, here, what was found, whole or not at all: unless the worker has kept it."""


class ClusterError(RuntimeError):
    """The cluster cannot be used, or is gone."""


def describe_version() -> dict[str, str]:
    """Return what must be the same on every worker as here."""
    library = {path.relative_to(PACKAGE).as_posix(): text for path, text in read_library().items()}
    code = hashlib.sha256(repr(sorted(library.items())).encode()).hexdigest()[:12]
    return {"torch": str(torch.__version__), "advlib": code}


class Place(WorkerPlugin):
    """What each worker is sent, once; what it unpacks that to; and why it may not be used."""

    name = TOPIC

    def __init__(self, sent: Any, unpack: Callable[[Any, str], Any]) -> None:
        self.sent, self.unpack, self.version = sent, unpack, describe_version()
        self.work: Any = None
        self.refusal = ""

    def setup(self, worker: Any) -> None:
        """Unpack on a worker, if its results will be those of this machine."""
        if worker.state.nthreads != 1:
            self.refusal = "must be started with --nthreads 1: random numbers are a process's own"
        for what, theirs in describe_version().items():
            if theirs != self.version[what]:
                self.refusal = f"has another {what}: {theirs}, and here it is {self.version[what]}"
        _keep_memory()
        if not self.refusal:
            self.work = self.unpack(self.sent, worker.local_directory)
        self.sent = None


def _keep_memory() -> None:
    """Have the C library keep what is freed, as it does by itself: Dask sets another limit.

    With that each large tensor's memory is the system's again when it goes, and the next one's is
    cleared anew, thousands of times a minute.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc's
        mallopt(_MMAP_THRESHOLD, 2**26)
        mallopt(_TRIM_THRESHOLD, 2**28)


def _compute(task: Task, given: Any) -> Any:
    """Do a task, on the worker that this runs on."""
    worker = get_worker()
    place: Any = worker.plugins[TOPIC]
    if place.refusal:  # it came after the others
        raise ClusterError(f"worker {worker.address} {place.refusal}")

    def tell(record: logging.LogRecord) -> bool:
        """Tell who waits how far the task is, by the log of the library."""
        if hasattr(record, "share"):
            worker.log_event(TOPIC, [task.name, record.share])
        return True

    torch.set_num_threads(1)
    log = logging.getLogger("advlib")
    log.setLevel(logging.INFO)
    log.addFilter(tell)
    try:
        return task.compute(place.work, given)
    finally:
        log.removeFilter(tell)


def compute(
    find_tasks: Callable[[], Sequence[Task]],
    work: Any,
    *,
    sent: Any,
    unpack: Callable[[Any, str], Any],
    scheduler: str = "",
) -> dict[str, str]:
    """Do all tasks; return why those failed that did.

    `find_tasks` gives those that are known and not done, the most urgent first, each time anew;
    `unpack` makes of `sent`, and of a folder, on a worker what `work` is here. A task whose worker
    dies is tried again, three times.

    Raises
    ------
    ClusterError
        If there is no scheduler at that address, a worker has another version, or the scheduler
        dies.
    """
    failed: dict[str, str] = {}
    running: dict[str, tuple[Task, Future[Any]]] = {}
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    progress, tries = _Progress(), Counter[str]()
    left = {task.name: task for task in find_tasks()}
    if not left:
        return failed
    with _connect(scheduler) as client:
        _prepare(client, Place(sent, unpack))
        client.subscribe_topic(TOPIC, progress.see)
        while True:
            # a worker keeps on a disk that all share before it says so: still running, not found
            left |= {name: task for name, (task, _) in running.items()}
            progress.costs = {name: task.cost(work) for name, task in left.items()}
            ready = [task for task in left.values() if task.is_ready(work)]
            ready = [task for task in ready if task.name not in running]
            if not ready and not running:
                return failed
            while ended.empty():
                # who waits behind a task that kills is blamed as well: no more than can run, and of
                # those whose worker has died one at a time
                workers = _count_workers(client)
                for task in list(ready):
                    suspect = tries[task.name] and any(tries[name] for name in running)
                    if suspect or len(running) >= workers:
                        continue
                    key = f"{task.name}-{os.urandom(4).hex()}"
                    future = client.submit(_compute, task, task.give(work), key=key, pure=False)
                    running[task.name] = task, future
                    future.add_done_callback(lambda _, name=task.name: ended.put(name))
                    ready.remove(task)
                progress.wait(ended)
                _replace_lost(client)
            name = ended.get()
            task, future = running.pop(name)
            try:
                task.keep(work, future.result(LATER))
            except (CancelledError, CommClosedError):
                raise ClusterError(GONE) from None
            except ClusterError:
                raise
            except Exception as error:
                # its worker died before it ended, or before what it found was fetched
                lost = isinstance(error, (KilledWorker, TimeoutError))
                tries[name] += getattr(error, "allowed_failures", 0) + 1 if lost else 9
                if tries[name] <= RETRIES:
                    continue
                failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            progress.end(name, f"{name}: {failed.get(name, 'done')}")
            left = {task.name: task for task in find_tasks() if task.name not in failed}


@contextmanager
def _connect(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler; without one, start it here, and a worker for each core."""
    quiet = logging.CRITICAL
    logging.getLogger("distributed").setLevel(quiet)
    if not scheduler:
        dask.config.set(_HERE)
        local: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        local |= {"scheduler_kwargs": {"dashboard": False}, "memory_limit": 0}
        local |= {"n_workers": os.cpu_count() or 1, "threads_per_worker": 1}
        with LocalCluster(silence_logs=quiet, **local) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=PATIENCE)
        client.wait_for_workers(1, timeout=LATER)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"SCHEDULER={scheduler} does not answer, or has no worker ({error}). Start it with"
            " `dask scheduler` and, for each core, `dask worker ADDRESS --nthreads 1`"
        ) from None
    with client:
        yield client


def _prepare(client: Client, place: Place) -> None:
    """Give all workers, now and later, what they need; refuse those that may not be used."""
    client.register_plugin(place)
    refusals = client.run(lambda dask_worker: str(dask_worker.plugins[TOPIC].refusal))
    for address, refusal in refusals.items():
        if refusal:
            raise ClusterError(f"worker {address} {refusal}")


def _replace_lost(client: Client) -> None:
    """Start workers anew here that were lost while they started: Dask itself gives these up."""
    cluster: Any = client.cluster
    if cluster is None:  # of a scheduler outside
        return
    lost = {name for name, nanny in cluster.workers.items() if not nanny.is_alive()}
    for name in lost & getattr(cluster, "lost", set()):  # twice: not just between two processes
        cluster.worker_spec.pop(name, None)
    cluster.lost = lost
    cluster.scale(os.cpu_count() or 1)


def _count_workers(client: Client) -> int:
    try:
        return len(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, CancelledError, KeyError):  # a client that has given up knows of none
        raise ClusterError(GONE) from None


class _Progress:
    """Says what has ended, and how long the rest takes at the speed so far."""

    def __init__(self) -> None:
        self.start = self.told = time.monotonic()
        self.ended = 0
        self.costs: dict[str, float] = {}
        """Of what is left."""
        self.spent = 0.0
        self.shares: dict[str, tuple[float, float]] = {}
        """Of each task that is running the first share of it that was told, and the last."""

    def see(self, event: tuple[float, list[Any]]) -> None:
        """Take what a worker tells of a task."""
        name, share = event[1]
        first, _ = self.shares.get(name, (share, share))
        self.shares[name] = first, share

    def wait(self, ended: queue.SimpleQueue[str]) -> None:
        """Wait for a task to end; say how much is left, where nothing has been said for long."""
        with suppress(queue.Empty):
            ended.put(ended.get(timeout=5))
        if time.monotonic() - self.told > SILENCE:
            self.say()

    def end(self, name: str, words: str) -> None:
        """Say that a task has ended."""
        self.ended, self.spent = self.ended + 1, self.spent + self.costs.pop(name)
        self.say(words)

    def say(self, words: str = "") -> None:
        """Say how much is left."""
        self.told = time.monotonic()
        shares = {name: self.shares.get(name, (0.0, 0.0)) for name in self.costs}
        left = sum(self.costs[name] * (1 - last) for name, (_, last) in shares.items())
        done = self.spent + sum(self.costs[n] * (b - a) for n, (a, b) in shares.items())
        minutes = (self.told - self.start) * left / done / 60 if done else 0
        rest = f"about {minutes // 60:.0f} h {minutes % 60:.0f} min left" if done else ""
        told = [words, f"{self.ended} ended, {len(self.costs)} to go", rest]
        print("; ".join(filter(None, told)), flush=True)
