"""Files of instances by class, COCO's and LVIS's: images, their verified absences, annotations of classes.

The absences (``neg_category_ids``) stand inside their images, so that each chunk of images is read as two: the images,
and their absences, which are counted through the whole file.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import parse_record, read_image_ids
from xdetr_data.sources.framing.json_stream import elements
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated

IMAGES, ANNOTATIONS, ABSENCES = "images", "annotations", "neg_category_ids"

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]

IMAGE = Kind(unit="image", array=IMAGES, introduces=True)
ABSENCE = Kind(unit="absence", array=ABSENCES, hangs_on="image")
_CLASS = msgspec.json.Decoder(int)


class Image(Protocol):
    """An image of any of the formats."""

    @property
    def id(self) -> int:
        """What annotations call it."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def photo(self) -> str:
        """The photo's file."""

    @property
    def absences(self) -> Sequence[msgspec.Raw]:
        """Its ``neg_category_ids`` as they stand there."""


One = TypeVar("One", bound=Image)


def annotations_kind(bytes_per_photo: int | None = None) -> Kind:
    """The kind of ``annotations``."""
    return Kind(
        unit="annotation",
        array=ANNOTATIONS,
        hangs_on="image",
        stray="annotation-of-unknown-image",
        lists_strays=True,
        bytes_per_photo=bytes_per_photo,
    )


def parse_class(data: bytes) -> int | Unreadable:
    """One element of ``neg_category_ids`` from its JSON bytes: a class's id."""
    return parse_record(_CLASS, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances(Source, Generic[One]):
    """A file of instances: its images name the photos, annotations and absences hang on them."""

    @abstractmethod
    def arrays(self) -> Iterator[ArrayChunk]:
        """Chunks of images and annotations."""

    @abstractmethod
    def images(self, data: bytes) -> Sequence[One | Unreadable]:
        """The images of a chunk, one result each."""

    @abstractmethod
    def photo_of(self, image: One) -> str | Problem:
        """The photo's name, or why it means none."""

    def kept(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        """What is kept of each annotation."""
        return parts

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of annotations and of images, those each again as a chunk of their absences, where they have any."""
        return self.with_absences(self.arrays())

    def with_absences(self, arrays: Iterable[ArrayChunk]) -> Iterator[ArrayChunk]:
        """These chunks, behind each of images the same bytes as the chunk of their absences."""
        row = 0
        for chunk in arrays:
            yield chunk
            if chunk.name == IMAGES and (count := len(self._absences(chunk.data))):
                yield replace(chunk, name=ABSENCES, first_row=row, count=count)
                row += count

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each image, or the image of each annotation or absence."""
        rows = chunk.first_row + np.arange(chunk.count)
        if chunk.name == ABSENCES:
            return Heads(row=rows, parent=pa.array([owner for owner, _ in self._absences(chunk.data)], pa.int64()))
        if chunk.name == ANNOTATIONS:
            ids, unread = read_image_ids(chunk)
            problems = {row: Problem("unreadable-annotation", problem) for row, problem in unread.items()}
            return Heads(row=rows, parent=ids, problems=problems)
        images = self.images(chunk.data)
        names = [
            Problem("unreadable-image", one.problem) if isinstance(one, Unreadable) else self.photo_of(one)
            for one in images
        ]
        return Heads(
            row=rows,
            photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
            problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
            ids=[one.id for one in images],
            stated=[
                None if isinstance(one, Unreadable) else Stated(one.photo, one.height, one.width) for one in images
            ],
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """Each image's and each absence's own bytes, and what is kept of an annotation."""
        if chunk.name == ABSENCES:
            return [pa.array([absence for _, absence in self._absences(chunk.data)], pa.large_binary())]
        parts = elements(chunk.data)
        return [pa.array(self.kept(parts) if chunk.name == ANNOTATIONS else parts, pa.large_binary())]

    def _absences(self, data: bytes) -> list[tuple[int, bytes]]:
        """Each absence of a chunk of images with its image's id; of an unreadable image there are none."""
        return [
            (one.id, bytes(absence))
            for one in self.images(data)
            if not isinstance(one, Unreadable)
            for absence in one.absences
        ]
