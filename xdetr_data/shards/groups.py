"""How many paragraphs the samples of a shard have: what a trainer with ``unit: paragraph`` visits one by one.

A paragraph (narrative, caption, expression) is all queries of a photo that have one ``group``. A photo without queries
counts as one, for its boxes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xdetr_data.errors import InputError
from xdetr_data.storage import Folder

_COLUMN = "queries.list.element.group"


def groups_per_sample(folder: Folder, stem: str) -> NDArray[np.int64]:
    """Of each sample of a shard's Parquet file, in its order, ``[rows]``, at least 1.

    Reads that column alone. Raises InputError where the file cannot be read.
    """
    name = f"{stem}.parquet"
    try:
        with folder.open(name) as stream, pq.ParquetFile(stream) as parquet:
            counts = [_count(batch.column(0)) for batch in parquet.iter_batches(columns=[_COLUMN], use_threads=False)]
    except (pa.ArrowException, OSError, KeyError, IndexError) as error:
        raise InputError(f"{folder.path(name)}: cannot be read ({error}); build or copy it again") from error
    return np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)


def _count(queries: pa.ListArray) -> NDArray[np.int64]:
    row = np.repeat(np.arange(len(queries)), queries.value_lengths().to_numpy(zero_copy_only=False))
    names = queries.flatten().field("group").dictionary_encode()
    width = max(1, len(names.dictionary))
    found = np.unique(row * width + names.indices.to_numpy(zero_copy_only=False)) // width
    return np.maximum(1, np.bincount(found, minlength=len(queries)))
