"""What a report says of its subject, whatever that is: methods, network, data, trained or not."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import torch
from mine import SmallResNet

import advlib
from advlib.chapters import layers, matter_words
from advlib.data import Dataset, Split
from advlib.experiment.subject import Subject
from advlib.settings import Experiment

SEED: dict[str, Any] = {"dataset": "MNIST", "network": "LeNet", "weights": None}
OWN = {**SEED, "dataset": "my_data", "network": "SmallResNet (mine.py)"}
GIVEN = {**OWN, "weights": "a/folder"}
THREE = ["standard", "mixed", "adversarial"]


@pytest.mark.parametrize(
    ("methods", "settings", "subtitle", "abstract"),
    [
        (
            THREE,
            SEED,
            "Standard, mixed and adversarial training of a small network on MNIST",
            "A small convolutional network is trained on MNIST in three ways,",
        ),
        (
            ["free"],
            OWN,
            r"Free training of the network SmallResNet on my\_data",
            r"The network SmallResNet is trained on my\_data in one way,",
        ),
        (
            ["a", "b"],
            GIVEN,
            r"The models a and b of the network SmallResNet on my\_data",
            r"Two models of the network SmallResNet, trained elsewhere, are run on my\_data,",
        ),
        (
            ["a"],
            GIVEN,
            r"The model a of the network SmallResNet on my\_data",
            r"One model of the network SmallResNet, trained elsewhere, is run on my\_data,",
        ),
    ],
)
def test_the_subject(
    methods: list[str], settings: dict[str, Any], subtitle: str, abstract: str
) -> None:
    assert matter_words.write_subtitle(methods, settings) == subtitle
    said = matter_words.begin_abstract(methods, settings)
    assert said.endswith(abstract)
    assert ("course project" in said) == (settings is SEED)


def test_methods_are_named_by_what_they_are() -> None:
    assert matter_words.name_part("mixed", SEED) == "Mixed training"
    assert matter_words.name_part("free", OWN) == "Free training"
    assert matter_words.name_part("free", GIVEN) == "Model free"
    assert matter_words.say_after("mixed", SEED) == "after mixed training"
    assert matter_words.say_after("PGD-7", OWN) == "after PGD-7 training"
    assert matter_words.say_after("mixed", GIVEN) == "with the mixed model"


def test_published_numbers_are_spoken_of_where_there_are_any() -> None:
    tell = matter_words.tell_published
    assert tell(THREE, SEED, applies=True) == "Every published number stands beside ours."
    assert "are left out" in tell(["mixed"], SEED, applies=False)
    assert not tell(["free"], SEED, applies=False)
    assert not tell(THREE, GIVEN, applies=False)


def test_the_attacked_are_told_one_after_another() -> None:
    columns = {"error": [90.0], "confidence_error": [80.0]}
    found = {name: pd.DataFrame(columns, index=["adversarial"]) for name in ("standard", "free")}
    said = matter_words.tell_attacked(found, OWN)
    assert said.startswith("after standard training, ")
    assert "its error on adversarial images is 90.00\N{NO-BREAK SPACE}%" in said
    assert said.endswith(
        "; after free training, 90.00\N{NO-BREAK SPACE}% and 80.00\N{NO-BREAK SPACE}%"
    )
    assert "the error with the standard model on" in matter_words.tell_attacked(found, GIVEN)


def make_data(channels: int = 3, size: int = 12, classes: int = 3) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, channels, size, size, generator=generator)
    split = Split(images, torch.arange(30) % classes)
    mean = images.double().mean(0)
    return Dataset("random", tuple("abc"), split, split, split, mean, 0.0, 1.0, "none")


def test_layers_are_listed_as_an_image_passes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    data, network = make_data(), SmallResNet(3, (3, 12, 12)).eval()
    listed = layers.list_layers(network, data)
    assert listed.index[0] == "stem"
    assert listed.index[-1] == "head"
    assert tuple(listed.loc["stem"]) == ("Conv2d", "8x6x6", 3 * 8 * 9 + 8)
    assert listed.loc["head", "output"] == "3"
    assert listed["parameters"].sum() == sum(p.numel() for p in network.parameters())
    monkeypatch.setattr(layers, "MOST", 3)
    few = layers.list_layers(network, data)
    assert [*few.index] == ["stem", "block.path", "head"]
    assert few["parameters"].sum() == listed["parameters"].sum()
    network.shift = torch.nn.Parameter(torch.zeros(5))
    assert tuple(layers.list_layers(network, data).loc["others"]) == ("n/a", "n/a", 5)


def test_shared_parameters_are_counted_once() -> None:
    first, second = torch.nn.Linear(432, 432), torch.nn.Linear(432, 432)
    second.weight = first.weight
    network = torch.nn.Sequential(torch.nn.Flatten(), first, second, torch.nn.Linear(432, 3))
    assert "others" not in layers.list_layers(network, make_data()).index


def test_models_are_trained_once_or_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADVLIB_RUNS", str(tmp_path / "runs"))
    data = advlib.load_data("MNIST", images=100)
    experiment = Experiment(images=100, epochs=1, methods=("standard",))
    subject = Subject(experiment, data)
    trained, history = subject.open_training("standard")
    assert history is not None
    assert len(history) == 1
    again = subject.open_models()["standard"]
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "standard.safetensors")
    given = Experiment(images=100, weights=str(tmp_path), methods=("standard",))
    loaded, none = Subject(given, data).open_training("standard")
    assert none is None
    untrained = subject.build_network()
    logits = trained(data.test.images[:5])
    assert torch.equal(logits, again(data.test.images[:5]))
    assert torch.equal(logits, loaded(data.test.images[:5]))
    assert not torch.equal(logits, untrained(data.test.images[:5]))
    assert not any(m.training for m in (trained, again, loaded, untrained))
