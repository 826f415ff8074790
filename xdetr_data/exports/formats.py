"""The formats, and what each loses: the declaration from which losses are counted and the documents' table is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xdetr_data.boxes import Box
from xdetr_data.exports import chat, coco, grit, yolo
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
        rounded: the box that a reader of the format gets for a box on a photo of some height and width.
        needs_phrases: whether a query without a phrase has no place.
    """

    name: str
    loses: frozenset[Loss]
    is_of_classes: bool = False
    rounded: Callable[[Box, tuple[int, int]], Box] = lambda box, _: box
    needs_phrases: bool = False


ODVG = Format(name="odvg", loses=_EVERYWHERE | {Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK})
ODVG_CLASSES = Format(
    name="odvg of classes",
    loses=_EVERYWHERE | _CLASSES | {Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK},
    is_of_classes=True,
    needs_phrases=True,
)
_COCO = _EVERYWHERE | _CLASSES | {Loss.BOX_BITS}
COCO = Format(
    name="coco",
    loses=_COCO | {Loss.EXHAUSTIVE, Loss.ABSENCE},
    is_of_classes=True,
    needs_phrases=True,
    rounded=coco.rounded,
)
COCO_FEDERATED = Format(
    name="coco of a vocabulary", loses=_COCO, is_of_classes=True, needs_phrases=True, rounded=coco.rounded
)
MDETR = Format(
    name="mdetr",
    loses=_EVERYWHERE | {Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK, Loss.BOX_BITS},
    rounded=coco.rounded,
)
_BOXES_ALONE = frozenset({Loss.EXHAUSTIVE, Loss.ABSENCE, Loss.CROWD, Loss.MASK, Loss.BOX_BITS})
YOLO = Format(
    name="yolo",
    loses=_EVERYWHERE | _CLASSES | _BOXES_ALONE,
    is_of_classes=True,
    needs_phrases=True,
    rounded=yolo.rounded,
)
GRIT = Format(name="grit", loses=_EVERYWHERE | _BOXES_ALONE | {Loss.PARTS}, rounded=grit.rounded)
_CHAT = _EVERYWHERE | _BOXES_ALONE | {Loss.NO_PHRASES}
CHAT_QWEN = Format(name="chat, qwen", loses=_CHAT, needs_phrases=True, rounded=chat.rounded_qwen)
CHAT_SHAREGPT = Format(name="chat, sharegpt", loses=_CHAT, needs_phrases=True, rounded=chat.rounded_sharegpt)

_ALL = (ODVG, ODVG_CLASSES, COCO, COCO_FEDERATED, MDETR, YOLO, GRIT, CHAT_QWEN, CHAT_SHAREGPT)
FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in _ALL})
