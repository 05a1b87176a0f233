"""Execute one notebook with its parameters; the command line is what the Makefile calls.

    python -m advlib.experiment.runner SOURCE TARGET --parameters FILE.yaml [-p NAME VALUE ...]

The executed notebook gets its name only when it succeeded; a failed one is kept beside it as
``*.failed.ipynb``. What the notebook's code writes to the log ``advlib`` appears on the terminal as
it comes, and nowhere else.
"""

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from advlib.experiment.inputs import is_about_slides
from advlib.experiment.kernel import share_cores
from advlib.kept import files
from advlib.kept.code import find_assigned
from advlib.kept.folders import PACKAGE, PARAMETERS
from advlib.kept.parent import end_with_make

# jsonschema's check of one rarely used format, which it does without when this module is missing;
# it builds a parser at import, more than a second in each of nbformat's programs.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

import papermill  # noqa: E402
from jupyter_client.kernelspec import KernelSpec  # noqa: E402
from jupyter_client.manager import AsyncKernelManager  # noqa: E402

PERSONAL = frozenset({"MPLBACKEND", "PYTHONINSPECT", "PYTHONOPTIMIZE", "PYTHONSTARTUP"})
PERSONAL |= {"PYTHONBREAKPOINT", "PYTHONSAFEPATH", "PYTHONWARNINGS"}
"""What a user's environment may say, and no report depends on."""
SOCKET, LONGEST = "socket", 100
"""The name of a kernel's sockets, and how long a system lets a socket's path be, nearly."""


class _Kernel(AsyncKernelManager):
    """A kernel of this Python, whatever kernels are registered; no network ports if possible."""

    def __init__(self, **options: Any) -> None:
        folder = os.environ["IPYTHONDIR"]
        if _can_hold_sockets(folder):
            options |= {"transport": "ipc", "ip": str(Path(folder) / SOCKET)}
        super().__init__(**options)

    @property
    def kernel_spec(self) -> KernelSpec:
        arguments = ["-m", "advlib.experiment.kernel", "-f", "{connection_file}"]
        return KernelSpec(argv=[sys.executable, *arguments], language="python", display_name="")


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], experiment: Mapping[str, Any]
) -> None:
    """Execute a notebook.

    Its working directory is the folder of `source`, and it imports the advlib that runs this.
    Nobody's IPython profile takes part.

    Parameters
    ----------
    source : Path
        The notebook. One of its code cells has the tag ``parameters``.
    target : Path
        Where the executed notebook goes.
    parameters : mapping
        A value for each parameter of the notebook.
    experiment : mapping
        All parameters of the experiment, stored in the executed notebook.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell fails. What was executed is kept as `failed_name` of `target`.
    nbclient.exceptions.DeadKernelError
        If the kernel dies, likewise.
    """
    running = target.with_name(f".{target.stem}.json")  # hidden, and not among the *.ipynb
    begin = time.time()
    with _surroundings():
        try:
            with files.name_in_errors(target):
                notebook = papermill.execute_notebook(
                    *(source, running, dict(parameters)),
                    kernel_name="python3",
                    language="python",
                    kernel_manager_class=_Kernel,
                    shutdown_kernel="immediate",
                    progress_bar=False,
                    cwd=source.parent,
                )
        except OSError:  # no whole notebook to keep
            raise
        except Exception:
            if running.exists():
                os.replace(running, failed_name(target))
            raise
        finally:
            running.unlink(missing_ok=True)
    notebook.metadata.papermill.update(input_path=source.name, output_path=target.name)
    notebook.metadata["advlib"] = {"experiment": dict(experiment)}
    with files.seal_file(target) as temporary:
        papermill.iorw.write_ipynb(notebook, str(temporary))
        # as old as what it was made from: what changed meanwhile is newer, and make sees it
        os.utime(temporary, (begin, begin))


def failed_name(target: Path) -> Path:
    """Return the name under which a partly executed notebook is kept."""
    return target.with_name(f"{target.stem}.failed.ipynb")


