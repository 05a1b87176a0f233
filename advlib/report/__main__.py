"""Build a report from the command line.

python -m advlib.report EXECUTED_FOLDER OUTPUT_FOLDER [--notebooks NAME ...] [--quiet]
"""

import argparse
import sys
from pathlib import Path

from advlib.kept.parent import end_with_make
from advlib.report.building import build


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; see the module's docstring. Return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m advlib.report", description="Typeset executed notebooks."
    )
    parser.add_argument("executed", type=Path, help="folder of the executed notebooks")
    parser.add_argument("output", type=Path, help="folder for report.html, report.pdf and results/")
    parser.add_argument(
        "--notebooks",
        nargs="+",
        metavar="NAME",
        help="the file names of those that the report has, in any order; all without it",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing unless it fails")
    options = parser.parse_args(arguments)
    try:
        report = build(options.executed, options.output, options.notebooks)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    if not options.quiet:
        print(report.html, report.pdf, sep="\n")
    return 0


if __name__ == "__main__":
    end_with_make()
    sys.exit(main())
