"""advlib.experiment.parameters: make's command line, folder names, parameter sets."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from advlib.experiment import parameters
from advlib.experiment.parameters import (
    NAMES,
    folder_name,
    main,
    parse,
    resolve,
    resolve_early,
    sets,
)
from advlib.kept.folders import PROJECT
from advlib.methods import METHODS
from advlib.published import slides
from advlib.settings import Experiment

ROOT = PROJECT


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("EPSILON", "0.20", ("epsilon", 0.2)),
        ("EPSILON", "1e-1", ("epsilon", 0.1)),
        ("EPSILON", ".5", ("epsilon", 0.5)),
        ("IMAGES", "all", ("images", None)),
        ("IMAGES", "007", ("images", 7)),
        ("BATCH_SIZE", "50", ("batch_size", 50)),
        ("DATASET", "FashionMNIST", ("dataset", "FashionMNIST")),
        ("DATASET", "/some/../data/", ("dataset", "/data")),
        ("DATASET", "./x", ("dataset", os.path.abspath("x"))),
        ("SEED", "+3", ("seed", 3)),
        ("METHODS", "standard", ("methods", ("standard",))),
        ("METHODS", "mixed,standard", ("methods", ("mixed", "standard"))),
    ],
)
def test_parse(name: str, text: str, expected: tuple[str, object]) -> None:
    assert parse(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("EPSILN", "0.2", "EPSILON"),
        ("epsilon", "0.2", "EPSILON"),
        ("METHOD", "mixed", "EPSILON"),
        ("EPSILON", "-1", "EPSILON must be a finite number of at least 0, not '-1'"),
        ("EPSILON", "", "EPSILON must be"),
        ("EPSILON", "nan", "EPSILON must be"),
        ("EPSILON", "1e999", "EPSILON must be"),
        ("EPSILON", "1_0", "EPSILON must be"),
        ("EPSILON", "1.2.3", "EPSILON must be"),
        ("EPOCHS", "two", "EPOCHS must be a whole number of at least 1, not 'two'"),
        ("EPOCHS", "2.5", "EPOCHS must be"),
        ("EPOCHS", "0", "EPOCHS must be"),
        ("EPOCHS", "٣", "EPOCHS must be"),
        ("EPOCHS", "9" * 5000, "EPOCHS must be"),
        ("EPOCHS", "all", "EPOCHS must be"),
        ("IMAGES", "None", "IMAGES must be .*all"),
        ("METHODS", "", "METHODS must be one to eight"),
        ("METHODS", "mixed,mixed", "METHODS must be .* each once"),
        ("METHODS", ",".join("abcdefghi"), "METHODS must be one to eight"),
        ("METHODS", "../x", "METHODS must be one to eight"),
        ("DATASET", "CIFAR10", "DATASET must be one of MNIST, FashionMNIST, KMNIST, or a folder"),
        ("DATASET", "", "DATASET must be one of"),
    ],
)
def test_parse_rejects(name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(name, text)


@given(value=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_parse_reads_what_python_writes(value: float) -> None:
    assert parse("EPSILON", repr(value)) == ("epsilon", value)


@pytest.mark.parametrize(
    ("set_name", "overrides", "expected"),
    [
        ("seed", {}, "seed"),
        ("quick", {}, "quick"),
        ("seed", {"epsilon": 0.2, "epochs": 5}, "seed-epochs5-epsilon0.2"),
        ("seed", {"epochs": 5, "epsilon": 0.2}, "seed-epochs5-epsilon0.2"),
        ("seed", {"alpha": 1.0}, "seed-alpha1"),
        ("seed", {"alpha": 1}, "seed-alpha1"),
        ("quick", {"images": None, "dataset": "KMNIST"}, "quick-datasetKMNIST-imagesall"),
        ("seed", {"epsilon": -0.0}, "seed-epsilon0"),
        ("quick", {"methods": ("standard", "mixed")}, "quick-methodsstandard+mixed"),
    ],
)
def test_folder_name(set_name: str, overrides: dict[str, Any], expected: str) -> None:
    assert folder_name(set_name, overrides) == expected


@given(
    first=st.floats(min_value=0, allow_infinity=False),
    second=st.floats(min_value=0, allow_infinity=False),
)
def test_folders_are_the_same_only_for_the_same_values(first: float, second: float) -> None:
    names = [folder_name("seed", {"epsilon": value}) for value in (first, second)]
    assert (names[0] == names[1]) == (first == second)


def test_seed_set_is_the_slides_experiment() -> None:
    """And where they state nothing, the default."""
    seed = vars(resolve("seed"))
    assert seed == vars(Experiment())
    assert {name: seed[name] for name in slides.settings()} == slides.settings()
    assert (seed["seed"], seed["methods"]) == (0, slides.METHODS)


def test_quick_set_differs_in_little() -> None:
    assert resolve("quick") == Experiment(
        images=10_000, epochs=3, learning_rate=0.005, attacked=200
    )


def test_the_attack_is_as_strong_as_in_training_unless_it_is_said() -> None:
    assert resolve("seed", {"epsilon": 0.2}).attack_epsilon == 0.2
    stronger = resolve("seed", {"attack_epsilon": 0.3})
    assert (stronger.epsilon, stronger.attack_epsilon) == (0.1, 0.3)
    assert parse("ATTACK_EPSILON", "epsilon") == ("attack_epsilon", None)


def test_resolve_checks_overrides() -> None:
    assert resolve("quick", {"epochs": 3, "images": None}).epochs == 3
    with pytest.raises(ValueError, match="epochs must be"):
        resolve("quick", {"epochs": 0})
    with pytest.raises(ValueError, match="'method'"):
        resolve("quick", {"method": "mixed"})
    with pytest.raises(ValueError, match="quick, seed"):
        resolve("none")


def test_a_parameter_sets_values_are_as_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML 1.1 takes 1e-3 for a text."""
    text = (
        "learning_rate: 1e-3\nimages: all\nattack_epsilon: epsilon\nepsilon: 0.2\nweights: none\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr(parameters, "PARAMETER_SETS", tmp_path)
    found = resolve("mine")
    assert (found.learning_rate, found.images, found.attack_epsilon) == (1e-3, None, 0.2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1", "is not YAML"),
        ("- 1", "must give some of dataset"),
        ("epochs", "must give some of dataset"),
        ("epsiln: 1", "must give some of dataset"),
        ("learning_rate: 1e--3", "learning_rate must be"),
        ("epochs: 0", "epochs must be .*mine.yaml"),
        ("methods: Mixed training", "methods must be .*mine.yaml"),
        ("\udcff", "is not YAML"),
    ],
)
def test_wrong_parameter_sets_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "mine.yaml").write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.setattr(parameters, "PARAMETER_SETS", tmp_path)
    assert sets() == ("mine",)
    with pytest.raises((TypeError, ValueError), match=words):
        resolve("mine")


