"""The lock, the files around it, and the program that makes the environment."""

import ast
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import audit
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from projects import at_work

ROOT = Path(__file__).parents[1]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}
CUDA = ("nvidia-", "cuda-", "triton")


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pins(machine: dict[str, str], python: str = "3.11") -> dict[str, str]:
    """Return what the lock installs on a machine: versions by name."""
    environment: dict[str, Any] = {
        **default_environment(),
        **machine,
        "os_name": "posix",
        "python_version": python,
        "python_full_version": f"{python}.7",
    }
    found: dict[str, str] = {}
    for requirement in map(Requirement, lock_lines()):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = str(requirement.specifier).removeprefix("==")
    return found


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table["project"]  # type: ignore[no-any-return]


def declared(*extras: str) -> list[Requirement]:
    lists = [project()["dependencies"], *(project()["optional-dependencies"][e] for e in extras)]
    return [Requirement(text) for text in itertools.chain(*lists)]


def test_every_line_of_the_lock_is_an_exact_pin() -> None:
    """With no index, address or option among them."""
    for line in lock_lines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .+)?", line), line
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_a_mac_asks_for_no_cuda_package_and_linux_does(python: str) -> None:
    mac, linux = pins(MAC, python), pins(LINUX, python)
    assert not [name for name in mac if name.startswith(CUDA)]
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "triton"} <= set(linux)
    assert (mac["torch"], mac["torchvision"]) == ("2.14.1", "0.29.1")
    common = {name for name in linux if not name.startswith(CUDA)}
    assert common == set(mac) - {"appnope"}


@pytest.mark.parametrize("machine", [LINUX, MAC])
def test_the_lock_holds_all_that_the_project_declares(machine: dict[str, str]) -> None:
    found = pins(machine)
    for requirement in declared(*project()["optional-dependencies"]):
        version = found[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_build_needs_nothing_but_what_the_lock_installs() -> None:
    """The editable installation is made without build isolation."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in map(Requirement, table["build-system"]["requires"]):
        assert requirement.specifier.contains(pins(LINUX)[requirement.name])


IMPORT_NAMES = {
    "bs4": "beautifulsoup4",
    "art": "adversarial-robustness-toolbox",
    "pypandoc": "pypandoc-binary",
    "yaml": "pyyaml",
}


@pytest.mark.parametrize(("folder", "extras"), [("advlib", ["report"]), ("tests", None)])
def test_what_is_imported_is_declared(folder: str, extras: list[str] | None) -> None:
    extras = ["report", "test"] if extras is None else extras
    names = {canonicalize_name(requirement.name) for requirement in declared(*extras)}
    here = [*(ROOT / folder).glob("*.py"), *(ROOT / ".make").glob("*.py")]
    folders = [path.parent for path in (ROOT / folder).glob("*/*.py")]
    own = {"advlib", "tests", *(path.stem for path in here), *(path.name for path in folders)}
    for path in (ROOT / folder).rglob("*.py"):
        for top in imports(path) - own - sys.stdlib_module_names:
            name = IMPORT_NAMES.get(top, top)
            assert canonicalize_name(name) in names, f"{path} imports {top}"


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_conda_installs_from_the_same_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, by_pip = environment["dependencies"]
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}
    names = {re.split("[=<>]", text)[0] for text in conda}
    assert names == {"python", "pip", "make"}  # nothing that the lock pins comes from conda
    (python,) = [text for text in conda if text.startswith("python=")]
    assert python == "python=3.11"


def test_the_package_carries_its_data() -> None:
    """Every file of the package is matched by the package data's patterns, or is Python."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = table["tool"]["setuptools"]["package-data"]["advlib"]
    package = ROOT / "advlib"
    carried = {path for pattern in patterns for path in package.glob(pattern)}
    carried |= {path for folder in carried if folder.is_dir() for path in folder.rglob("*")}
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert path in carried, path


def test_citation() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]
    assert "The advlib authors" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
@pytest.mark.parametrize(
    "path",
    [
        *(".venv/bin/python", ".venv.lock", "report/build/seed/report.html", ".coverage"),
        *("advlib/__pycache__/data.pyc", "notebooks/.ipynb_checkpoints/1-data.ipynb"),
        *("advlib.egg-info/PKG-INFO", ".mypy_cache/x", ".ruff_cache/x", ".hypothesis/x"),
    ],
)
def test_git_ignores_what_is_built(path: str) -> None:
    command = ["git", "check-ignore", "--quiet", "--no-index", path]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_git_ignores_no_source() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b""


# ---- the set-up, on a project so small that it needs no network ---------------------------------

