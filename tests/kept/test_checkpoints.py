"""Weights and records in files, and the checkpoint of a run: exact, or an error that says why."""

import re
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest
import torch
from engine import (
    Noisy,
    after_each_epoch,
    assert_same_history,
    random_data,
    same_bits,
    threads,
)
from torch import nn

import advlib
from advlib import training
from advlib.kept import checkpoints
from advlib.kept.files import DamagedFileError
from advlib.methods import standard
from advlib.training import train_epoch

DATA = random_data()


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "weights.safetensors"
    record = {"text": "\N{GREEK SMALL LETTER EPSILON} \"'\\\n", "float": 0.1, "list": [1, None]}
    shared = torch.tensor([[-0.0, 0.1], [torch.nan, torch.inf]])
    tensors = {
        "float": shared,
        "tied": shared,
        "turned": torch.arange(6.0).view(2, 3).t(),
        "double": torch.tensor([1 / 3], dtype=torch.float64),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "empty": torch.zeros(0, 2),
    }
    checkpoints.save(path, tensors, record)
    loaded, found = checkpoints.load(path)
    assert found == record
    torch.testing.assert_close(loaded, tensors, rtol=0, atol=0, equal_nan=True)


def test_loaded_tensors_do_not_change_with_the_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoints.save(path, {"a": torch.ones(1000)}, None)
    loaded, _ = checkpoints.load(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert (loaded["a"] == 1).all()


def test_the_digest_tells_names_types_shapes_and_values_apart():
    states = [
        {"a": torch.zeros(2, 3)},
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.int32)},
        {"a": -torch.zeros(2, 3)},
        {"a": torch.zeros(2, 3), "b": torch.zeros(0)},
        {},
    ]
    assert len({checkpoints.digest(state) for state in states}) == len(states)
    turned = {"a": torch.zeros(3, 2).t()}
    assert checkpoints.digest(turned) == checkpoints.digest(states[0])


def assert_noticed(path):
    with pytest.raises(DamagedFileError, match=f"{re.escape(str(path))} is damaged.* remove it"):
        checkpoints.load(path)


