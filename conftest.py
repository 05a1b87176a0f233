"""What every test and every notebook under test finds: its own folder of runs, this advlib."""

import os
import tempfile
from pathlib import Path

import pytest

STARTUP = """
from IPython.core.error import UsageError
shell = get_ipython()
shell.show_usage_error = lambda error: shell._showtraceback(UsageError, error, [str(error)])
"""
"""What a kernel under test begins with: a magic that is not there, which IPython only prints and
nbval passes over, is an error as any other."""


def pytest_configure(config):
    """Set what the notebooks' kernels and other child processes inherit.

    No trained model that lies about is used, nobody's IPython profile takes part, and the advlib
    that is imported is the one beside this file.
    """
    if hasattr(config, "workerinput"):  # of several: it has inherited all of it, also the runs,
        return  # so that what one has trained the others find
    folder = tempfile.TemporaryDirectory(prefix="advlib-tests-")
    config.add_cleanup(folder.cleanup)
    startup = Path(folder.name, "ipython", "profile_default", "startup")
    startup.mkdir(parents=True)
    (startup / "errors.py").write_text(STARTUP, encoding="utf-8")
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ |= {
        "ADVLIB_RUNS": str(Path(folder.name, "runs")),
        "IPYTHONDIR": str(Path(folder.name, "ipython")),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        # Threads that wait for each other give the core away: with other work on the same cores
        # they would wait for each other's turns, a hundred times as long. It changes no number.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


SLOW = {
    *("making", "chapters", "test_benchmark.py", "test_illusions.py", "test_in_browser.py"),
    *("test_in_the_browser.py", "test_pretrained.py", "test_progress.py", "test_readme.py"),
}
"""Folders and files of tests that `make check` leaves out; single tests are marked themselves."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what is slow, and put it first: of two workers none is left alone with it in the end."""
    for item in items:
        if SLOW & {*item.path.parts} and item.path.name != "test_make.py":
            item.add_marker("slow")
    items.sort(key=lambda item: ("making" not in item.path.parts, item.path.suffix != ".ipynb"))
