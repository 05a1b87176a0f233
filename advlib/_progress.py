"""Progress for the person who waits: a line of the log for each epoch, and one that goes again."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

LOG = logging.getLogger("advlib")
FORMAT = "{desc}: {bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # 80 columns do


@contextmanager
def show_progress(
    name: str, epochs: int, done: int
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show how far a training is, where a person sees it; of that line nothing remains.

    What it yields is told each epoch, a row of the history, and logs it too (``advlib``, INFO).
    """
    with _show_bar(desc=name, total=epochs, initial=done, bar_format=FORMAT) as bar:
        aside = bar.external_write_mode if bar else nullcontext  # a log may be on the same terminal

        def report_epoch(row: Mapping[str, float]) -> None:
            epoch = int(row["epoch"])
            figures = f"objective {row['objective_train']:.4f}"
            figures += f", validation error {row['top1_error_validation']:.2f} %"
            left = row["seconds"] * (epochs - epoch)
            rest = f"{left // 60:.0f} min {left % 60:.0f} s left" if left else "done"
            with aside():
                LOG.info(f"{name} training: epoch {epoch} of {epochs}, {figures}, {rest}")
                if bar:
                    bar.n = epoch
                    bar.set_postfix_str(figures, refresh=False)  # it is when `aside` ends

        yield report_epoch


@contextmanager
def show_steps(name: str, steps: int) -> Iterator[Callable[[str], None]]:
    """Show how far something is that has so many steps; what it yields is told each, in words."""

    with _show_bar(desc=name, total=steps, bar_format=FORMAT) as bar:

        def report_step(words: str) -> None:
            if bar:
                bar.set_postfix_str(words, refresh=False)
                bar.update()

        yield report_step


@contextmanager
def _show_bar(**options: Any) -> Iterator[Any]:
    """Show tqdm's bar; nothing where nobody looks on: a log file, papermill, nbval."""
    if os.environ.get("TQDM_DISABLE"):  # tqdm itself forgets it in notebooks
        yield None
    elif _is_cell():
        from IPython.display import DisplayHandle
        from tqdm.notebook import IProgress  # type: ignore[attr-defined]
        from tqdm.notebook import tqdm as widget

        if IProgress is None:  # no ipywidgets, or none that can be imported
            yield None
            return
        # in a display of ours, which is emptied: tqdm's own would stay in the saved notebook
        with widget(display=False, leave=False, **options) as bar:
            handle = DisplayHandle()
            handle.display(bar.container)
            try:
                yield bar
            finally:
                handle.update({}, raw=True)
    elif sys.stderr and sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(leave=False, **options) as bar:
            yield bar
    else:
        yield None


def _is_cell() -> bool:
    """Whether a notebook's cell runs this for someone who could answer `input`: not papermill."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request: Mapping[str, Any] = getattr(shell, "get_parent", dict)()
    return bool(request.get("content", {}).get("allow_stdin"))
