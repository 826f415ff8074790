"""Which parts run in full precision whatever the weights are: coordinates, scores, embeddings, norms over padding."""

import torch
from torch import Tensor


def full(values: Tensor) -> Tensor:
    """At least float32: half precision is widened, double precision stays."""
    return values if values.dtype == torch.float64 else values.float()


def full_dtype(like: Tensor) -> torch.dtype:
    """The type that :func:`full` gives for tensors of this one's type."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32
