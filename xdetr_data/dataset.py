"""A finished dataset as a Python object: samples by key or in order, labels and rejects as data frames.

from xdetr_data import open_dataset

dataset = open_dataset("shards/mixed-star")
dataset["coco_000000581857"].record.queries
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from xdetr_data.errors import InputError, RecordError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.shards.index import Place, index_name
from xdetr_data.shards.places import read_places
from xdetr_data.shards.plan import homes_of_key
from xdetr_data.shards.reader import intact_labels, read_batches, read_keys, read_samples, sample_of, stems
from xdetr_data.shards.tar_stream import Member, TarDamage
from xdetr_data.shards.writer import Sample, shard_name
from xdetr_data.storage import Folder

if TYPE_CHECKING:
    import pandas as pd

    from xdetr_data.shards.tables import Rows

ROWS_PER_FRAME = 4096
_INDICES = 64  # of how many shards the index stays in memory: some MB


class UnknownKey(InputError, KeyError):
    """A dataset has no sample of this key."""

    __str__ = InputError.__str__  # KeyError would put the message in quotes


def open_dataset(address: str) -> Dataset:
    """The finished dataset at a path or any fsspec address; raises InputError where there is none.

    Reads the manifest alone.
    """
    folder = Folder(str(address))
    return Dataset(folder, read_manifest(folder))


@dataclass(frozen=True, eq=False)
class Dataset(Mapping[str, Sample]):
    """Key → sample, a mapping: ``len``, ``in``, ``keys``, ``get``, ``items``. Nothing is read before it is asked for.

    A sample has its ``record`` and its ``photo`` (None with ``--metadata-only``). Anything that is damaged raises
    InputError in one line that names the file.
    """

    folder: Folder
    manifest: Manifest

    def __len__(self) -> int:
        """How many samples the manifest states."""
        return self.manifest.rows

    def __iter__(self) -> Iterator[str]:
        """All keys, shard by shard, from the labels' Parquet files."""
        return iter(read_keys(self.folder, self.manifest))

    def __contains__(self, key: object) -> bool:
        """Whether there is a sample of this key; reads one shard's index."""
        return isinstance(key, str) and self._find(key) is not None

    def __getitem__(self, key: str) -> Sample:
        """One sample: its shard by the key's hash, its place by the shard's index, then one read of its bytes alone.

        A dataset without index (made before there were any) costs a walk over the headers of the shard's tar instead,
        once. Raises UnknownKey, which is a KeyError.
        """
        found = self._find(key) if isinstance(key, str) else None
        if found is None:
            raise UnknownKey(f"{self.folder.url}: has no sample {key!r}; keys() lists those that it has")
        stem, place = found
        name = f"{stem}.tar"
        begin, count = place.extent
        data = self.folder.read_range(name, begin, count)
        try:
            sample = sample_of(key, [_member(place, suffix, data) for suffix in place.members])
            if sample.record.key != key:
                raise RecordError(f"the labels at byte {place.members['json'][0]} are those of {sample.record.key!r}")
        except (TarDamage, RecordError) as error:
            raise InputError(
                f"{self.folder.path(name)}: {error}; see 'xdetr-data validate {self.folder.url}'"
            ) from error
        return sample

    def samples(self) -> Iterator[Sample]:
        """All samples in the order of the shards, one at a time in memory."""
        for stem in stems(self.manifest):
            yield from read_samples(self.folder, stem)

    def to_pandas(self, rows: Rows = "labels") -> pd.DataFrame:
        """All labels as one data frame; what a row and the columns are: ``xdetr_data/shards/tables.py``.

        It is in memory as a whole; ``frames`` gives it shard by shard.
        """
        import pandas as pd

        from xdetr_data.shards.tables import empty

        frames = [*self.frames(rows)] or [empty(rows)]
        return pd.concat(frames, ignore_index=True)

    def frames(self, rows: Rows = "labels") -> Iterator[pd.DataFrame]:
        """The data frame of ``to_pandas`` in pieces of some thousand samples, for datasets larger than the memory."""
        from xdetr_data.shards.tables import frame

        for stem in stems(self.manifest):
            with intact_labels(self.folder, stem):
                for batch in read_batches(self.folder, stem, rows=ROWS_PER_FRAME):
                    yield frame(batch, rows)

    def rejects(self) -> pd.DataFrame:
        """Everything that was dropped: ``key, unit, stage, reason, detail, input_ref``, one row each."""
        import pandas as pd

        from xdetr_data.record import Rejected

        files = [file for entry in self.manifest.shards for file in entry.files] + self.manifest.rejects
        names = [one.name.removesuffix(".parquet") for one in files if one.name.startswith("rejects/")]
        frames = [
            batch.to_pandas() for name in sorted(names) for batch in read_batches(self.folder, name, rows=1 << 16)
        ]
        columns = list(Rejected.__struct_fields__)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns, dtype="str")

    def __reduce__(self) -> tuple[type[Dataset], tuple[Folder, Manifest]]:
        """What was read does not travel to another process."""
        return Dataset, (self.folder, self.manifest)

    def _find(self, key: str) -> tuple[str, Place] | None:
        """Stem of the shard that has a key, by its hash, and the place there."""
        if not self.manifest.shards:
            return None
        for shard in homes_of_key(key, seed=self.manifest.seed, layers=self.manifest.shard_layers):
            stem = shard_name(self.manifest.prefix, shard)
            if (place := self._places(stem).get(key)) is not None:
                return stem, place
        return None

    @cached_property
    def _places(self) -> Callable[[str], dict[str, Place]]:
        """Stem → key → place, of the shards that were asked for last."""
        has_index = {file.name for entry in self.manifest.shards for file in entry.files}

        def read(stem: str) -> dict[str, Place]:
            places = read_places(self.folder, stem, has_index=index_name(stem) in has_index)
            return {place.key: place for place in places}

        return lru_cache(_INDICES)(read)


def _member(place: Place, suffix: str, data: bytes) -> Member:
    """A member out of the stretch of the tar that holds all of its sample."""
    offset, size = place.members[suffix]
    begin = offset - place.extent[0]
    return Member(name=f"{place.key}.{suffix}", data=data[begin : begin + size], offset=offset)
