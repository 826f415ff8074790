"""What is true of every toy photo: its objects, and for each text that any file holds, which words name which objects.

``truth/{train,val,test}.jsonl`` hold one ``PhotoTruth`` a line, photos in the order of their index.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from xdetr_data.spans import Span
from xdetr_data.toyworld.filling import Kind
from xdetr_data.toyworld.homes import Collection, Split
from xdetr_data.toyworld.speech import Mention
from xdetr_data.toyworld.view import IntBox, Seen


class PhraseTruth(msgspec.Struct, frozen=True, kw_only=True):
    """Words of a text and all objects they stand for.

    ``kind``: "attribute" when the words alone tell which object, "relation" when the rest of the sentence is needed,
    "plural" when they name several. ``is_boxed`` is False where the file's annotators left these words without a box.
    """

    span: Span
    objects: tuple[int, ...]
    kind: Kind
    is_boxed: bool = True


class TextTruth(msgspec.Struct, frozen=True, kw_only=True):
    """One text as a file holds it: ``file`` relative to the world, ``id`` the paragraph, caption or sentence in it.

    ``sentences`` are the independent expressions of a paragraph, or the sentences of a narrative, as spans of the text.
    """

    file: str
    id: str
    text: str
    sentences: tuple[Span, ...]
    phrases: tuple[PhraseTruth, ...]


class ObjectTruth(Seen, frozen=True, kw_only=True):
    """An object, drawn; ``box_xyxy`` is exact to the pixel, right and bottom edge excluded, of the whole object."""

    held_out: bool


class PhotoTruth(msgspec.Struct, frozen=True, kw_only=True):
    """One photo. ``key`` is the key of its sample in shards, ``photo`` its index in the world."""

    key: str
    photo: int
    collection: Collection
    split: Split
    photo_id: str
    file_name: str
    height: int
    width: int
    objects: tuple[ObjectTruth, ...]
    texts: tuple[TextTruth, ...]

    def boxes_xyxy(self, phrase: PhraseTruth) -> list[IntBox]:
        """All boxes of a phrase, in pixels."""
        return [self.objects[index].box_xyxy for index in phrase.objects]


def phrases_of(mentions: tuple[Mention, ...], begin: int = 0) -> tuple[PhraseTruth, ...]:
    """The truth of a sentence that begins at character ``begin`` of its text, when all its words are boxed."""
    return tuple(
        PhraseTruth(span=(span[0] + begin, span[1] + begin), objects=objects, kind=kind)
        for span, objects, kind in mentions
    )


def text_truth(file: str, id: str, text: str, mentions: tuple[Mention, ...]) -> TextTruth:
    """The truth of a text that is one sentence."""
    return TextTruth(file=file, id=id, text=text, sentences=((0, len(text)),), phrases=phrases_of(mentions))


def read_truth(path: Path) -> Iterator[PhotoTruth]:
    """The photos of one ``truth/*.jsonl``, one at a time."""
    decoder = msgspec.json.Decoder(PhotoTruth)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
