"""A batch of a shard's label rows as pandas frames: five that refer to each other by row, and four for people.

``Tables`` are the lists of the Arrow rows laid flat, each item with the row of what it belongs to, so that what is
counted of a dataset is a grouping or a join. ``frame`` joins them to what ``Dataset.to_pandas`` gives, with the columns
of ``COLUMNS``.
"""

from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xdetr_data.schema import SAMPLE_ARROW_SCHEMA
from xdetr_data.spans import span_text

Ints = NDArray[np.int64]
Rows = Literal["labels", "samples", "queries", "regions"]

BOX = ("x0", "y0", "x1", "y1")
COLUMNS: dict[Rows, tuple[str, ...]] = {
    # a phrase and one of its boxes; of a phrase without a box, one row without a box
    "labels": (
        *("key", "source", "width", "height", "text", "phrase", *BOX, "score", "is_crowd", "provenance", "detail"),
        *("query_index", "phrase_index", "region_index"),
    ),
    "samples": (
        *("key", "source", "file_name", "width", "height", "sha256"),
        *("queries", "phrases", "regions", "textless_regions"),
    ),
    "queries": ("key", "source", "text", "group", "is_exhaustive", "phrases", "query_index"),
    # a box; ``phrases`` is how many name it, 0 where it is textless
    "regions": (
        *("key", "source", "width", "height", *BOX),
        *("is_crowd", "phrases", "provenance", "detail", "region_index"),
    ),
}


class Tables:
    """The rows of a batch laid flat; each table is made when it is first asked for, from the fields that were read.

    A table has the fields of its items that are plain values; ``provenance`` is the provenance's source.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    @cached_property
    def photos(self) -> pd.DataFrame:
        """``key, file_name, source, height, width, sha256``."""
        image = _fields(self._batch["image"]) if "image" in self._batch.schema.names else {}
        return pd.DataFrame(_fields(self._batch.to_struct_array()) | image)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """``photo`` (row of ``photos``), ``query_index`` in it, and the query's own fields."""
        return pd.DataFrame(_places(self._batch["queries"], "photo", "query_index") | _fields(self._queries))

    @cached_property
    def phrases(self) -> pd.DataFrame:
        """``query`` (row of ``queries``), ``phrase_index``, ``boxes`` (their number), and the phrase's own fields."""
        columns = _places(self._queries.field("phrases"), "query", "phrase_index")
        columns |= {"boxes": _lengths(self._phrases.field("regions"))}
        return pd.DataFrame(columns | _fields(self._phrases) | _provenance(self._phrases))

    @cached_property
    def spans(self) -> pd.DataFrame:
        """``phrase`` (row of ``phrases``), ``begin`` and ``end`` in characters of its query's text."""
        spans = self._phrases.field("spans")
        begin_end = spans.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
        return pd.DataFrame({"phrase": _owner(_lengths(spans)), "begin": begin_end[:, 0], "end": begin_end[:, 1]})

    @cached_property
    def regions(self) -> pd.DataFrame:
        """``photo``, ``region_index`` in it, ``x0, y0, x1, y1`` in pixels, and the region's own fields."""
        regions = self._batch["regions"].flatten()
        boxes_xyxy = regions.field("box_xyxy").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
        columns = _places(self._batch["regions"], "photo", "region_index")
        columns |= {name: boxes_xyxy[:, side] for side, name in enumerate(BOX)}
        return pd.DataFrame(columns | _fields(regions) | _provenance(regions))

    @cached_property
    def links(self) -> pd.DataFrame:
        """``phrase`` and ``region``, rows of their tables: which boxes a phrase names.

        Raises IndexError where a phrase names a region that its photo does not have.
        """
        named = self._phrases.field("regions")
        phrase = _owner(_lengths(named))
        index = named.flatten().to_numpy(zero_copy_only=False)
        photo = self.queries["photo"].to_numpy()[self.phrases["query"].to_numpy()[phrase]]
        regions_of_photo = _lengths(self._batch["regions"])
        if ((index < 0) | (index >= regions_of_photo[photo])).any():
            raise IndexError("a phrase names a region that its photo does not have")
        begin_of_photo = np.cumsum(regions_of_photo) - regions_of_photo
        return pd.DataFrame({"phrase": phrase, "region": begin_of_photo[photo] + index})

    def words(self) -> list[str]:
        """The words of each phrase, ``[phrases]``."""
        texts = self._queries.field("text").to_pylist()
        spans = self._phrases.field("spans").to_pylist()
        return [span_text(one, texts[query]) for query, one in zip(self.phrases["query"].tolist(), spans, strict=True)]

    @cached_property
    def _queries(self) -> pa.StructArray:
        return self._batch["queries"].flatten()

    @cached_property
    def _phrases(self) -> pa.StructArray:
        return self._queries.field("phrases").flatten()


