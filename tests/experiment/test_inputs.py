"""advlib.experiment.inputs: a folder of data as make takes it, checked before any training."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from folders import put_idx, put_pictures

from advlib.experiment import parameters
from advlib.experiment.inputs import describe_inputs
from advlib.settings import Experiment


def small(folder: Path, **given: Any) -> str:
    """Draw what LeNet takes."""
    return str(put_idx(folder, classes=3, size=(28, 28), **given))


def test_a_name_that_is_a_folder_too_stays_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "mine").mkdir()
    assert parameters.parse("DATASET", "MNIST") == ("dataset", "MNIST")
    assert parameters.parse("DATASET", "./MNIST") == ("dataset", str(tmp_path / "MNIST"))
    assert parameters.parse("DATASET", "mine") == ("dataset", str(tmp_path / "mine"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parameters.parse("DATASET", "~/mine") == ("dataset", str(tmp_path / "mine"))


def test_the_reports_folder_has_a_safe_name() -> None:
    names = [
        parameters.folder_name("seed", {"dataset": f"{place}/a: b%/c d#"}) for place in ("/x", "/y")
    ]
    assert len({*names}) == 2
    for name in names:
        assert name.startswith("seed-datasetc_d-")
        assert not set(name) & set(" :/%#$")


def write(tmp_path: Path, *arguments: str) -> tuple[int, Path]:
    path = tmp_path / "report" / "parameters.yaml"
    return parameters.main([f"--yaml={path}", *arguments]), path


def test_data_that_lenet_does_not_take_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colour, letters = put_pictures(tmp_path / "a b"), put_idx(tmp_path / "letters")
    assert write(tmp_path, f"DATASET={colour}")[0] == 2
    words = f"those in {colour} are colour ones of 12 x 16: bring a network of your own"
    assert words in capsys.readouterr().err
    assert write(tmp_path, f"DATASET={letters}")[0] == 2
    assert "grey ones of 16 x 16" in capsys.readouterr().err
    assert write(tmp_path, f"DATASET={small(tmp_path / 'c')}")[0] == 0
    assert write(tmp_path, f"DATASET={tmp_path / 'none'}")[0] == 2
    assert "is not a folder" in capsys.readouterr().err


def test_bad_pictures_stop_before_the_parameters_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = put_pictures(tmp_path / "data", shape=(28, 28))
    assert write(tmp_path, f"DATASET={folder}")[0] == 0
    (folder / "train" / "bee" / "7.png").write_bytes(b"no picture")
    status, path = write(tmp_path, f"DATASET={folder}")
    assert status == 2
    assert "bee/7.png is no picture that can be read" in capsys.readouterr().err
    path.unlink()
    assert write(tmp_path, f"DATASET={folder}")[0] == 2
    assert not path.exists()


def test_a_changed_folder_changes_the_parameters_file(tmp_path: Path) -> None:
    folder = Path(small(tmp_path / "data"))
    _, path = write(tmp_path, f"DATASET={folder}")
    first, written = path.read_text(), path.stat().st_mtime_ns
    write(tmp_path, f"DATASET={folder}")
    assert path.stat().st_mtime_ns == written
    file = folder / "train-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, (1, 1))
    write(tmp_path, f"DATASET={folder}")
    second = path.read_text()
    assert first != second
    assert yaml.safe_load(first) == yaml.safe_load(second)
    assert describe_inputs(Experiment()) == []


def test_a_class_that_no_figure_can_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = (28, 28)
    folder = put_pictures(tmp_path / "a", classes=("Äpfel & Öl", "груша"), shape=shape)
    assert write(tmp_path, f"DATASET={folder}")[0] == 0
    folder = put_pictures(tmp_path / "b", classes=("a", "\N{HIRAGANA LETTER KI}x"), shape=shape)
    assert write(tmp_path, f"DATASET={folder}")[0] == 2
    words = "has characters that the figures' font has not, '\N{HIRAGANA LETTER KI}': rename"
    assert words in capsys.readouterr().err
