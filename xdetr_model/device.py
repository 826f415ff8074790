"""Running a network over more items than fit on the device at once."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch

from xdetr_model.errors import ModelConfigError, OutOfMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")
Precision = Literal["float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def dtype_of(precision: str) -> torch.dtype:
    """The torch type of a precision. Raises ModelConfigError."""
    if precision not in _DTYPES:
        raise ModelConfigError(f"precision={precision!r} is unknown: use one of {', '.join(_DTYPES)}")
    return _DTYPES[precision]


def pick_device(device: str) -> torch.device:
    """``auto`` takes the GPU if there is one. Raises ModelConfigError for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ModelConfigError(f"device={device!r} cannot be used here; give 'auto' or 'cpu'") from error
    return chosen


def describe_processor(device: str) -> dict[str, str]:
    """What kernels a model on ``device`` is computed with: ``cpu_capability`` as torch names it (DEFAULT, AVX2,
    AVX512, …) and ``device``, a GPU by its name. Raises ModelConfigError for a device that is not there."""
    target = pick_device(device)
    name = torch.cuda.get_device_name(target) if target.type == "cuda" else target.type
    return {"cpu_capability": torch.backends.cpu.get_cpu_capability(), "device": name}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the batch was too large."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


class BatchRunner:
    """Calls a function on batches, and on half as many items from the moment that the device runs out of memory.

    The smaller size is kept for later calls, so a run settles on what fits.
    """

    def __init__(self, batch_size: int):
        if batch_size < 1:
            raise ModelConfigError(f"batch_size={batch_size} must be at least 1")
        self.batch_size = batch_size

    def run(self, items: Sequence[Item], function: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """The results of all items, in order. Raises OutOfMemoryError when one item alone does not fit."""
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.batch_size]
            try:
                results += function(batch)
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise OutOfMemoryError(
                        "the device has too little memory for one item: use bfloat16 or smaller photos"
                    ) from error
            # outside the handler: the traceback keeps the failed batch's tensors alive
            self.batch_size = max(1, len(batch) // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results
