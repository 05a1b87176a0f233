"""The README's snippets run, in order, and what it names is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import put_idx

from advlib.kept.folders import REFERENCE_REPORT
from advlib.results import tables as results

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MINE, PYTHON = "# mine.py\n", re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SNIPPETS = [text for text in PYTHON if not text.startswith(MINE)]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SNIPPETS[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_file_of_ones_own_passes_makes_door(tmp_path: Path) -> None:
    (mine,) = (text for text in PYTHON if text.startswith(MINE))
    (tmp_path / "mine.py").write_text(mine, encoding="utf-8")
    data = put_idx(tmp_path / "data", classes=3, size=(28, 28))
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(text.replace("../pictures", data.name), encoding="utf-8")
    given = [f"--yaml={tmp_path / 'all.yaml'}", f"PARAMETERS={experiment}"]
    command = [sys.executable, "-m", "advlib.experiment.parameters", *given]
    subprocess.run(command, cwd=ROOT, check=True)
    assert f"network: {tmp_path}/mine.py:SmallResNet\n" in (tmp_path / "all.yaml").read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def read_tables(heading: str) -> list[list[str]]:
    """Return the cells of the README's table whose heading begins so, row by row."""
    table = README.partition(f"\n{heading}")[2].partition("\n\n")[0]
    lines = [line.strip("| ").split("|") for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line] for line in lines]


def numbers(row: list[str]) -> list[float]:
    """Return a row's numbers without the published ones in brackets."""
    return [float(cell.partition(" (")[0]) for cell in row[1:]]


def test_its_tables_are_those_of_the_reference_run() -> None:
    found = results.collect("")
    cells = [("clean", "error")]
    cells += [
        ("adversarial", column)
        for column in ("error", "confidence", "confidence_correct", "confidence_error")
    ]
    for row in read_tables("| model | error, clean"):
        evaluation = found["tbl-evaluation"]
        expected = [evaluation.loc[f"{row[0]}, {images}", column] for images, column in cells]
        assert numbers(row) == pytest.approx(expected, abs=0.005)
    for row in read_tables("| | standard | mixed | adversarial"):
        table = found["tbl-transfer-error"][["standard", "mixed", "adversarial"]]
        assert numbers(row) == pytest.approx([*table.loc[row[0]]], abs=0.005)
    (step, worst) = read_tables("| valid images | standard")
    assert numbers(step) == [*found["tbl-robustness"].loc["FGSM"]]
    assert numbers(worst) == [*found["tbl-robustness"].loc["worst case"]]


def test_its_table_of_fashion_mnist_is_in_the_reference_results() -> None:
    found = results.read(REFERENCE_REPORT / "fashion-mnist")
    clean, step, *rest = map(numbers, read_tables("| Fashion-MNIST |"))
    errors, models = found["tbl-evaluation"]["error"], ("standard", "mixed", "adversarial")
    assert clean == [errors[f"{model}, clean"] for model in models]
    assert step == [errors[f"{model}, adversarial"] for model in models]
    for row, name in zip(rest, ("FGSM", "random signs", "transfer", "worst case"), strict=True):
        assert row == [*found["tbl-robustness"].loc[name]]


def test_the_make_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for goal in re.findall(r"^(?:PYTHON=\S+ )?make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), goal
