"""A slider that moves fast: the newest position counts, and no work queues."""

import threading

from advlib.explore.newest import NewestFirst


def test_of_what_waits_the_newest_is_done_and_it_works_again_after_it_was_idle(capsys):
    newest, begun, go, done = NewestFirst(), threading.Event(), threading.Event(), list[int]()

    def first():
        begun.set()
        assert go.wait(600)
        done.append(0)

    newest.ask(first)
    assert begun.wait(600)
    assert not newest.is_outdated()
    for n in range(1, 100):
        newest.ask(lambda n=n: done.append(n))
    assert newest.is_outdated()
    assert not newest.wait(0)
    go.set()
    assert newest.wait(600)
    newest.ask(lambda: done.index(100))
    assert newest.wait(600)
    assert "100 is not in list" in capsys.readouterr().err
    newest.ask(lambda: done.append(100))
    assert newest.wait(600)
    assert done == [0, 99, 100]
