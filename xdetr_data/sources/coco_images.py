"""Which photo the id of an instances file means: its own ``images[]`` say it, by the names of files.

COCO's own ids are the numbers of its photos. Files that were exported again count their images from 1, and only
``file_name`` (of LVIS v1 ``coco_url``) says which photo an id is of; where the number and the name disagree, the name
counts, and ids without a name mean nothing in that file. Neither does a number that two paths have, as in
``cam1/0001.jpg`` and ``cam2/0001.jpg``.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from xdetr_data.photos.ids import path_id, photo_id
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


def photos_of_images(path: str) -> Mapping[str, str | Problem] | None:
    """Image id as text → the photo's name, or why it means none; None where the file has no ``images``."""
    return _photos_of_images(path, input_bytes(path))


@lru_cache(maxsize=4)  # every chunk asks; the size stands for the file as it is now
def _photos_of_images(path: str, _: int) -> Mapping[str, str | Problem] | None:
    photos: dict[str, str | Problem] = {}
    paths: dict[str, str] = {}  # by photo, what it is called
    unclear: set[str] = set()  # photos that are called by two names
    nameless: list[str] = []
    is_there = is_counted = False
    for entry in _images(path):
        is_there = True
        if isinstance(entry, Unreadable):
            continue
        identity, (name, photo) = text_id(entry.id), _photo_of(entry)
        if photos.setdefault(identity, photo) != photo:
            photos[identity] = Problem("ambiguous-image-id", f"several images have the id {identity[:40]}")
        if not name:
            nameless.append(identity)
        elif isinstance(photo, str):
            is_counted |= photo != name_photo(COLLECTION, identity)
            if paths.setdefault(photo, path_id(name)) != path_id(name):
                unclear.add(photo)
    for identity in nameless if is_counted else ():
        detail = f"image {identity[:40]} has no file_name, and ids of this file are not the numbers of its photos"
        photos[identity] = Problem("ambiguous-image-id", detail)
    for identity, one in photos.items() if is_counted else ():
        number = "" if isinstance(one, Problem) else one.partition("/")[2]
        if number != identity and photos.get(number) == one:
            photos[identity] = Problem(
                "ambiguous-image-id", f"images {identity[:40]} and {number} are both photo {one}"
            )
    for identity, one in photos.items() if unclear else ():
        if one in unclear:
            photos[identity] = Problem(
                "ambiguous-image-id", f"two names in images are photo {one}, as {paths[str(one)]}"
            )
    return photos if is_there else None


def _images(path: str) -> Iterator[ImageEntry | Unreadable]:
    """The entries; as a rule they stand first, and what follows them is not read."""
    is_found = False
    for chunk in iter_array_chunks(path, ("images", "annotations"), optional=("images",)):
        if chunk.name != "images":
            if is_found:
                return
            continue
        is_found = True
        for element in elements(chunk.data):
            entry: ImageEntry | Unreadable = parse_record(_IMAGE, element)
            yield entry


def _photo_of(entry: ImageEntry) -> tuple[str, str | Problem]:
    """What an entry calls its photo, or nothing; and the photo."""
    names = [name for name in (entry.file_name, entry.coco_url and end_of_url(entry.coco_url)) if name]
    if len({photo_id(COLLECTION, name) for name in names}) > 1:
        detail = f"image {entry.id}: file_name and coco_url name different photos"
        return names[0], Problem("ambiguous-image-id", detail)
    return names[0] if names else "", name_photo(COLLECTION, names[0] if names else str(entry.id))


def end_of_url(url: str) -> str:
    """The photo's file in a ``coco_url`` with the folder that it lies in: ``train2017/000000391895.jpg``."""
    return "/".join(url.partition("?")[0].split("/")[-2:])
