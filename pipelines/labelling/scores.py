"""The scores of a dataset's labels, told at the end of a run: what a threshold is chosen by."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines import console
from xdetr_data.manifest import Manifest
from xdetr_data.shards.reader import read_batches, stems
from xdetr_data.storage import Folder

_COLUMN = "queries.list.element.phrases.list.element.score"
_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def say_scores(folder: Folder, manifest: Manifest) -> None:
    """One line with the quantiles of the scores of all phrases that have a label; InputError where they are damaged."""
    found = [_scores(batch) for stem in stems(manifest) for batch in read_batches(folder, stem, [_COLUMN])]
    scores = np.concatenate([np.zeros(0), *found])
    if not len(scores):
        console.say("no phrase has a label, so there are no scores")
        return
    told = " · ".join(
        f"{name} {value:.3f}"
        for name, value in zip(
            ("least", "5 %", "25 %", "half", "75 %", "95 %", "most"), np.quantile(scores, _SHARES), strict=True
        )
    )
    console.say(f"scores of the {len(scores):,} labelled phrases: {told}   (--score-threshold of rethreshold)")


def _scores(batch: pa.RecordBatch) -> NDArray[np.float64]:
    phrases = pc.struct_field(pc.list_flatten(batch["queries"]), "phrases")
    scores = pc.struct_field(pc.list_flatten(phrases), "score")
    return np.asarray(pc.drop_null(scores).to_numpy(zero_copy_only=False), np.float64)
