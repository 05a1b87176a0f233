"""advlib.settings: what is allowed, said once, and the values that are made of it."""

import dataclasses
import inspect

import numpy as np
import pytest

import advlib
from advlib.methods import METHODS, Method
from advlib.settings import WHOLE, Experiment, Training, check, declared, extend, setting


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("dataset", "KMNIST", "KMNIST"),
        ("images", None, None),
        ("images", np.int32(7), 7),
        ("epsilon", np.float64(0.1), 0.1),
        ("alpha", 0, 0.0),
        ("alpha", 1.0, 1.0),
        ("momentum", 0, 0.0),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("methods", ["mixed", "standard"], ("mixed", "standard")),
        ("epsilon", -0.0, 0.0),
    ],
)
def test_allowed_values_come_back_as_pythons_own(name, value, expected):
    settings = Experiment(**{name: value})
    found = getattr(settings, name)
    assert repr(found) == repr(expected)  # which tells -0.0 from 0.0
    assert dataclasses.replace(settings) == settings


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dataset", "mnist", ValueError),
        ("dataset", 1, TypeError),
        ("images", 0, ValueError),
        ("images", True, TypeError),
        ("epsilon", -1e-9, ValueError),
        ("epsilon", float("nan"), ValueError),
        ("epsilon", float("inf"), ValueError),
        ("epsilon", 10**400, ValueError),
        ("epsilon", np.bool_(True), TypeError),
        ("alpha", -0.1, ValueError),
        ("alpha", 1.1, ValueError),
        ("epochs", 0, ValueError),
        ("batch_size", 0, ValueError),
        ("learning_rate", 0, ValueError),
        ("learning_rate", float("inf"), ValueError),
        ("momentum", 1, ValueError),
        ("weight_decay", -1e-4, ValueError),
        ("seed", -1, ValueError),
        ("seed", 2**63, ValueError),
        ("methods", "mixed", TypeError),
        ("methods", (), ValueError),
        ("methods", (*"abcdefghi",), ValueError),
        ("methods", ("a/b",), ValueError),
        ("methods", (1,), ValueError),
    ],
)
def test_wrong_values_name_argument_value_and_allowed(name, value, error):
    with pytest.raises(error) as caught:
        check(name, value)
    message = str(caught.value)
    assert message.startswith(f"{name} must be ")
    assert repr(value) in message


@pytest.mark.parametrize("name", declared())
def test_settings_are_checked_when_they_are_made(name):
    with pytest.raises(TypeError, match=f"^{name} must be "):
        dataclasses.replace(Experiment(), **{name: object()})
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Experiment(), name, 1)


def test_a_known_data_set_has_so_many_images():
    assert Experiment(images=55_000).images == 55_000
    with pytest.raises(ValueError, match="images must be at most 55000, all that MNIST has"):
        Experiment(images=55_001)


def test_settings_are_chosen_from_a_notebooks_names():
    names = {"epochs": 2, "dataset": "KMNIST", "other": 1, "__name__": "__main__"}
    assert Experiment.chosen(names) == Experiment(epochs=2, dataset="KMNIST")
    assert Training.chosen(names) == Training(epochs=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stepwise(Training):
    steps: int = setting(7, WHOLE, "Steps")


def test_what_decides_are_the_settings_that_a_method_uses_and_its_own():
    everywhere = {*declared(Training)} - {"alpha"}
    assert set(METHODS["standard"].deciding(Training())) == everywhere
    assert set(METHODS["mixed"].deciding(Training())) == everywhere
    assert set(METHODS["adversarial"].deciding(Training())) == everywhere | {"alpha"}
    own = Method(METHODS["standard"].step, "Stepwise", unused=("alpha",), settings=Stepwise)
    assert own.deciding(Stepwise(steps=3)) == METHODS["standard"].deciding(Training()) | {
        "steps": 3
    }


class Written(Training):
    """As one writes it: no rule, no words."""

    smooth_steps: int = 7
    note: str = "plain"


def test_plain_fields_are_settings():
    method = Method(METHODS["standard"].step, settings=Written)
    assert method.deciding(Written()) == vars(Training()) | {
        "smooth_steps": 7,
        "note": "plain",
    }
    assert declared(Written)["smooth_steps"].metadata["words"] == "Smooth steps"
    with pytest.raises(TypeError, match="smooth_steps must be a whole number, not"):
        Written(smooth_steps=0.5)
    with pytest.raises(TypeError, match="steps must have a default: one of int, float, str"):
        type("Bad", (Training,), {"__annotations__": {"steps": int}})


def test_an_experiment_has_its_methods_own_settings():
    kind = extend([Training, Stepwise, Training])
    assert vars(kind()) == vars(Experiment()) | {"steps": 7}
    assert kind(steps=3).steps == 3
    other = dataclasses.make_dataclass("Other", [("steps", int, setting(8, WHOLE, "Steps"))])
    with pytest.raises(ValueError, match="two methods have a setting 'steps'"):
        extend([Stepwise, other])


def test_train_shows_the_settings_with_their_defaults():
    """As the contract has them: in help, in completion, for whoever inspects it."""
    parameters = inspect.signature(advlib.train).parameters
    shown = {name: p.default for name, p in parameters.items() if name in declared(Training)}
    assert shown == vars(Training())
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in shown)
