"""One shard of a mixed* build: read its spills, join, build each photo, read its bytes, write."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.execution import no_cycle_collector
from pipelines.job import finish_shard
from pipelines.mixed_star.config import MixedStarConfig
from pipelines.mixed_star.partition import ANNOTATIONS, BOXES, PARAGRAPHS
from pipelines.mixed_star.photo import AmbiguousCut, Element, MixedOutcome, PhotoElements, build_photo
from pipelines.outcome import Outcome
from xdetr_data.accounting import Tally
from xdetr_data.photos import BadPhoto, Photo, read_photo
from xdetr_data.record import ImageRef, Rejected
from xdetr_data.shards.spill import read_spills
from xdetr_data.shards.writer import (
    FileEntry,
    Sample,
    ShardStats,
    entry,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
)
from xdetr_data.storage import Folder

READ_PHOTO = "read_photo"
_ARRAYS = {PARAGRAPHS: "images", ANNOTATIONS: "annotations", BOXES: "annotations"}
_AMBIGUOUS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("group", pa.string()),
        ("offset", pa.int32()),
        ("is_cut", pa.bool_()),
        ("caption", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """What every shard of the run shares; ``photos`` is the plan's table, ``labels`` the names of the inputs."""

    out: Folder
    config: MixedStarConfig
    config_hash: str
    photos: pa.Table
    labels: list[str]
    spills: list[str]


@dataclass(slots=True)
class _Ledger:
    """What a shard collects besides its samples."""

    tally: Tally = field(default_factory=Tally)
    rejects: list[Rejected] = field(default_factory=list)
    ambiguous: list[AmbiguousCut] = field(default_factory=list)

    def enter(self, outcome: Outcome) -> None:
        outcome.count_into(self.tally)
        self.rejects += outcome.rejects
        if isinstance(outcome, MixedOutcome):
            self.ambiguous += outcome.ambiguous


def build_shard(context: ShardContext, shard: int) -> ShardStats:
    """Writes the files of one shard, its done-marker last; the same bytes whoever builds it, and when."""
    started = time.monotonic()
    ledger = _Ledger()
    stem = shard_name(context.config.prefix, shard)
    with no_cycle_collector():
        rows, files = write_samples(context.out, stem, _samples(context, shard, ledger))
    files.append(write_rejects(context.out, rejects_name(shard), ledger.rejects))
    files.append(_write_ambiguous(context.out, f"ambiguous/{shard:06d}.parquet", ledger.ambiguous))
    return finish_shard(
        context.out,
        context.config.prefix,
        shard,
        rows=rows,
        files=files,
        tally=ledger.tally,
        config_hash=context.config_hash,
        started=started,
    )


def _samples(context: ShardContext, shard: int, ledger: _Ledger) -> Iterator[Sample]:
    """Samples of a shard in the order of their keys."""
    config = context.config
    for row, inputs in _photos(context, shard):
        about = {name: context.photos[name][row].as_py() for name in context.photos.column_names}
        key, size_hw = about["key"], (about["height"], about["width"])
        photo: Photo | None = None
        if not config.metadata_only:
            found = (
                read_photo(about["address"])
                if about["address"]
                else BadPhoto(
                    reason="missing-photo",
                    detail=f"{about['file_name']} is not below the image root of {about['source']}",
                )
            )
            if isinstance(found, BadPhoto):
                ledger.enter(Outcome(rejects=inputs.rejected(key, READ_PHOTO, found.reason, found.detail)))
                continue
            photo, size_hw = found, found.size_hw
        elif min(size_hw) < 1:
            detail = f"stated size {size_hw[1]}x{size_hw[0]}"
            ledger.enter(Outcome(rejects=inputs.rejected(key, READ_PHOTO, "bad-size", detail)))
            continue
        image = ImageRef(
            file_name=about["file_name"],
            source=about["source"],
            size_hw=size_hw,
            sha256=None if photo is None else photo.sha256,
        )
        outcome = build_photo(key, image, inputs, config)
        ledger.enter(outcome)
        if outcome.record is not None:
            yield Sample(outcome.record, photo)


def _photos(context: ShardContext, shard: int) -> Iterator[tuple[int, PhotoElements]]:
    """Rows of the photo table with their elements, in order."""
    table = read_spills(context.out, context.spills, shard).combine_chunks()
    photo, file, kind, row = (table[name].to_numpy() for name in ("photo", "file", "kind", "row"))
    begins = np.flatnonzero(np.diff(photo, prepend=-1)).tolist()
    for begin, end in pairwise([*begins, len(photo)]):
        inputs = PhotoElements()
        lists = {PARAGRAPHS: inputs.paragraphs, ANNOTATIONS: inputs.annotations, BOXES: inputs.boxes}
        rows = zip(
            file[begin:end].tolist(),
            kind[begin:end].tolist(),
            row[begin:end].tolist(),
            table["element"].slice(begin, end - begin).to_pylist(),
            strict=True,
        )
        for one_file, one_kind, one_row, data in rows:
            lists[one_kind].append(Element(context.labels[one_file], _ARRAYS[one_kind], one_row, data))
        yield int(photo[begin]), inputs


def _write_ambiguous(folder: Folder, name: str, cuts: Sequence[AmbiguousCut]) -> FileEntry:
    with folder.writing(name) as sink:
        pq.write_table(pa.Table.from_pylist([asdict(cut) for cut in cuts], schema=_AMBIGUOUS_SCHEMA), sink)
    return entry(name, sink)
