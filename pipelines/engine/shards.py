"""The shards: each is read from the spills, built photo by photo, and written; the same bytes whoever does it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.engine.outcome import Ledger, Outcome, PhotoToBuild
from pipelines.engine.recipe import Build, Samples
from pipelines.execution import no_cycle_collector
from pipelines.progress import telling
from xdetr_data.photos.look_alikes import stage_of, unlike
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.record import ImageRef
from xdetr_data.shards.photo_index import Codes
from xdetr_data.shards.spill import PLACE_FIELDS, read_spills
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    finish_shard,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
    write_table,
)
from xdetr_data.sources.elements import PhotoElements, SpilledElements
from xdetr_data.sources.protocol import Source
from xdetr_data.storage import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardElements:
    """What the inputs say of the photos of any shard.

    Attributes:
        photos: the plan's table, ``shard`` the shard of each row.
        spills: names by the input that each spill is of.
    """

    out: Folder
    photos: pa.Table
    shard: Codes
    sources: Sequence[Source]
    spills: Mapping[int, Sequence[str]]

    def of(self, shard: int) -> Iterator[tuple[dict[str, Any], PhotoElements]]:
        """Each photo's row of the table, with its elements, in the order of the keys."""
        places = [[(one.label, kind.array, kind.unit) for kind in one.kinds] for one in self.sources]
        spilled = [self._read(schema, shard) for schema in {source.schema: None for source in self.sources}]
        rows = np.flatnonzero(self.shard == shard)
        for row, about in zip(rows.tolist(), self.photos.take(pa.array(rows)).to_pylist(), strict=True):
            elements = PhotoElements()
            for one in spilled:
                one.add_to(elements, row, places)
            yield about, elements

    def _read(self, schema: pa.Schema, shard: int) -> SpilledElements:
        """The shard's rows of all sources of a schema."""
        files = [file for file, source in enumerate(self.sources) if source.schema == schema]
        spills = [spill for file in files for spill in self.spills.get(file, ())]
        return SpilledElements(
            read_spills(self.out, spills, shard, pa.schema([*PLACE_FIELDS, *schema])).combine_chunks()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltSamples:
    """The samples of a recipe without a model: built from what the inputs say."""

    elements: ShardElements
    build: Build
    options: Any
    has_photos: bool

    def __call__(self, shard: int, ledger: Ledger) -> Iterator[Sample]:
        """Samples of a shard in the order of their keys."""
        for about, elements in self.elements.of(shard):
            photo = self._photo(about)
            if isinstance(photo, BadPhoto):
                rejects = elements.rejected(about["key"], stage_of(photo), photo.reason, photo.detail)
                ledger.enter(Outcome(key=about["key"], rejects=rejects))
                continue
            stated_hw = (about["height"], about["width"])
            image = ImageRef(
                file_name=about["file_name"] if about["offset"] is None else f"{about['file_name']}.{photo.suffix}",
                source=about["source"],
                size_hw=stated_hw if photo is None else photo.size_hw,
                sha256=None if photo is None else photo.sha256,
            )
            to_build = PhotoToBuild(key=about["key"], image=image, stated_hw=stated_hw)
            outcome = self.build(to_build, elements, self.options)
            ledger.enter(outcome, elements)
            if outcome.record is not None:
                yield Sample(outcome.record, photo)

    def _photo(self, about: Mapping[str, Any]) -> Photo | BadPhoto | None:
        """The photo, why it cannot be used, or None where there are none and the stated size is one."""
        if not self.has_photos:
            size = f"stated size {about['width']}x{about['height']}"
            return BadPhoto(reason="bad-size", detail=size) if min(about["height"], about["width"]) < 1 else None
        if about["address"] is None:
            return BadPhoto(reason=about["problem"], detail=about["detail"])
        photo = read_photo(about["address"], offset=about["offset"], size=about["bytes"])
        return unlike(photo, self.options.exclude_like)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """What every shard of the run shares; ``tables`` are schemas of further tables, by name."""

    out: Folder
    prefix: str
    config_hash: str
    samples: Samples
    tables: Mapping[str, pa.Schema]


def build_shard(context: ShardContext, shard: int) -> ShardStats:
    """Writes the files of one shard, its done-marker last; the same bytes whoever builds it, and when."""
    started = time.monotonic()
    ledger = Ledger()
    with no_cycle_collector():
        samples = context.samples(shard, ledger)
        stem = shard_name(context.prefix, shard)
        rows, files = write_samples(context.out, stem, telling(context.out, stem, samples))
    files.append(write_rejects(context.out, rejects_name(shard), ledger.rejects))
    for name, schema in context.tables.items():
        files.append(write_table(context.out, f"{name}/{shard:06d}.parquet", ledger.tables.get(name, []), schema))
    return finish_shard(
        context.out,
        context.prefix,
        shard,
        rows=rows,
        files=files,
        tally=ledger.tally,
        config_hash=context.config_hash,
        started=started,
    )
