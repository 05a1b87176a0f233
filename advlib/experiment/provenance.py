"""Where results come from: machine, software and the code's version."""

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from advlib.experiment.kernel import share_cores
from advlib.kept.folders import PACKAGE
from advlib.kept.machine import processor, read_output
from advlib.results.notebooks import digest_cells

PACKAGES = ("advlib", "torch", "torchvision", "numpy", "pandas", "matplotlib", "papermill")


def environment() -> dict[str, str]:
    """Return what decides a result besides its settings, by name: machine, software, code, date."""
    import torch

    return {
        "Processor": processor(),
        "Operating system": f"{platform.system()} {platform.machine()}",
        "Threads": str(share_cores()),
        "Device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "torch": str(torch.__version__),  # names the build, too: for CUDA or for the CPU
        "Typst": typst_version(),
        "Commit": commit(),
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def typst_version() -> str:
    """Return the version of Typst, which the PDF names; that of its package may be another."""
    import typst

    said = typst.query(b"#metadata(str(sys.version)) <version>", "<version>", field="value")
    return str(json.loads(said)[0])


def commit(package: Path = PACKAGE) -> str:
    """Return the git commit of a package's files, "with changes" where they differ from it.

    The outputs that a notebook has when it was run by hand are no change. The reference run's files
    are left out: a report that becomes the reference is made twice, and the second quotes what the
    first has written. A package that is installed inside some other project's repository, where git
    does not track its files, is no part of it.
    """
    git = ("git", "-C", os.fspath(package))
    tracked = read_output(*git, "ls-files", "__init__.py")
    name = tracked and read_output(*git, "rev-parse", "--short=12", "--verify", "HEAD")
    if not name:
        return "not in a git repository"
    others = (f":(top,exclude){name}" for name in ("advlib/reference", "report/reference"))
    changed = read_output(*git, "status", "--porcelain", "--", ":/", *others).splitlines()
    differs = any(_differs(git, line[:2], line[3:]) for line in changed)
    return f"{name}, with changes" if differs else name


def _differs(git: tuple[str, ...], state: str, path: str) -> bool:
    """Tell whether a file that git calls changed is, but for a notebook's outputs."""
    if not path.endswith(".ipynb") or state.strip("M "):
        return True
    now = Path(read_output(*git, "rev-parse", "--show-toplevel"), path).read_bytes()
    return digest_cells(read_output(*git, "show", f"HEAD:{path}").encode()) != digest_cells(now)
