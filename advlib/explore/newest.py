"""Work of which the newest alone counts: what a slider asks for while it moves."""

import threading
import traceback
from collections.abc import Callable

Job = Callable[[], None]


class NewestFirst:
    """Does jobs one at a time on a thread of its own; one that waits gives way to a newer one.

    So the kernel stays free to take a slider's next position. Jobs handle their own errors.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._next: Job | None = None
        self._busy = False

    def ask(self, job: Job) -> None:
        """Have a job done, unless a newer one comes before it begins."""
        with self._lock:
            self._next = job
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, name="advlib.explore", daemon=True).start()

    def is_outdated(self) -> bool:
        """Tell a job that runs whether a newer one waits."""
        with self._lock:
            return self._next is not None

    def wait(self, seconds: float = 60) -> bool:
        """Wait until nothing is left to do; return whether that came to pass."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._busy = False
                    self._lock.notify_all()
                    return
            try:
                job()
            except Exception:  # the next one is done all the same
                traceback.print_exc()
