"""The formats, and what each loses: the declaration from which losses are counted and the documents' table is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xdetr_data.exports.losses import Loss

# What imports of every format make of a record, whatever the format could say.
_EVERYWHERE = frozenset(
    {
        *(Loss.KEY, Loss.UNSAFE_NAME, Loss.EMPTY_PHOTO, Loss.GROUP, Loss.PROVENANCE, Loss.SCORE, Loss.THIN_BOX),
        *(Loss.EQUAL_REGIONS, Loss.EQUAL_PHRASES, Loss.NO_WORDS, Loss.SPANS, Loss.UNBOXED, Loss.TEXTLESS),
    }
)
_CLASSES = frozenset({Loss.EQUAL_QUERIES, Loss.NO_PHRASES, Loss.SENTENCE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format.

    Attributes:
        name: what ``--to`` and ``--from`` call it.
        loses: what it cannot hold.
        is_of_classes: whether it knows classes by name, and no sentences.
        has_sides: whether boxes are corner, width and height.
    """

    name: str
    loses: frozenset[Loss]
    is_of_classes: bool = False
    has_sides: bool = False


ODVG = Format(name="odvg", loses=_EVERYWHERE | {Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK})
ODVG_CLASSES = Format(
    name="odvg of classes",
    loses=_EVERYWHERE | _CLASSES | {Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK},
    is_of_classes=True,
)

FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in (ODVG, ODVG_CLASSES)})
