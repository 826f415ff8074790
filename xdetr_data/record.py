"""The record: one labelled photo, from the readers to the shards. All values are frozen and keyword-only.

``GroundedImage`` is one photo with all its queries; ``Query`` one independent sentence; ``Phrase`` links character
spans of that sentence to regions of the photo; ``Region`` is a box, class-agnostic unless a phrase names it.
Construction checks every index, span and box, so that a value that exists is a value that can be trained on.
"""

from __future__ import annotations

import math
import re

import msgspec

from xdetr_data.boxes import Box
from xdetr_data.errors import RecordError
from xdetr_data.spans import Span

KEY = re.compile(r"[A-Za-z0-9_%-]+")


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Who said so: the file or model (``source``), its own id for the statement, and what else an audit needs."""

    source: str
    annotation_id: str = ""
    detail: str = ""


class ImageRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Which photo: its file name at the source, the source (coco, vg, flickr, …), size in pixels, sha256 of its bytes.

    ``sha256`` is None where the photo itself was not read (``--metadata-only``).
    """

    file_name: str
    source: str
    size_hw: tuple[int, int]
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Raises RecordError for a size that no photo has."""
        if self.size_hw[0] < 1 or self.size_hw[1] < 1:
            raise RecordError(f"{self.file_name}: size_hw {self.size_hw} is not positive")


class Region(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A box in pixels of the original photo. A region that no phrase names is class-agnostic: detection only.

    ``mask``, where somebody segmented the object: its pixels as COCO's compressed run lengths at the photo's size
    (``xdetr_data.masks``). It may leave the box by a little, for models predict both.
    """

    box_xyxy: Box
    is_crowd: bool = False
    provenance: Provenance
    mask: str | msgspec.UnsetType = msgspec.UNSET  # unset, not null: samples without masks are written as ever

    def __post_init__(self) -> None:
        """Raises RecordError for a box without area or with a coordinate that is no number."""
        x0, y0, x1, y1 = self.box_xyxy
        if not (x0 < x1 and y0 < y1 and math.isfinite(x1 - x0) and math.isfinite(y1 - y0)):
            raise RecordError(f"box_xyxy {self.box_xyxy} has no area or is not finite")


class Phrase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Character spans of the query's text ↔ indices into the photo's regions."""

    spans: tuple[Span, ...]
    regions: tuple[int, ...] = ()
    score: float | None = None
    provenance: Provenance

    def __post_init__(self) -> None:
        """Raises RecordError unless spans are ordered and disjoint, regions distinct and the score a number."""
        last = -1
        for begin, end in self.spans:
            if not last < begin < end:
                raise RecordError(f"phrase spans {self.spans} are empty, unordered or overlap")
            last = end - 1
        if last < 0:
            raise RecordError("a phrase has no span")
        if self.score is not None and not math.isfinite(self.score):
            raise RecordError(f"phrase score {self.score} is not finite")
        if len(set(self.regions)) != len(self.regions):
            raise RecordError(f"phrase regions {self.regions} name a region twice")


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One independent sentence; ``group`` is the paragraph or narrative that it came from.

    ``is_exhaustive``: every object of the photo that the phrases name is known to be boxed.
    """

    text: str
    group: str
    is_exhaustive: bool = False
    phrases: tuple[Phrase, ...] = ()

    def __post_init__(self) -> None:
        """Raises RecordError for a span that ends outside the text."""
        length = len(self.text)
        for phrase in self.phrases:
            if phrase.spans[-1][1] > length:
                raise RecordError(f"span {phrase.spans[-1]} ends outside the query of {length} characters")


class GroundedImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One photo with its regions and queries: what one sample of a shard holds."""

    key: str
    image: ImageRef
    regions: tuple[Region, ...] = ()
    queries: tuple[Query, ...] = ()

    def __post_init__(self) -> None:
        """Raises RecordError for a key unfit for a tar, a box off the photo, or a region index out of range."""
        if not KEY.fullmatch(self.key):
            raise RecordError(f"key {self.key!r} may hold only letters, digits, '_', '-' and '%'")
        height, width = self.image.size_hw
        for region in self.regions:
            x0, y0, x1, y1 = region.box_xyxy
            if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
                raise RecordError(f"{self.key}: box_xyxy {region.box_xyxy} leaves the photo of {width}x{height} pixels")
        count = len(self.regions)
        for query in self.queries:
            for phrase in query.phrases:
                for index in phrase.regions:
                    if not 0 <= index < count:
                        raise RecordError(f"{self.key}: a phrase names region {index} of {count}")


class Rejected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A drop is a value, never silence.

    ``unit`` is what was dropped (photo, paragraph, annotation, box), ``input_ref`` where it stands in the input
    (``file#images[12]``).
    """

    key: str
    unit: str
    stage: str
    reason: str
    detail: str = ""
    input_ref: str = ""
