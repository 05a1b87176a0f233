"""A notebook in JupyterLab in a headless Chromium, as `make picture` and a test see it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STARTS, SHOWS = 600, 600
"""Seconds that JupyterLab may take to start, and a page to show what is waited for."""


def find_chromium() -> str | None:
    """Return the Chromium of this machine, such as Debian's; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@contextmanager
def serve_lab(folder: Path) -> Iterator[str]:
    """Run JupyterLab on a folder, without anybody's settings; give its address."""
    with tempfile.TemporaryDirectory(prefix="advlib-lab-") as own:
        places = {
            f"JUPYTER_{name}_DIR": str(Path(own, name.lower()))
            for name in ("CONFIG", "DATA", "RUNTIME")
        }
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | places | {"PYTHONPATH": path, "HOME": own}
        environment |= {
            "JUPYTER_CONFIG_PATH": str(ROOT / ".make" / "jupyter"),
            "IPYTHONDIR": str(Path(own, "ipython")),
            "JUPYTERLAB_SETTINGS_DIR": str(Path(own, "settings")),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(own, "workspaces")),
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root"]
        command += [f"--notebook-dir={folder}", "--expose-app-in-browser", "--log-level=ERROR"]
        with open(Path(own, "log"), "w+", encoding="utf-8") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                yield _wait_for_address(Path(places["JUPYTER_RUNTIME_DIR"]), server, log)
            finally:
                server.terminate()
                try:
                    server.wait(30)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()


def _wait_for_address(runtime: Path, server: "subprocess.Popen[bytes]", log: Any) -> str:
    end = time.monotonic() + STARTS
    while server.poll() is None and time.monotonic() < end:
        for path in runtime.glob("jpserver-*.json"):
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:  # it is being written
                continue
            return f"{about['url']}lab/tree/{{}}?token={about['token']}"
        time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"JupyterLab does not start: {log.read()[-2000:]}")


@contextmanager
def open_browser(chromium: str) -> Iterator[Any]:
    """Give a headless Chromium; its temporary files go with it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def open_notebook(page: Any, address: str, name: str) -> None:
    """Open a notebook of JupyterLab's folder, with the side bar out of the way."""
    page.set_default_timeout(1000 * SHOWS)
    page.goto(address.format(name))
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell.currentWidget")
    if page.locator("#jp-left-stack").is_visible():
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")


def run_all(page: Any) -> None:
    """Run all cells of the notebook that is open, once its kernel is there."""
    page.evaluate(
        "async () => { const c = window.jupyterapp.shell.currentWidget.sessionContext;"
        " await c.ready; await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
    )
