"""What torch raises where a machine is too small or another process is lost, as one line with the remedy."""

import torch
from torch import distributed

from pipelines.train.say import in_one_line


def explain(error: RuntimeError) -> str | None:
    """The line for a user, None for an error that is the code's fault."""
    told = in_one_line(error)[:160]
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"the GPU's memory is full ({told}); begin another run with lower batch.full, batch.pseudo or batch.weak "
            "and higher optimiser.accumulate, smaller data.shortest_px, or compute.activation_checkpointing=true"
        )
    if "DataLoader worker" in told:
        return (
            f"a loader process has ended ({told}); where memory is short, lower data.workers in RUN/run.yaml or give "
            "the machine or container more (docker run --shm-size for shared memory), then --resume RUN"
        )
    if isinstance(error, (distributed.DistBackendError, distributed.DistNetworkError)) or "/gloo/" in told:
        return (
            f"another process of this run has ended or cannot be reached ({told}); see what it said, then start all "
            "with --resume RUN"
        )
    return None
