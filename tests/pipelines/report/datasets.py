"""Small finished datasets for reports: any records, with photos or without, on disk as a build writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from tests.data.tiny_dataset import SIZE_HW, jpeg
from xdetr_data.accounting import Tally
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.shards.writer import Sample, shard_name, write_samples
from xdetr_data.storage import Folder

PREFIX, SHARDS = "tiny-train", 2
ALERT = "<script>alert(1)</script>"


def provenance(source: str = "model", detail: str = "") -> Provenance:
    return Provenance(source=source, annotation_id="7", detail=detail)


def phrase(begin: int, end: int, *regions: int, score: float | None = None, detail: str = "") -> Phrase:
    return Phrase(spans=((begin, end),), regions=regions, score=score, provenance=provenance(detail=detail))


def record(number: int, *, score: float | None = None, text: str = "a red man by the blue box.") -> GroundedImage:
    """Three regions, the last one textless, in two sentences; the scores are all the same."""
    boxes = ((1.0, 2.0, 10.5, 20.0), (12.0, 4.0, 30.0, 22.0), (20.0, 1.0, 31.0, 9.0))
    return GroundedImage(
        key=f"coco_{number:012d}",
        image=ImageRef(file_name=f"{number}.jpg", source="coco", size_hw=SIZE_HW),
        regions=tuple(Region(box_xyxy=box, provenance=provenance("people")) for box in boxes),
        queries=(
            Query(
                text=text,
                group="g",
                phrases=(
                    phrase(2, 9, 0, score=score, detail="trace 0.2500" if score else ""),
                    phrase(13, 25, 1, score=score, detail="trace 0.7500" if score else ""),
                ),
            ),
            Query(text="an outside view.", group="g"),
        ),
    )


def write_dataset(
    path: Path, records: Sequence[GroundedImage], *, photos: bool = True, tally: Tally | None = None
) -> str:
    """Writes a dataset; returns its address."""
    folder = Folder(str(path))
    entries = []
    for shard in range(SHARDS):
        mine = sorted(
            (one for one in records if shard_of_key(one.key, seed=0, shards=SHARDS) == shard), key=lambda one: one.key
        )
        rows, files = write_samples(folder, shard_name(PREFIX, shard), [_sample(one, photos) for one in mine])
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
    if tally is None:
        tally = Tally()
        tally.came_in("photo", len(records) + 1)
        tally.went_out("photo", len(records))
        tally.rejected("photo", "exclude_images", "excluded")
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="tiny", tool_version="0", prefix=PREFIX, split="train", seed=0,
            config={"name": "value"}, config_hash="c0ffee", inputs=[], exclusions=[],
            accounting=tally.to_builtins(), rows=len(records), shards=entries, rejects=[],
        ),
    )  # fmt: skip
    return str(path)


def _sample(one: GroundedImage, photos: bool) -> Sample:
    if not photos:
        return Sample(one, None)
    found = check_photo(jpeg(int(one.key[-3:])), one.key)
    assert isinstance(found, Photo)
    return Sample(replace(one, image=replace(one.image, sha256=found.sha256)), found)


def scored(count: int, seed: int = 0) -> list[GroundedImage]:
    """Records with scores from 0.1 to 0.9 in no order."""
    scores = np.random.default_rng(seed).permutation(np.linspace(0.1, 0.9, count)).tolist()
    return [record(number, score=score) for number, score in enumerate(scores, start=1)]
