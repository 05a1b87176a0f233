"""Print a report's main table and where the report is. Standard library only: it takes no time.

python .make/summary.py report/build/seed
"""

import csv
import sys
from pathlib import Path

METHODS = ("standard", "mixed", "adversarial")


def errors(results: Path, method: str) -> tuple[float, float]:
    """Return a model's error on clean and on adversarial images, in percent."""
    with (results / f"tbl-evaluation-{method}.csv").open(encoding="utf-8", newline="") as file:
        rows = {row[""]: float(row["error"]) for row in csv.DictReader(file)}
    return rows["clean"], rows["adversarial"]


def main(folder: Path) -> None:
    print(f"\n{'model':<12}{'error, clean':>14}{'adversarial':>14}")
    for method in METHODS:
        clean, adversarial = errors(folder / "results", method)
        print(f"{method:<12}{clean:>12.2f} %{adversarial:>12.2f} %")
    print(f"\n{folder / 'report.html'}\n{folder / 'report.pdf'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
