"""A browser for the tests of the page."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toys import write

from advlib.report.building import build


@pytest.fixture(scope="module")
def ask_browser(tmp_path_factory):
    """Builds the report of toy notebooks, and gives the JSON that a script beside this says of it.

    It runs in a process of its own: Playwright wants no other loop of events beside its own.
    """
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium here")

    def ask(script, content, *arguments):
        executed = write(tmp_path_factory.mktemp("executed"), content)
        output = tmp_path_factory.mktemp("built")
        build(executed, output)
        path = Path(__file__).with_name(script)
        command = [sys.executable, str(path), str(output / "report.html"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask
