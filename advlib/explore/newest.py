"""Work of which the newest alone counts: what a slider asks for while it moves."""

import concurrent.futures
import traceback
from collections.abc import Callable


class NewestFirst:
    """Does jobs one at a time on a thread of its own; one that waits gives way to a newer one.

    So the kernel stays free to take a slider's next position. Jobs handle their own errors.
    """

    def __init__(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "advlib.explore")
        self._newest = concurrent.futures.Future[None]()
        self._newest.set_result(None)

    def ask(self, job: Callable[[], None]) -> None:
        """Have a job done, unless a newer one comes before it begins."""
        self._newest.cancel()
        self._newest = self._thread.submit(_do, job)

    def is_outdated(self) -> bool:
        """Tell a job that runs whether a newer one waits."""
        return not (self._newest.running() or self._newest.done())

    def wait(self, seconds: float = 60) -> bool:
        """Wait until nothing is left to do; return whether that came to pass."""
        while not (newest := self._newest).done():  # a job may ask for one more
            if concurrent.futures.wait([newest], seconds).not_done:
                return False
        return True


def _do(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:  # which the future would keep to itself
        traceback.print_exc()
