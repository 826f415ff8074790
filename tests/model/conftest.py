"""Tests of the model run on one thread: their tensors are small, and test workers share the cores."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)
