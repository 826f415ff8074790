"""What a photo goes through on its way into a batch, as one checked value."""

from typing import Literal

import msgspec

from xdetr_data.errors import ConfigError

Unit = Literal["photo", "paragraph"]

# MDETR's scales for a shortest side of 480 to 800 pixels.
SHORTEST_PX = tuple(range(480, 801, 32))


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How samples are ordered and augmented.

    ``shortest_px``: one is drawn for each photo, unless the longest side would pass ``longest_px``. ``crop``, ``flip``:
    probabilities (a photo whose text says left or right is never flipped). ``jitter``: largest relative change of
    brightness, contrast and saturation. ``unit``: what a pass visits once, every photo with up to
    ``queries_per_photo`` of its queries, or every paragraph with all of its queries. Of a dataset of classes, these are
    a photo's positives, and there are up to ``absences_per_photo`` verified absences and ``unknown_per_photo``
    classes of which nothing is known there. ``buffer``: visits among which the order is shuffled. ``workers``: loader
    processes; they change no key and no pixel. ``max_unreadable``: so many unreadable samples in a row end the run.
    """

    seed: int = 0
    shortest_px: tuple[int, ...] = SHORTEST_PX
    longest_px: int = 1333
    crop: float = 0.5
    flip: float = 0.5
    jitter: float = 0.1
    unit: Unit = "photo"
    queries_per_photo: int = 8
    absences_per_photo: int = 0
    unknown_per_photo: int = 0
    buffer: int = 4096
    workers: int = 4
    max_unreadable: int = 16

    def check(self) -> None:
        """Raises ConfigError for a value that no run can have."""
        for name in ("crop", "flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be between 0 and 1")
        least_values = {"queries_per_photo": 1, "absences_per_photo": 0, "unknown_per_photo": 0, "buffer": 1}
        for name, least in (least_values | {"workers": 0, "max_unreadable": 1}).items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} {getattr(self, name)} must be at least {least}")
        if not self.shortest_px or min(self.shortest_px) < 1 or max(self.shortest_px) > self.longest_px:
            raise ConfigError(f"shortest_px {self.shortest_px} must list sizes from 1 to longest_px {self.longest_px}")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed {self.seed} must be between 0 and 2**63")

    @property
    def identity(self) -> dict[str, object]:
        """What decides keys and pixels: all but the number of processes."""
        values: dict[str, object] = msgspec.to_builtins(self)
        del values["workers"]
        return values
