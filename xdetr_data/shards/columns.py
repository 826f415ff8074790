"""Records out of label columns and into them, several times as fast as row by row: ``schema.from_arrow`` and
``schema.to_arrow`` are the references.

Values of a column are taken at once, and lists are cut from them by their offsets. A batch that is not plainly one of
records (nulls where there are none, another schema, a record that cannot be) is left to the reference, which says why.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from xdetr_data.errors import RecordError
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import MASKLESS_ARROW_SCHEMA, SAMPLE_ARROW_SCHEMA, SCHEMA_VERSION, from_arrow


class _Unplain(ValueError):
    """The batch is left to the reference."""


def records_of(batch: pa.RecordBatch) -> list[GroundedImage]:
    """The records of label rows; raises RecordError where a row is none, UnicodeDecodeError for what is no text."""
    if batch.schema.equals(SAMPLE_ARROW_SCHEMA) or batch.schema.equals(MASKLESS_ARROW_SCHEMA):
        try:
            return list(_records(batch))
        except (pa.ArrowException, RecordError, ValueError):
            pass  # the reference says what is wrong, and in which row
    return from_arrow(pa.Table.from_batches([batch]))


def _records(batch: pa.RecordBatch) -> Iterator[GroundedImage]:
    if any(version != SCHEMA_VERSION for version in _values(batch.column("schema"))):
        raise _Unplain
    images = [
        ImageRef(file_name=name, source=source, size_hw=(height, width), sha256=sha256)
        for name, source, height, width, sha256 in _fields(batch.column("image"), may_lack=("sha256",))
    ]
    regions = _lists(batch.column("regions"), _regions)
    queries = _lists(batch.column("queries"), _queries)
    for key, image, own, said in zip(_values(batch.column("key")), images, regions, queries, strict=True):
        yield GroundedImage(key=key, image=image, regions=own, queries=said)


def _regions(array: pa.StructArray) -> Sequence[Region]:
    boxes = _tuples(_field(array, "box_xyxy"), 4)
    crowds = _values(_field(array, "is_crowd"))
    made = _provenances(_field(array, "provenance"))
    if array.type.get_field_index("mask") < 0:
        masks: Sequence[Any] = [None] * len(array)
    else:
        masks = _values(_field(array, "mask"), may_lack=True)
    return [
        Region(box_xyxy=box, is_crowd=is_crowd, provenance=by, mask=UNSET if mask is None else mask)
        for box, is_crowd, by, mask in zip(boxes, crowds, made, masks, strict=True)
    ]


def _queries(array: pa.StructArray) -> Sequence[Query]:
    texts, groups, promises = (_values(_field(array, name)) for name in ("text", "group", "is_exhaustive"))
    phrases = _lists(_field(array, "phrases"), _phrases)
    return [
        Query(text=text, group=group, is_exhaustive=is_exhaustive, phrases=own)
        for text, group, is_exhaustive, own in zip(texts, groups, promises, phrases, strict=True)
    ]


def _phrases(array: pa.StructArray) -> Sequence[Phrase]:
    spans = _lists(_field(array, "spans"), lambda own: list(_tuples(own, 2)))
    regions = _lists(_field(array, "regions"), _values)
    scores = _values(_field(array, "score"), may_lack=True)
    made = _provenances(_field(array, "provenance"))
    return [
        Phrase(spans=own, regions=named, score=score, provenance=by)
        for own, named, score, by in zip(spans, regions, scores, made, strict=True)
    ]


def _provenances(array: pa.StructArray) -> list[Provenance]:
    return [
        Provenance(source=source, annotation_id=annotation_id, detail=detail)
        for source, annotation_id, detail in _fields(array)
    ]


def _fields(array: pa.StructArray, may_lack: Sequence[str] = ()) -> Iterable[tuple[Any, ...]]:
    """The values of each row's fields."""
    names = [one.name for one in array.type]
    return zip(*(_values(_field(array, name), may_lack=name in may_lack) for name in names), strict=True)


def _field(array: pa.StructArray, name: str) -> pa.Array:
    if array.null_count:
        raise _Unplain
    return array.field(name)


def _lists(array: pa.ListArray, made: Any) -> list[tuple[Any, ...]]:
    """The tuple that each row's list is, of what ``made`` makes of all lists' values."""
    if array.null_count:
        raise _Unplain
    offsets = array.offsets.to_numpy().tolist()
    first = offsets[0] if offsets else 0
    values = tuple(made(array.values.slice(first, offsets[-1] - first))) if offsets else ()
    return [values[begin - first : end - first] for begin, end in pairwise(offsets)]


