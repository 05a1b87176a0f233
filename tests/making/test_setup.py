"""The program that makes the environment, on a project so small that it needs no network."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import environment
import pytest
from projects import at_work, wait_for

ROOT = Path(__file__).parents[2]
BACKEND = '''
"""A build backend: an editable installation is a path file; slow, to be killed meanwhile."""
import os, time, zipfile

METADATA = "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    parent = os.getppid()
    with open("alive", "a") as file:
        for _ in range(int(os.environ.get("PAUSE", "0"))):
            print(os.getpid(), file=file, flush=True)
            time.sleep(0.1)
            if os.path.exists("enough") or os.getppid() != parent:
                break
    name = "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("toy.pth", os.getcwd())
        needs = open("needs").read() if os.path.exists("needs") else ""
        wheel.writestr("toy-1.0.dist-info/METADATA", METADATA + needs)
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
def toy(tmp_path):
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


def set_up(folder, *launcher, extra="report", **changes):
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
        [*launcher, python, ".make/environment.py", "make", extra],
        cwd=folder,
        env=kept | own | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    out, _ = process.communicate()
    assert process.returncode == 0, out
    return out


def works(folder):
    """Return whether an environment is whole: it says so, and has the project."""
    chosen = subprocess.run(
        ["sh", ".make/find-python.sh"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    if chosen != ".venv/bin/python":
        return False
    probe = "import sys, toy_module; assert sys.prefix.endswith('.venv')"
    command = [str(folder / chosen), "-c", probe]
    return subprocess.run(command, cwd=folder / ".make", check=False).returncode == 0


def test_set_up_and_renewal(toy):
    out = finish(set_up(toy))
    assert "making .venv" in out
    assert works(toy)

    assert finish(set_up(toy)) == ""  # up to date
    out = finish(set_up(toy, extra="test"))
    assert "making .venv" not in out
    assert "report and test need" in out
    assert finish(set_up(toy)) == ""

    (toy / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    out = finish(set_up(toy))
    assert "making .venv" not in out  # the packages stay, the project is installed anew
    assert "advlib into .venv" in out

    moved = toy.rename(toy.with_name("moved"))
    assert not works(moved)
    moved.rename(toy)
    assert works(toy)

    (toy / ".venv" / "leftover").touch()
    (toy / ".venv" / "bin" / "python").unlink()
    assert not works(toy)
    assert "removing the old" in finish(set_up(toy))
    assert not (toy / ".venv" / "leftover").exists()
    assert works(toy)

    (toy / "requirements.lock").write_text("# changed\n")
    assert "removing the old" in finish(set_up(toy))
    assert works(toy)


def test_a_failed_set_up_says_why_and_is_not_taken_for_done(toy):
    (toy / "needs").write_text("Requires-Dist: no-such-package-of-advlib\n")
    process = set_up(toy, PIP_NO_INDEX="1")
    out, _ = process.communicate()
    assert process.returncode == 1
    assert "error: the set-up failed in -m pip install (torch " in out
    assert "Traceback" not in out
    assert not works(toy)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("seconds", [0.2, 4.0])
def test_killed_at_any_moment_it_leaves_nothing_behind(seconds, toy):
    killed = set_up(toy, PAUSE="100")
    time.sleep(seconds)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not works(toy)
    finish(set_up(toy))  # at once: the killed one's children may still be ending
    assert works(toy)
    wait_for(lambda: not list(at_work(toy)))
    assert works(toy)


def test_two_at_once_make_one_environment(toy):
    first = set_up(toy, PAUSE="6000")
    wait_for((toy / "alive").exists)
    second = set_up(toy)
    assert second.stdout
    waits = second.stdout.readline()  # before the first goes on
    (toy / "enough").touch()
    outs = finish(first), waits + finish(second)
    assert outs[0].count("making .venv") == 1
    assert "waiting: another make holds .venv.lock" in outs[1]
    assert "making .venv" not in outs[1]
    assert works(toy)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_what_runs_ends_with_a_killed_make(toy):
    """With pip ends its child, the build."""
    killed = set_up(toy, "sh", "-c", '"$@"; exit', "make", PAUSE="6000")
    wait_for((toy / "alive").exists)
    killed.kill()
    wait_for(lambda: not list(at_work(toy)))
    killed.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is small")
@pytest.mark.parametrize(
    ("listed", "asked", "gpu", "reached", "torch", "tool"),
    [  # TORCH is for the CPU where nobody has said otherwise, and it is to be had
        ("", "", False, True, "cpu", "uv"),
        ("", "", False, False, "index", "uv"),
        ("", "", True, True, "index", "uv"),
        ("", "index", False, True, "index", "uv"),
        ("", "cpu", True, False, "cpu", "uv"),
        ("global.index-url='a'", "", False, True, "index", "pip"),
        ("global.index-url='a'", "cpu", False, True, "cpu", "pip"),
        ("global.timeout='9'\ndownload.index-url='a'", "", False, True, "cpu", "uv"),
    ],
)
def test_where_torch_is_from_and_what_installs_the_rest(
    listed, asked, gpu, reached, torch, tool, tmp_path, monkeypatch
):
    """With an installer of the test's own: what it is asked for, in order."""
    monkeypatch.chdir(tmp_path)
    for name in ("python", "uv"):
        answer = f"cat <<'.'\n{listed}\n." if name == "python" else f"exit {int(not reached)}"
        Path(name).write_text(f"#!/bin/sh\n{answer}\n")
        Path(name).chmod(0o755)
    Path("requirements.lock").write_text("uv==1.0\n")
    commands = []
    monkeypatch.setattr(environment, "PYTHON", str(tmp_path / "python"))
    monkeypatch.setattr(environment, "PIP", (str(tmp_path / "python"),))
    monkeypatch.setattr(environment, "UV", (str(tmp_path / "uv"),))
    monkeypatch.setattr(environment, "make_empty", lambda: None)
    monkeypatch.setattr(environment, "GPU", [str(tmp_path if gpu else tmp_path / "no")])
    monkeypatch.setattr(environment, "run", lambda *words, **_: commands.append(words))
    assert environment.create(asked) == torch
    environment.install("all")
    pairs = [each for each in commands if "torchvision" in each]
    assert len(pairs) == (torch == "cpu")
    assert all("torch" in each and "cpu" in each and each[0].endswith("uv") for each in pairs)
    assert commands[-1][0] == str(tmp_path / ("python" if tool == "pip" else "uv"))


@pytest.mark.parametrize(
    ("interpreters", "chosen", "found"),
    [
        ({}, "", "none"),
        ({"python3.12": "broken", "python3": "3.15.0"}, "", "python3 is 3.15.0"),
        ({"python3": "3.11.0"}, "python3", ""),
        ({"python3.11": "broken", "python3.13": "3.13.2", "python3": "3.9.1"}, "python3.13", ""),
        ({"python3.11": "3.11.9", "python3": "3.13.1"}, "python3.11", ""),
    ],
)
def test_the_first_python_that_runs_and_fits(interpreters, chosen, found, tmp_path):
    """ "broken" is what pyenv leaves for a version that is not chosen."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, version in interpreters.items():
        does = "exit 127" if version == "broken" else f"echo {version}"
        (place / name).write_text(f"#!/bin/sh\n{does}\n")
        (place / name).chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", str(ROOT / ".make" / "find-python.sh")],
        cwd=tmp_path,
        env={"PATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == (f"{place / chosen}\n" if chosen else "")
    assert result.stderr.endswith(f"found: {found}\n") if found else not result.stderr
