"""COCO's instances as a dataset of classes: images, annotations with class, box and mask, and absences where LVIS's
fields say them.

An image names its photo by ``file_name`` or the end of ``coco_url``, and the photo's collection by ``source``, as
exports of this tool do, or not at all. ``segmentation`` may be polygons, or run lengths plain or compressed.
Source: cocodataset.org/#format-data, lvisdataset.org/dataset.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from xdetr_data.photos.ids import photo_id
from xdetr_data.sources.coco_images import end_of_url
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import parse_record, parse_records
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.instances import (
    ABSENCE,
    ABSENCES,
    ANNOTATIONS,
    IMAGE,
    IMAGES,
    Id,
    Instances,
    Side,
    annotations_kind,
)
from xdetr_data.sources.protocol import Problem, name_photo

_COLLECTION = re.compile(r"[a-z0-9]{1,24}")
_OF_COLLECTION = 'say "source" in the image, or give --source NAME, as coco, vg or flickr'


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``images[]``; ``absences`` are its ``neg_category_ids`` as they stand there, where it has them."""

    id: Id
    height: Side
    width: Side
    file_name: str | None = None
    coco_url: str | None = None
    source: str | None = None
    stated: list[msgspec.Raw] | None = msgspec.field(default=None, name=ABSENCES)
    not_exhaustive: list[int] = msgspec.field(default_factory=list, name="not_exhaustive_category_ids")

    @property
    def photo(self) -> str:
        """The file's name."""
        return self.file_name or end_of_url(self.coco_url or "")

    @property
    def absences(self) -> Sequence[msgspec.Raw]:
        """The classes that are verified absent."""
        return self.stated or ()

    @property
    def is_federated(self) -> bool:
        """Whether it says which of its classes are boxed exhaustively."""
        return self.stated is not None


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]``: class, box ``[x, y, w, h]`` in pixels, and the mask as it stands there."""

    id: int | str
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: bool | int = False
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


_IMAGE, _ALL_IMAGES = msgspec.json.Decoder(CocoImage), msgspec.json.Decoder(list[CocoImage])
_ANNOTATION, _ALL_ANNOTATIONS = msgspec.json.Decoder(CocoAnnotation), msgspec.json.Decoder(list[CocoAnnotation])


def parse_image(data: bytes) -> CocoImage | Unreadable:
    """One element of ``images[]`` from its JSON bytes."""
    return parse_record(_IMAGE, data)


def parse_annotations(parts: Sequence[bytes]) -> list[CocoAnnotation | Unreadable]:
    """Elements of ``annotations[]``, one result each."""
    return parse_records(_ALL_ANNOTATIONS, _ANNOTATION, parts)


@lru_cache(maxsize=1)  # a chunk's absences are counted, then joined to their images, then copied
def _images_of(data: bytes) -> Sequence[CocoImage | Unreadable]:
    return parse_records(_ALL_IMAGES, _IMAGE, elements(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoClasses(Instances[CocoImage]):
    """A file of COCO; ``collection`` is that of photos whose image does not say it, or nothing."""

    role = "coco"
    kinds = (IMAGE, annotations_kind(), ABSENCE)
    collection: str

    def arrays(self) -> Iterator[ArrayChunk]:
        """Chunks of images and annotations."""
        return iter_array_chunks(self.path, (IMAGES, ANNOTATIONS))

    def images(self, data: bytes) -> Sequence[CocoImage | Unreadable]:
        """The images of a chunk, one result each."""
        return _images_of(data)

    def photo_of(self, image: CocoImage) -> str | Problem:
        """The photo's name, or why it means none."""
        collection = image.source or self.collection
        if not _COLLECTION.fullmatch(collection):
            return Problem("unknown-source", f"image {image.id} says of no collection that it is of: {_OF_COLLECTION}")
        if not image.photo:
            return Problem("unreadable-image", f"image {image.id} has no file_name and no coco_url")
        if image.file_name and image.coco_url:
            names = {photo_id(collection, one) for one in (image.file_name, end_of_url(image.coco_url))}
            if collection == "coco" and len(names) > 1:
                return Problem("ambiguous-image-id", f"image {image.id}: file_name and coco_url name different photos")
        return name_photo(collection, image.photo)

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A file without one image of a photo that can be named."""
        return f"{self.path}: no image of it names a photo ({': '.join(first or ('it is empty',))})"
