"""Clusters for tests: tasks, which a worker imports from here; a scheduler and workers outside."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from projects import wait_for

from advlib.experiment.cluster import Task
from advlib.kept.folders import PROJECT


@dataclass(frozen=True)
class Note(Task):
    """Notes that it begins; waits; gives its worker's process, which is kept in a file."""

    folder: Path
    title: str
    needs: str = ""
    seconds: float = 0.0
    fatal: bool = False

    @property
    def name(self):
        return self.title

    @property
    def kept(self):
        return self.folder / self.title

    def cost(self, work):
        return 1.0

    def is_ready(self, work):
        return not self.needs or (self.folder / self.needs).exists()

    def give(self, work):
        return (self.folder / self.needs).read_text() if self.needs else ""

    def compute(self, work, given):
        with (self.folder / "begun").open("a") as file:
            file.write(f"{self.title} {os.getpid()}\n")
        if self.fatal:
            (self.folder / "dies").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.title == "wrong":
            raise ValueError("it is wrong")
        time.sleep(self.seconds)
        return f"{work} {given}"

    def keep(self, work, found):
        self.kept.write_text(found)


def unpack(sent, folder):
    assert Path(folder).is_dir()
    return sent.upper()


def unpack_or_die(sent, folder):
    """Once after a fatal task, a worker dies while it starts; `sent` is the folder of the tasks."""
    if (mark := Path(sent, "dies")).exists():
        mark.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return "HERE"


class Outside:
    """A scheduler, and workers, in processes of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        path = os.pathsep.join(map(str, (PROJECT, PROJECT / "tests")))
        self.environment = os.environ | {"PYTHONPATH": path}

    def run(self, what, *arguments, **more):
        command = [sys.executable, "-m", "dask", what, "--no-dashboard", *arguments]
        log = (self.folder / "log").open("ab")
        environment = self.environment | more
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=self.folder
        )
        self.processes.append(process)
        return process

    def start_scheduler(self):
        file = self.folder / f"scheduler-{len(self.processes)}.json"
        place = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
        process = self.run("scheduler", *place)

        def address():
            try:
                return str(json.loads(file.read_text())["address"])
            except (OSError, ValueError):
                return ""

        return process, wait_for(address)

    def start_worker(self, address, *more, **environment):
        place = ["--host", "127.0.0.1", "--local-directory", str(self.folder)]
        self.run("worker", address, *place, *(more or ["--nthreads", "1"]), **environment)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()  # a nanny ends its worker
        for process in self.processes:
            process.wait(60)
