"""advlib.parameters: what is allowed, make's command line, folder names, parameter sets."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from advlib import parameters
from advlib.parameters import NAMES, check, folder_name, main, parse, resolve, sets

ROOT = Path(parameters.__file__).resolve().parent.parent

ALLOWED: list[tuple[str, object, object]] = [
    ("dataset", "MNIST", "MNIST"),
    ("dataset", "KMNIST", "KMNIST"),
    ("method", "mixed-epochwise", "mixed-epochwise"),
    ("images", None, None),
    ("images", 1, 1),
    ("images", np.int32(7), 7),
    ("epsilon", 0, 0.0),
    ("epsilon", np.float64(0.1), 0.1),
    ("epsilon", 3, 3.0),
    ("alpha", 0, 0.0),
    ("alpha", 1.0, 1.0),
    ("epochs", 30, 30),
    ("batch_size", np.uint8(100), 100),
    ("learning_rate", 1e-3, 1e-3),
    ("momentum", 0, 0.0),
    ("weight_decay", 0.0, 0.0),
    ("seed", 0, 0),
    ("seed", 2**63 - 1, 2**63 - 1),
]


@pytest.mark.parametrize(("name", "value", "expected"), ALLOWED)
def test_allowed_values_come_back_as_pythons_own(
    name: str, value: object, expected: object
) -> None:
    checked = check(name, value)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dataset", "mnist", ValueError),
        ("dataset", 1, TypeError),
        ("dataset", None, TypeError),
        ("method", "fgsm", ValueError),
        ("images", 0, ValueError),
        ("images", 2.0, TypeError),
        ("images", True, TypeError),
        ("epsilon", -1e-9, ValueError),
        ("epsilon", float("nan"), ValueError),
        ("epsilon", float("inf"), ValueError),
        ("epsilon", 10**400, ValueError),
        ("epsilon", "0.1", TypeError),
        ("epsilon", None, TypeError),
        ("epsilon", np.bool_(True), TypeError),
        ("alpha", -0.1, ValueError),
        ("alpha", 1.1, ValueError),
        ("alpha", float("nan"), ValueError),
        ("epochs", 0, ValueError),
        ("epochs", -3, ValueError),
        ("epochs", 2.5, TypeError),
        ("batch_size", 0, ValueError),
        ("batch_size", 10.0, TypeError),
        ("learning_rate", 0, ValueError),
        ("learning_rate", -1, ValueError),
        ("momentum", 1, ValueError),
        ("momentum", -0.1, ValueError),
        ("weight_decay", -1e-4, ValueError),
        ("seed", -1, ValueError),
        ("seed", 2**63, ValueError),
        ("seed", "0", TypeError),
    ],
)
def test_wrong_values_name_argument_value_and_allowed(
    name: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        check(name, value)
    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert repr(value) in message


def test_unknown_name_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"'epsiln'.*epsilon"):
        check("epsiln", 0.1)


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
        ("SEED", "+3", ("seed", 3)),
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
        ("DATASET", "../x", "DATASET must be one of MNIST, FashionMNIST, KMNIST"),
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
    assert resolve("seed") == {
        "dataset": "MNIST",
        "images": None,
        "epsilon": 0.1,
        "alpha": 0.5,
        "epochs": 30,
        "batch_size": 100,
        "learning_rate": 0.001,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "seed": 0,
    }


def test_quick_set_differs_in_images_and_epochs_only() -> None:
    assert resolve("quick") == resolve("seed") | {"images": 5000, "epochs": 2}


def test_resolve_checks_overrides() -> None:
    assert resolve("quick", {"epochs": 3, "images": None})["epochs"] == 3
    with pytest.raises(ValueError, match="epochs must be"):
        resolve("quick", {"epochs": 0})
    with pytest.raises(ValueError, match="'method'"):
        resolve("quick", {"method": "mixed"})
    with pytest.raises(ValueError, match="quick, seed"):
        resolve("none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1", "is not YAML"),
        ("- 1", "must give dataset"),
        ("dataset: MNIST", "must give dataset"),
        ("{SET}\nepsiln: 1", "must give dataset"),
        ("{SET}\nlearning_rate: 1e-3", "learning_rate must be"),  # YAML 1.1 reads it as text
        ("{SET}\nepochs: 0", "epochs must be .*mine.yaml"),
        ("\udcff", "is not YAML"),
    ],
)
def test_wrong_parameter_sets_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    seed = (parameters.SETS_FOLDER / "seed.yaml").read_text()
    content = text.replace("{SET}", seed)
    (tmp_path / "mine.yaml").write_bytes(content.encode(errors="surrogateescape"))
    monkeypatch.setattr(parameters, "SETS_FOLDER", tmp_path)
    assert sets() == ("mine",)
    with pytest.raises((TypeError, ValueError), match=words):
        resolve("mine")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # -S: no site-packages, as before any set-up.
    command = [sys.executable, "-S", "-m", "advlib.parameters", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_command_line_needs_the_standard_library_only() -> None:
    done = run("PARAMETERS=seed", "EPSILON=0.2", "EPOCHS=5")
    assert (done.returncode, done.stdout) == (0, "seed-epochs5-epsilon0.2\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "argument", ["EPSILN=0.2", "EPSILON=-1", "EPOCHS=two", "PARAMETERS=x", "x"]
)
def test_command_line_errors_are_one_line_and_status_2(argument: str) -> None:
    done = run(argument)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_command_line_writes_all_parameters(tmp_path: Path) -> None:
    """In a folder of its own, and anew only when they change."""
    path = tmp_path / "folder" / "parameters.yaml"
    command = [f"--yaml={path}", "PARAMETERS=quick", "LEARNING_RATE=1e-5"]
    assert main(command) == 0
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written == resolve("quick") | {"learning_rate": 1e-5}
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


def test_command_line_without_a_set_takes_the_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ALPHA=0.25"]) == 0
    assert capsys.readouterr().out == "seed-alpha0.25\n"
