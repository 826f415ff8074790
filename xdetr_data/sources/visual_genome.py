"""Visual Genome's region descriptions: one array of images, each with its regions, a phrase and a box in pixels each.

Regions stand inside their images, so each chunk of the file is read as two: its images, which name the photos, and its
regions, which are counted through the whole file (what ``jq '[.[].regions[]][12]'`` shows is ``regions[12]``). Sizes of
the photos are in another file, ``image_data.json``.
Source: homes.cs.washington.edu/~ranjay/visualgenome, "API documentation"; the layout of version 1.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_key
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import DECODE_ERRORS, first_keys, parse_records
from xdetr_data.sources.framing.json_stream import WHOLE_FILE, elements, iter_whole_array_chunks, members
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, input_label, name_photo

COLLECTION = "vg"
REGIONS = "regions"

ImageId = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]


class VgRegion(msgspec.Struct, frozen=True, gc=False):
    """One region of an image; its ``id`` is the file's ``region_id``."""

    id: int = msgspec.field(name="region_id")
    image_id: int
    x: float
    y: float
    width: float
    height: float
    phrase: str

    @property
    def text(self) -> str:
        """The phrase with its white space tidied: runs of it are one space, and none is outside."""
        return " ".join(self.phrase.split())

    @property
    def key(self) -> str:
        """Key of the photo that it says it is of."""
        return photo_key(COLLECTION, str(self.image_id))


class VgImage(NamedTuple):
    """An element of the file: its id and its regions as their own bytes, and why it cannot be used, or nothing."""

    id: int | None
    regions: Sequence[bytes]
    problem: str = ""


class _Image(msgspec.Struct, frozen=True, gc=False):
    id: ImageId
    regions: list[msgspec.Raw]


class _Size(msgspec.Struct, frozen=True, gc=False):
    image_id: ImageId
    width: Side
    height: Side


_REGION = msgspec.json.Decoder(VgRegion)
_REGIONS = msgspec.json.Decoder(list[VgRegion])
_IMAGES = msgspec.json.Decoder(list[_Image])
_ID = msgspec.json.Decoder(ImageId)
_SIZE = msgspec.json.Decoder(_Size)
_SIZES = msgspec.json.Decoder(list[_Size])


def parse_regions(parts: Sequence[bytes]) -> list[VgRegion | Unreadable]:
    """Regions from their JSON bytes, one result each."""
    return parse_records(_REGIONS, _REGION, parts)


@lru_cache(maxsize=1)  # a chunk's regions are counted, then joined to their images, then copied
def parse_images(data: bytes) -> Sequence[VgImage]:
    """The images of a chunk, one result each; a region that is damaged is one of its image's regions all the same."""
    try:
        return [VgImage(one.id, [*map(bytes, one.regions)]) for one in _IMAGES.decode(b"[" + data + b"]")]
    except DECODE_ERRORS:
        return [*map(_parse_image, elements(data))]


def _parse_image(data: bytes) -> VgImage:
    parts = members(data)
    regions = parts.get("regions", b"")
    if not regions.startswith(b"["):
        return VgImage(None, (), "it has no 'regions' array")
    found = elements(regions[1:-1])
    try:
        return VgImage(_ID.decode(parts.get("id", b"null")), found)
    except DECODE_ERRORS as error:
        return VgImage(None, found, f"id: {error}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionDescriptions(Source):
    """A file of region descriptions; ``image_data`` is the file that states the sizes of its photos."""

    role = "regions"
    kinds = (
        Kind(unit="image", array=WHOLE_FILE, introduces=True),
        Kind(unit="region", array=REGIONS, hangs_on="image"),
    )
    image_data: str

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of images, each again as a chunk of their regions."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each image, or the image of each region."""
        return self._image_heads(chunk) if chunk.name == WHOLE_FILE else _region_heads(chunk)

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """Each region's own bytes, and nothing of an image, of which nothing else is read."""
        if chunk.name == WHOLE_FILE:
            return [pa.array([b""] * chunk.count, pa.large_binary())]
        return [pa.array([region for one in parse_images(chunk.data) for region in one.regions], pa.large_binary())]

    def _image_heads(self, chunk: ArrayChunk) -> Heads:
        images, sizes = parse_images(chunk.data), read_sizes(self.image_data)
        names = [self._photo_of(one, one.id in sizes) for one in images]
        return Heads(
            row=chunk.first_row + np.arange(len(images)),
            photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
            problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
            ids=[one.id for one in images],
            stated=[Stated(f"{one.id}.jpg", *sizes[one.id]) if one.id in sizes else None for one in images],
            sizes=[sum(map(len, one.regions)) for one in images],
        )

    def _photo_of(self, image: VgImage, has_size: bool) -> str | Problem:
        if image.id is None:
            return Problem("unreadable-image", image.problem)
        if not has_size:
            return Problem("not-in-image-data", f"{input_label(self.image_data)} states no size of image {image.id}")
        return name_photo(COLLECTION, f"{image.id}.jpg")


def _region_heads(chunk: ArrayChunk) -> Heads:
    owners = [one for one in parse_images(chunk.data) for _ in one.regions]
    return Heads(
        row=chunk.first_row + np.arange(len(owners)),
        parent=pa.array([one.id for one in owners], pa.int64()),
        problems={
            row: Problem("image-rejected", one.problem)
            for row, one in enumerate(owners, chunk.first_row)
            if one.id is None
        },
    )


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of images, and behind each the same bytes as the chunk of their regions, where they have any.

    Raises InputError where the file is no such file.
    """
    row = 0
    for chunk in iter_whole_array_chunks(path, chunk_bytes=chunk_bytes):
        if chunk.first_row == 0 and (keys := first_keys(chunk.data)) and "regions" not in keys:
            raise InputError(
                f"{path}: images have no 'regions': this is no region_descriptions.json; correct --regions"
            )
        yield chunk
        if count := sum(len(one.regions) for one in parse_images(chunk.data)):
            yield replace(chunk, name=REGIONS, first_row=row, count=count)
            row += count


@lru_cache(maxsize=8)
def read_sizes(path: str) -> dict[int, tuple[int, int]]:
    """Image id → height and width in pixels, of an image that occurs twice the first; raises InputError where the file
    states no size. A damaged entry states none.
    """
    sizes: dict[int, tuple[int, int]] = {}
    problem = "it is empty"
    for chunk in iter_whole_array_chunks(path):
        for one in parse_records(_SIZES, _SIZE, elements(chunk.data)):
            if isinstance(one, Unreadable):
                problem = one.problem
            else:
                sizes.setdefault(one.image_id, (one.height, one.width))
    if not sizes:
        raise InputError(f"{path}: states the size of no image ({problem}); give Visual Genome's image_data.json")
    return sizes
