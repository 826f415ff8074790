"""JSON records into values: one that is not what it should be becomes ``Unreadable`` and takes no other with it."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_stream import elements

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

MAX_ID_DIGITS = 40

Record = TypeVar("Record")


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: int


class _ImageId(msgspec.Struct, frozen=True, gc=False):
    image_id: int


class _TextId(msgspec.Struct, frozen=True, gc=False):
    image_id: int | str


# Not strict: many programs write ids as text, "11", and these join like numbers.
_ID = msgspec.json.Decoder(_Id, strict=False)
_IMAGE_ID = msgspec.json.Decoder(_ImageId, strict=False)
_IMAGE_IDS = msgspec.json.Decoder(list[_ImageId], strict=False)
_TEXT_ID = msgspec.json.Decoder(_TextId)
_TEXT_IDS = msgspec.json.Decoder(list[_TextId])


def parse_record(decoder: msgspec.json.Decoder[Record], data: bytes) -> Record | Unreadable:
    """One record from its JSON bytes; what is wrong with it, and its ``id`` where that can be read."""
    try:
        return decoder.decode(data)
    except DECODE_ERRORS as error:
        problem = str(error)
    try:
        return Unreadable(problem=problem, id=_ID.decode(data).id)
    except DECODE_ERRORS:
        return Unreadable(problem=problem)


def parse_records(
    all_at_once: msgspec.json.Decoder[list[Record]], one: msgspec.json.Decoder[Record], parts: Sequence[bytes]
) -> list[Record | Unreadable]:
    """Records from their JSON bytes, one result each; all at once where all are well formed."""
    try:
        return [*all_at_once.decode(b"[" + b",".join(parts) + b"]")]
    except DECODE_ERRORS:
        return [*map(partial(parse_record, one), parts)]


def first_keys(data: bytes) -> dict[str, msgspec.Raw]:
    """The keys of a chunk's first record, by which a file of another flavour is known.

    None of a damaged one, which is that record's reject, not the file's.
    """
    try:
        return msgspec.json.decode(elements(data)[0], type=dict[str, msgspec.Raw])
    except DECODE_ERRORS:
        return {}


def read_image_ids(chunk: ArrayChunk) -> tuple[pa.Array, dict[int, str]]:
    """The ``image_id`` of every record: int64 ``[N]``, null where one has none that fits; and by row what is wrong."""
    try:
        return pa.array(np.array([one.image_id for one in _IMAGE_IDS.decode(b"[" + chunk.data + b"]")], np.int64)), {}
    except (*DECODE_ERRORS, OverflowError):
        ids: list[int | None] = []
        problems: dict[int, str] = {}
        for row, element in enumerate(elements(chunk.data), chunk.first_row):
            try:
                ids.append(int(np.int64(_IMAGE_ID.decode(element).image_id)))
            except (*DECODE_ERRORS, OverflowError) as error:
                ids.append(None)
                problems[row] = str(error)
        return pa.array(ids, pa.int64()), problems


def text_id(value: int | str) -> str:
    """An id as text; texts of digits are the ids that the numbers are."""
    text = str(value)
    return str(int(text)) if text.isascii() and text.isdigit() and len(text) <= MAX_ID_DIGITS else text


def read_text_ids(chunk: ArrayChunk) -> list[str | Unreadable]:
    """The ``image_id`` of every record as text ``[N]``, or what is wrong with it."""
    try:
        return [text_id(one.image_id) for one in _TEXT_IDS.decode(b"[" + chunk.data + b"]")]
    except DECODE_ERRORS:
        return [_read_text_id(element) for element in elements(chunk.data)]


def _read_text_id(element: bytes) -> str | Unreadable:
    record = parse_record(_TEXT_ID, element)
    return record if isinstance(record, Unreadable) else text_id(record.image_id)
