"""Execute one notebook with its parameters; the command line is what the Makefile calls.

    python -m advlib.experiment.runner SOURCE TARGET --parameters FILE.yaml [-p NAME VALUE ...]
        [--left-out TAG]

The executed notebook gets its name only when it succeeded; a failed one is kept beside it as
``*.failed.ipynb``. What the notebook writes to the standard error, such as a training's log,
appears on the standard output as it comes, and in the end a line that it is done.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import advlib.kept.spared  # noqa: F401  # before papermill
from advlib.experiment import pace
from advlib.experiment.kernel import share_cores
from advlib.experiment.plan import find_parameters, is_of_parameters
from advlib.kept import files
from advlib.kept.code import find_assigned, read_cells
from advlib.kept.folders import NOTEBOOK, PACKAGE, PARAMETERS
from advlib.kept.parent import end_with_make
from advlib.results.notebooks import digest_cells

KERNEL = (
    "import gc, runpy; gc.set_threshold(100_000);"
    " runpy.run_module('ipykernel_launcher', run_name='__main__', alter_sys=True)"
)
"""What a kernel runs: ipykernel, with garbage looked for less often until an experiment is opened.
Imports make none, and to look for it while they last is half a second of each notebook."""
MADE_FROM = "made_from"
"""In an executed notebook's metadata: the digest of the cells that were executed."""


def execute(
    source: Path,
    target: Path,
    parameters: Mapping[str, Any],
    experiment: Mapping[str, Any],
    left_out: str = "",
) -> None:
    """Execute a notebook with all its parameters; `experiment` is stored in the executed one.

    Cells with the tag `left_out` are neither executed nor in the executed notebook. Its working
    directory is the folder of `source`, and it imports the advlib that runs this. Nobody's IPython
    profile takes part. If a cell fails or the kernel dies, what was executed is kept as
    `failed_name` of `target`.
    """
    import papermill
    import papermill.engines
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    running = target.with_name(f".{target.stem}.json")  # hidden, and not among the *.ipynb
    begin, made_from = time.time(), digest_cells(source.read_bytes())
    with tempfile.TemporaryDirectory(prefix="advlib-", ignore_cleanup_errors=True) as folder:
        _surround(Path(folder))

        class Kernel(AsyncKernelManager):
            """A kernel of this Python, whatever kernels are registered.

            It is asked by files: of ports that are free when a kernel is begun another may have
            taken one before it listens.
            """

            kernel_spec = KernelSpec(
                argv=[sys.executable, "-c", KERNEL, "-f", "{connection_file}"],
                language="python",
            )
            transport = "ipc"
            connection_file = os.path.join(folder, "kernel.json")

        class Engine(papermill.engines.NBClientEngine):  # type: ignore[misc]  # it has no types
            """Writes what was executed when that is over: with each cell it takes a second."""

            @classmethod
            def execute_managed_notebook(cls, managed: Any, *about: Any, **others: Any) -> None:
                cells = managed.nb.cells
                managed.nb.cells = [c for c in cells if left_out not in c.metadata.get("tags", [])]
                try:
                    super().execute_managed_notebook(managed, *about, **others)
                except Exception:  # the kernel died: papermill writes no notebook then
                    papermill.iorw.write_ipynb(managed.nb, str(running))
                    raise

        papermill.engines.papermill_engines.register("advlib", Engine)
        try:
            notebook = papermill.execute_notebook(
                *(source, running, dict(parameters)),
                engine_name="advlib",
                request_save_on_cell_execute=False,
                kernel_name="python3",
                language="python",
                kernel_manager_class=Kernel,
                shutdown_kernel="immediate",
                progress_bar=False,
                stderr_file=sys.stdout,
                cwd=source.parent,
            )
        except Exception:
            if running.exists():
                os.replace(running, failed_name(target))
            raise
        finally:
            running.unlink(missing_ok=True)
    notebook.metadata.papermill.update(input_path=source.name, output_path=target.name)
    notebook.metadata["advlib"] = {"experiment": dict(experiment), MADE_FROM: made_from}
    with files.replace_file(target) as temporary:
        papermill.iorw.write_ipynb(notebook, str(temporary))
        # as old as what it was made from: what changed meanwhile is newer, and make sees it
        os.utime(temporary, (begin, begin))


