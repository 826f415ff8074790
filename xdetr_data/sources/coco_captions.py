"""COCO's captions: ``annotations[]`` of ``{"id", "image_id", "caption"}``; the file's ``images`` say whose each is.

Source: cocodataset.org/#format-data, "Image Captioning".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.sources.captioned import Caption, Captions
from xdetr_data.sources.coco_images import COLLECTION, photos_of_images
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import first_keys, parse_record, text_id
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.protocol import Kind, Problem, name_photo


class _CocoCaption(msgspec.Struct, frozen=True, gc=False):
    image_id: int | str
    caption: str


_CAPTION = msgspec.json.Decoder(_CocoCaption)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoCaptions(Captions):
    """A file of COCO's captions."""

    role = "captions"
    kinds = (Kind(unit="caption", array="annotations", introduces=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of ``annotations``; raises InputError where the file is of another flavour."""
        for chunk in iter_array_chunks(self.path, ("annotations",)):
            if chunk.first_row == 0 and "caption" not in (keys := first_keys(chunk.data)) and keys:
                raise InputError(f"{self.path}: annotations have no 'caption': give COCO's captions_*.json, or a table")
            yield chunk

    def read(self, chunk: ArrayChunk) -> list[Caption | Problem]:
        """The caption of each annotation."""
        photos = photos_of_images(self.path)
        return [self._read(element, photos) for element in elements(chunk.data)]

    def _read(self, element: bytes, photos: Mapping[str, str | Problem] | None) -> Caption | Problem:
        record = parse_record(_CAPTION, element)
        if isinstance(record, Unreadable):
            return Problem("unreadable-caption", record.problem)
        identity = text_id(record.image_id)
        if photos is None:
            photo = name_photo(COLLECTION, identity)
        else:
            unknown = Problem("caption-of-unknown-image", f"images have no id {identity[:40]}")
            photo = photos.get(identity, unknown)
        return photo if isinstance(photo, Problem) else Caption(photo, " ".join(record.caption.split()))
