"""Classes as words: what a class is called in a query, and the vocabulary that a manifest holds.

A dataset's vocabulary is every class of its annotations' file, also those of which it has no box: what training samples
classes from and evaluation speaks of. Two classes may be spoken alike, so that a phrase says which one it means.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import Phrase

_IN_PARENTHESES = re.compile(r"\([^()]*\)")
_CLASS = re.compile(r"class ([0-9]+)")


class NamedClass(msgspec.Struct, frozen=True, gc=False):
    """A class: its id and name in the file, the text that queries say, and LVIS's frequency (r, c, f; else empty)."""

    id: int
    name: str
    text: str
    frequency: str = ""


_CLASSES = tuple[NamedClass, ...]


def spoken_name(name: str) -> str:
    """A class name as people say it: ``flip-flop_(sandal)`` is ``flip-flop``. Empty if nothing is outside parentheses.

    Source: X-DETR's supplement, B.2.
    """
    return " ".join(_IN_PARENTHESES.sub(" ", name).replace("_", " ").split())


def find_class(vocabulary: Sequence[NamedClass], class_id: int) -> NamedClass | None:
    """The class of an id in a vocabulary ordered by id, or None where it has none."""
    place = bisect_left(vocabulary, class_id, key=attrgetter("id"))
    found = vocabulary[place : place + 1]
    return found[0] if found and found[0].id == class_id else None


def class_detail(class_id: int) -> str:
    """What ``provenance.detail`` of a phrase says of its class; ``class_of`` reads it."""
    return f"class {class_id}"


def class_of(phrase: Phrase) -> int | None:
    """Id of the class that a phrase names, or None where it names none."""
    found = _CLASS.fullmatch(phrase.provenance.detail)
    return None if found is None else int(found[1])


def vocabulary_of(manifest: Manifest) -> tuple[NamedClass, ...]:
    """All classes of a dataset ordered by id, of a reviewed dataset those of its parent.

    Raises InputError where the dataset has no classes.
    """
    found = _stated(manifest)
    if not found:
        raise InputError(
            f"dataset {manifest.prefix} (made by {manifest.recipe}) has no vocabulary; give one of classes, as "
            "'xdetr-data build lvis' makes"
        )
    try:
        return msgspec.convert(found, _CLASSES)
    except msgspec.ValidationError as error:
        raise InputError(
            f"dataset {manifest.prefix}: its manifest's vocabulary is none ({error}); build it again"
        ) from error


def has_vocabulary(manifest: Manifest) -> bool:
    """Whether a dataset is one of classes."""
    return bool(_stated(manifest))


def _stated(manifest: Manifest) -> Any:
    config: Any = manifest.config
    while "vocabulary" not in config and isinstance(config.get("parent"), dict):
        config = config["parent"].get("config", {})
    return config.get("vocabulary")