def _surround(folder: Path) -> None:
    """Set what the kernel inherits; `folder` has what would else be found in a user's home."""
    path = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    (folder / "matplotlibrc").touch()
    os.environ.pop("MPLBACKEND", None)
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "IPYTHONDIR": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "MATPLOTLIBRC": str(folder),
        "OMP_NUM_THREADS": str(share_cores()),
    }


def failed_name(target: Path) -> Path:
    """Return the name under which a partly executed notebook is kept."""
    return target.with_name(f"{target.stem}.failed.ipynb")


def was_made_from(target: Path, source: Path) -> bool:
    """Was a notebook executed from these very cells, whatever outputs they have now?"""
    try:
        about = json.loads(target.read_text(encoding="utf-8"))["metadata"]["advlib"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return bool(about.get(MADE_FROM) == digest_cells(source.read_bytes()))


def select(source: Path, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the values of a notebook's parameters: those that it names, of the experiment's.

    None may be unknown, or get another value in a later cell: ValueError.
    """
    named, values = find_parameters(source), {**known, **given}
    for name in named - values.keys():
        raise ValueError(f"{source} has a parameter {name!r}; known are {', '.join(values)}")
    seen = False
    for number, cell in enumerate(read_cells(source), start=1):
        is_later_code = seen and cell["cell_type"] == "code"
        if is_later_code and (again := named & find_assigned("".join(cell["source"]))):
            raise ValueError(
                f"{source}, cell {number} gives {', '.join(sorted(again))} another value; what is"
                " given to the notebook would not count: use another name there"
            )
        seen |= is_of_parameters(cell)
    return {name: values[name] for name in sorted(named)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see the module's docstring. Return its exit status."""
    import yaml

    parser = argparse.ArgumentParser(description="Execute one notebook with its parameters.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--parameters", type=Path, required=True, help="a YAML file")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], dest="given", metavar=("NAME", "VALUE")
    )
    parser.add_argument("--left-out", default="", metavar="TAG", help="cells of which are left out")
    parser.add_argument("--newer", nargs="*", type=Path, help="what is newer than the target")
    options = parser.parse_args(arguments)
    source, target = options.source, options.target
    parameters = options.parameters.absolute()  # papermill changes the working directory
    begin, kept = time.time(), failed_name(target)
    if options.newer == [source] and was_made_from(target, source):  # its outputs alone are newer
        with pace.hear(parameters, target.stem, done=True):
            return 0
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a notebook says may be in any letters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with pace.hear(parameters, target.stem, begun=True, done=False):
            pass
        target.parent.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        with parameters.open(encoding="utf-8") as file:  # its errors name the file
            known = yaml.safe_load(file)
        os.environ |= {PARAMETERS: str(parameters), NOTEBOOK: target.stem}
        with pace.no_silence(parameters):
            chosen = select(source, known, dict(options.given))
            execute(source, target, chosen, known, options.left_out)
    except (Exception, KeyboardInterrupt) as error:
        with pace.hear(parameters, target.stem, begun=False):
            pass
        print(f"{error or 'interrupted'}\nerror: {source} failed", end="", file=sys.stderr)
        print(f"; as far as it went: {kept}" if kept.exists() else "", file=sys.stderr)
        return 1
    seconds = time.time() - begin
    with pace.hear(parameters, target.stem, done=True) as standing:
        print(f"{standing.count} {target.stem}  done, {seconds:.1f} s{standing.left}", flush=True)
    return 0


if __name__ == "__main__":
    end_with_make()
    sys.exit(main())
