"""The label rows of a shard's Parquet file, met in the order of its tar and compared byte for byte with its JSON."""

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.schema import MASKLESS_ARROW_SCHEMA, SAMPLE_ARROW_SCHEMA, SCHEMA_VERSION, rows_of
from xdetr_data.shards.reader import read_batches
from xdetr_data.storage import Folder
from xdetr_data.validation.labels import first_difference
from xdetr_data.validation.violation import BUILD_AGAIN, COPY_AGAIN, Violation, violation


class LabelRows:
    """Rows by key. While tar and Parquet have the same order, only one batch of rows is in memory."""

    def __init__(self, folder: Folder, stem: str) -> None:
        self.file = f"{stem}.parquet"
        self.violations: list[Violation] = []
        self.keys: list[str] = []
        self.is_readable = folder.exists(self.file)  # a missing file is named where the manifest's files are checked
        self._waiting: dict[str, bytes] = {}
        self._batches = self._read(folder, stem)

    def compare(self, key: str, labels: bytes, tar: str) -> None:
        """Takes the row of ``key`` and names the first field in which the tar's JSON differs from it."""
        while key not in self._waiting and next(self._batches, False):
            pass
        row = self._waiting.pop(key, None)
        if row == labels or not self.is_readable:
            return
        if row is None:
            self._breach("row-missing", f"has no row for a sample of {tar}", key)
            return
        difference = first_difference(msgspec.json.decode(row), msgspec.json.decode(labels))
        self._breach("row-differs", f"differs from {key}.json in {tar} at {difference or 'the order of fields'}", key)

    def skip(self, key: str) -> None:
        """Takes the row of a sample whose JSON cannot be compared."""
        while key not in self._waiting and next(self._batches, False):
            pass
        self._waiting.pop(key, None)

    def finish(self, tar: str, *, tar_is_whole: bool) -> None:
        """Reads the rest; rows that no sample met are violations, unless the tar was not read to its end."""
        for _ in self._batches:
            pass
        if tar_is_whole and self.is_readable:
            for key in self._waiting:
                self._breach("row-extra", f"has a row for which {tar} holds no sample", key)

    def _read(self, folder: Folder, stem: str) -> Iterator[bool]:
        if not self.is_readable:
            return
        try:
            for batch in read_batches(folder, stem):
                if not self._has_schema(batch):
                    return
                for row in rows_of(batch):
                    self._enter(row["key"], msgspec.json.encode(row))
                yield True
        except (InputError, pa.ArrowException, OSError, ValueError, MemoryError) as error:
            self.is_readable = False
            self.violations.append(
                violation(self.file, "parquet-unreadable", " ".join(str(error).split()), remedy=COPY_AGAIN)
            )

    def _has_schema(self, batch: pa.RecordBatch) -> bool:
        if batch.schema.equals(SAMPLE_ARROW_SCHEMA) or batch.schema.equals(MASKLESS_ARROW_SCHEMA):
            return True
        self.is_readable = False
        self._breach("parquet-schema", f"its columns are not those of schema {SCHEMA_VERSION}", "")
        return False

    def _enter(self, key: str, row: bytes) -> None:
        self.keys.append(key)
        if key in self._waiting:
            self._breach("key-twice", "has two rows of one key", key)
        self._waiting[key] = row

    def _breach(self, rule: str, what: str, key: str) -> None:
        self.violations.append(violation(self.file, rule, what, key=key, remedy=BUILD_AGAIN))
