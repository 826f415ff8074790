"""The plan: which photos, which shard each belongs to, and where every element of the inputs goes.

Reads the ids of all inputs, each once, in bounded memory and several at a time; nothing else is interpreted before its
shard.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from pipelines import console
from pipelines.engine.recipe import Recipe
from pipelines.engine.scan import Scan, scan
from pipelines.execution import Executor
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError
from xdetr_data.record import Rejected
from xdetr_data.shards.photo_index import Codes, Index
from xdetr_data.shards.plan import place_in_shards
from xdetr_data.sources.framing.files import ChunkRange, input_bytes
from xdetr_data.sources.places import Containers, Roots
from xdetr_data.sources.protocol import FoundPhoto, Kind, PhotoSource, Source
from xdetr_data.stages.choose_photos import Candidate, Choice, brought_photos, choose_photos, locate, named_photos
from xdetr_data.stages.exclude_images import Ledger, exclude_images


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """An input: its chunks, the photo of each element that introduces one, and of the ids that others hang on."""

    source: Source
    ranges: list[ChunkRange]
    photo_of_row: Codes
    parents: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the partition and the shards need.

    Attributes:
        photos: of ``PHOTO_SCHEMA``, every photo that is built, ordered by key; ``shard`` is the shard of each row.
        index: the names of all photos that came up, with their rows or why they have none.
        rejects: what never reaches a shard; ``tally`` counts it, and everything that came in.
    """

    photos: pa.Table
    shard: Codes
    shards: int
    inputs: list[InputPlan]
    index: Index
    ledger: Ledger
    tally: Tally
    rejects: list[Rejected]
    photo_bytes: int
    label_bytes: int

    @property
    def per_shard(self) -> list[int]:
        """How many photos each shard is made from."""
        counts: list[int] = np.bincount(self.shard, minlength=self.shards).tolist()
        return counts

    @property
    def digest(self) -> str:
        """A hash of which photos (key, file name, size in bytes, other names) are in which shard."""
        is_built = self.index.codes >= 0
        digest = hashlib.sha256(self.shard.tobytes())
        digest.update(self.index.keys[is_built].tobytes() + self.index.codes[is_built].tobytes())
        for name in ("key", "file_name", "bytes"):
            digest.update(msgspec.json.encode(self.photos[name].to_pylist()))
        return digest.hexdigest()


def make_plan(recipe: Recipe, run: Executor) -> Plan:
    """Reads the inputs' ids and decides where everything goes.

    Raises InputError for a file of another format, ConfigError for a source without a root or two inputs of one name.
    """
    _check_labels(recipe.sources)
    options = recipe.options
    scans = _scan_all(recipe.sources, run)
    choice, ledger = _choose(recipe, scans, run)
    photos, index = choice.tables()
    inputs = [_resolve(source, one, index) for source, one in zip(recipe.sources, scans, strict=True)]
    for one in scans:
        choice.tally.add(one.tally)
    sizes, label_bytes = photos["bytes"].to_pylist(), _label_bytes(inputs, scans, photos.num_rows)
    about = {"seed": options.seed, "shard_bytes": options.shard_bytes, "kept": recipe.kept}
    shard, shards = place_in_shards(photos["key"].to_pylist(), sizes, label_bytes, **about)
    return Plan(
        photos=photos,
        shard=shard,
        shards=shards,
        inputs=inputs,
        index=index,
        ledger=ledger,
        tally=choice.tally,
        rejects=[reject for one in scans for reject in one.rejects] + choice.rejects,
        photo_bytes=sum(sizes),
        label_bytes=label_bytes,
    )


def _check_labels(sources: Sequence[Source]) -> None:
    for label, count in Counter(source.label for source in sources).items():
        if count > 1:
            raise ConfigError(
                f"{count} inputs are called {label!r}, so that no label could say where it came from; rename one"
            )


def _scan_all(sources: Sequence[Source], run: Executor) -> list[Scan]:
    sizes = [input_bytes(one.path, or_folder=one.may_be_folder) for one in sources]
    found: dict[int, Scan] = {}
    with console.progress("reading ids", sum(sizes), is_bytes=True) as advance:
        for number, one in run(scan, None, list(enumerate(sources))):
            found[number] = one
            advance(sizes[number])
    return [found[number] for number in range(len(sources))]


def _choose(recipe: Recipe, scans: Sequence[Scan], run: Executor) -> tuple[Choice, Ledger]:
    places = recipe.photos
    if isinstance(places, Containers):
        labelled = pa.concat_arrays([one.names for one in scans])
        candidates = brought_photos(places, _list_all(places.containers, run), labelled)
    else:
        candidates = named_photos(pair for one in scans for pair in zip(one.names.to_pylist(), one.stated, strict=True))
    verdicts, ledger = exclude_images([(one.source, one.id) for one in candidates], recipe.lists or ())
    if isinstance(places, Roots) and places.must_be_there:
        candidates = _locate(candidates, places)
    choice = choose_photos(candidates, verdicts, places, recipe.options.limit)
    if isinstance(places, Roots) and not places.must_be_there:
        choice.photos = _locate(choice.photos, places)
    return choice, ledger


def _locate(photos: list[Candidate], roots: Roots) -> list[Candidate]:
    return locate(photos, roots.find(photo.source for photo in photos))


def _list_all(containers: Sequence[PhotoSource], run: Executor) -> Iterator[tuple[PhotoSource, list[FoundPhoto]]]:
    found: dict[str, list[FoundPhoto]] = {}
    with console.progress("listing photos", len(containers)) as advance:
        for path, photos in run(_list, None, list(containers)):
            found[path] = photos
            advance(1)
    return ((container, found[container.path]) for container in containers)


def _list(_: None, container: PhotoSource) -> tuple[str, list[FoundPhoto]]:
    return container.path, list(container.photos())


def _resolve(source: Source, one: Scan, index: Index) -> InputPlan:
    """Replaces positions among the input's own photos by rows of the photo table, or by codes."""
    codes = index.find(one.names)

    def renumber(rows: Codes) -> Codes:
        return np.where(rows >= 0, codes[np.maximum(rows, 0)], rows).astype(np.int32) if len(codes) else rows

    return InputPlan(
        source=source,
        ranges=one.ranges,
        photo_of_row=renumber(one.photo_of_row),
        parents=Index(one.ids, renumber(one.row_of_id)),
    )


def _label_bytes(inputs: Sequence[InputPlan], scans: Sequence[Scan], photos: int) -> int:
    """About how many bytes of elements go to the shards."""
    total: Counter[Kind] = Counter()
    for one, found in zip(inputs, scans, strict=True):
        for chunk in one.ranges:
            kind = one.source.kinds[one.source.kind_of(chunk.name)]
            total[kind] += chunk.length if found.sizes is None else 0
        if found.sizes is not None:
            total[kind] += int(found.sizes[one.photo_of_row >= 0].sum())
    return sum(
        size if kind.bytes_per_photo is None else min(size, kind.bytes_per_photo * photos)
        for kind, size in total.items()
    )
