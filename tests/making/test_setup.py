"""The lock, the files around it, and the program that makes the environment."""

import ast
import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import audit
import environment
import pytest
import yaml
from kernels import wait_for
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from projects import at_work

ROOT = Path(__file__).parents[2]
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
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "art": "adversarial-robustness-toolbox",
    "pypandoc": "pypandoc-binary",
    "yaml": "pyyaml",
}


@pytest.mark.parametrize(("folder", "extras"), [("advlib", ["report"]), ("tests", None)])
def test_what_is_imported_is_declared(folder: str, extras: list[str] | None) -> None:
    extras = ["report", "test"] if extras is None else extras
    names = {canonicalize_name(requirement.name) for requirement in declared(*extras)}
    own = {"advlib"}
    if folder == "tests":
        own |= {path.stem for place in ("tests", ".make") for path in (ROOT / place).rglob("*")}
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
            if os.path.exists("enough"):
                break
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
    for name in ("__init__.py", "kept/__init__.py", "kept/parent.py"):
        (folder / "advlib" / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(ROOT / "advlib" / name, folder / "advlib" / name)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "toy_module.py").write_text("")
    return folder


def set_up(folder: Path, *launcher: str, **changes: str) -> subprocess.Popen[str]:
    """Start a set-up that hears of no index and no cache but a test's own."""
    python = getattr(sys, "_base_executable", sys.executable)
    of_tools = ("PIP_", "UV_", "REQUESTS_CA_BUNDLE", "ADVLIB_MAKE")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(of_tools)}
    own = {
        "PYTHONPATH": str(folder / "nowhere"),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_CACHE_DIR": str(folder / "cache"),
    }
    return subprocess.Popen(
        [*launcher, python, ".make/environment.py", "make"],
        cwd=folder,
        env=kept | own | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate()
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
    process = set_up(toy, PIP_NO_INDEX="1")
    out, _ = process.communicate()
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
    wait_for(lambda: not list(at_work(toy)))
    assert works(toy)


def test_two_at_once_make_one_environment(toy: Path) -> None:
    first = set_up(toy, PAUSE="6000")
    wait_for((toy / "alive").exists)
    second = set_up(toy)
    assert second.stdout
    waits = second.stdout.readline()  # before the first goes on
    (toy / "enough").touch()
    outs = finish(first), waits + finish(second)
    assert outs[0].count("making .venv") == 1
    assert "waiting: another make is setting up .venv" in outs[1]
    assert "making .venv" not in outs[1]
    assert works(toy)


# ---- uv and pip, with wheels and indexes of the tests' own --------------------------------------

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def wheel(folder: Path, name: str, version: str, path: str, text: str) -> Path:
    """Write a wheel with one file."""
    about = f"{name}-{version}.dist-info"
    files = {
        path: text,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for inside, content in files.items():
            information = zipfile.ZipInfo(inside)
            information.external_attr = 0o100755 << 16  # a script is executable
            file.writestr(information, content)
    return Path(file.filename or "")


def index(folder: Path, **versions: str) -> str:
    """Make a package index of small packages in a folder, and return its address."""
    for name, version in versions.items():
        made = wheel(folder / "files", name, version, f"{name}.py", "")
        page = folder / "simple" / canonicalize_name(name) / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="../../files/{made.name}">{made.name}</a>')
    return (folder / "simple").as_uri()


def offer(toy: Path, uv: str, *requirements: str) -> str:
    """Have the lock name a uv that is a shell script, and more; return the folder of wheels."""
    script = f'#!/bin/sh\ntouch uv-runs "$(dirname "$0")/of-uv"\n{uv}\n'
    wheel(toy / "wheels", "uv", "1.0", "uv-1.0.data/scripts/uv", script)
    (toy / "requirements.lock").write_text("\n".join(["uv==1.0", *requirements, ""]))
    return (toy / "wheels").as_uri()


def installed(toy: Path) -> dict[str, tuple[str, str]]:
    """Return the version of each small package and who installed it."""
    found = {}
    for path in toy.glob(".venv/lib/*/site-packages/small*.dist-info/INSTALLER"):
        name, _, version = path.parent.stem.partition("-")
        found[name] = (version, path.read_text().strip())
    return found


@pytest.mark.skipif(UV is None, reason="uv is not here: it comes with make's own .venv")
def test_uv_installs_from_where_pip_is_told(toy: Path) -> None:
    """The newest that the constraint allows, whichever index has it."""
    names = ("small_a", "small_b", "small_c", "small_e")
    links = offer(toy, f'exec "{UV}" "$@"', *names, "small_d")
    main = index(toy / "main", small_a="1.0", small_d="2.0")
    more = [index(toy / "more", small_b="1.0", small_d="1.0"), index(toy / "third", small_c="1.0")]
    for name, version in (("small_d", "3.0"), ("small_e", "1.0")):
        wheel(toy / "wheels", name, version, f"{name}.py", "")
    (toy / "constraint").write_text("small_d<3\n")
    (toy / "pip.conf").write_text(
        f"[global]\nindex-url = {main}\nextra_index_url = {main}\nconstraint = nowhere\n"
        f"[install]\nextra-index-url =\n    {more[0]}\n    {more[1]}\nconstraint = constraint\n"
    )
    out = finish(set_up(toy, PIP_CONFIG_FILE="pip.conf", PIP_FIND_LINKS=links, PIP_PROXY=""))
    assert "pip installs" not in out
    assert works(toy)
    versions = dict.fromkeys(names, "1.0") | {"small_d": "2.0"}
    assert installed(toy) == {name: (text, "uv") for name, text in versions.items()}
    assert list(toy.glob(".venv/lib/*/site-packages/__pycache__/small_a.*.pyc"))


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("", {}),
        ("global.index-url='a'", {"index-url": "a"}),
        ("download.index-url='a'", {}),
        ("global.cert='a b'\n:env:.cert='c'\ninstall.cert='d'", {"cert": "c"}),
        ("global.retries='1'\n:env:.retries=''", {"retries": "1"}),
        (r"install.extra-index-url='\na\nb'", {"extra-index-url": "a b"}),
        ("global.find-links='a b'", {"find-links": "a,b"}),
    ],
)
def test_what_pip_is_told(
    listed: str, told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip has it: an empty value says nothing, the environment is above the files."""
    (tmp_path / "python").write_text(f"#!/bin/sh\ncat <<'.'\n{listed}\n.\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(environment, "python", lambda: str(tmp_path / "python"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    assert environment.told_to_pip() == told
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "z")
    assert environment.told_to_pip() == {"cert": "z"} | told


@pytest.mark.parametrize(
    ("uv", "changes", "said"),
    [
        ("exit 1", {}, "uv failed"),
        ("exit 1", {"PIP_PROXY": "none"}, "pip is told proxy, which uv would not heed"),
        (None, {}, "uv cannot be had"),
    ],
)
def test_pip_installs_where_uv_does_not(
    uv: str | None, changes: dict[str, str], said: str, toy: Path
) -> None:
    links = offer(toy, uv or "", "small_a==1.0")
    wheel(toy / "wheels", "small_a", "1.0", "small_a.py", "")
    if uv is None:
        (toy / "wheels" / "uv-1.0-py3-none-any.whl").unlink()
    told = {"PIP_INDEX_URL": index(toy / "nothing"), "PIP_FIND_LINKS": links}
    out = finish(set_up(toy, **told, **changes))
    assert f"set-up: {said}: pip installs\n" in out
    assert (toy / "uv-runs").exists() is (said == "uv failed")
    assert not (toy / ".venv" / "bin" / "of-uv").exists()  # nothing that uv has left half made
    assert installed(toy) == {"small_a": ("1.0", "pip")}
    assert works(toy)


def asleep(folder: Path) -> list[int]:
    """Return the processes in a folder that are `sleep`, as far as they are there."""
    found = []
    for pid in at_work(folder):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                found.append(pid)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("launcher", [(), ("sh", "-c", '"$@"; exit', "make")])
def test_uv_holds_the_lock_and_ends_with_a_killed_set_up_or_make(
    launcher: tuple[str, ...], toy: Path
) -> None:
    links = offer(toy, "exec sleep 600")
    told = {"PIP_INDEX_URL": index(toy / "nothing"), "PIP_FIND_LINKS": links}
    killed = set_up(toy, *launcher, **told)
    wait_for(lambda: asleep(toy))
    (uv,) = asleep(toy)
    opened = {path.resolve() for path in Path(f"/proc/{uv}/fd").iterdir()}
    assert (toy / ".venv.lock").resolve() in opened
    killed.kill()
    wait_for(lambda: not list(at_work(toy)))
    killed.communicate()


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
