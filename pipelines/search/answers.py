"""What a search says: the query, and its answers best first, as a file that other commands read."""

from typing import Any

import msgspec

from pipelines.search.database import Database, Hit
from xdetr_data.errors import InputError
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.storage import Folder

GONE, CHANGED = "gone", "changed"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An instance: ``object`` of the photo ``key``, its box in pixels, and the cosine of query and object.

    ``photo`` is "there", "gone" or "changed" (other bytes than were indexed).
    """

    rank: int
    score: float
    key: str
    object: int
    box_xyxy: tuple[float, float, float, float]
    objectness: float
    source: str
    file_name: str
    height: int
    width: int
    photo: str = "there"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A query and its answers. ``kind`` is what was asked for: text, phrase, image or like."""

    kind: str
    query: str
    answers: list[Answer]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """``--out FILE.json``: queries with their answers, and of which index they are."""

    index: str
    generation: int
    fingerprint: str
    where: str | None
    is_exact: bool
    queries: list[Found]


def answer_of(database: Database, rank: int, hit: Hit, photo: str = "there") -> Answer:
    """A hit as people read it."""
    about: Any = database.photo(hit.key)
    return Answer(
        rank=rank,
        score=hit.score,
        key=hit.key,
        object=hit.object,
        box_xyxy=hit.box_xyxy,
        objectness=float(database.parts[hit.part].objectness[hit.row]),
        source=about["source"],
        file_name=about["file_name"],
        height=about["height"],
        width=about["width"],
        photo=photo,
    )


def photo_of(database: Database, key: str) -> Photo | str:
    """A photo of the index, or what became of it: it is gone, or its bytes are others."""
    about: Any = database.photo(key)
    found = read_photo(about["address"], offset=about["offset"], size=about["bytes"])
    if isinstance(found, BadPhoto):
        return GONE if found.reason == "missing-photo" else CHANGED
    return found if found.sha256 == about["sha256"] else CHANGED


def state_of(database: Database, key: str) -> str:
    """Whether a photo is there, gone or changed."""
    found = photo_of(database, key)
    return found if isinstance(found, str) else "there"


def read_answers(path: str) -> Answers:
    """Answers from a file; raises InputError for what is none."""
    folder, _, name = path.rpartition("/")
    data = Folder(folder or ".").read(name)
    try:
        return msgspec.json.decode(data, type=Answers)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path}: holds no answers ({error}); make it with 'xdetr-search query … --out {name}'"
        ) from error