def test_every_byte_counts(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoints.save(path, nn.Linear(2, 2).state_dict(), {"epochs": [1, 2], "text": 'a "b"'})
    whole = path.read_bytes()
    for position in range(len(whole)):
        for change in (1, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= change
            path.write_bytes(damaged)
            assert_noticed(path)
        path.write_bytes(whole[:position])
        assert_noticed(path)
    path.write_bytes(whole + b"\0")
    assert_noticed(path)
    path.write_bytes(whole)
    checkpoints.load(path)


class Trap:
    """What fails when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("code was run",)


def test_loading_runs_no_code_and_leaves_the_file(tmp_path):
    path = tmp_path / checkpoints.NAME
    torch.save({"a": Trap()}, path)
    damaged = path.read_bytes()
    with pytest.raises(DamagedFileError, match=re.escape(str(path))):
        advlib.train(advlib.LeNet(), DATA, epochs=1, run=tmp_path)
    assert path.read_bytes() == damaged


def test_a_missing_file_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights"):
        checkpoints.load(tmp_path / "weights")


class StoppedError(Exception):
    pass


@contextmanager
def stopping(epoch):
    """Have a training stop when the checkpoint of an epoch is written."""

    def stop(finished):
        if finished == epoch:
            raise StoppedError

    with after_each_epoch(stop), pytest.raises(StoppedError):
        yield


@pytest.mark.parametrize("method", ["mixed", "mixed-epochwise"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(method, tmp_path):
    """With batch norm and dropout; that of a LeNet is in tests/making/test_interrupted.py."""
    settings = {"method": method, "learning_rate": 0.1, "epochs": 3, "batch_size": 20}
    whole = Noisy()
    expected = advlib.train(whole, DATA, **settings)
    assert not same_bits(whole, Noisy())
    for epoch in (1, 2, 3):
        folder, again = tmp_path / f"{epoch}", Noisy()
        with stopping(epoch):
            advlib.train(Noisy(), DATA, run=folder, **settings)
        # for people to read: the checkpoint has its numbers, and only that is read
        (folder / "history.csv").write_text("damaged")
        torch.rand(epoch)  # another global random state
        history = advlib.train(again, DATA, run=folder, **settings)
        assert_same_history(history, expected)
        assert same_bits(again, whole)
        assert {path.name for path in folder.iterdir()} == {
            *(".lock", checkpoints.NAME, "history.csv")
        }
        assert (folder / "history.csv").read_text() == history.to_csv(index=False)


def test_a_resume_uses_the_threads_and_the_precision_it_began_with(tmp_path, monkeypatch):
    """With others the bits may be others: of "ieee" too, where a processor has bfloat16."""
    seen, found = [], checkpoints._precision()

    def note():
        return torch.get_num_threads(), checkpoints._precision()

    def spied(*arguments):
        seen.append(note())
        return train_epoch(*arguments)

    monkeypatch.setattr("advlib.training.train_epoch", spied)
    try:
        with threads(2):
            checkpoints._set_precision(["bf16", "ieee", "ieee"])
            with stopping(1):
                advlib.train(Noisy(), DATA, epochs=2, run=tmp_path)
        with threads(1):
            checkpoints._set_precision(["ieee", "bf16", "tf32"])
            advlib.train(Noisy(), DATA, epochs=2, run=tmp_path)
            assert note() == (1, ["ieee", "bf16", "tf32"])
    finally:
        checkpoints._set_precision(found)
    assert seen == [(2, ["bf16", "ieee", "ieee"])] * 2


def altered(change):
    """Return a LeNet with a change in its first layer."""
    model = advlib.LeNet()
    change(model.layers[0])
    return model


def a_method(model, batch, settings):
    return standard(model, batch, settings)


SETTINGS = {"method": "adversarial", "epochs": 1}
OTHERS = [
    ("settings", {"epochs": 2}, "epochs"),
    ("settings", {"alpha": 0.4}, "alpha"),
    ("settings, code", {"method": "mixed"}, "method"),
    ("settings, code", {"method": a_method}, "method"),
    # whatever the data say of themselves
    ("data", {"data": replace(DATA, train=replace(DATA.train, images=DATA.train.images + 1))}, ""),
    ("data", {"data": replace(DATA, validation=random_data(seed=1).validation)}, ""),
    ("initial weights", {"model": advlib.LeNet(1)}, ""),
    ("network", {"model": altered(lambda layer: setattr(layer, "padding_mode", "reflect"))}, ""),
    ("trained parameters", {"model": altered(lambda layer: layer.requires_grad_(False))}, ""),
    ("settings, data", {"seed": 1, "data": random_data(seed=1)}, "seed"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "\N{GREEK SMALL LETTER BETA} b"
    advlib.train(advlib.LeNet(), DATA, run=folder, **SETTINGS)
    return folder


@pytest.mark.parametrize(("differs", "changed", "named"), OTHERS)
def test_a_folder_of_another_training_is_refused_and_untouched(differs, changed, named, finished):
    before = {path: path.read_bytes() for path in finished.iterdir()}
    given = {"model": advlib.LeNet(), "data": DATA, "run": finished}
    given |= SETTINGS | changed
    with pytest.raises(ValueError, match=f"holds one with other {differs}.* .*{named}") as caught:
        advlib.train(**given)
    assert str(finished) in str(caught.value)
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


def test_a_folder_made_by_other_code_or_torch_is_refused(finished, monkeypatch):
    monkeypatch.setattr(training, "running_code", lambda _: "another")
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    with pytest.raises(ValueError, match="holds one with other code, torch "):
        advlib.train(advlib.LeNet(), DATA, run=finished, **SETTINGS)


def test_a_finished_training_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    model, again = Noisy(), Noisy().eval()
    expected = advlib.train(model, DATA, run=tmp_path, **SETTINGS)

    @contextmanager
    def refused(*_):
        raise PermissionError("read-only")
        yield

    monkeypatch.setattr("advlib.kept.files.replace_file", refused)
    monkeypatch.setattr("advlib.kept.files.lock", refused)
    monkeypatch.setattr("advlib.training.train_epoch", lambda *_: pytest.fail("trains"))
    history = advlib.train(again, DATA, run=tmp_path, **SETTINGS)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)  # seconds too
    assert same_bits(again, model)
    assert not again.training


@pytest.mark.parametrize("record", [None, {"note": "weights of a friend"}])
def test_weights_of_another_kind_are_no_checkpoint(record, tmp_path):
    checkpoints.save(tmp_path / checkpoints.NAME, advlib.LeNet().state_dict(), record)
    with pytest.raises(ValueError, match="holds one with other settings, data, initial weights"):
        advlib.train(advlib.LeNet(), DATA, run=tmp_path, **SETTINGS)


def test_settings_that_decide_nothing_do_not_count(tmp_path):
    for alpha in (0.5, 0):
        advlib.train(Noisy(), DATA, method="standard", epochs=1, alpha=alpha, run=tmp_path)
