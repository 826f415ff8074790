"""One pass over the labels of a dataset: which photos it holds, which labels score lowest, how the trace agrees, which
phrases are frequent, where boxes lie.

What stays in memory is 8 bytes a photo, the few labels that were asked for, and a bounded number of phrases.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.report.heat import CELLS, Grid, count_centres
from pipelines.report.phrases import Frequent, PhraseCounts
from xdetr_data.manifest import Manifest
from xdetr_data.shards.reader import intact_labels, read_batches, stems
from xdetr_data.shards.tables import BOX, Tables
from xdetr_data.statistics.collect import PHRASES, ROWS_PER_BATCH, SCORE_EDGES
from xdetr_data.statistics.distributions import Binned, Sums
from xdetr_data.storage import Folder

COLUMNS = (
    *("key", "image.height", "image.width", "queries.list.element.text"),
    *(f"regions.list.element.{name}" for name in ("box_xyxy", "provenance.source")),
    *(f"{PHRASES}.{name}" for name in ("spans", "regions", "score", "provenance.detail")),
)
MOST_FREQUENT = 30  # phrases that are shown
LABEL_AT = ("score", "key", "query_index", "phrase_index")  # columns in the order of ``LabelAt``
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
    """What the pass found. ``ranks [photos]`` are the photos' places in the draw, sorted; ``centres`` counts boxes by
    the cell of the photo in which their centre lies."""

    ranks: Ranks
    lowest: tuple[LabelAt, ...]
    agreement: Binned
    frequent: Frequent
    centres: Grid


def rank(key: str, seed: int) -> int:
    """Place of a photo in the draw of a seed: the same in every dataset that holds it, whatever else is there."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest())


def scan_labels(
    folder: Folder, manifest: Manifest, *, seed: int, lowest: int, advance: Callable[[int], None]
) -> LabelScan:
    """Reads keys and phrases of all shards; raises InputError for damaged labels."""
    sums = Sums()
    ranks: list[Ranks] = [np.empty(0, np.uint64)]
    best = pd.DataFrame(columns=list(LABEL_AT))
    said, centres = PhraseCounts(), np.zeros((CELLS, CELLS), np.int64)
    for stem in stems(manifest):
        with intact_labels(folder, stem):
            for batch in read_batches(folder, stem, COLUMNS, ROWS_PER_BATCH):
                tables = Tables(batch)
                ranks.append(np.array([rank(key, seed) for key in tables.photos["key"]], np.uint64))
                best = _sorted([best, _lowest(tables, lowest)]).head(lowest)
                sums.real("agreement", _agreement(tables.phrases["detail"]), SCORE_EDGES)
                said.add(tables.words())
                centres += _centres(tables)
                advance(batch.num_rows)
    return LabelScan(
        ranks=np.sort(np.concatenate(ranks)),
        lowest=tuple(LabelAt(*row) for row in best.itertuples(index=False)),
        agreement=sums.binned("agreement", SCORE_EDGES),
        frequent=said.most_frequent(MOST_FREQUENT),
        centres=centres,
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


def _centres(tables: Tables) -> Grid:
    sizes_hw = tables.photos[["height", "width"]].to_numpy()[tables.regions["photo"].to_numpy()]
    return count_centres(tables.regions[[*BOX]].to_numpy(), sizes_hw)


def _agreement(details: pd.Series) -> NDArray[np.float64]:
    found = pc.extract_regex(pa.array(details, pa.string()), _AGREEMENT)  # pandas' own goes string by string
    values = pc.cast(pc.drop_null(pc.struct_field(found, "value")), pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _lowest(tables: Tables, count: int) -> pd.DataFrame:
    """The lowest scores of a batch; of equal ones the first, which are those of the smallest keys: rows are sorted."""
    scores = tables.phrases["score"][tables.phrases["boxes"] > 0].dropna().nsmallest(count)
    labels = tables.phrases.loc[scores.index]
    return labels.join(tables.queries, on="query").join(tables.photos, on="photo")[list(LABEL_AT)]


def _sorted(labels: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([one for one in labels if len(one)] or labels[:1]).sort_values(list(LABEL_AT))
