"""LVIS's classes: what each is called and how people say it, and which of them are annotated on which photo."""

from collections.abc import Callable
from typing import Annotated

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_id
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.json_records import parse_record, parse_records
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.instances import ANNOTATIONS, IMAGES
from xdetr_data.sources.lvis import images_of
from xdetr_data.vocabulary import NamedClass, spoken_name

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]


class _Category(msgspec.Struct, frozen=True, gc=False):
    id: Id
    name: str
    frequency: str = ""


class _Named(msgspec.Struct, frozen=True, gc=False):
    image_id: int
    category_id: int


_CATEGORY = msgspec.json.Decoder(_Category)
_NAMED, _ALL_NAMED = msgspec.json.Decoder(_Named), msgspec.json.Decoder(list[_Named])


def read_classes(path: str, speak: Callable[[str], str] = spoken_name) -> tuple[NamedClass, ...]:
    """All classes of a file, ordered by id, with the text that ``speak`` makes of a name.

    Raises InputError where one is damaged, wordless or there twice.
    """
    found: dict[int, NamedClass] = {}
    for chunk in iter_array_chunks(path, ("categories",)):
        for row, data in enumerate(elements(chunk.data), chunk.first_row):
            one = parse_record(_CATEGORY, data)
            if isinstance(one, Unreadable):
                why = one.problem
            elif one.id in found:
                why = f"id {one.id} occurs twice"
            elif not (text := speak(one.name)).strip():
                why = f"the name {one.name!r} has no word, or none outside parentheses"
            else:
                found[one.id] = NamedClass(one.id, one.name, text, one.frequency)
                continue
            raise InputError(f"{path}: categories[{row}]: {why}; fetch the file again")
    if not found:
        raise InputError(f"{path}: has no categories, so that no class has a name; is it the right file?")
    return tuple(found[number] for number in sorted(found))


def read_class_sets(path: str) -> dict[str, set[int]]:
    """Photo id → classes annotated on it, of every photo that an image names; what is damaged is not among them."""
    photo_of: dict[int, str] = {}
    classes: dict[int, set[int]] = {}
    for chunk in iter_array_chunks(path, (IMAGES, ANNOTATIONS)):
        if chunk.name == IMAGES:
            for one in images_of(chunk.data):
                if not isinstance(one, Unreadable) and one.photo:
                    photo_of.setdefault(one.id, photo_id("coco", one.photo))
            continue
        for named in parse_records(_ALL_NAMED, _NAMED, elements(chunk.data)):
            if not isinstance(named, Unreadable):
                classes.setdefault(named.image_id, set()).add(named.category_id)
    found: dict[str, set[int]] = {}
    for number, photo in photo_of.items():
        found.setdefault(photo, set()).update(classes.get(number, ()))
    return found
