"""What the files of RefCOCO, RefCOCO+ and RefCOCOg say: refer pickles, and the sizes that instances state.

A reference names its photo and its box by their ids in COCO's instances; several sentences are its expressions.
Source: lichengunc/refer, "Prepare Annotation".
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec

from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.json_records import parse_record, parse_records
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.framing.plain_pickle import read_refs
from xdetr_data.sources.protocol import Stated

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Expression(msgspec.Struct, frozen=True, gc=False):
    """A sentence about one box; ``id`` is its ``sent_id``, ``ref`` the row of its reference."""

    id: Id
    sent: str
    ref: int
    ref_id: Id
    ann_id: Id

    @property
    def text(self) -> str:
        """The sentence with its white space tidied."""
        return " ".join(self.sent.split())


class Reference(NamedTuple):
    """A referred object: its photo's id, its expressions, or why it cannot be used, and then what is in their place;
    and the name of its photo's file, where it says that."""

    image_id: int
    expressions: Sequence[Any]
    problem: str = ""
    file_name: str = ""


class _Ref(msgspec.Struct, frozen=True, gc=False):
    ref_id: Id
    ann_id: Id
    image_id: Id
    split: str
    sentences: list[Any]
    file_name: Any = None


class _Sentence(msgspec.Struct, frozen=True, gc=False):
    sent_id: Id
    sent: str


class _Image(msgspec.Struct, frozen=True, gc=False):
    id: Id
    file_name: str
    height: int
    width: int


_EXPRESSION = msgspec.json.Decoder(Expression)
_IMAGE = msgspec.json.Decoder(_Image, strict=False)  # ids may be texts of digits
_IMAGES = msgspec.json.Decoder(list[_Image], strict=False)


def parse_expression(data: bytes) -> Expression | Unreadable:
    """An expression from its element's bytes."""
    return parse_record(_EXPRESSION, data)


@lru_cache(maxsize=8)
def read_references(path: str, split: str) -> Sequence[Reference]:
    """The references of a split, in order; one whose split cannot be read is of every split.

    Raises InputError where the file is no plain refer pickle.
    """
    found: list[Reference] = []
    for ref in read_refs(path):
        stated = ref.get("split") if isinstance(ref, dict) else None
        if not isinstance(stated, str) or stated == split:
            found.append(_reference(ref, len(found)))
    return found


def _reference(ref: Any, row: int) -> Reference:
    try:
        one = msgspec.convert(ref, _Ref)
    except msgspec.ValidationError as error:
        sentences = ref.get("sentences") if isinstance(ref, dict) else None
        return Reference(0, sentences if isinstance(sentences, list) else (), str(error))
    file_name = one.file_name if isinstance(one.file_name, str) else ""
    return Reference(one.image_id, [_expression(each, row, one) for each in one.sentences], "", file_name)


def _expression(sentence: Any, row: int, ref: _Ref) -> Expression | Unreadable:
    try:
        one = msgspec.convert(sentence, _Sentence)
        one.sent.encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        return Unreadable(problem=f"of ref_id {ref.ref_id}: {error}")
    return Expression(one.sent_id, one.sent, row, ref.ref_id, ref.ann_id)


@lru_cache(maxsize=4)
def read_images(path: str) -> dict[int, Stated]:
    """Image id → file name and size in pixels, from the ``images`` of an instances file; a damaged entry states none.

    Raises InputError where the file is no such file.
    """
    found: dict[int, Stated] = {}
    for chunk in iter_array_chunks(path, ("images",)):
        for one in parse_records(_IMAGES, _IMAGE, elements(chunk.data)):
            if not isinstance(one, Unreadable):
                found.setdefault(one.id, Stated(one.file_name, one.height, one.width))
    return found
