"""What a step visits: photos, or paragraphs of photos, of the datasets of one source, numbered shard by shard."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from xdetr_data.loading.classes import Classes
from xdetr_data.loading.config import Unit
from xdetr_data.loading.shard_set import Location, ShardSet
from xdetr_data.vocabulary import has_vocabulary, vocabulary_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A sample, and of which of the source's datasets. ``paragraph``: which of the photo's groups in the order of its
    queries; None: the photo with a sample of its queries."""

    dataset: int
    location: Location
    paragraph: int | None = None


@dataclass(frozen=True, kw_only=True)
class Visits:
    """The visits of a source; shards are numbered through its datasets."""

    sets: tuple[ShardSet, ...]
    unit: Unit

    @cached_property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Visits by dataset and shard, as the manifests state (or, in old ones of paragraphs, as counted)."""
        return tuple(one.rows_per_shard if self.unit == "photo" else one.groups_per_shard for one in self.sets)

    @cached_property
    def classes(self) -> tuple[Classes | None, ...]:
        """The vocabulary of each dataset; None where it is none of classes. Raises InputError where it is damaged."""
        manifests = [one.manifest for one in self.sets]
        return tuple(Classes.of(vocabulary_of(one)) if has_vocabulary(one) else None for one in manifests)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(len(one.manifest.shards) for one in self.sets))

    def locate(self, shard: int, visit: int) -> Visit:
        """Where a visit's sample lies; raises InputError where its shard is damaged or holds others than stated."""
        dataset, own = self._own(shard)
        if self.unit == "photo":
            return Visit(dataset=dataset, location=self.sets[dataset].locate(own, visit))
        ends = self.sets[dataset].group_ends(own)
        row = int(np.searchsorted(ends, visit, side="right"))
        first = int(ends[row - 1]) if row else 0
        return Visit(dataset=dataset, location=self.sets[dataset].locate(own, row), paragraph=visit - first)

    def stand_in(self, shard: int, wanted: Visit, trial: int) -> Visit:
        """The sample that stands in for one that cannot be read: of the same shard, which is indexed, but no neighbour;
        another photo in every trial."""
        dataset, own = self._own(shard)
        one = self.sets[dataset]
        rows = one.rows_per_shard[own]
        row = (wanted.location.row + rows // 2 + trial) % rows
        if wanted.paragraph is None:
            return Visit(dataset=dataset, location=one.locate(own, row))
        count = int(np.diff(one.group_ends(own), prepend=0)[row])
        return Visit(dataset=dataset, location=one.locate(own, row), paragraph=wanted.paragraph % count)

    def read(self, visit: Visit) -> tuple[bytes, bytes | None]:
        """Bytes of a visit's labels and photo; raises OSError or InputError."""
        return self.sets[visit.dataset].read(visit.location)

    def _own(self, shard: int) -> tuple[int, int]:
        """The dataset of a shard, and the shard's position there."""
        dataset = int(np.searchsorted(self._ends, shard, side="right"))
        return dataset, shard - (self._ends[dataset - 1] if dataset else 0)
