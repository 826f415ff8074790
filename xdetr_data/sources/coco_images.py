"""Which photo the id of an instances file means: its own ``images[]`` say it, by the names of files.

COCO's own ids are the numbers of its photos. Files that were exported again count their images from 1, and only
``file_name`` (of LVIS v1 ``coco_url``) says which photo an id is of; where the number and the name disagree, the name
counts.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from xdetr_data.photos.ids import photo_id
from xdetr_data.sources.framing.files import Unreadable, input_bytes
from xdetr_data.sources.framing.json_records import parse_record, text_id
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.protocol import Problem, name_photo

COLLECTION = "coco"


class ImageEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``images[]``."""

    id: int | str
    file_name: str | None = None
    coco_url: str | None = None


_IMAGE = msgspec.json.Decoder(ImageEntry)


def photos_of_images(path: str) -> Mapping[str, str | Problem]:
    """Image id as text → the photo's name, or why it means none; empty where the file has no ``images``."""
    return _photos_of_images(path, input_bytes(path))


@lru_cache(maxsize=4)  # every chunk asks; the size stands for the file as it is now
def _photos_of_images(path: str, _: int) -> Mapping[str, str | Problem]:
    photos: dict[str, str | Problem] = {}
    for entry in _images(path):
        identity, photo = text_id(entry.id), _photo_of(entry)
        if photos.setdefault(identity, photo) != photo:
            photos[identity] = Problem("ambiguous-image-id", f"several images have the id {identity[:40]}")
    return photos


def _images(path: str) -> Iterator[ImageEntry]:
    """The entries that can be read; as a rule they stand first, and what follows them is not read."""
    is_found = False
    for chunk in iter_array_chunks(path, ("images", "annotations"), optional=("images",)):
        if chunk.name != "images":
            if is_found:
                return
            continue
        is_found = True
        for element in elements(chunk.data):
            entry = parse_record(_IMAGE, element)
            if not isinstance(entry, Unreadable):
                yield entry


def _photo_of(entry: ImageEntry) -> str | Problem:
    names = [name for name in (entry.file_name, entry.coco_url and "/".join(entry.coco_url.split("/")[-2:])) if name]
    if len({photo_id(COLLECTION, name) for name in names}) > 1:
        return Problem("ambiguous-image-id", f"image {entry.id}: file_name and coco_url name different photos")
    return name_photo(COLLECTION, names[0] if names else str(entry.id))
