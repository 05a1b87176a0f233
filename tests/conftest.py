"""Each test begins with the same random numbers, whatever ran before it in its process."""

import pytest
import torch


def pytest_runtest_setup(item: pytest.Item) -> None:
    torch.manual_seed(0)
