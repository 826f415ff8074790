"""One shard of a captions build: read its spills, join captions by photo, read the photos out of their tars, write."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import fsspec
import numpy as np
import pyarrow as pa

from pipelines.captions.partition import line_ref
from pipelines.execution import no_cycle_collector
from pipelines.job import finish_shard
from pipelines.outcome import Outcome
from xdetr_data.accounting import Tally
from xdetr_data.photos import BadPhoto, Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Query, Rejected
from xdetr_data.shards.spill import read_spills
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
)
from xdetr_data.sources.framing.json_stream import Unreadable
from xdetr_data.sources.web_captions import parse_line
from xdetr_data.storage import Folder

READ_PHOTO, READ_CAPTION = "read_photo", "read_caption"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """What every shard of the run shares; ``photos`` is the plan's table, ``labels`` the names of the TSVs."""

    out: Folder
    prefix: str
    source: str
    config_hash: str
    photos: pa.Table
    labels: list[str]
    spills: list[str]


@dataclass(frozen=True, slots=True)
class Told:
    """A line that speaks of a photo, and where it stands."""

    where: str
    line: bytes


def build_shard(context: ShardContext, shard: int) -> ShardStats:
    """Writes the files of one shard, its done-marker last; the same bytes whoever builds it, and when."""
    started = time.monotonic()
    tally = Tally()
    rejects: list[Rejected] = []
    with no_cycle_collector():
        rows, files = write_samples(
            context.out, shard_name(context.prefix, shard), _samples(context, shard, tally, rejects)
        )
    files.append(write_rejects(context.out, rejects_name(shard), rejects))
    return finish_shard(
        context.out,
        context.prefix,
        shard,
        rows=rows,
        files=files,
        tally=tally,
        config_hash=context.config_hash,
        started=started,
    )


def _samples(context: ShardContext, shard: int, tally: Tally, rejects: list[Rejected]) -> Iterator[Sample]:
    """Samples of a shard in the order of their keys."""
    names = context.photos.column_names
    for row, told in _captions(context, shard):
        about = {name: context.photos[name][row].as_py() for name in names}
        photo = read_member(about["address"], about["offset"], about["bytes"])
        outcome = build_photo(about["key"], about["file_name"], context.source, photo, told)
        outcome.count_into(tally)
        rejects += outcome.rejects
        if outcome.record is not None and isinstance(photo, Photo):
            yield Sample(outcome.record, photo)


def read_member(address: str, offset: int, size: int) -> Photo | BadPhoto:
    """The photo that lies in a tar at this place; never raises for a bad one."""
    try:
        with fsspec.open(address, "rb").open() as stream:
            stream.seek(offset)
            data: bytes = stream.read(size)
    except OSError as error:
        return BadPhoto(reason="missing-photo", detail=f"{address}: {error.strerror or error}")
    return check_photo(data, address)


def build_photo(key: str, file_name: str, source: str, photo: Photo | BadPhoto, told: Sequence[Told]) -> Outcome:
    """A photo's record: each different caption of it is a query of its own."""
    outcome = Outcome()
    if isinstance(photo, BadPhoto):
        outcome.rejects.append(
            Rejected(key=key, unit="photo", stage=READ_PHOTO, reason=photo.reason, detail=photo.detail)
        )
        outcome.rejects += [_reject(key, one, READ_PHOTO, photo.reason) for one in told]
        return outcome
    queries: dict[str, Query] = {}
    for one in told:
        parsed = parse_line(one.line)
        assert not isinstance(parsed, Unreadable), "the partition keeps unreadable lines out of the spills"
        if not parsed.text:
            outcome.rejects.append(_reject(key, one, READ_CAPTION, "empty-caption"))
        elif parsed.text in queries:
            outcome.rejects.append(_reject(key, one, READ_CAPTION, "duplicate-caption"))
        else:
            queries[parsed.text] = Query(text=parsed.text, group=one.where)
    if not queries:
        reason = "no-caption-left"
        outcome.rejects.append(Rejected(key=key, unit="photo", stage=READ_CAPTION, reason=reason))
        return outcome
    image = ImageRef(file_name=f"{file_name}.{photo.suffix}", source=source, size_hw=photo.size_hw, sha256=photo.sha256)
    outcome.record = GroundedImage(key=key, image=image, queries=tuple(queries.values()))
    outcome.use("photo")
    outcome.use("caption", len(queries))
    return outcome


def _reject(key: str, told: Told, stage: str, reason: str) -> Rejected:
    return Rejected(key=key, unit="caption", stage=stage, reason=reason, input_ref=told.where)


def _captions(context: ShardContext, shard: int) -> Iterator[tuple[int, list[Told]]]:
    """Rows of the photo table with their lines, in order."""
    table = read_spills(context.out, context.spills, shard).combine_chunks()
    photo, file, row = (table[name].to_numpy() for name in ("photo", "file", "row"))
    begins = np.flatnonzero(np.diff(photo, prepend=-1)).tolist()
    for begin, end in pairwise([*begins, len(photo)]):
        lines = table["element"].slice(begin, end - begin).to_pylist()
        places = zip(file[begin:end].tolist(), row[begin:end].tolist(), lines, strict=True)
        yield int(photo[begin]), [Told(line_ref(context.labels[f], r), line) for f, r, line in places]
