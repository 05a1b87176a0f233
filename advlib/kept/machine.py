"""What machine this is. Standard library only."""

import platform
import re
import subprocess
from pathlib import Path


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name: Linux's, else macOS's, else what Python knows."""
    if cpuinfo.is_file():
        listed = cpuinfo.read_text(encoding="utf-8")
        found = re.search(r"^model name\s*: (.+)", listed, re.MULTILINE)
        name = found[1] if found else ""
    else:
        name = read_output("sysctl", "-n", "machdep.cpu.brand_string")
    return name or platform.processor() or platform.machine()


def read_output(*command: str) -> str:
    """Return what a command prints, nothing when it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip("\n")
