"""Processes of torchrun: each its own shards, and its own GPU."""

import pytest
import torch

from pipelines.evaluate.ranks import Ranks


def test_shards_are_shared_without_one_twice() -> None:
    shares = [Ranks(rank=rank, size=3).share(list(range(8))) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == list(range(8))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_is_the_first_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = Ranks.of_environment()
    alone.wait()
    assert alone.is_first
    assert alone.device("auto") == "auto"


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert Ranks(rank=3, size=8).device("auto") == "cuda:3"
    assert Ranks(rank=3, size=8).device("cpu") == "cpu"
