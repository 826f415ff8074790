"""The processes that train together, as torchrun or Ray started them; one alone is a group of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from xdetr_data.errors import XdetrDataError
from xdetr_model.device import pick_device

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)  # how long the others wait for the first one's evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """This process among its peers."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def first_does(self, what: Callable[[], Value]) -> Value:
        """The first process's result, for all; what it raises, all raise, so that none waits for the others."""
        if self.size == 1:
            return what()
        shared: list[Any] = [None, None]
        if self.is_first:
            try:
                shared[0] = what()
            except (XdetrDataError, OSError) as error:
                shared[1] = error
        distributed.broadcast_object_list(shared, src=0)
        if shared[1] is not None:
            raise shared[1]
        result: Value = shared[0]
        return result

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, in the order of ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def largest(self, value: int) -> int:
        """The largest of all processes' values."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
        return int(tensor)


@contextmanager
def process_group(device: str) -> Iterator[Group]:
    """The group that torchrun's environment describes; ends it when the block ends."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group(rank=0, size=1, device=pick_device(device))
        return
    here = pick_device(device)
    if here.type == "cuda":
        here = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(here)
    store, rank, size = next(distributed.rendezvous("env://", timeout=PATIENCE))
    distributed.init_process_group(
        "nccl" if here.type == "cuda" else "gloo",
        store=distributed.PrefixStore(_start(), store),
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    try:
        yield Group(rank=distributed.get_rank(), size=size, device=here)
    finally:
        distributed.destroy_process_group()


def _start() -> str:
    """Which start of the processes this is: torchrun's store outlives those that it starts again (``--master-port``),
    and in it the addresses of lost ones. Several machines may count their starts apart, so theirs is one name."""
    is_one_machine = os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")
    return f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') if is_one_machine else 'any'}"
