"""What make starts: it ends with the make that started it, and two makes on one thing take turns.

    python advlib/kept/parent.py FILE COMMAND...    the command, when the lock on the file is free

Standard library only: make and `.make/environment.py` use it before there is an environment.
"""

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable

SECONDS = 0.5


def end_with_make(end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """End this process soon after its parent, or another make of those that $ADVLIB_MAKE names.

    A make may be gone before this is called, and the parent is then another process already.
    """
    *others, parent = [int(n) for n in os.environ.get("ADVLIB_MAKE", "").split()] or [os.getppid()]

    def watch() -> None:
        while os.getppid() == parent and all(map(_is_there, others)):
            time.sleep(SECONDS)
        end()

    threading.Thread(target=watch, daemon=True).start()


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def take_turn(path: str) -> None:
    """Hold the system's lock on a file until this process ends, and those that it starts."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting: another make holds {path}", flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    _, lock, *command = sys.argv
    take_turn(lock)
    os.execvp(command[0], command)
