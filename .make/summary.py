"""Check a report, print its main table and where it is. Standard library only: it takes no time.

python .make/summary.py FOLDER METHOD...    such as report/build/seed standard mixed
"""

import csv
import hashlib
import sys
from pathlib import Path

SUMS = "SHA256SUMS"


def check(folder: Path) -> None:
    """Stop if the folder's documents and tables are not those that its checksums name."""
    lines = (folder / SUMS).read_bytes().decode(errors="replace").splitlines()
    sums = {Path(name).name: checksum for checksum, _, name in (x.partition("  ") for x in lines)}
    for path in folder.iterdir():
        if path.name.startswith(".part-"):  # another make is writing it
            continue
        if path.suffix in (".html", ".pdf", ".csv") and path.name not in sums:
            raise ValueError(f"{folder / SUMS} does not name {path}")
    for name, checksum in sums.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{folder / SUMS} names {path}, which is not there")
        if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
            raise ValueError(f"{path} is not what was written (as {folder / SUMS} has it)")


def errors(results: Path, method: str) -> tuple[float, float]:
    """Return a model's error on clean and on adversarial images, in percent."""
    with (results / f"tbl-evaluation-{method}.csv").open(encoding="utf-8", newline="") as file:
        rows = {row[""]: float(row["error"]) for row in csv.DictReader(file)}
    return rows["clean"], rows["adversarial"]


def main(folder: Path, methods: list[str]) -> None:
    try:
        for checked in (folder, folder / "results"):
            check(checked)
        rows = [(method, *errors(folder / "results", method)) for method in methods]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(
            f"error: the report is damaged or edited: {error}\n"
            f"Remove {folder / 'report.html'} and make the report again; nothing is trained anew."
        )
    width = max([12, *(len(method) + 1 for method in methods)])
    print(f"\n{'model':<{width}}{'error, clean':>14}{'adversarial':>14}")
    for method, clean, adversarial in rows:
        print(f"{method:<{width}}{clean:>12.2f} %{adversarial:>12.2f} %")
    print(f"\n{folder / 'report.html'}\n{folder / 'report.pdf'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
