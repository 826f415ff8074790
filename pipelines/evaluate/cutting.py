"""What of a shard's boxes some protocol of LVIS can look at: the best of every photo, and of every class."""

from collections.abc import Iterator, Mapping

import numpy as np

from pipelines.evaluate.predictions import Answer
from xdetr_model.evaluate.columns import Found, best_of_each
from xdetr_model.evaluate.lvis import MOST_OF_A_CLASS, MOST_OF_A_PHOTO

MOST_ROWS = 4_000_000  # in memory before they are cut, some 250 MB


class LvisCut:
    """Boxes of photos, cut whenever they are many. What no protocol can look at in the shard, none can over all shards.

    Without this 5,000 photos with 300 boxes for each of 1,203 names were 1.8 thousand million rows.
    """

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self._most_rows = most_rows
        self._keys: list[str] = []
        self._kept: list[Found] = []
        self._rows = 0

    def add(self, key: str, answers: Mapping[int, Answer]) -> None:
        """All that was found on a photo, by number of the class."""
        counts = [len(one.scores) for one in answers.values()]
        label = np.repeat(np.array(list(answers), np.int64), counts)
        found = Found(
            photo=np.full(len(label), len(self._keys), np.int64),
            label=label,
            boxes_xyxy=np.concatenate([np.zeros((0, 4)), *(one.boxes_xyxy for one in answers.values())]),
            # as they are kept: what float32 makes equal is equal here, too
            scores=np.concatenate([np.zeros(0), *(one.scores for one in answers.values())])
            .astype(np.float32)
            .astype(np.float64),
        )
        self._keys.append(key)
        self._kept.append(found)
        self._rows += len(label)
        if self._rows > self._most_rows:
            self._cut()

    def photos(self) -> Iterator[tuple[str, dict[int, Answer]]]:
        """What is left of every photo, in their order; each class's boxes best first."""
        self._cut()
        [found] = self._kept
        ends = np.searchsorted(found.photo, np.arange(len(self._keys) + 1))
        for number, key in enumerate(self._keys):
            rows = np.arange(ends[number], ends[number + 1])
            rows = rows[np.lexsort((-found.scores[rows], found.label[rows]))]
            labels, begins = np.unique(found.label[rows], return_index=True)
            parts = np.split(rows, begins[1:]) if len(labels) else []
            yield (
                key,
                {
                    int(label): Answer(boxes_xyxy=found.boxes_xyxy[part], scores=found.scores[part])
                    for label, part in zip(labels, parts, strict=True)
                },
            )

    def _cut(self) -> None:
        from pipelines.evaluate.tasks.lvis import join

        found = join(self._kept)
        rows = np.union1d(
            best_of_each(found.photo, found.scores, MOST_OF_A_PHOTO),
            best_of_each(found.label, found.scores, MOST_OF_A_CLASS),
        )
        self._kept = [found.take(rows)]
        self._rows = len(rows)
