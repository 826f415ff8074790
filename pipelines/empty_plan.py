"""What is said where no photo is left."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from pipelines import console
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.record import Rejected


class Planned(Protocol):
    """A plan: its photos, and what never reaches a shard."""

    @property
    def photos(self) -> pa.Table:
        """Every photo that is built."""

    @property
    def tally(self) -> Tally:
        """What came in, and what was rejected so far."""

    @property
    def rejects(self) -> Sequence[Rejected]:
        """What was rejected so far."""


def check_not_empty(plan: Planned, task: str, *, nothing: str, remedy: str) -> None:
    """Raises InputError where the plan has no photo: how many were rejected why, or that there was nothing."""
    if plan.photos.num_rows:
        return
    rejected = [
        f"{count:,} {console.plural(unit)} {reason}"
        for unit in plan.tally.units()
        for reasons in plan.tally.rejects(unit).values()
        for reason, count in reasons.items()
    ]
    first = "; ".join(f"{one.input_ref or one.key}: {one.detail}" for one in plan.rejects[:1] if one.detail)
    why = f"rejected: {', '.join(rejected)}" + (f"; first {first}" if first else "") if rejected else nothing
    raise InputError(f"no photo is left to {task} ({why}); {remedy}")
