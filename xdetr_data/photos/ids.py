"""Which photo a name means: what identifies a photo within its source, and the key of its sample.

Within a collection whose numbers are unique (the table ``COLLECTIONS``) the number is the photo, whatever its file is
called: COCO's 2014 and 2017 releases call the same photo ``COCO_train2014_000000581857.jpg`` and
``000000581857.jpg``. Everywhere else a photo is its path below the root, since base names repeat (``cam1/0001.jpg``,
``cam2/0001.jpg``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType

MAX_KEY_CHARS = 90  # a tar header has room for 100
MAX_NAME_BYTES = 255  # of a name; the index of all names has the room of the longest for each

_PHOTO_NAME = re.compile(r"\.(jpe?g|png|webp)\Z", re.IGNORECASE)
_UNSAFE_IN_KEY = re.compile(r"[^A-Za-z0-9_-]")
_HASH_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """How a collection names its photos.

    Attributes:
        named: a stem, matched whole, whose last group is the photo's id; other stems are names of people's own.
        file: the same of the photos' own files, where annotations use names that no photo's file has.
        digits: how many digits keys have, as the collection writes them.
        any_case: whether ids in capitals are the same ids.
        has_masks: whether PNGs that are called as the photos are, are masks of them.
    """

    named: re.Pattern[str]
    file: re.Pattern[str]
    digits: int = 0
    any_case: bool = False
    has_masks: bool = False


_NUMBER = re.compile("0*([0-9]+)")
_NOT_COCOS = re.compile("(?!0[0-9]{11}$)0*([0-9]+)")  # 000000000007.jpg below the same root is COCO's photo 7
_COCO = "(?:COCO_(?:[A-Za-z]+[0-9]*_)?)?0*([0-9]+)"
_HEX = re.compile("([0-9A-Fa-f]{16})")  # also where all are digits: leading zeros belong to it
_ADE = re.compile("(ADE_[a-z]+_[0-9]{8})")

COLLECTIONS: Mapping[str, Collection] = MappingProxyType(
    {
        "coco": Collection(
            # RefCOCO's lists write COCO_train2014_%012d_<n>.jpg, where <n> is an expression and not the photo
            named=re.compile("COCO_(?:[A-Za-z]+[0-9]*_)?0*([0-9]+)_[0-9]+|" + _COCO),
            file=re.compile(_COCO),
            digits=12,
            has_masks=True,
        ),
        "vg": Collection(named=_NUMBER, file=_NOT_COCOS),
        "flickr": Collection(named=_NUMBER, file=_NOT_COCOS),
        "openimages": Collection(named=_HEX, file=_HEX, any_case=True),
        "ade20k": Collection(named=_ADE, file=_ADE, has_masks=True),
    }
)


def unsafe_file_name(file_name: str) -> str | None:
    """Why a file name from an annotation may not be used, or None."""
    parts = file_name.replace("\\", "/").split("/")
    if not parts[-1] or "\0" in file_name:
        return f"file name {file_name!r} is empty or holds a NUL"
    if file_name.startswith(("/", "\\", "~")) or ".." in parts or ":" in parts[0]:
        return f"file name {file_name!r} leaves the image root"
    return None


@lru_cache(maxsize=1 << 16)
def photo_id(source: str, file_name: str) -> str:
    """What identifies the photo that an annotation or a list calls ``file_name``, within its source.

    Of ``coco``, ``COCO_train2014_000000581857.jpg``, ``train2017/000000581857.jpg`` and
    ``COCO_train2014_000000581857_3.jpg`` are all ``581857``; of a collection without unique numbers, the path, of which
    only ``.jpg`` goes without saying.
    """
    return collection_id(source, file_name) or path_id(file_name)


def collection_id(source: str, file_name: str) -> str | None:
    """The id by which the collection itself knows the photo, or None where the name is of no such form."""
    known = COLLECTIONS.get(source)
    return None if known is None else _id_in(known, known.named, file_name)


def file_group(source: str, path: str) -> str:
    """Under what a photo's file is looked for: the collection's own id, else the base name without its ending."""
    known = COLLECTIONS.get(source)
    return (known and _id_in(known, known.file, path)) or stem_of(path)


def photo_group(source: str, identity: str) -> str:
    """The ``file_group`` of the files that may be the photo."""
    return identity if is_of_collection(source, identity) else stem_of(identity)


def is_of_collection(source: str, identity: str) -> bool:
    """Whether an id is one of the collection's own, so that it says which photo it is without any path."""
    return collection_id(source, identity) == identity


def _id_in(known: Collection, pattern: re.Pattern[str], file_name: str) -> str | None:
    found = pattern.fullmatch(stem_of(file_name))
    if found is None or found.lastindex is None:
        return None
    identity = found[found.lastindex]
    return identity.lower() if known.any_case else identity


def path_id(file_name: str) -> str:
    """A path as an id: plain slashes, no empty or ``.`` folders, and ``.jpg`` left out."""
    parts = [part for part in file_name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts or [file_name]).removesuffix(".jpg")


def stem_of(path: str) -> str:
    """The base name of a path without a photo's ending."""
    return _PHOTO_NAME.sub("", path.replace("\\", "/").rsplit("/", 1)[-1])


def ending_of(path: str) -> str:
    """A photo's ending in small letters, ``jpeg`` as ``jpg``; empty where the name has none."""
    found = _PHOTO_NAME.search(path)
    return "" if found is None else found[1].lower().replace("jpeg", "jpg")


def is_number(identity: str) -> bool:
    """Whether a photo id is a number as the datasets write them; other scripts' digits are other photos."""
    return identity.isascii() and identity.isdigit()


def photo_key(source: str, identity: str) -> str:
    """Key of a photo's sample: unique, dot-free, the same wherever the photo comes from; a long one ends in a hash."""
    known = COLLECTIONS.get(source)
    padded = identity.zfill(known.digits) if known is not None and is_number(identity) else identity
    key = f"{source}_{_UNSAFE_IN_KEY.sub(_escape, padded)}"
    if len(key) <= MAX_KEY_CHARS:
        return key
    digest = blake2b(key.encode(), digest_size=_HASH_CHARS // 2).hexdigest()
    return f"{key[: MAX_KEY_CHARS - _HASH_CHARS - 1]}-{digest}"


def photo_name(source: str, identity: str) -> str:
    """What labels call a photo while they are joined: ``coco/581857``."""
    return f"{source}/{identity}"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())
