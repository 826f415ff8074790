"""The processes of torchrun: each takes its share of the shards, the first one begins and ends the run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """``rank`` of ``size`` processes; one of one where torchrun started nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_environment(cls) -> "Ranks":
        """What torchrun says."""
        return cls(rank=int(os.environ.get("RANK", 0)), size=int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def is_first(self) -> bool:
        """Whether this process writes what there is one of."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """Where this process runs its model: ``auto`` and ``cuda`` are a GPU of its own, where there is one."""
        from torch import cuda

        if self.size == 1 or wanted not in ("auto", "cuda") or not cuda.is_available():
            return wanted
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % cuda.device_count()}"

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The items of this process: none are of two."""
        return list(items[self.rank :: self.size])

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.size == 1:
            return
        from torch import distributed

        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        distributed.barrier()
