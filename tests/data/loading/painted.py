"""Photos of one coloured rectangle, whose place in the pixels is known, as finished datasets."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from xdetr_data.boxes import Box
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.groups import groups_per_sample
from xdetr_data.shards.writer import Sample, shard_name, write_samples
from xdetr_data.storage import Folder

SOMEONE = Provenance(source="painted")
PREFIX = "painted-train"
GREY, RED = (90, 90, 90), (250, 20, 20)


def paint(size_hw: tuple[int, int], box_xyxy: Box, file_format: str = "PNG") -> bytes:
    """A grey photo with a red rectangle."""
    pixels = np.full((*size_hw, 3), GREY, dtype=np.uint8)
    x0, y0, x1, y1 = (round(value) for value in box_xyxy)
    pixels[y0:y1, x0:x1] = RED
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, file_format, **({"quality": 95} if file_format == "JPEG" else {}))
    return sink.getvalue()


def red_box(pixels: np.ndarray) -> Box:
    """Where the red is, in pixels: the hull of what is more red than grey."""
    is_red = pixels[..., 0].astype(int) - pixels[..., 1] > 115
    ys, xs = np.flatnonzero(is_red.any(1)), np.flatnonzero(is_red.any(0))
    return (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))


def query(text: str = "a red box.", group: str = "g1", regions: Sequence[int] = (0,)) -> Query:
    """A sentence whose words 3 to 10 name regions."""
    phrases = (Phrase(spans=((2, 9),), regions=tuple(regions), provenance=SOMEONE),) if regions else ()
    return Query(text=text, group=group, phrases=phrases)


def record(
    key: str,
    size_hw: tuple[int, int] = (48, 64),
    boxes_xyxy: Sequence[Box] = ((16.0, 12.0, 40.0, 30.0),),
    queries: Sequence[Query] | None = None,
    crowd: Sequence[int] = (),
) -> GroundedImage:
    """A labelled photo; the regions in ``crowd`` are crowds."""
    return GroundedImage(
        key=key,
        image=ImageRef(file_name=f"{key}.png", source="coco", size_hw=size_hw),
        regions=tuple(
            Region(box_xyxy=box, is_crowd=index in crowd, provenance=SOMEONE) for index, box in enumerate(boxes_xyxy)
        ),
        queries=(query(),) if queries is None else tuple(queries),
    )


def sample(key: str, **about: object) -> Sample:
    """A record with its photo, whose red rectangle is its first region."""
    labels = record(key, **about)  # type: ignore[arg-type]
    photo = check_photo(paint(labels.image.size_hw, labels.regions[0].box_xyxy), key)
    assert isinstance(photo, Photo)
    return Sample(labels, photo)


def write_set(path: Path, shards: Sequence[Sequence[Sample]], config: dict[str, object] | None = None) -> Path:
    """A finished dataset of these shards."""
    folder = Folder(str(path))
    entries = []
    for number, samples in enumerate(shards):
        stem = shard_name(PREFIX, number)
        rows, files = write_samples(folder, stem, samples)
        groups = int(groups_per_sample(folder, stem).sum())
        entries.append(ShardEntry(shard=number, rows=rows, files=files, groups=groups))
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="painted", tool_version="0", prefix=PREFIX, split="train", seed=0,
            config=config or {}, config_hash="c0ffee", inputs=[], exclusions=[], accounting={"units": {}, "notes": {}},
            rows=sum(map(len, shards)), shards=entries, rejects=[],
        ),
    )  # fmt: skip
    return path


def painted_set(path: Path, rows_per_shard: Sequence[int], name: str = "p") -> Path:
    """Shards of so many samples, all of different keys."""
    numbers = iter(range(sum(rows_per_shard)))
    return write_set(path, [[sample(f"{name}_{next(numbers):05d}") for _ in range(rows)] for rows in rows_per_shard])
