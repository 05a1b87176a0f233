"""The page in a real browser: readable at every width, and for who reads with the keyboard."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys import books, write

from advlib.report.building import build

WIDTHS = (320, 360, 768, 960, 1024, 1180, 1366, 1920)
BROWSER = Path(__file__).with_name("look_at_page.py")


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is to be said of a small report at each width."""
    if shutil.which("chromium") is None:
        pytest.skip("there is no chromium here")
    executed = write(tmp_path_factory.mktemp("executed"), books())
    report = build(executed, tmp_path_factory.mktemp("built"))
    command = [sys.executable, str(BROWSER), str(report.html), *map(str, WIDTHS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_at_each_width_nothing_is_covered_cut_or_out_of_reach(
    width: int, looked: dict[str, Any]
) -> None:
    found = looked[str(width)]
    assert found["covered"] == [], "by the opened contents"
    assert found["covered after a click"] == []
    assert found["sideways"] == [0, 0], "the page does not scroll to the side"
    assert found["cut"] == [], "code is wrapped"
    assert found["axe"] == []
