"""The notebook runner, with real kernels and small notebooks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kernels import TRAINING, exists, outputs, wait_for, write

from advlib.notebooks import failed_name, main, select

ROOT = Path(__file__).parents[1]


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump({"epsilon": 0.25, "images": None, "seed": 3}))
    return path


@pytest.fixture
def run(tmp_path: Path, parameters: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command line within this process on SOURCE, to "executed/" and its name."""
    for name in ("PYTHONPATH", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "ADVLIB_PROGRESS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # main changes them

    def call(source: Path, *arguments: str) -> int:
        target = tmp_path / "executed" / source.name
        return main([str(source), str(target), "--parameters", str(parameters), *arguments])

    return call


def test_the_notebook_gets_the_parameters_that_it_names(
    tmp_path: Path, run: Callable[..., int]
) -> None:
    source = write(
        tmp_path / "sources" / "a.ipynb",
        'epsilon = 0.1\nimages = 5000\nmethod = "standard"',
        "print(epsilon, images, method)",
    )
    before = source.read_bytes()
    assert run(source, "-p", "method", "mixed") == 0
    assert outputs(tmp_path / "executed" / "a.ipynb") == "0.25 None mixed\n"
    assert source.read_bytes() == before
    names = {path.name for path in (tmp_path / "executed").iterdir()}
    assert names == {"a.ipynb", ".a.lock", ".a.sha256"}


def test_names_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    source = write(tmp_path / "a.ipynb", "epsilon = 0.1")
    known = {"epsilon": 0.25, "seed": 3}
    assert select(source, known, {}) == {"epsilon": 0.25}
    with pytest.raises(ValueError, match="no parameter 'method'; it has epsilon"):
        select(source, known, {"method": "mixed"})
    misspelt = write(tmp_path / "b.ipynb", "epsilom = 0.1")
    with pytest.raises(ValueError, match="'epsilom'; known are epsilon, seed"):
        select(misspelt, known, {})


def test_the_kernel_does_not_depend_on_the_caller(
    tmp_path: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the working directory, the kernels of the home folder, nor an IPython profile."""
    shadow = tmp_path / "shadow" / "kernels" / "python3"
    shadow.mkdir(parents=True)
    argv = ["/bin/false", "{connection_file}"]
    shadow.joinpath("kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "not this", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "shadow"))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    startup.joinpath("a.py").write_text("print('profile'); profile = True")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    source = write(
        tmp_path / "sources" / "a.ipynb",
        "seed = 0",
        "import os, sys, advlib.files\n"
        "print(sys.executable, os.getcwd(), advlib.files.__file__, sep='\\n')\n"
        "print('profile' in globals())",
    )
    assert run(source) == 0
    found = outputs(tmp_path / "executed" / "a.ipynb").splitlines()
    files = ROOT / "advlib" / "files.py"
    assert found == [sys.executable, str(source.parent), str(files), "False"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('far too large')", "far too large"),
        ("import os; os._exit(3)", "Kernel died"),
    ],
)
def test_a_failed_notebook_is_kept_as_failed(
    code: str,
    message: str,
    tmp_path: Path,
    run: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = write(tmp_path / "sources" / "a.ipynb", "seed = 0", "print('first')", code)
    target = tmp_path / "executed" / "a.ipynb"
    target.parent.mkdir()
    target.write_text("an earlier success")
    assert run(source) == 1
    error = capfd.readouterr().err
    assert message in error
    assert f"error: {source} failed; as far as it went: {failed_name(target)}\n" in error
    assert "first" in outputs(failed_name(target))
    assert target.read_text() == "an earlier success"

    write(source, "seed = 0", "print('repaired')")
    assert run(source) == 0
    assert outputs(target) == "repaired\n"
    assert not failed_name(target).exists()


def test_progress_is_on_the_terminal_and_not_in_the_notebook(
    tmp_path: Path, run: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(
        tmp_path / "sources" / "a.ipynb",
        "seed = 0",
        "import os\n"
        "with open(os.environ['ADVLIB_PROGRESS'], 'a') as file:\n"
        "    file.write('epoch 1 of 2\\n')\n"
        "    file.write('epoch 2 of 2\\n')",
    )
    assert run(source) == 0
    out = capfd.readouterr().out
    assert "    epoch 1 of 2\n    epoch 2 of 2\n" in out
    assert outputs(tmp_path / "executed" / "a.ipynb") == ""


def test_no_path_of_this_machine_is_stored(tmp_path: Path, run: Callable[..., int]) -> None:
    source = write(tmp_path / "sources" / "a.ipynb", "seed = 0", "seed")
    assert run(source) == 0
    text = (tmp_path / "executed" / "a.ipynb").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["metadata"]["papermill"]["input_path"] == "a.ipynb"


def start(*command: str, cwd: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("victim", ["runner", "parent"])
def test_a_kernel_does_not_outlive_a_killed_runner_or_its_parent(
    victim: str, tmp_path: Path, parameters: Path
) -> None:
    """The parent stands for make: nothing but its death tells the runner."""
    source = write(tmp_path / "a.ipynb", "seed = 0", TRAINING)
    runner = [sys.executable, "-m", "advlib.notebooks", str(source), "b.ipynb"]
    runner += ["--parameters", str(parameters)]
    if victim == "parent":
        keeper = f"import subprocess; subprocess.run({runner})"
        process = start(sys.executable, "-c", keeper, cwd=tmp_path)
    else:
        process = start(*runner, cwd=tmp_path)
    alive = tmp_path / "alive"
    wait_for(alive.exists)
    wait_for(alive.read_text)
    kernel = int(alive.read_text().split()[0])
    assert exists(kernel)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not exists(kernel), seconds=5)
    length = alive.stat().st_size
    time.sleep(0.5)
    assert alive.stat().st_size == length
    assert not (tmp_path / "b.ipynb").exists()


def test_two_runners_execute_a_notebook_once(tmp_path: Path, parameters: Path) -> None:
    once = "import time\ntime.sleep(1)\nprint(file=open('alive', 'a'))"
    source = write(tmp_path / "a.ipynb", "seed = 0", once)
    runner = [sys.executable, "-m", "advlib.notebooks", str(source), "b.ipynb"]
    runner += ["--parameters", str(parameters), "--made-from", str(source), str(parameters)]
    both = [start(*runner, cwd=tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / "alive").read_text() == "\n"


def test_what_changes_while_a_notebook_is_executed_makes_it_out_of_date(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "module.py"
    module.touch()
    cell = f"from pathlib import Path\nPath({str(module)!r}).touch()"
    source = write(tmp_path / "a.ipynb", "epsilon = 0.1", cell)
    for _ in range(2):
        assert run(source, "--made-from", str(source), str(module)) == 0
        assert "another make" not in capsys.readouterr().out
        assert (tmp_path / "executed" / "a.ipynb").stat().st_mtime < module.stat().st_mtime
