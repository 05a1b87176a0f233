"""Progress for the person who waits: a line of the log for each epoch, and one that goes again."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOG = logging.getLogger("advlib")
FORMAT = "{desc}: {bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # 80 columns do


def describe_epoch(name: str, epochs: int, row: Mapping[str, float]) -> tuple[str, str]:
    """Say what an epoch gave: for the line that goes again, and for the log (INFO)."""
    words = f"objective {row['objective_train']:.4f}"
    words += f", validation error {row['top1_error_validation']:.2f} %"
    left = row["seconds"] * (epochs - row["epoch"])
    rest = f"{left // 60:.0f} min {left % 60:.0f} s left" if left else "done"
    return words, f"{name} training: epoch {row['epoch']} of {epochs}, {words}, {rest}"


@contextmanager
def show_steps(name: str, steps: int, done: int = 0) -> Iterator[Callable[..., None]]:
    """Show how far something is; what it yields is told each step, and what the log is to have."""
    options = {"desc": name, "total": steps, "initial": done, "leave": False}
    with _show_bar(bar_format=FORMAT, **options) as bar:

        def report_step(words: str, logged: str = "") -> None:
            with bar.external_write_mode():  # a log may be on the same terminal
                bar.n += 1
                if logged:
                    LOG.info(logged, extra={"share": bar.n / steps})
                bar.set_postfix_str(words, refresh=False)  # it is when this block ends

        yield report_step


@contextmanager
def _show_bar(**options: Any) -> Iterator[Any]:
    """Show tqdm's bar; nothing where nobody looks on: a log file, papermill, nbval."""
    quiet = bool(os.environ.get("TQDM_DISABLE"))  # tqdm itself forgets it in notebooks
    if _is_cell() and not quiet:
        from IPython.display import DisplayHandle
        from tqdm.notebook import IProgress  # type: ignore[attr-defined]
        from tqdm.notebook import tqdm as widget

        if IProgress:  # there are ipywidgets
            # in a display of ours, which is emptied: tqdm's own would stay in the saved notebook
            with widget(display=False, **options) as bar:
                handle = DisplayHandle()
                handle.display(bar.container)
                try:
                    yield bar
                finally:
                    handle.update({}, raw=True)
            return
    from tqdm import tqdm

    with tqdm(disable=quiet or not (sys.stderr and sys.stderr.isatty()), **options) as bar:
        yield bar


def _is_cell() -> bool:
    """Whether a notebook's cell runs this for someone who could answer `input`: not papermill."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request: Mapping[str, Any] = getattr(shell, "get_parent", dict)()
    return bool(request.get("content", {}).get("allow_stdin"))
