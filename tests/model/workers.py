"""Runs a function in several processes joined by gloo, and brings back what each of them returned."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _work(rank: int, size: int, folder: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    try:
        torch.save(function(rank, *arguments), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def run_ranks(size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """``function(rank, *arguments)`` of every rank; a module-level function, since it is pickled by name."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_work, args=(size, folder, function, arguments), nprocs=size, join=True)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(size)]