def frame(batch: pa.RecordBatch, rows: Rows) -> pd.DataFrame:
    """Label rows as a frame for people with the columns of ``COLUMNS[rows]``.

    Raises ValueError for ``rows`` that are none of its keys.
    """
    if rows not in COLUMNS:
        raise ValueError(f"rows={rows!r} are no rows of a dataset; choose one of {', '.join(COLUMNS)}")
    tables = Tables(batch)
    joined = {"labels": _labels, "samples": _samples, "queries": _query_rows, "regions": _region_rows}[rows](tables)
    return joined[list(COLUMNS[rows])]


def empty(rows: Rows) -> pd.DataFrame:
    """The frame of a dataset without samples."""
    return frame(pa.RecordBatch.from_pylist([], schema=SAMPLE_ARROW_SCHEMA), rows)


def per(owner: pd.Series, owners: pd.DataFrame, amounts: Ints | None = None) -> Ints:
    """How many items each row of ``owners`` has, ``[owners]``; ``owner`` says whose each item is.

    With ``amounts [items]``, how much they are together.
    """
    return np.bincount(owner.to_numpy(), amounts, minlength=len(owners)).astype(np.int64)


def _labels(tables: Tables) -> pd.DataFrame:
    kinds = {"region_index": "Int64", "is_crowd": "boolean"}  # which have a missing value, for phrases without a box
    regions = tables.regions[["region_index", "is_crowd", *BOX]].astype(kinds)
    boxes = tables.links.join(regions, on="region").set_index("phrase")
    return _of_photo(tables, tables.phrases.assign(phrase=tables.words()).join(boxes).join(tables.queries, on="query"))


def _samples(tables: Tables) -> pd.DataFrame:
    textless = tables.regions[per(tables.links["region"], tables.regions) == 0]
    return tables.photos.assign(
        queries=per(tables.queries["photo"], tables.photos),
        phrases=per(tables.queries["photo"].take(tables.phrases["query"]), tables.photos),
        regions=per(tables.regions["photo"], tables.photos),
        textless_regions=per(textless["photo"], tables.photos),
    )


def _query_rows(tables: Tables) -> pd.DataFrame:
    return _of_photo(tables, tables.queries.assign(phrases=per(tables.phrases["query"], tables.queries)))


def _region_rows(tables: Tables) -> pd.DataFrame:
    return _of_photo(tables, tables.regions.assign(phrases=per(tables.links["region"], tables.regions)))


def _of_photo(tables: Tables, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.join(tables.photos, on="photo").reset_index(drop=True)


def _fields(structs: pa.StructArray) -> dict[str, pd.Series]:
    """The fields that are plain values."""
    plain = [field.name for field in structs.type if not pa.types.is_nested(field.type)]
    return {name: structs.field(name).to_pandas() for name in plain}


def _provenance(structs: pa.StructArray) -> dict[str, pd.Series]:
    """Its source is called ``provenance``."""
    fields = _fields(structs.field("provenance"))
    return {"provenance" if name == "source" else name: values for name, values in fields.items()}


def _lengths(lists: pa.Array) -> Ints:
    return np.asarray(pc.list_value_length(lists).to_numpy(zero_copy_only=False), dtype=np.int64)


def _owner(lengths: Ints) -> Ints:
    """Which list each item of flattened lists belongs to, ``[sum of lengths]``."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _places(lists: pa.Array, owner: str, index: str) -> dict[str, Any]:
    """For each item of flattened lists: the row of its list, and its place there."""
    lengths = _lengths(lists)
    row = _owner(lengths)
    return {owner: row, index: np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)}
