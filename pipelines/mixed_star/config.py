"""The options of ``build-mixed-star`` as one checked value."""

from typing import Literal

import msgspec

from pipelines.build import BuildConfig, check_labels
from xdetr_data.errors import ConfigError
from xdetr_data.stages.check_boxes import CrowdPolicy

# In mixed, VG's boxes are loose and MDETR calls boxes the same from 0.5 to 0.75 on; in Flickr30k Entities one person
# boxed all five captions, so the same object has equal boxes and nearly equal ones are different chains.
DEFAULT_MERGE_IOU = {"coco": 0.75, "vg": 0.75, "flickr": 1.0}


class MixedStarConfig(BuildConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of the output, besides the content of the inputs."""

    mdetr: tuple[str, ...]
    coco_instances: tuple[str, ...] = ()
    image_roots: dict[str, str] = msgspec.field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    split_paragraphs: bool = True
    boxes: Literal["coco", "none"] = "coco"
    dedupe_iou: float = 0.7
    merge_iou: dict[str, float] = msgspec.field(default_factory=lambda: dict(DEFAULT_MERGE_IOU))
    crowd: CrowdPolicy = "drop"
    metadata_only: bool = False

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
        self.check_build()
        check_labels([*self.mdetr, *self.coco_instances])
