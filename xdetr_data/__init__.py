"""What a labelled photo is and what happens to it, from the public files to training shards."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdetr_data.dataset import Dataset, open_dataset

__all__ = ["Dataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    """What is exported here is imported when it is asked for, so that importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xdetr_data import dataset

    return getattr(dataset, name)
