"""Small datasets as the recipes build them: LVIS with a vocabulary and absences, Flickr30k with chains, RefCOCO."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.data.tiny_dataset import SIZE_HW, jpeg
from xdetr_data.accounting import Tally
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.shards.writer import Sample, shard_name, write_samples
from xdetr_data.storage import Folder
from xdetr_data.vocabulary import NamedClass, class_detail

HEIGHT, WIDTH = SIZE_HW
SHARDS, SEED = 3, 3
VOCABULARY = tuple(
    NamedClass(id=10 * (number + 1), name=name, text=name, frequency=frequency)
    for number, (name, frequency) in enumerate((("ball", "f"), ("box", "c"), ("cat", "r"), ("dog", "f")))
)
ONE = Provenance(source="made")


def region(rng: np.random.Generator) -> Region:
    low = rng.integers(0, [WIDTH - 9, HEIGHT - 9])
    side = rng.integers(4, 9, 2)
    return Region(box_xyxy=(*map(float, low), *map(float, low + side)), provenance=ONE)


def lvis_record(key: str) -> GroundedImage:
    rng = np.random.default_rng(int(key[-3:]))
    regions = tuple(region(rng) for _ in range(4))
    classes = rng.permutation(len(VOCABULARY))
    named = [((0, 1), True), ((2,), True), ((3,), False), ((), True)]
    queries = tuple(
        Query(
            text=VOCABULARY[number].text,
            group="g",
            is_exhaustive=is_exhaustive,
            phrases=(
                Phrase(
                    spans=((0, len(VOCABULARY[number].text)),),
                    regions=own,
                    provenance=Provenance(source="made", detail=class_detail(VOCABULARY[number].id)),
                ),
            ),
        )
        for number, (own, is_exhaustive) in zip(classes, named, strict=True)
    )
    return GroundedImage(key=key, image=_image(key), regions=regions, queries=queries)


def flickr_record(key: str) -> GroundedImage:
    rng = np.random.default_rng(int(key[-3:]))
    regions = tuple(region(rng) for _ in range(3))
    details = ("EN#1/people/clothing", "EN#2/animals", "EN#3/scene")
    phrases = tuple(
        Phrase(spans=(span,), regions=own, provenance=Provenance(source="made", detail=detail))
        for span, own, detail in zip(((0, 8), (14, 23), (27, 35)), ((0, 1), (2,), ()), details, strict=True)
    )
    query = Query(text="two boys with a red dog at the beach.", group="g", phrases=phrases)
    return GroundedImage(key=key, image=_image(key), regions=regions, queries=(query,))


def refcoco_record(key: str) -> GroundedImage:
    rng = np.random.default_rng(int(key[-3:]))
    regions = tuple(region(rng) for _ in range(2))
    texts = ("left red ball", "the blue ball")
    queries = tuple(
        Query(text=text, group="g", phrases=(Phrase(spans=((0, len(text)),), regions=(number,), provenance=ONE),))
        for number, text in enumerate(texts)
    )
    return GroundedImage(key=key, image=_image(key), regions=regions, queries=queries)


def labelled_record(key: str) -> GroundedImage:
    """Flickr's, as a model might label it: every other phrase moved, each with a score."""
    true = flickr_record(key)
    number = int(key[-3:])
    moved = tuple(
        one if (number + i) % 2 else msgspec.structs.replace(one, box_xyxy=(0.0, 0.0, 3.0, 3.0))
        for i, one in enumerate(true.regions)
    )
    [query] = true.queries
    phrases = tuple(msgspec.structs.replace(one, score=number / 10) for one in query.phrases)
    return msgspec.structs.replace(true, regions=moved, queries=(msgspec.structs.replace(query, phrases=phrases),))


def _image(key: str) -> ImageRef:
    return ImageRef(file_name=f"{key}.jpg", source="coco", size_hw=SIZE_HW)


def write_set(
    path: Path, make: Any, *, photos: int = 9, config: dict[str, Any] | None = None, split: str = "val"
) -> Path:
    """A finished dataset of such records."""
    folder, entries = Folder(str(path)), []
    keys = [f"coco_{number:012d}" for number in range(1, photos + 1)]
    for shard in range(SHARDS):
        samples = []
        for key in keys:
            if shard_of_key(key, seed=SEED, shards=SHARDS) == shard:
                found = check_photo(jpeg(int(key[-3:])), key)
                assert isinstance(found, Photo)
                record = make(key)
                image = msgspec.structs.replace(record.image, sha256=found.sha256)
                samples.append(Sample(msgspec.structs.replace(record, image=image), found))
        rows, files = write_samples(folder, shard_name("made", shard), samples)
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="made", tool_version="0", prefix="made", split=split, seed=SEED,
            config=config or {}, config_hash=path.name, inputs=[], exclusions=[], accounting=Tally().to_builtins(),
            rows=photos, shards=entries, rejects=[],
        ),
    )  # fmt: skip
    return path


def write_sets(folder: Path) -> dict[str, Path]:
    """All three, by task."""
    vocabulary = msgspec.to_builtins(VOCABULARY)
    return {
        "lvis": write_set(folder / "lvis", lvis_record, config={"vocabulary": vocabulary}),
        "flickr30k": write_set(folder / "flickr30k", flickr_record),
        "labelled": write_set(folder / "labelled", labelled_record),
        "refcoco": write_set(folder / "refcoco", refcoco_record, split="testA"),
    }
