"""One pass over the labels of a dataset: which photos it holds, which labels score lowest, how the trace agrees.

What stays in memory is 8 bytes a photo and the few labels that were asked for.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xdetr_data.manifest import Manifest
from xdetr_data.shards.reader import intact_labels, read_batches, stems
from xdetr_data.statistics.distributions import Binned, Sums
from xdetr_data.statistics.statistics import ROWS_PER_BATCH, SCORE_EDGES
from xdetr_data.storage import Folder

COLUMNS = ("key", "queries.list.element.phrases")
_AGREEMENT = r"^trace (?P<value>[0-9]+(?:\.[0-9]+)?)"  # what ``pseudo-label --trace score|filter`` notes

Ranks = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, order=True)
class LabelAt:
    """A scored phrase with boxes: where it stands, as positions in its photo's queries and in its query's phrases."""

    score: float
    key: str
    query: int
    phrase: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScan:
    """What the pass found. ``ranks [photos]`` are the photos' places in the draw, sorted."""

    ranks: Ranks
    lowest: tuple[LabelAt, ...]
    agreement: Binned


def rank(key: str, seed: int) -> int:
    """Place of a photo in the draw of a seed: the same in every dataset that holds it, whatever else is there."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest())


def scan_labels(
    folder: Folder, manifest: Manifest, *, seed: int, lowest: int, advance: Callable[[int], None]
) -> LabelScan:
    """Reads keys and phrases of all shards; raises InputError for damaged labels."""
    sums = Sums()
    ranks: list[Ranks] = [np.empty(0, np.uint64)]
    best: list[LabelAt] = []
    for stem in stems(manifest):
        with intact_labels(folder, stem):
            for batch in read_batches(folder, stem, COLUMNS, ROWS_PER_BATCH):
                keys = batch["key"].to_pylist()
                ranks.append(np.array([rank(key, seed) for key in keys], np.uint64))
                best = heapq.nsmallest(lowest, chain(best, _lowest(batch, keys, lowest)))
                sums.real("agreement", _agreement(batch), SCORE_EDGES)
                advance(batch.num_rows)
    return LabelScan(
        ranks=np.sort(np.concatenate(ranks)), lowest=tuple(best), agreement=sums.binned("agreement", SCORE_EDGES)
    )


def keys_of(folder: Folder, manifest: Manifest, ranks: Ranks, seed: int) -> list[str]:
    """Keys of the photos with these ranks, in the order of the draw."""
    wanted = set(ranks.tolist())
    found: dict[int, str] = {}
    for stem in stems(manifest) if wanted else ():
        for batch in read_batches(folder, stem, ("key",), 1 << 16):
            for key in batch["key"].to_pylist():
                if (place := rank(key, seed)) in wanted:
                    found[place] = key
        if len(found) == len(wanted):
            break
    return [found[place] for place in sorted(found)]


def _phrases(batch: pa.RecordBatch) -> pa.StructArray:
    return batch["queries"].flatten().field("phrases").flatten()


def _agreement(batch: pa.RecordBatch) -> NDArray[np.float64]:
    details = _phrases(batch).field("provenance").field("detail")
    values = pc.struct_field(pc.extract_regex(details, _AGREEMENT), "value")
    return np.asarray(pc.cast(pc.drop_null(values), pa.float64()).to_numpy(zero_copy_only=False))


def _lowest(batch: pa.RecordBatch, keys: list[str], count: int) -> Iterator[LabelAt]:
    """The lowest scores of a batch, and all that equal the highest of them, so that ties do not depend on batches."""
    phrases = _phrases(batch)
    scores = phrases.field("score").to_numpy(zero_copy_only=False).astype(np.float64)
    has_boxes = pc.list_value_length(phrases.field("regions")).to_numpy(zero_copy_only=False) > 0
    places = np.flatnonzero(has_boxes & ~np.isnan(scores))
    if not count or not len(places):
        return
    if len(places) > count:
        places = places[scores[places] <= np.partition(scores[places], count - 1)[count - 1]]
    photo, query = _place_in_lists(pc.list_value_length(batch["queries"]))
    of_query, phrase = _place_in_lists(pc.list_value_length(batch["queries"].flatten().field("phrases")))
    for place in places.tolist():
        owner = of_query[place]
        yield LabelAt(float(scores[place]), keys[photo[owner]], int(query[owner]), int(phrase[place]))


def _place_in_lists(lengths: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each item of flattened lists: the list that it is in, and its position there."""
    sizes = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
