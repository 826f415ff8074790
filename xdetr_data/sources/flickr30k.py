"""Flickr30k Entities as a source: the captions and boxes of the photos of a split, from a folder or a zip.

The dataset is two small files a photo (``flickr30k_files``); some hundred photos are a chunk, which is read as three:
its images, its captions, its boxes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_name
from xdetr_data.sources.flickr30k_files import (
    ANNOTATIONS,
    SENTENCES,
    UNRELATED,
    FlickrBox,
    FlickrCaption,
    FlickrPhoto,
    parse_photo,
    read_ids,
    read_unrelated,
)
from xdetr_data.sources.framing.bundle import Bundle
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated

COLLECTION = "flickr"
IMAGES, CAPTIONS, BOXES = "images", "captions", "boxes"
PHOTOS_PER_CHUNK = 512

_FILES = msgspec.msgpack.Decoder(list[tuple[str, bytes | None, bytes | None]])  # photo, sentences, annotations


@lru_cache(maxsize=1)  # a chunk's elements are counted, then joined to their photos, then copied
def _photos(data: bytes) -> list[FlickrPhoto]:
    return [parse_photo(*one) for one in _FILES.decode(data)]


def _elements(name: str, begin: int, data: bytes) -> list[tuple[int, Any]]:
    """The elements of a chunk of this name (FlickrPhoto, FlickrCaption; FlickrBox or Unreadable), each with the place
    of its photo in the list of photos.
    """
    photos = list(enumerate(_photos(data), begin))
    if name == IMAGES:
        return list(photos)
    return [(place, each) for place, one in photos for each in (one.captions if name == CAPTIONS else one.boxes)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flickr30k(Source):
    """The captions and boxes of the photos that a list names.

    Attributes:
        path: the folder ``Sentences``, or the zip; ``entities`` is the folder above it, or the zip.
        ids: the list of photos; ``unrelated`` the list of captions about other photos, in the folder or beside the zip.
    """

    role = "sentences"
    may_be_folder = True
    kinds = (
        Kind(unit="image", array=IMAGES, introduces=True),
        Kind(unit="caption", array=CAPTIONS, hangs_on="image"),
        Kind(unit="box", array=BOXES, hangs_on="image"),
    )
    entities: str
    ids: str
    unrelated: str

    @classmethod
    def of(cls, entities: str, ids: str) -> "Flickr30k":
        """The source of ``DIR`` (above ``Sentences`` and ``Annotations``) or of the zip of these two folders."""
        root = entities.rstrip("/")
        is_zip = Bundle(root, SENTENCES).is_zip
        beside = f"{root.rpartition('/')[0] or '.'}" if is_zip else root
        path = root if is_zip else f"{root}/{SENTENCES}"
        return cls(path=path, entities=root, ids=ids, unrelated=f"{beside}/{UNRELATED}")

    @property
    def others(self) -> list[tuple[str, str]]:
        """The inputs besides ``path``: what the manifest calls each, and where it is."""
        annotations = [] if self.path == self.entities else [("annotations", f"{self.entities}/{ANNOTATIONS}")]
        return [*annotations, ("ids", self.ids), ("unrelated", self.unrelated)]

    @property
    def label(self) -> str:
        """The dataset's name: those of the folder and of the zip say nothing."""
        return "flickr30k_entities"

    def chunks(self) -> Iterator[ArrayChunk]:
        """Of some hundred photos at a time up to three chunks: the photos, their captions, their boxes."""
        read_unrelated(self.unrelated)  # where it is missing, that is told before any work
        rows = {IMAGES: 0, CAPTIONS: 0, BOXES: 0}
        for begin in range(0, len(read_ids(self.ids)), PHOTOS_PER_CHUNK):
            data = self._data(begin)
            for name, row in rows.items():
                if count := len(_elements(name, begin, data)):
                    yield ArrayChunk(name=name, offset=begin, first_row=row, count=count, data=data)
                rows[name] += count

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """The chunks, from the files again; raises InputError where these changed meanwhile."""
        for begin, group in groupby(ranges, attrgetter("offset")):
            data = self._data(begin)
            for one in group:
                if len(data) != one.length or len(_elements(one.name, begin, data)) != one.count:
                    raise InputError(
                        f"{self.entities}: changed while it was read; start again when nothing writes to it"
                    )
                yield ArrayChunk(name=one.name, offset=begin, first_row=one.first_row, count=one.count, data=data)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each image, or the image of each caption and box."""
        places, found = zip(*_elements(chunk.name, chunk.offset, chunk.data), strict=True)
        rows = chunk.first_row + np.arange(chunk.count)
        problems = {int(row): one for row, value in zip(rows, found, strict=True) if (one := self._problem(value))}
        if chunk.name != IMAGES:
            parents = [None if int(row) in problems else place for row, place in zip(rows, places, strict=True)]
            return Heads(row=rows, parent=pa.array(parents, pa.int64()), problems=problems)
        usable = [None if one.problem else one for one in found]
        return Heads(
            row=rows,
            photo=pa.array([one and photo_name(COLLECTION, one.id) for one in usable], pa.string()),
            problems=problems,
            ids=places,
            stated=[one and Stated(f"{one.id}.jpg", *one.size_hw) for one in usable],
            sizes=[sum(len(msgspec.json.encode(each)) for each in (*one.captions, *one.boxes)) for one in found],
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """Each caption and box as JSON; of an image, what is doubtful of it, in words."""
        found = _elements(chunk.name, chunk.offset, chunk.data)
        if chunk.name == IMAGES:
            return [pa.array([" ".join(one.doubts).encode() for _, one in found], pa.large_binary())]
        return [pa.array([msgspec.json.encode(one) for _, one in found], pa.large_binary())]

    def _data(self, begin: int) -> bytes:
        """The files of the photos from place ``begin`` of the list on, as MessagePack."""
        ids = read_ids(self.ids)[begin : begin + PHOTOS_PER_CHUNK]
        bundle = Bundle(self.entities, SENTENCES)
        sentences = bundle.read([f"{SENTENCES}/{one}.txt" for one in ids])
        annotations = bundle.read([f"{ANNOTATIONS}/{one}.xml" for one in ids])
        return msgspec.msgpack.encode(list(zip(ids, sentences, annotations, strict=True)))

    def _problem(self, found: FlickrPhoto | FlickrCaption | FlickrBox | Unreadable) -> Problem | None:
        if isinstance(found, Unreadable):
            return Problem("unreadable-box", found.problem)
        if isinstance(found, FlickrPhoto):
            return found.problem
        if isinstance(found, FlickrCaption) and (found.photo, found.id) in read_unrelated(self.unrelated):
            return Problem("unrelated-caption", f"{UNRELATED} lists {found.photo} {found.id}")
        return None
