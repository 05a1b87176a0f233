"""Tasks on a cluster: a worker is killed, the scheduler is, and nothing is lost or done twice."""

import os
import signal
import threading
import time

import pytest
from clusters import Note, Outside, unpack, unpack_or_die
from projects import wait_for

from advlib.experiment import cluster


def begun(folder):
    path = folder / "begun"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def compute(*tasks, **options):
    def find():
        return [task for task in tasks if not task.kept.exists()]

    given = {"sent": "here", "unpack": unpack, **options}
    return cluster.compute(find, "HERE", **given)


@pytest.fixture
def outside(tmp_path):
    with Outside(tmp_path) as found:
        yield found


@pytest.fixture
def in_background():
    threads = []

    def start(act):
        threads.append(threading.Thread(target=act))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_task_done_again(
    tmp_path, in_background, capsys
):
    """One task kills each worker that it comes to: it fails, and nothing else does."""
    long = Note(tmp_path, "long", seconds=3)
    tasks = [long, Note(tmp_path, "after", needs="long"), Note(tmp_path, "wrong")]
    tasks += [Note(tmp_path, "fatal", fatal=True), *(Note(tmp_path, f"{i}") for i in range(4))]

    def kill_once():
        wait_for(lambda: "long" in begun(tmp_path))
        lines = (tmp_path / "begun").read_text().splitlines()
        os.kill(int(dict(line.split() for line in lines)["long"]), signal.SIGKILL)

    in_background(kill_once)
    failed = compute(*tasks, sent=str(tmp_path), unpack=unpack_or_die)
    assert failed.keys() == {"wrong", "fatal"}
    assert failed["wrong"] == "ValueError: it is wrong"
    assert failed["fatal"].startswith("KilledWorker")
    kept = {task.title: task.kept.read_text() for task in tasks if task.kept.exists()}
    assert kept == {**dict.fromkeys(["long", "0", "1", "2", "3"], "HERE "), "after": "HERE HERE "}
    times = begun(tmp_path)
    # a worker may die before it begins what it was given
    assert 2 <= times.count("fatal") <= 4
    assert times.count("long") >= 2
    assert times.count("wrong") == 1
    assert "8 ended, 0 to go" in capsys.readouterr().out
    before = begun(tmp_path)
    assert not compute(*(task for task in tasks if task.kept.exists()))
    assert begun(tmp_path) == before, "nothing is done twice"


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_it_and_the_next_call_goes_on(tmp_path, outside, in_background):
    scheduler, address = outside.start_scheduler()
    for _ in range(2):
        outside.start_worker(address)
    tasks = [Note(tmp_path, f"{i}", seconds=1) for i in range(8)]
    killed = []

    def kill():
        wait_for(lambda: sum(task.kept.exists() for task in tasks) >= 3)
        scheduler.kill()
        killed.append(time.monotonic())

    in_background(kill)
    with pytest.raises(cluster.ClusterError, match="scheduler is gone"):
        compute(*tasks, scheduler=address)
    assert time.monotonic() - killed[0] < 60
    done = [task.title for task in tasks if task.kept.exists()]
    assert 3 <= len(done) < len(tasks)
    _, address = outside.start_scheduler()
    for _ in range(2):
        outside.start_worker(address)
    before = len(begun(tmp_path))
    assert not compute(*tasks, scheduler=address)
    assert all(task.kept.exists() for task in tasks)
    assert not {*begun(tmp_path)[before:]} & {*done}


@pytest.mark.slow
def test_workers_that_would_find_other_numbers_are_refused(tmp_path, outside, monkeypatch):
    """Before any work; so is one that comes later."""
    _, address = outside.start_scheduler()
    outside.start_worker(address, "--nthreads", "2")
    task = Note(tmp_path, "one")
    with pytest.raises(cluster.ClusterError, match="--nthreads 1"):
        compute(task, scheduler=address)
    theirs = cluster.describe_version()
    for what in theirs:
        monkeypatch.setattr(cluster, "describe_version", lambda what=what: {**theirs, what: "1.0"})
        with pytest.raises(cluster.ClusterError, match=f"another {what}"):
            compute(task, scheduler=address)
    assert not begun(tmp_path)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense", "udp://x:1"):
        with pytest.raises(cluster.ClusterError, match=f"SCHEDULER={address}"):
            compute(Note(tmp_path, "one"), scheduler=address)
