"""The options of ``build-mixed-star`` as one checked value."""

from typing import Literal

import msgspec

from xdetr_data.errors import ConfigError
from xdetr_data.stages.check_boxes import CrowdPolicy

# In mixed, VG's boxes are loose and MDETR calls boxes the same from 0.5 to 0.75 on; in Flickr30k Entities one person
# boxed all five captions, so the same object has equal boxes and nearly equal ones are different chains.
DEFAULT_MERGE_IOU = {"coco": 0.75, "vg": 0.75, "flickr": 1.0}


class MixedStarConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of the output, besides the content of the inputs."""

    mdetr: tuple[str, ...]
    coco_instances: tuple[str, ...] = ()
    image_roots: dict[str, str] = {}
    exclude: tuple[str, ...] = ()
    split_paragraphs: bool = True
    boxes: Literal["coco", "none"] = "coco"
    dedupe_iou: float = 0.7
    merge_iou: dict[str, float] = msgspec.field(default_factory=lambda: dict(DEFAULT_MERGE_IOU))
    crowd: CrowdPolicy = "drop"
    metadata_only: bool = False
    seed: int = 0
    limit: int | None = None
    shard_bytes: int = 512_000_000
    split: str = "train"

    @property
    def name(self) -> str:
        """``mixed`` or ``mixed-star``: what the shards are called."""
        return "mixed-star" if self.split_paragraphs else "mixed"

    @property
    def prefix(self) -> str:
        """What the names of the shards begin with."""
        return f"{self.name}-{self.split}"

    def min_iou(self, source: str) -> float:
        """From which IoU on two queries' boxes on a photo of this source are one object."""
        return self.merge_iou.get(source, DEFAULT_MERGE_IOU["coco"])

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.mdetr:
            raise ConfigError("no input: give at least one --mdetr FILE")
        if self.boxes == "coco" and not self.coco_instances:
            raise ConfigError("--boxes coco needs --coco-instances FILE; for mixed* without boxes say --boxes none")
        if not self.image_roots and not self.metadata_only:
            raise ConfigError("no photos: give --image-root SOURCE=DIR (coco, vg, flickr), or --metadata-only")
        for option, value in (
            ("--dedupe-iou", self.dedupe_iou),
            *(("--merge-iou", v) for v in self.merge_iou.values()),
        ):
            if not 0 < value <= 1:
                raise ConfigError(f"{option} {value} must be above 0 and at most 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit {self.limit} must be at least 1")
        if self.shard_bytes < 1:
            raise ConfigError(f"--shard-bytes {self.shard_bytes} must be positive")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"--seed {self.seed} must be between 0 and 2**63")
        if not self.split.isidentifier():
            raise ConfigError(f"--split {self.split!r} must be a plain word such as train or val")
        labels = [input_label(path) for path in (*self.mdetr, *self.coco_instances)]
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigError(
                    f"two inputs are called {label!r}, so that no label could say where it came from; rename one"
                )


def input_label(path: str) -> str:
    """What the records call an input: its file name without folders and endings."""
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return name.removesuffix(".gz").removesuffix(".json")