def _tuples(array: pa.FixedSizeListArray, size: int) -> Iterator[tuple[Any, ...]]:
    if array.null_count:
        raise _Unplain
    return zip(*[iter(_values(array.flatten()))] * size, strict=True)


def _values(array: pa.Array, *, may_lack: bool = False) -> list[Any]:
    """Python values of a column without lists, None for null."""
    if not array.null_count:
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    if not may_lack:
        raise _Unplain
    return [None] * len(array) if array.null_count == len(array) else array.to_pylist()


def table_of(records: Sequence[GroundedImage]) -> pa.Table:
    """Records as a table of ``SAMPLE_ARROW_SCHEMA``, one row each; ``records_of`` inverts it."""
    images = [record.image for record in records]
    sizes = [image.size_hw for image in images]
    image = {
        "file_name": [image.file_name for image in images],
        "source": [image.source for image in images],
        "height": [height for height, _ in sizes],
        "width": [width for _, width in sizes],
        "sha256": [image.sha256 for image in images],
    }
    types = {field.name: field.type for field in SAMPLE_ARROW_SCHEMA}
    regions, queries = [record.regions for record in records], [record.queries for record in records]
    columns = {
        "schema": [SCHEMA_VERSION] * len(records),
        "key": [record.key for record in records],
        "image": _struct(image, types["image"]),
        "regions": _listed(regions, _region_columns, types["regions"]),
        "queries": _listed(queries, _query_columns, types["queries"]),
    }
    return pa.table(columns, schema=SAMPLE_ARROW_SCHEMA)


def _region_columns(regions: Sequence[Region], struct: pa.StructType) -> pa.StructArray:
    columns = {
        "box_xyxy": _fixed([region.box_xyxy for region in regions], struct.field("box_xyxy").type),
        "is_crowd": [region.is_crowd for region in regions],
        "provenance": _provenance_columns(regions, struct.field("provenance").type),
        "mask": [None if region.mask is UNSET else region.mask for region in regions],
    }
    return _struct(columns, struct)


def _query_columns(queries: Sequence[Query], struct: pa.StructType) -> pa.StructArray:
    columns = {
        "text": [query.text for query in queries],
        "group": [query.group for query in queries],
        "is_exhaustive": [query.is_exhaustive for query in queries],
        "phrases": _listed([query.phrases for query in queries], _phrase_columns, struct.field("phrases").type),
    }
    return _struct(columns, struct)


def _phrase_columns(phrases: Sequence[Phrase], struct: pa.StructType) -> pa.StructArray:
    columns = {
        "spans": _listed([phrase.spans for phrase in phrases], _fixed, struct.field("spans").type),
        "regions": _listed([phrase.regions for phrase in phrases], pa.array, struct.field("regions").type),
        "score": [phrase.score for phrase in phrases],
        "provenance": _provenance_columns(phrases, struct.field("provenance").type),
    }
    return _struct(columns, struct)


def _provenance_columns(owners: Sequence[Region] | Sequence[Phrase], struct: pa.StructType) -> pa.StructArray:
    made = [owner.provenance for owner in owners]
    columns = {
        "source": [one.source for one in made],
        "annotation_id": [one.annotation_id for one in made],
        "detail": [one.detail for one in made],
    }
    return _struct(columns, struct)


def _struct(columns: dict[str, Any], struct: pa.StructType) -> pa.StructArray:
    """The columns, those of plain values as Python's, as the fields of a type."""
    arrays = [
        pa.array(columns[field.name], field.type) if isinstance(columns[field.name], list) else columns[field.name]
        for field in struct
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(struct))


def _listed(lists: Sequence[Sequence[Any]], made: Any, listed: pa.ListType) -> pa.ListArray:
    """A list a row, of the values that ``made`` makes of all of them."""
    offsets = np.fromiter(accumulate(map(len, lists), initial=0), np.int32, len(lists) + 1)
    values = made(list(chain.from_iterable(lists)), listed.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=listed)


def _fixed(tuples: Sequence[Sequence[float]], fixed: pa.FixedSizeListType) -> pa.FixedSizeListArray:
    """Tuples that all have the length of the type."""
    values = pa.array(list(chain.from_iterable(tuples)), fixed.value_type)
    return pa.FixedSizeListArray.from_arrays(values, type=fixed)
