"""A record taken apart for its review: what is decided, what phrases and boxes become, and what goes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from xdetr_data.boxes import Box, clip_xyxy
from xdetr_data.errors import RecordError
from xdetr_data.record import GroundedImage, Phrase, Provenance, Region, Rejected
from xdetr_data.reviewing.decisions import Action, Decision
from xdetr_data.spans import Span

STAGE = "apply_review"
SOURCE = "review"

Place = tuple[int | None, int | None, int | None]


@dataclass(slots=True)
class Review:
    """What came of a sample's decisions: the new record, how many were applied, all that went, and what was made."""

    record: GroundedImage
    applied: int = 0
    rejects: list[Rejected] = field(default_factory=list)
    phrases_made: int = 0
    regions_made: int = 0

    def drop(self, unit: str, reason: str, detail: str, place: str) -> None:
        """Notes that something went."""
        self.rejects.append(
            Rejected(key=self.record.key, unit=unit, stage=STAGE, reason=reason, detail=detail, input_ref=place)
        )

    def refuse(self, decision: Decision, reason: str, detail: str = "") -> None:
        """Notes that a decision cannot be applied."""
        what = f"{decision.action} of {decision.text!r}" + (f": {detail}" if detail else "")
        self.drop("decision", reason, what, decision.place)


@dataclass(frozen=True, slots=True)
class Link:
    """A phrase's box after the decisions: an old region, or a new box in its place; and the words that name it."""

    region: int
    box_xyxy: Box | None
    spans: tuple[Span, ...]
    is_edited: bool

    @property
    def target(self) -> tuple[int, Box | None]:
        """The region that it means; two phrases whose box was moved to the same place mean one region."""
        return self.region, self.box_xyxy


@dataclass(frozen=True, slots=True)
class Draft:
    """A phrase with links for regions; ``moved`` says that its words are the reviewer's."""

    phrase: Phrase
    links: tuple[Link, ...]
    moved: bool = False


@dataclass(slots=True)
class Work:
    """The record taken apart: what is decided about each label, and what becomes of the regions."""

    review: Review
    decided: dict[Place, dict[Action, Decision]]
    keep_textless: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)

    def of(self, *place: int | None) -> dict[Action, Decision]:
        """The decisions about a label."""
        query, phrase, region = place
        return self.decided.get((query, phrase, region), {})


def clipped(record: GroundedImage, box_xyxy: Box) -> Box | None:
    """The part of a box that lies on the photo; None where it has no area."""
    box = clip_xyxy(box_xyxy, record.image.size_hw)
    try:
        return Region(box_xyxy=box, provenance=Provenance(source=SOURCE)).box_xyxy
    except RecordError:
        return None


def find_words(text: str, label: str, spans: Sequence[Span]) -> tuple[Span, ...] | None:
    """Whole words of ``text`` that are the label, nearest to the phrase's old place; None where there are none."""
    label = " ".join(label.split()).strip(" .,;:!?")
    if not label:
        return None
    pattern = r"\s+".join(map(re.escape, label.split(" ")))
    pattern = rf"(?<!\w){pattern}(?!\w)"
    for flags in (re.NOFLAG, re.IGNORECASE):
        if found := [match.span() for match in re.finditer(pattern, text, flags)]:
            return (min(found, key=lambda span: (abs(span[0] - spans[0][0]), span)),)
    return None
