"""What a grounder and the mouse trace said of a photo, before anything is chosen: the audit trail of pseudo-labels.

A ``GroundedPhoto`` holds all kept candidates of every phrase and every box that no text names, so that new thresholds
need no model (``rethreshold``). One row of ``grounded/000000.parquet`` is one photo.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import Box
from xdetr_data.errors import RecordError
from xdetr_data.record import ImageRef
from xdetr_data.spans import Span


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A box that a grounder found for a phrase, its raw score, and its agreement with the trace (None: no trace).

    ``teacher`` is the grounder's place among those of the run; ``mask`` is as a region's, where the grounder segments.
    """

    box_xyxy: Box
    score: float
    agreement: float | None = None
    teacher: int = 0
    mask: str | None = None


class AskedContrast(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sibling of a phrase ("a blue car" of "a red car") with its candidates, best first."""

    text: str
    candidates: tuple[Candidate, ...]


class GroundedPhrase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A phrase of a sentence with its candidates, best first. ``fit`` says whether the model saw the whole phrase;
    ``contrasts`` are what was asked besides, where it has an attribute."""

    spans: tuple[Span, ...]
    head: str
    is_plural: bool
    count: int | None
    fit: str
    candidates: tuple[Candidate, ...]
    contrasts: tuple[AskedContrast, ...] = ()


class GroundedQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sentence of a narrative with its phrases."""

    text: str
    group: str
    phrases: tuple[GroundedPhrase, ...]


class GroundedPhoto(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A photo with its sentences and its textless boxes; ``address`` is where its file was.

    Of a photo in a container, ``offset`` and ``bytes`` say where its own bytes are there. ``record`` is that of a
    finished dataset (JSON) to which labels are added.
    """

    key: str
    address: str
    image: ImageRef
    queries: tuple[GroundedQuery, ...]
    boxes: tuple[LooseBox, ...]
    offset: int | None = None
    bytes: int | None = None
    record: str | None = None


_BOX = pa.list_(pa.float64(), 4)
_CANDIDATE = pa.struct(
    [
        ("box_xyxy", _BOX),
        ("score", pa.float64()),
        ("agreement", pa.float64()),
        ("teacher", pa.int32()),
        ("mask", pa.string()),
    ]
)
_PHRASE = pa.struct(
    [
        ("spans", pa.list_(pa.list_(pa.int32(), 2))),
        ("head", pa.string()),
        ("is_plural", pa.bool_()),
        ("count", pa.int32()),
        ("fit", pa.string()),
        ("candidates", pa.list_(_CANDIDATE)),
        ("contrasts", pa.list_(pa.struct([("text", pa.string()), ("candidates", pa.list_(_CANDIDATE))]))),
    ]
)
_LOOSE_BOX = pa.struct(
    [
        ("box_xyxy", _BOX),
        ("is_crowd", pa.bool_()),
        ("source", pa.string()),
        ("annotation_id", pa.string()),
        ("input_ref", pa.string()),
        ("detail", pa.string()),
    ]
)
GROUNDED_ARROW_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("address", pa.string()),
        (
            "image",
            pa.struct(
                [
                    ("file_name", pa.string()),
                    ("source", pa.string()),
                    ("size_hw", pa.list_(pa.int32(), 2)),
                    ("sha256", pa.string()),
                ]
            ),
        ),
        (
            "queries",
            pa.list_(pa.struct([("text", pa.string()), ("group", pa.string()), ("phrases", pa.list_(_PHRASE))])),
        ),
        ("boxes", pa.list_(_LOOSE_BOX)),
        ("offset", pa.int64()),
        ("bytes", pa.int64()),
        ("record", pa.string()),
    ]
)


def grounded_to_arrow(photos: Iterable[GroundedPhoto]) -> pa.Table:
    """Grounded photos as a table of ``GROUNDED_ARROW_SCHEMA``; ``grounded_from_arrow`` inverts it."""
    rows: list[dict[str, Any]] = [msgspec.to_builtins(photo) for photo in photos]
    return pa.Table.from_pylist(rows, schema=GROUNDED_ARROW_SCHEMA)


def grounded_from_arrow(table: pa.Table) -> list[GroundedPhoto]:
    """The photos that ``grounded_to_arrow`` wrote; raises RecordError where a row is no such photo."""
    try:
        return [msgspec.convert(row, GroundedPhoto) for row in table.to_pylist()]
    except msgspec.ValidationError as error:
        raise RecordError(f"not rows of grounded photos: {error}") from error