def select(source: Path, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the values of a notebook's parameters.

    Parameters
    ----------
    source : Path
        The notebook.
    known : mapping
        The parameter set; the notebook takes of it those that it names.
    given : mapping
        Parameters for this notebook; it must name all of them.

    Raises
    ------
    ValueError
        If the notebook does not name a given parameter, names one that has no value, or gives one
        another value in a later cell.
    """
    _check_parameters(source)
    # papermill only logs what a notebook does not name, and runs it with its defaults
    named = papermill.inspect_notebook(source)
    values = {**known, **given}
    for name in given:
        if name not in named:
            raise ValueError(f"{source} has no parameter {name!r}; it has {', '.join(named)}")
    for name in named:
        if name not in values:
            raise ValueError(f"{source} has a parameter {name!r}; known are {', '.join(values)}")
    return {name: values[name] for name in named}


def _check_parameters(source: Path) -> None:
    """Refuse a notebook in which another value than the given one would count."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    names: frozenset[str] | None = None
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code":
            continue
        assigned = find_assigned("".join(cell["source"]))
        if "parameters" not in cell["metadata"].get("tags", []):
            if again := sorted(assigned & (names or frozenset())):
                raise ValueError(
                    f"{source}, cell {number} gives the parameter {again[0]} another value; what is"
                    " given to the notebook would not count: use another name there"
                )
        elif names is not None:
            raise ValueError(
                f"{source}, cell {number} is the second that is tagged parameters: what is given to"
                " the notebook would not count; leave one"
            )
        else:
            names = assigned


@contextmanager
def _surroundings() -> Iterator[None]:
    """Set what the kernel inherits."""
    folder = _make_folder()
    path = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    Path(folder, "matplotlibrc").touch()
    for name in PERSONAL & os.environ.keys():
        del os.environ[name]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "IPYTHONDIR": folder,
        "JUPYTER_RUNTIME_DIR": folder,
        "MATPLOTLIBRC": folder,
    }
    os.environ["OMP_NUM_THREADS"] = str(share_cores())
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_folder() -> str:
    """Make a temporary folder, outside $TMPDIR where that is too deep for sockets."""
    folder = tempfile.mkdtemp(prefix="advlib-")
    if _can_hold_sockets(folder):
        return folder
    try:
        elsewhere = tempfile.mkdtemp(prefix="advlib-", dir="/tmp")
    except OSError:  # the kernel listens on ports then
        return folder
    os.rmdir(folder)
    return elsewhere


def _can_hold_sockets(folder: str) -> bool:
    return os.name != "nt" and len(os.fsencode(f"{folder}/{SOCKET}-5")) <= LONGEST


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see the module's docstring. Return its exit status."""
    parser = argparse.ArgumentParser(description="Execute one notebook with its parameters.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--parameters", type=Path, required=True, help="a YAML file")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], dest="given", metavar=("NAME", "VALUE")
    )
    parser.add_argument(
        "--made-from",
        nargs="*",
        type=Path,
        default=[],
        metavar="FILE",
        help="files; a target that is newer than all was executed by another make meanwhile",
    )
    parser.add_argument(
        "--since",
        type=float,
        default=-math.inf,
        metavar="SECONDS",
        help="when make began, since 1970: an older target is executed anew, as make -B asks",
    )
    options = parser.parse_args(arguments)
    try:
        return _make(options)
    except (Exception, KeyboardInterrupt) as error:
        kept = failed_name(options.target)
        print(f"{error or 'interrupted'}\nerror: {options.source} failed", end="", file=sys.stderr)
        print(f"; as far as it went: {kept}" if kept.exists() else "", file=sys.stderr)
        return 1


def _make(options: argparse.Namespace) -> int:
    """Execute a notebook unless another make does it meanwhile."""
    import yaml

    source, target = options.source, options.target
    begin = time.time()
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.hold_lock(
        target.with_name(f".{target.stem}.lock"),
        lambda: print(f"{target}: waiting, another make executes it", flush=True),
    ):
        newest = max((path.stat().st_mtime for path in options.made_from), default=math.inf)
        # ctime is when it was written: mtime is what it was made from
        if (
            target.exists()
            and target.stat().st_mtime > newest
            and target.stat().st_ctime > options.since
        ):
            print(f"{target}: another make has executed it", flush=True)
            return 0
        print(f"{target}", flush=True)
        failed_name(target).unlink(missing_ok=True)
        with options.parameters.open(encoding="utf-8") as file:  # its errors name the file
            known = yaml.safe_load(file)
        about = {**known, "about_slides": is_about_slides(known)}
        os.environ[PARAMETERS] = str(options.parameters.absolute())
        execute(source, target, select(source, known, dict(options.given)), about)
    print(f"    {time.time() - begin:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    end_with_make()
    sys.exit(main())