def test_methods_of_a_set_need_the_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyYAML they are not known, and another's would be planned."""
    (tmp_path / "mine.yaml").write_text("epochs: 1\nmethods: [mixed, standard]\n")
    (tmp_path / "plain.yaml").write_text("epochs: 1\n")
    monkeypatch.setattr(parameters, "PARAMETER_SETS", tmp_path)
    assert resolve_early("mine", {}).methods == ("mixed", "standard")
    own = str(tmp_path / "mine.yaml")
    assert resolve_early(own, {}).methods == ("mixed", "standard")
    monkeypatch.setitem(sys.modules, "yaml", None)
    for name in ("mine", own):
        with pytest.raises(ValueError, match=r"make \.venv/ready first"):
            resolve_early(name, {})
    assert resolve_early("mine", {"methods": ("mixed",)}).methods == ("mixed",)
    assert resolve_early("plain", {}).methods == Experiment().methods


def test_help_says_what_each_parameter_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert [*lines] == ["PARAMETERS", *map(str.upper, NAMES)]
    assert lines["METHODS"].endswith(f": {', '.join(sorted(METHODS))}")
    assert lines["PARAMETERS"].startswith("a parameter set: quick, seed")
    for name in [name for name in NAMES if name != "weights"]:  # any path may be a folder's
        with pytest.raises(ValueError, match="must be") as error:
            parse(name.upper(), "?")
        allowed = str(error.value).split("must be ")[1].split(", not '?'")[0]
        said = re.sub(r"None \(on the command line: (.*)\)", r"\1", allowed)
        assert lines[name.upper()].split(", with commas: ")[0] == said


def test_command_line_writes_all_parameters(tmp_path: Path) -> None:
    """In a folder of its own, and anew only when they change."""
    path = tmp_path / "folder" / "parameters.yaml"
    command = [f"--yaml={path}", "PARAMETERS=quick", "LEARNING_RATE=1e-5"]
    assert main(command) == 0
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = vars(resolve("quick", {"learning_rate": 1e-5}))
    assert written == expected | {"methods": [*expected["methods"]]}
    assert tuple(written) == NAMES
    os.utime(path, (1e9, 1e9))
    assert main(command) == 0
    assert path.stat().st_mtime == 1e9
    path.write_text("damaged", encoding="utf-8")
    (killed := path.with_name(".part-0123abcd-parameters.yaml")).touch()
    assert main(command) == 0
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == written
    assert not killed.exists()


def test_command_line_says_what_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([f"--yaml={tmp_path / 'file' / 'parameters.yaml'}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert str(tmp_path / "file") in said
    assert said.count("\n") == 1
