"""A report is the same, byte for byte, whatever is in the personal settings of who makes it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from projects import environment, make, small

RAISE = "raise RuntimeError('somebody\\'s settings take part')\n"
BLOW_UP = f"c.InteractiveShellApp.exec_lines = [{RAISE!r}]\n"
FILES = {
    ".config/matplotlib/matplotlibrc": "text.usetex: True\nimage.cmap: jet\nimage.origin: lower\n"
    "savefig.bbox: tight\nsavefig.facecolor: red\nsvg.fonttype: none\nsvg.image_inline: False\n"
    "font.family: cursive\nlines.linestyle: :\naxes.prop_cycle: cycler(color=['lime'])\n"
    "figure.constrained_layout.h_pad: 1\naxes.formatter.use_locale: True\nxtick.direction: in\n",
    ".config/pip/pip.conf": "[global]\nindex-url = https://example.invalid/\n",
    ".ipython/profile_default/startup/00-first.py": RAISE,
    ".ipython/profile_default/ipython_config.py": BLOW_UP,
    ".ipython/profile_default/ipython_kernel_config.py": BLOW_UP,
    ".jupyter/jupyter_config.py": RAISE,
    ".jupyter/jupyter_nbconvert_config.py": RAISE,
    ".jupyter/nbconvert.json": '{"TemplateExporter": {"exclude_markdown": true}}',
    ".local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["/bin/false"], "language": "x"}',
    ".local/share/jupyter/nbconvert/templates/markdown/conf.json": '{"base_template": "none"}',
    ".local/share/pandoc/abbreviations": "and\nthe\nof\n",
    ".local/share/pandoc/templates/default.html": "nothing",
    ".local/share/pandoc/defaults.yaml": "shift-heading-level-by: 3\n",
    "startup.py": RAISE,
    "modules/sitecustomize.py": "import builtins\nbuiltins.somebody = True\n",
}
OWN_TIMES = ("tbl-environment", "tbl-stages")
"""What says when and how fast a report was made."""


def hostile(home: Path) -> dict[str, str]:
    """Fill a home folder; return it and what else a user may have set."""
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "MPLCONFIGDIR": str(home / ".config" / "matplotlib"),
        "MPLBACKEND": "tkagg",
        "PYTHONSTARTUP": str(home / "startup.py"),
        "PYTHONWARNINGS": "error",
        "PYTHONOPTIMIZE": "2",
        "PYTHONSAFEPATH": "1",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "LANGUAGE": "de",
        "FORCE_COLOR": "1",
        "COLUMNS": "20",
    }


def shown(folder: Path) -> dict[str, list[Any]]:
    """What a report's notebooks show, but for when and how fast they were made."""
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.ipynb")):
        outputs = [
            output
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            for output in cell.get("outputs", [])
            if output.get("metadata", {}).get("advlib", {}).get("label") not in OWN_TIMES
        ]
        for output in outputs:
            output.get("metadata", {}).get("advlib", {}).pop("seconds", None)
        found[path.name] = outputs
    return found


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, dict[str, str]]]:
    """A report made without settings, and one with hostile ones: the project and the settings."""
    made = []
    for name in ("plain", "hostile"):
        folder = tmp_path_factory.mktemp(name)
        project = small(folder / "project")
        (folder / "home").mkdir()
        none = {"HOME": str(folder / "home"), "LC_ALL": "C.UTF-8"}
        settings = none if name == "plain" else hostile(folder / "home")
        result = make(project, "report", "EPOCHS=1", umask=-1, **settings)
        assert result.returncode == 0, result.stdout + result.stderr
        made.append((project / "report" / "build" / "seed-epochs1", settings))
    return made


def test_notebooks_show_the_same(projects: list[tuple[Path, dict[str, str]]]) -> None:
    plain, other = (shown(folder / "notebooks") for folder, _ in projects)
    assert plain.keys() == other.keys()
    for name, outputs in plain.items():
        assert len(outputs) == len(other[name])
        for one, another in zip(outputs, other[name], strict=True):
            assert one == another, name


def test_the_same_notebooks_are_typeset_to_the_same_bytes(
    projects: list[tuple[Path, dict[str, str]]], tmp_path: Path
) -> None:
    (plain, _), (other, settings) = projects
    project = other.parents[2]
    command = [sys.executable, "-m", "advlib.report", str(plain / "notebooks"), str(tmp_path)]
    kept = environment(project, **settings)
    for name in ("PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONSAFEPATH"):
        del kept[name]  # the Makefile does it
    subprocess.run(command, cwd=project, env=kept, check=True)
    for name in ("report.html", "report.pdf"):
        assert (tmp_path / name).read_bytes() == (plain / name).read_bytes()
