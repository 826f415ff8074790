"""A finished dataset to look at and review: drawn photos, shared boxes, a phrase without a box, scores, traces."""

import io
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from PIL import Image, ImageDraw

from xdetr_data.accounting import Tally
from xdetr_data.boxes import Box
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
    write_stats,
)
from xdetr_data.storage import Folder

PREFIX, SEED, HASH = "shown-train", 5, "5" * 64
WIDTH, HEIGHT = 97, 63  # odd, so that shares of them are no round numbers
TEXTS = ("A red ball and two blue boxes.", "The ball lies near a lamp.")
BOXES: tuple[Box, ...] = ((3.7, 5.1, 21.3, 22.9), (30, 8, 50, 30), (55.5, 9.25, 80, 41.0), (1, 40, 96.5, 62))
COLOURS = ("red", "blue", "navy", "gray")

Change = Callable[[GroundedImage], GroundedImage]


def as_it_is(record: GroundedImage) -> GroundedImage:
    return record


def key_of(number: int) -> str:
    return f"shown%2F{number:04d}" if number == 0 else f"shown_{number:04d}"


def photo(number: int) -> Photo:
    """The boxes, drawn."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (200, 200 - number % 100, 180))
    draw = ImageDraw.Draw(picture)
    for box, colour in reversed(list(zip(BOXES, COLOURS, strict=True))):
        draw.rectangle(box, fill=colour)
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=90)
    found = check_photo(sink.getvalue(), str(number))
    assert isinstance(found, Photo)
    return found


def record(number: int) -> GroundedImage:
    """A red ball (in both sentences), two blue boxes, a lamp without a box, and a textless box.

    Even photos are of coco with a model's scores, odd ones of vg by people; of every fifth the ball has two boxes.
    """
    is_scored = number % 2 == 0
    who = "grounder" if is_scored else "people"
    score = 0.05 + 0.9 * (number % 10) / 10 if is_scored else None
    trace = f"trace {0.04 + 0.1 * (number % 8):.4f}" if is_scored else ""

    def phrase(text: str, part: str, *regions: int) -> Phrase:
        begin = text.index(part)
        said = Provenance(source=who, annotation_id="7", detail=trace)
        return Phrase(spans=((begin, begin + len(part)),), regions=regions, score=score, provenance=said)

    first, second = TEXTS
    ball = (0, 3) if number % 5 == 4 else (0,)
    return GroundedImage(
        key=key_of(number),
        image=ImageRef(
            file_name=f"../{number}.jpg" if number == 1 else f"{number}.jpg",
            source="coco" if is_scored else "vg",
            size_hw=(HEIGHT, WIDTH),
            sha256=photo(number).sha256,
        ),
        regions=tuple(Region(box_xyxy=box, provenance=Provenance(source=who)) for box in BOXES),
        queries=(
            Query(
                text=first,
                group="g",
                is_exhaustive=True,
                phrases=(phrase(first, "red ball", *ball), phrase(first, "two blue boxes", 1, 2)),
            ),
            Query(text=second, group="g", phrases=(phrase(second, "The ball", 0), phrase(second, "a lamp"))),
        ),
    )


def write_shown(
    path: Path,
    photos: int = 24,
    shards: int = 4,
    change: Change = as_it_is,
    config_hash: str = HASH,
    labels_only: bool = False,
) -> Path:
    """Writes the dataset, every record changed by ``change``."""
    folder, entries, tally = Folder(str(path)), [], Tally()
    tally.came_in("photo", photos)
    tally.went_out("photo", photos)
    for shard in range(shards):
        mine = [n for n in range(photos) if shard_of_key(key_of(n), seed=SEED, shards=shards) == shard]
        samples = sorted((_sample(n, change, labels_only) for n in mine), key=lambda one: one.record.key)
        rows, files = write_samples(folder, shard_name(PREFIX, shard), samples)
        files.append(write_rejects(folder, rejects_name(shard), []))
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
        part = Tally()
        part.came_in("photo", rows)
        part.went_out("photo", rows)
        stats = ShardStats(
            shard=shard, rows=rows, files=files, accounting=part.to_builtins(), config_hash=config_hash, seconds=0.5
        )
        write_stats(folder, PREFIX, stats)
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="shown", tool_version="0", prefix=PREFIX, split="train", seed=SEED,
            config={"metadata_only": labels_only}, config_hash=config_hash, inputs=[], exclusions=[],
            accounting=tally.to_builtins(), rows=photos, shards=entries, rejects=[],
        ),
    )  # fmt: skip
    return path


def _sample(number: int, change: Change, labels_only: bool) -> Sample:
    one = change(record(number))
    if labels_only:
        return Sample(replace(one, image=replace(one.image, sha256=None)), None)
    return Sample(one, photo(number))
