"""Build a report: python -m advlib.report EXECUTED_FOLDER OUTPUT_FOLDER"""

import logging
import sys
from collections.abc import Sequence

from advlib.kept.parent import end_with_make
from advlib.report.building import build


def main(arguments: Sequence[str]) -> int:
    """Run the command line; see the module's docstring. Return its exit status."""
    executed, output = arguments
    try:
        build(executed, output)
    except (ValueError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    end_with_make()
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("advlib").setLevel(logging.INFO)
    sys.exit(main(sys.argv[1:]))
