"""Ask for known vulnerabilities of what requirements.lock pins. Standard library only.

    python .make/audit.py

pip-audit, the newest, gets an environment of its own. What is pinned for other systems or other
versions of Python than this one's is not asked for. Exit status 0: everything was checked and
nothing is known; 1: something is known; 2: not everything could be checked, which is said.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

FOLDER = Path("report", "build", "audit")
QUIET = ("--quiet", "--disable-pip-version-check")


def audit() -> list[dict[str, Any]] | None:
    """Return pip-audit's word on each package; None when it cannot be had or heard."""
    try:
        venv.create(FOLDER, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"audit: {FOLDER} could not be made: {error}", file=sys.stderr)
        return None
    programs = FOLDER / "bin"
    install = subprocess.run([str(programs / "pip"), "install", *QUIET, "pip-audit"], check=False)
    if install.returncode:
        return None
    options = ("--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json")
    command = [str(programs / "pip-audit"), "--requirement", "requirements.lock", *options]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(said.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(said.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return None
    return packages


def main() -> int:
    packages = audit()
    if packages is None:
        print("audit: nothing was checked: pip-audit or its service cannot be reached here")
        return 2
    known = [package for package in packages if package.get("vulns")]
    unchecked = [package["name"] for package in packages if "skip_reason" in package]
    for package in known:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    if len(unchecked) == len(packages):
        print("audit: nothing was checked: the service knows none of the packages from here")
    else:
        print(f"audit: {len(packages) - len(unchecked)} checked, {len(known)} with known problems")
        if unchecked:
            print(f"audit: not checked: {', '.join(unchecked)}")
    return 1 if known else 2 if unchecked else 0


if __name__ == "__main__":
    sys.exit(main())
