"""What all tests begin with, and what a figure or a table is when it is shown."""

from typing import Any, NamedTuple

import hypothesis
import pytest
import torch

from advlib.show import captions

hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")


def pytest_runtest_setup(item):
    """Let each begin with the same random numbers, whatever ran before it in its process."""
    torch.manual_seed(0)


class Output(NamedTuple):
    data: dict[str, str]
    about: dict[str, Any]


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed: the contents by media type, and the metadata."""
    displayed = []
    monkeypatch.setattr(
        captions,
        "publish_display_data",
        lambda data, metadata: displayed.append(Output(data, metadata["advlib"])),
    )
    return displayed
