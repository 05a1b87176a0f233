"""The lock of the packages, and what must agree with it."""

import ast
import itertools
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}
CUDA = ("nvidia-", "cuda-", "triton")


def lock_lines():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pins(machine, python="3.11"):
    """Return what the lock installs on a machine: versions by name."""
    environment = {
        **default_environment(),
        **machine,
        "os_name": "posix",
        "python_version": python,
        "python_full_version": f"{python}.7",
    }
    found = {}
    for requirement in map(Requirement, lock_lines()):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = str(requirement.specifier).removeprefix("==")
    return found


def project():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table["project"]


def declared(*extras):
    lists = [project()["dependencies"], *(project()["optional-dependencies"][e] for e in extras)]
    return [Requirement(text) for text in itertools.chain(*lists)]


def test_every_line_of_the_lock_is_an_exact_pin():
    """With no index, address or option among them."""
    for line in lock_lines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .+)?", line), line


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_a_mac_asks_for_no_cuda_package_and_linux_does(python):
    mac, linux = pins(MAC, python), pins(LINUX, python)
    assert not [name for name in mac if name.startswith(CUDA)]
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "triton"} <= set(linux)
    assert (mac["torch"], mac["torchvision"]) == ("2.14.1", "0.29.1")
    common = {name for name in linux if not name.startswith(CUDA)}
    assert common == set(mac) - {"appnope"}


@pytest.mark.parametrize("machine", [LINUX, MAC])
def test_the_lock_holds_all_that_the_project_declares(machine):
    found = pins(machine)
    for requirement in declared(*project()["optional-dependencies"]):
        version = found[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize(
    ("folder", "extras"), [("advlib", ["report"]), ("tests", ["report", "test"])]
)
def test_what_is_imported_is_declared(folder, extras):
    names = {canonicalize_name(requirement.name) for requirement in declared(*extras)}
    own = {path.stem for place in ("tests", ".make") for path in (ROOT / place).rglob("*")}
    own.add("advlib")
    packages = packages_distributions()
    for path in (ROOT / folder).rglob("*.py"):
        for top in imports(path) - own - sys.stdlib_module_names:
            assert names & {*map(canonicalize_name, packages[top])}, f"{path} imports {top}"


def imports(path):
    """Return the top-level packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_conda_installs_from_the_same_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, by_pip = environment["dependencies"]
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}
    # nothing that the lock pins comes from conda
    assert {re.split("[=<>]", text)[0] for text in conda} == {"python", "pip", "make"}


def test_the_package_carries_its_data():
    """Every file of the package is matched by the package data's patterns, or is Python."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = table["tool"]["setuptools"]["package-data"]["advlib"]
    package = ROOT / "advlib"
    carried = {path for pattern in patterns for path in package.glob(pattern)}
    carried |= {path for folder in carried if folder.is_dir() for path in folder.rglob("*")}
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert path in carried, path


def test_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository")
def test_git_ignores_no_source():
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b""
