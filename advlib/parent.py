"""A process that ends soon after the make that started it, killed or not."""

import os
import threading
import time

SECONDS = 0.5


def end_with_make() -> None:
    """End this process soon after its parent: the make whose number $ADVLIB_MAKE is, if it is set.

    A make may be gone before this is called, and the parent is then another process already.
    """
    parent = int(os.environ.get("ADVLIB_MAKE") or os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
