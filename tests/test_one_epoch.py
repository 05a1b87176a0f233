"""One epoch of each method, as it was when the seeds' results were computed.

    python tests/test_one_epoch.py    writes one_epoch.csv anew

The figures are the same anywhere, to a thousandth of a loss, and a tenth of a point of an error: in
few minibatches, for each magnifies what processors round differently. The weights are the same
bits on the kind of processor that they were trained on.
"""

import platform
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from engine import threads

import advlib
from advlib.kept import checkpoints, machine
from advlib.methods import METHODS
from advlib.runs import begin

PATH = Path(__file__).with_name("one_epoch.csv")
KIND = ["processor", "vectors", "torch"]
FIGURES = [
    f"{figure}_{part}"
    for figure in ("objective", "top1_error")
    for part in ("train", "train_adversarial", "validation", "validation_adversarial")
]


def find_processor():
    """Return what processor this is: many have one name, so with Linux's number of the model."""
    about = Path("/proc/cpuinfo")
    model = re.search(r"^model\s*:.*", about.read_text(), re.MULTILINE) if about.exists() else None
    parts = [platform.machine(), machine.processor(), model and re.sub(r"\s*:", "", model[0])]
    return " ".join(filter(None, parts))


def train(method):
    """Train an epoch on the first 200 images, from the weights of seed 0."""
    data = advlib.load_data("MNIST")
    data = replace(data, train=data.train.first(200))
    model = begin(method, data, 0)
    with threads(1):
        (row,) = advlib.train(model, data, method=method, epochs=1, device="cpu").to_dict("records")
    scale = {name: 100 if name.startswith("top1") else 1 for name in FIGURES}
    return {name: row[name] / scale[name] for name in FIGURES} | {
        "weights": checkpoints.digest(model.state_dict())[:16],
        "processor": find_processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "torch": str(torch.__version__).partition("+")[0],
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_gives_what_it_gave(method):
    expected = pd.read_csv(PATH, index_col="method").loc[method]
    found = train(method)
    for name in FIGURES:
        assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-3, nan_ok=True)
    if [found[name] for name in KIND] == [*expected[KIND]]:
        assert found["weights"] == expected["weights"]


if __name__ == "__main__":
    pd.DataFrame({method: train(method) for method in METHODS}).T.to_csv(PATH, index_label="method")
