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


def pytest_configure(config: pytest.Config) -> None:
    """Set what the notebooks' kernels and other child processes inherit.

    No trained model that lies about is used, nobody's IPython profile takes part, and the advlib
    that is imported is the one beside this file.
    """
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes minutes first: of two workers none is left alone with it in the end."""
    items.sort(key=lambda item: "making" not in item.path.parts)
