"""The snippets of README and docs/ run, and what they name is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import put_idx

from advlib.kept.folders import REFERENCE_REPORT, RESULTS
from advlib.results.tables import read

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
}
TEXT = "\n".join(PAGES.values())
MINE, PYTHON = "# mine.py\n", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SNIPPETS = [text for text in PYTHON if not text.startswith(MINE)]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number, tmp_path, monkeypatch, capsys):
    """On fewer images."""
    fewer = re.sub("10_000|2000", "300", SNIPPETS[number])
    fewer = re.sub(r"sample\(100+\)", "sample(20)", fewer)
    monkeypatch.chdir(tmp_path)
    exec(compile(fewer, "snippet", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


def test_the_file_of_ones_own_passes_makes_door(tmp_path):
    (mine,) = (text for text in PYTHON if text.startswith(MINE))
    (tmp_path / "mine.py").write_text(mine, encoding="utf-8")
    data = put_idx(tmp_path / "data", classes=3, size=(28, 28))
    (text,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "foreword.md").write_text("Mine.")
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(text.replace("../pictures", data.name), encoding="utf-8")
    given = [f"--yaml={tmp_path / 'all.yaml'}", f"PARAMETERS={experiment}"]
    command = [sys.executable, "-m", "advlib.experiment.parameters", *given]
    subprocess.run(command, cwd=ROOT, check=True)
    assert f"network: {tmp_path}/mine.py:SmallResNet\n" in (tmp_path / "all.yaml").read_text()


@pytest.mark.parametrize(
    ("page", "link"),
    [(page, link) for page in PAGES for link in re.findall(r"\]\((?!http)([^)]+)\)", PAGES[page])],
)
def test_a_link_leads_somewhere(page, link):
    path, _, heading = link.partition("#")
    there = ROOT / Path(page).parent / path
    assert there.exists()
    lines = there.read_text(encoding="utf-8").lower().splitlines() if heading else []
    assert not heading or f"## {heading}" in lines


def read_tables(heading):
    """Return the cells of the table whose heading begins so, row by row."""
    table = TEXT.partition(f"\n{heading}")[2].partition("\n\n")[0]
    lines = [line.strip("| ").split("|") for line in table.splitlines()[2:]]
    return [[cell.strip() for cell in line] for line in lines]


def numbers(row):
    """Return a row's numbers without the published ones in brackets."""
    return [float(cell.partition(" (")[0]) for cell in row[1:]]


def test_its_table_is_of_the_reference_run():
    found = read(RESULTS)
    errors, attacks = found["tbl-evaluation"]["error"], found["tbl-robustness"]
    for row in read_tables("| model | clean"):
        clean, step, one, worst = numbers(row)
        expected = errors[f"{row[0]}, clean"], errors[f"{row[0]}, adversarial"]
        assert (clean, step) == pytest.approx(expected, abs=0.005)
        assert [one, worst] == [*attacks.loc[["FGSM", "worst case"], row[0]]]


def test_its_table_of_fashion_mnist_is_in_the_reference_results():
    found = read(REFERENCE_REPORT / "fashion-mnist")
    clean, step, *rest = map(numbers, read_tables("| Fashion-MNIST |"))
    errors, models = found["tbl-evaluation"]["error"], ("standard", "mixed", "adversarial")
    assert clean == [errors[f"{model}, clean"] for model in models]
    assert step == [errors[f"{model}, adversarial"] for model in models]
    for row, name in zip(rest, ("FGSM", "random signs", "transfer", "worst case"), strict=True):
        assert row == [*found["tbl-robustness"].loc[name]]


def test_the_make_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for goal in re.findall(r"^(?:PYTHON=\S+ )?make ([a-z-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{goal}:", makefile, re.MULTILINE), goal
