"""Bad input: each row gives one argument that is wrong, the error, and what its message names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from advlib.attacks import fgsm
from advlib.evaluation import errors, evaluate, transfer, wilson_interval

Row = tuple[str, Any, type[Exception], str]

IMAGES = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
ONES = torch.ones(4, requires_grad=True)


class Output(nn.Module):
    """A model that counts its calls and passes its logits on to a function."""

    def __init__(self, change: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.linear, self.change, self.calls = nn.Linear(6, 4), change, 0

    def forward(self, images: Tensor) -> Any:
        self.calls += 1
        return self.change(self.linear(images.flatten(1)))


def altered(tensor: Tensor, value: float) -> Tensor:
    """The tensor with another last value."""
    changed = tensor.clone()
    changed.view(-1)[-1] = value
    return changed


INPUTS: list[Row] = [
    ("images", IMAGES.numpy(), TypeError, "images .*Tensor.* ndarray"),
    ("images", None, TypeError, "images .* NoneType"),
    ("images", (IMAGES * 255).to(torch.uint8), TypeError, r"images .*uint8.*images / 255"),
    ("images", IMAGES.long(), TypeError, "images .*int64"),
    ("images", IMAGES.to(torch.complex64), TypeError, "images .*complex64"),
    ("images", IMAGES.double(), TypeError, "images .*float64.*model .*float32"),
    ("images", IMAGES[:, 0, 0], ValueError, r"images .*\[N, \.\.\.\].*\[6\]"),
    ("images", IMAGES[:0], ValueError, r"images .*empty.*\[0, 2, 3\]"),
    ("images", IMAGES[:, :0], ValueError, r"images .*empty.*\[6, 0, 3\]"),
    ("images", IMAGES[:, :1], ValueError, r"images of shape \[\d, 1, 3\]"),
    ("images", altered(IMAGES, torch.nan), ValueError, "images .*finite.*nan"),
    ("images", altered(IMAGES, torch.inf), ValueError, "images .*finite.*inf"),
    ("images", altered(IMAGES, -torch.inf), ValueError, "images .*finite.*-inf"),
    ("labels", LABELS.tolist(), TypeError, "labels .*Tensor.* list"),
    ("labels", LABELS.int(), TypeError, "labels .*int64.*int32"),
    ("labels", LABELS.float(), TypeError, "labels .*int64.*float32"),
    ("labels", LABELS[:5], ValueError, r"labels .*\[6\].*\[5\]"),
    ("labels", LABELS[:, None], ValueError, r"labels .*\[6\].*\[6, 1\]"),
    ("labels", LABELS.to("meta"), ValueError, "labels .*cpu.*meta"),
    ("labels", altered(LABELS, -1), ValueError, "labels .*at least 0.*-1"),
    ("labels", altered(LABELS, 4), ValueError, "labels .*0 to 3.*4"),
    ("batch_size", 0, ValueError, "batch_size .*at least 1.*0"),
    ("batch_size", -5, ValueError, "batch_size .*-5"),
    ("batch_size", 2.5, TypeError, "batch_size .*2.5"),
    ("batch_size", "many", TypeError, "batch_size .*many"),
    ("batch_size", True, TypeError, "batch_size .*True"),
]
MODELS: list[Row] = [
    ("model", "standard", TypeError, "model .*Module.*standard"),
    ("model", Output, TypeError, "model .*Module.*Output"),
    ("model", lambda images: images, TypeError, "model .*Module.*function"),
    ("model", Output().to("meta"), ValueError, "images .*cpu.*model .*meta"),
    ("model", Output(lambda logits: logits[0]), ValueError, r"model .*\[6, classes\].*\[4\]"),
    ("model", Output(lambda logits: logits[:3]), ValueError, r"model .*\[6, classes\].*\[3, 4\]"),
    ("model", Output(lambda logits: logits[:, :0]), ValueError, r"model .*classes\].*\[6, 0\]"),
    ("model", Output(lambda logits: logits[..., None]), ValueError, r"model .*\[6, 4, 1\]"),
    ("model", Output(lambda logits: (logits,)), TypeError, "model .*tensor.*tuple"),
    ("model", Output(lambda logits: logits.long()), TypeError, "model .*floating.*int64"),
    ("model", Output(lambda logits: logits * torch.nan), ValueError, "model .*NaN"),
]
EPSILONS: list[Row] = [
    ("epsilon", -0.1, ValueError, "epsilon .*at least 0.*-0.1"),
    ("epsilon", float("nan"), ValueError, "epsilon .*nan"),
    ("epsilon", float("inf"), ValueError, "epsilon .*inf"),
    ("epsilon", "0.1", TypeError, "epsilon .*'0.1'"),
    ("epsilon", None, TypeError, "epsilon .*None"),
    ("epsilon", True, TypeError, "epsilon .*True"),
]
FGSM: list[Row] = [
    ("model", Output(lambda logits: logits.detach()), ValueError, "model .*differentiated"),
    ("model", Output(lambda logits: ONES * logits.detach()), ValueError, "model .*differentiated"),
    ("model", Output(lambda x: (x - x.detach()).sqrt()), ValueError, "model .*gradients .*NaN"),
    ("target_labels", 3, TypeError, "target_labels .*Tensor.* int"),
    ("target_labels", LABELS.int(), TypeError, "target_labels .*int64.*int32"),
    ("target_labels", LABELS[:1], ValueError, r"target_labels .*\[6\].*\[1\]"),
    ("target_labels", altered(LABELS, -1), ValueError, "target_labels .*-1"),
    ("target_labels", altered(LABELS, 4), ValueError, "target_labels .*0 to 3.*4"),
    ("bounds", 1, TypeError, "bounds .*pair.*1"),
    ("bounds", (0, 0.5, 1), TypeError, "bounds .*pair"),
    ("bounds", "01", TypeError, "bounds .*pair.*01"),
    ("bounds", (0, None), TypeError, "bounds .*None"),
    ("bounds", (False, True), TypeError, "bounds .*False"),
    ("bounds", (1, 0), ValueError, r"bounds .*\(1, 0\)"),
    ("bounds", (0, float("nan")), ValueError, "bounds .*nan"),
    ("bounds", (0, torch.ones(4)), ValueError, r"bounds .*\[2, 3\].*\[4\]"),
]
TRANSFER: list[Row] = [
    ("models", {}, ValueError, "models .*empty"),
    ("models", None, TypeError, "models .*mapping.*NoneType"),
    ("models", [Output()], TypeError, "models .*mapping.*list"),
    ("models", {"a": "standard"}, TypeError, "model .*Module.*standard"),
    (
        "models",
        {"a": Output(), "b": Output(lambda logits: logits[:, :3])},
        ValueError,
        "models .*number of classes.*'a': 4, 'b': 3",
    ),
]
WILSON: list[Row] = [
    ("errors", -1, ValueError, "errors .*-1"),
    ("errors", 11, ValueError, "errors .*n = 10.*11"),
    ("errors", 1.5, TypeError, "errors .*1.5"),
    ("errors", True, TypeError, "errors .*True"),
    ("n", 0, ValueError, "n .*at least 1.*0"),
    ("n", 10.0, TypeError, "n .*10.0"),
    ("n", "10", TypeError, "n .*'10'"),
    ("level", 0, ValueError, "level .*0"),
    ("level", 1, ValueError, "level .*1"),
    ("level", 95, ValueError, "level .*95"),
    ("level", float("nan"), ValueError, "level .*nan"),
    ("level", "0.95", TypeError, "level .*0.95"),
    ("level", True, TypeError, "level .*True"),
]

GIVEN = {"images": IMAGES, "labels": LABELS}
CALLS: list[tuple[Callable[..., Any], dict[str, Any], list[Row]]] = [
    (fgsm, GIVEN | {"model": Output()}, INPUTS + MODELS + EPSILONS + FGSM),
    (evaluate, GIVEN | {"model": Output()}, INPUTS + MODELS),
    (errors, GIVEN | {"model": Output()}, INPUTS + MODELS),
    (transfer, GIVEN | {"models": {"a": Output()}}, INPUTS + EPSILONS + TRANSFER),
    (wilson_interval, {"errors": 1, "n": 10}, WILSON),
]
ROWS = [
    pytest.param(function, given | {name: value}, error, message, id=f"{function.__name__}-{name}")
    for function, given, rows in CALLS
    for name, value, error, message in rows
]


@pytest.mark.parametrize(("function", "given", "error", "message"), ROWS)
def test_bad_input(
    function: Callable[..., Any], given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        function(**given)
    assert type(caught.value) is error


@pytest.mark.parametrize(("function", "given"), [call[:2] for call in CALLS])
def test_the_input_of_the_rows_is_good_but_for_the_one(
    function: Callable[..., Any], given: dict[str, Any]
) -> None:
    function(**given)


@pytest.mark.parametrize("function", [fgsm, evaluate, errors])
def test_a_label_out_of_range_is_found_on_the_first_batch(function: Callable[..., Any]) -> None:
    model = Output()
    with pytest.raises(ValueError, match="labels"):
        function(model, IMAGES, altered(LABELS, 4), batch_size=1)
    assert model.calls == 1


def test_transfer_looks_at_all_models_before_any_work() -> None:
    first, last = Output(), Output(lambda logits: logits[:, :3])
    with pytest.raises(ValueError, match="classes"):
        transfer({"first": first, "last": last}, IMAGES, LABELS, batch_size=1)
    assert (first.calls, last.calls) == (1, 1)


def test_running_out_of_memory_is_not_called_bad_input() -> None:
    def exhausted(logits: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Output(exhausted), IMAGES, LABELS)


def test_numpy_numbers_are_good_input() -> None:
    adversarial = fgsm(Output(), IMAGES, LABELS, np.float64(0.1), batch_size=np.int64(4))  # type: ignore[arg-type]
    assert adversarial.shape == IMAGES.shape