BACKEND = '''
"""A build backend: an editable installation is a path file; slow, to be killed meanwhile."""
import os, time, zipfile

METADATA = "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    with open("alive", "a") as file:
        for _ in range(int(os.environ.get("PAUSE", "0"))):
            print(os.getpid(), file=file, flush=True)
            time.sleep(0.1)
    name = "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("toy.pth", os.getcwd())
        wheel.writestr("toy-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("toy-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("toy-1.0.dist-info/RECORD", "")
    return name
'''
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A project whose environment needs nothing from outside, in a folder with a space."""
    folder = tmp_path / "toy é project"
    folder.mkdir()
    shutil.copytree(ROOT / ".make", folder / ".make")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "toy_module.py").write_text("")
    return folder


def set_up(folder: Path, **environment: str) -> subprocess.Popen[str]:
    python = getattr(sys, "_base_executable", sys.executable)
    return subprocess.Popen(
        [python, ".make/environment.py", "make"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "nowhere")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def works(folder: Path) -> bool:
    """Return whether an environment is whole: it says so, and has the project."""
    chosen = subprocess.run(
        ["sh", ".make/find-python.sh"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    if chosen != ".venv/bin/python":
        return False
    probe = "import sys, toy_module; assert sys.prefix.endswith('.venv')"
    command = [str(folder / chosen), "-c", probe]
    return subprocess.run(command, cwd=folder / ".make", check=False).returncode == 0


def test_set_up_and_renewal(toy: Path) -> None:
    out = finish(set_up(toy))
    assert "making .venv" in out
    assert works(toy)

    assert finish(set_up(toy)) == ""  # up to date

    (toy / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    out = finish(set_up(toy))
    assert "making .venv" not in out  # the packages stay, the project is installed anew
    assert "advlib into .venv" in out

    (toy / ".venv" / "leftover").touch()
    (toy / "requirements.lock").write_text("# changed\n")
    assert "removing the old" in finish(set_up(toy))
    assert not (toy / ".venv" / "leftover").exists()
    assert works(toy)

    moved = toy.rename(toy.with_name("moved"))
    assert not works(moved)
    moved.rename(toy)
    assert works(toy)

    (toy / ".venv" / "bin" / "python").unlink()
    assert not works(toy)
    assert "removing the old" in finish(set_up(toy))
    assert works(toy)


def test_a_failed_set_up_says_why_and_is_not_taken_for_done(toy: Path) -> None:
    (toy / "requirements.lock").write_text("no-such-package-of-advlib==1.0\n")
    process = set_up(toy, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: the set-up failed in pip (torch 2.14.1 has wheels for Python 3.11 to" in out
    assert "Traceback" not in out
    assert not works(toy)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("seconds", [0.2, 1.5, 4.0])
def test_killed_at_any_moment_it_leaves_nothing_behind(seconds: float, toy: Path) -> None:
    killed = set_up(toy, PAUSE="100")
    time.sleep(seconds)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not works(toy)
    finish(set_up(toy))  # at once: the killed one's children may still be ending
    assert works(toy)
    end = time.monotonic() + 10
    while list(at_work(toy)):
        assert time.monotonic() < end, "a process of the killed set-up lives on"
        time.sleep(0.1)
    assert works(toy)


def test_two_at_once_make_one_environment(toy: Path) -> None:
    first = set_up(toy, PAUSE="10")
    time.sleep(0.5)
    second = set_up(toy)
    outs = finish(first), finish(second)
    assert outs[0].count("making .venv") == 1
    assert "waiting: another make is setting up .venv" in outs[1]
    assert "making .venv" not in outs[1]
    assert works(toy)


@pytest.mark.parametrize(
    ("interpreters", "found"),
    [
        ({}, "found: none"),
        ({"python3": "3.9.2"}, "found: python3 is 3.9.2"),
        ({"python3.12": "broken", "python3": "3.15.0"}, "found: python3 is 3.15.0"),
        ({"python3.11": "3.10.1", "python3": "2.7.18"}, "python3.11 is 3.10.1, python3 is 2.7.18"),
    ],
)
def test_no_python_that_fits(interpreters: dict[str, str], found: str, tmp_path: Path) -> None:
    result = find_python(tmp_path, interpreters)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "error: advlib needs Python 3.11, 3.12, 3.13 or 3.14 on the PATH" in result.stderr
    assert result.stderr.endswith(f"{found}\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("interpreters", "chosen"),
    [
        ({"python3": "3.11.0"}, "python3"),
        ({"python3.12": "broken", "python3": "3.14.1"}, "python3"),
        ({"python3.11": "broken", "python3.13": "3.13.2", "python3": "3.9.1"}, "python3.13"),
        ({"python3.11": "3.11.9", "python3": "3.13.1"}, "python3.11"),
    ],
)
def test_the_first_python_that_runs_and_fits(
    interpreters: dict[str, str], chosen: str, tmp_path: Path
) -> None:
    result = find_python(tmp_path, interpreters)
    assert result.stdout == f"{tmp_path / 'bin' / chosen}\n"
    assert result.stderr == ""


def find_python(folder: Path, interpreters: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the search with these interpreters only: by name, their version."""
    (folder / "bin").mkdir()
    for name, version in interpreters.items():
        script = folder / "bin" / name
        # "broken" is what pyenv leaves for a version that is not chosen
        does = (
            "echo 'command not found' >&2; exit 127" if version == "broken" else f"echo {version}"
        )
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".make" / "find-python.sh")],
        cwd=folder,
        env={"PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


FINE: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([FINE, FINE], 0, "2 checked, 0 with known problems"),
        ([FINE, KNOWN], 1, "b 2: CVE-1, fixed in 2.1"),
        ([FINE, SKIPPED], 2, "not checked: c"),
        ([SKIPPED, SKIPPED], 2, "nothing was checked"),
        (None, 2, "nothing was checked"),
    ],
)
def test_the_audit_never_passes_what_it_did_not_check(
    packages: list[dict[str, Any]] | None,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "audit", lambda: packages)
    assert audit.main() == status
    assert said in capsys.readouterr().out
