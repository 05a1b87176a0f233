"""The notebook runner, with real kernels and small notebooks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kernels import TRAINING, exists, outputs, write
from projects import wait_for

from advlib.experiment.runner import failed_name, main, select
from advlib.results.notebooks import read_chapters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parameters(tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump({"epsilon": 0.25, "images": None, "seed": 3}))
    return path


@pytest.fixture
def run(tmp_path, parameters, monkeypatch):
    """Run the command line within this process on SOURCE, to "executed/" and its name."""
    for name in ("PYTHONPATH", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # main changes them

    def call(source, *arguments):
        target = tmp_path / "executed" / source.name
        return main([str(source), str(target), "--parameters", str(parameters), *arguments])

    return call


def test_the_notebook_gets_the_parameters_that_it_names_and_keeps_all(tmp_path, run):
    source = write(
        tmp_path / "sources" / "3-a.ipynb",
        'epsilon = 0.1\nimages = 5000\nmethod = "standard"',
        "print(epsilon, images, method)",
    )
    before = source.read_bytes()
    assert run(source, "-p", "method", "mixed") == 0
    (executed,) = (tmp_path / "executed").iterdir()
    assert outputs(executed) == "0.25 None mixed\n"
    assert source.read_bytes() == before
    assert str(tmp_path) not in executed.read_text()  # no path of this machine
    (notebook,) = read_chapters(executed.parent)
    assert notebook.experiment == {"epsilon": 0.25, "images": None, "seed": 3}
    assert notebook.parameters == {"epsilon": 0.25, "images": None, "method": "mixed"}
    assert notebook.source == "3-a"
    assert notebook.seconds


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["epsilom = 0.1"], "'epsilom'; known are epsilon"),
        (["epsilon = 0.1", "%matplotlib inline\nepsilon = 0.2"], "cell 2 gives epsilon another"),
        (["epsilon = 0.1", "x = 1", "for epsilon in (1, 2): pass"], "cell 3 gives epsilon another"),
    ],
)
def test_what_is_given_would_not_count(cells, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        select(write(tmp_path / "a.ipynb", *cells), {"epsilon": 0.25}, {})


def test_names_of_other_scopes_are_no_parameters(tmp_path):
    cell = "%time epsilon = 0.2\n[epsilon for epsilon in (1, 2)]\ndef f(): epsilon = 1"
    source = write(tmp_path / "a.ipynb", "epsilon = 0.1", cell)
    assert select(source, {"epsilon": 0.25, "seed": 3}, {}) == {"epsilon": 0.25}


def test_the_kernel_does_not_depend_on_the_caller(tmp_path, run, monkeypatch):
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
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "matplotlibrc").write_text("lines.linewidth: 99\n")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.chdir(tmp_path)
    source = write(
        tmp_path / "sources" / "a.ipynb",
        "seed = 0",
        "import os, sys, advlib, matplotlib\n"
        "print(sys.executable, os.getcwd(), advlib.__file__, sep='\\n')\n"
        "print('profile' in globals(), matplotlib.rcParams['lines.linewidth'])",
    )
    assert run(source) == 0
    found = outputs(tmp_path / "executed" / "a.ipynb").splitlines()
    advlib = ROOT / "advlib" / "__init__.py"
    assert found == [sys.executable, str(source.parent), str(advlib), "False 1.5"]


def test_a_failed_notebook_is_kept_as_failed_until_it_succeeds(tmp_path, run, capfd):
    source, target = tmp_path / "sources" / "a.ipynb", tmp_path / "executed" / "a.ipynb"
    target.parent.mkdir()
    target.write_text("an earlier success")
    fails = {"raise RuntimeError('far too large')": "far too large"}
    for code, message in (fails | {"import os; os._exit(3)": "Kernel died"}).items():
        assert run(write(source, "seed = 0", "print('first')", code)) == 1
        error = capfd.readouterr().err
        assert message in error
        assert f"error: {source} failed; as far as it went: {failed_name(target)}\n" in error
        assert "first" in outputs(failed_name(target))
        assert target.read_text() == "an earlier success"
    assert run(write(source, "seed = 0", "print('repaired')")) == 0
    assert outputs(target) == "repaired\n"
    assert not failed_name(target).exists()


def test_cells_of_a_tag_are_left_out(tmp_path, run):
    source, target = tmp_path / "sources" / "a.ipynb", tmp_path / "executed" / "a.ipynb"
    write(source, "seed = 0", "print('for all')", "print('for one')")
    content = json.loads(source.read_text())
    content["cells"][1]["metadata"]["tags"] = ["once"]
    source.write_text(json.dumps(content))
    for given, words in {(): "for all\nfor one\n", ("--left-out", "once"): "for one\n"}.items():
        assert run(source, *given) == 0
        assert outputs(target) == words


LOGS = """
import logging, time
from pathlib import Path
from advlib.experiment.pace import show_log
show_log()
log = logging.getLogger("advlib")
log.debug("a detail")
for i in range(2):
    log.info(f"epoch {i}: {chr(949)}")
while not Path("seen").exists():
    time.sleep(0.01)
print("done")
"""


def start(source, parameters):
    """Execute a notebook as b.ipynb, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_CURRENT_TEST")  # with it ipykernel leaves the streams alone
    command = [sys.executable, "-m", "advlib.experiment.runner", str(source), "b.ipynb"]
    command += ["--parameters", str(parameters)]
    return subprocess.Popen(command, cwd=source.parent, env=environment, stdout=subprocess.PIPE)


def test_the_log_is_on_the_terminal_at_once(tmp_path, parameters):
    source = write(tmp_path / "a.ipynb", "seed = 0", LOGS)
    process = start(source, parameters)
    assert process.stdout
    lines = [process.stdout.readline().decode() for _ in range(2)]  # while the notebook waits
    assert lines == [f"    epoch {i}: {chr(949)}\n" for i in range(2)]
    (tmp_path / "seen").touch()
    rest, _ = process.communicate()
    assert process.returncode == 0
    assert re.fullmatch(r"\[1/1\] b  done, \d+\.\d s\n", rest.decode())
    assert outputs(tmp_path / "b.ipynb").endswith("done\n")


def test_a_kernel_does_not_outlive_a_killed_runner(tmp_path, parameters):
    """That neither outlives a killed make is in tests/making/test_make.py."""
    source = write(tmp_path / "a.ipynb", "seed = 0", TRAINING)
    process = start(source, parameters)
    alive = tmp_path / "alive"
    wait_for(lambda: alive.exists() and alive.read_text())
    kernel = int(alive.read_text().split()[0])
    assert exists(kernel)
    process.kill()
    process.communicate()
    wait_for(lambda: not exists(kernel))
    assert not (tmp_path / "b.ipynb").exists()


def test_what_changes_while_a_notebook_is_executed_makes_it_out_of_date(tmp_path, run):
    module = tmp_path / "module.py"
    module.touch()
    cell = f"from pathlib import Path\nPath({str(module)!r}).touch()"
    source = write(tmp_path / "a.ipynb", "epsilon = 0.1", cell)
    assert run(source) == 0
    assert (tmp_path / "executed" / "a.ipynb").stat().st_mtime < module.stat().st_mtime
