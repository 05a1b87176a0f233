"""A process that ends soon after the make that started it, killed or not.

    python advlib/kept/parent.py COMMAND...    the same for any command

Standard library only: `.make/environment.py` works with it before there is an environment.
"""

import os
import signal
import subprocess
import sys
import threading
import time

SECONDS = 0.5


def end_with_make(child: "subprocess.Popen[bytes] | None" = None) -> None:
    """End this process soon after its parent: the make whose number $ADVLIB_MAKE is, if it is set.

    A make may be gone before this is called, and the parent is then another process already.

    Parameters
    ----------
    child : subprocess.Popen, optional
        A process that is killed first.
    """
    parent = int(os.environ.get("ADVLIB_MAKE") or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        if child:
            child.kill()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(command: list[str]) -> int:
    """Run a command that ends with make, and return its exit status."""
    process = subprocess.Popen(command, close_fds=False)  # a lock that is held goes with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has it too, and decides
    end_with_make(process)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
