"""Puts reviewers' decisions into a record: labels rejected, boxes taken away or moved, phrases put on other words.

Every decision is applied or becomes a ``Rejected`` with its reason. Nothing else of the record changes.

* ``reject``: the words do not mean this box. The link goes; a phrase that has no box left goes with it.
* ``wrong-box``: the words are right, the box is not. The link goes, the phrase stays, with no box if it was the last;
  its query is not exhaustive any more.
* ``edit-box``: this phrase's box becomes another one. Where other phrases name the old box, they keep it.
* ``edit-label``: the box moves to other words of the same query.

A box that was named and is no more goes too, but for a rejected box that people drew: it is still an object, and stays
as a textless region.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as changed

from xdetr_data.boxes import Box, clip_xyxy
from xdetr_data.decisions import Action, Decision
from xdetr_data.errors import RecordError
from xdetr_data.record import GroundedImage, Phrase, Provenance, Query, Region, Rejected
from xdetr_data.spans import Span, span_text

STAGE = "apply_review"
SOURCE = "review"

Place = tuple[int | None, int | None, int | None]
# Of two decisions about one label, the first of these stands: whoever moved a box repaired what another called wrong.
_STRENGTH: tuple[Action, ...] = ("reject", "edit-box", "wrong-box")


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
class _Link:
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
class _Draft:
    """A phrase with links for regions; ``moved`` says that its words are the reviewer's."""

    phrase: Phrase
    links: tuple[_Link, ...]
    moved: bool = False


@dataclass(slots=True)
class _Work:
    """The record taken apart: what is decided about each label, and what becomes of the regions."""

    review: Review
    decided: dict[Place, dict[Action, Decision]]
    keep_textless: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)

    def of(self, *place: int | None) -> dict[Action, Decision]:
        """The decisions about a label."""
        query, phrase, region = place
        return self.decided.get((query, phrase, region), {})


def apply_review(record: GroundedImage, decisions: Sequence[Decision]) -> Review:
    """The record with the decisions about it; the record itself where there are none that can be applied."""
    review = Review(record)
    work = _Work(review, _decided(record, decisions, review))
    drafts = [_review_query(work, number, query) for number, query in enumerate(record.queries)]
    named = {region for query in record.queries for phrase in query.phrases for region in phrase.regions}
    loose = [(index, *_review_textless(work, index)) for index in range(len(record.regions)) if index not in named]
    regions, numbers = _number_regions(work, drafts, loose, named)
    if review.applied:
        queries = [
            _finish_query(work, number, query, phrases, numbers)
            for number, (query, phrases) in enumerate(zip(record.queries, drafts, strict=True))
        ]
        review.record = changed(record, regions=tuple(regions), queries=tuple(queries))
    return review


def _decided(
    record: GroundedImage, decisions: Sequence[Decision], review: Review
) -> dict[Place, dict[Action, Decision]]:
    """The decisions that stand, by label; the others are refused."""
    found: dict[Place, dict[Action, Decision]] = {}
    for one in decisions:
        if one.action == "new-label":
            review.refuse(one, "new-label", "labels drawn in the App have no place in a sentence")
        elif not _exists(record, one):
            review.refuse(one, "no-such-label", "the sample has no such label")
        elif (reason := _unfit(record, one)) is not None:
            review.refuse(one, *reason)
        elif one.action in found.setdefault((one.query, one.phrase, one.region), {}):
            review.refuse(one, "decided-twice")
        else:
            found[one.query, one.phrase, one.region][one.action] = one
    for actions in found.values():
        standing = next((action for action in _STRENGTH if action in actions), None)
        for action in list(actions):
            if (action in _STRENGTH and action != standing) or (
                action == "edit-label" and standing in ("reject", "wrong-box")
            ):
                review.refuse(actions.pop(action), "overruled", f"its label has the decision {standing}")
        review.applied += len(actions)
    return found


def _exists(record: GroundedImage, one: Decision) -> bool:
    if one.query is None or one.phrase is None:
        is_region = one.query is None and one.phrase is None and one.region is not None
        return is_region and 0 <= one.region < len(record.regions) and not _is_named(record, one.region)  # type: ignore[operator,arg-type]
    if not (0 <= one.query < len(record.queries) and 0 <= one.phrase < len(record.queries[one.query].phrases)):
        return False
    phrase = record.queries[one.query].phrases[one.phrase]
    return one.region in phrase.regions if one.region is not None else not phrase.regions


def _is_named(record: GroundedImage, region: int) -> bool:
    return any(region in phrase.regions for query in record.queries for phrase in query.phrases)


def _unfit(record: GroundedImage, one: Decision) -> tuple[str, str] | None:
    """Why a decision about an existing label cannot be applied: reason and detail."""
    if one.region is None and one.action in ("wrong-box", "edit-box"):
        return "no-box", "the phrase has no box"
    if one.action == "edit-box":
        if one.box_xyxy is None or _clipped(record, one.box_xyxy) is None:
            return "box-without-area", f"the new box {one.box_xyxy} has no area on the photo"
    elif one.action == "edit-label":
        if one.query is None or one.phrase is None:
            return "textless-label", "a box that no sentence names can be rejected or moved, not named"
        query = record.queries[one.query]
        if _words(query.text, one.label or "", query.phrases[one.phrase].spans) is None:
            return "label-not-in-query", f"{one.label!r} does not occur in {query.text!r}"
    return None


def _clipped(record: GroundedImage, box_xyxy: Box) -> Box | None:
    box = clip_xyxy(box_xyxy, record.image.size_hw)
    try:
        return Region(box_xyxy=box, provenance=Provenance(source=SOURCE)).box_xyxy
    except RecordError:
        return None


def _words(text: str, label: str, spans: Sequence[Span]) -> tuple[Span, ...] | None:
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


def _review_query(work: _Work, number: int, query: Query) -> list[_Draft]:
    """The query's phrases after the decisions, in order; those that went are noted."""
    drafts = [
        draft
        for position, phrase in enumerate(query.phrases)
        for draft in _review_phrase(work, number, position, phrase, query.text)
    ]
    if not any(draft.moved for draft in drafts):
        return drafts
    return list(_merge(work, number, drafts, query.text))


def _review_phrase(work: _Work, number: int, position: int, phrase: Phrase, text: str) -> Iterator[_Draft]:
    if not phrase.regions:
        yield from _review_unboxed(work, number, position, phrase, text)
        return
    groups: dict[tuple[Span, ...], list[_Link]] = {}
    done: list[str] = []
    is_missing = False
    for region in phrase.regions:
        actions = work.of(number, position, region)
        done += actions
        if (dropped := next((one for one in ("reject", "wrong-box") if one in actions), None)) is not None:
            _drop_link(work, phrase, region, dropped, actions[dropped])
            is_missing = is_missing or dropped == "wrong-box"
            continue
        link = _link(work, phrase, region, actions, text)
        groups.setdefault(link.spans, []).append(link)
    if not done:
        yield _Draft(phrase, tuple(groups[phrase.spans]))
    elif groups:
        ordered = sorted(groups.items(), key=lambda group: group[0] != phrase.spans)
        for made, (spans, links) in enumerate(ordered):
            work.review.phrases_made += made > 0
            yield _Draft(_by_reviewer(phrase, spans, links, done), tuple(links), moved=spans != phrase.spans)
    elif is_missing:
        yield _Draft(_by_reviewer(phrase, phrase.spans, [], done), ())
    else:
        work.review.drop("phrase", "reject", _said(phrase, text), f"queries[{number}].phrases[{position}]")


def _review_unboxed(work: _Work, number: int, position: int, phrase: Phrase, text: str) -> Iterator[_Draft]:
    actions = work.of(number, position, None)
    if "reject" in actions:
        work.review.drop("phrase", "reject", _said(phrase, text), f"queries[{number}].phrases[{position}]")
    elif "edit-label" in actions:
        spans = _words(text, actions["edit-label"].label or "", phrase.spans) or phrase.spans
        yield _Draft(_by_reviewer(phrase, spans, [], ["edit-label"]), (), moved=spans != phrase.spans)
    else:
        yield _Draft(phrase, ())


def _said(phrase: Phrase, text: str) -> str:
    return f"{span_text(phrase.spans, text)!r} at {list(phrase.spans)}"


def _drop_link(work: _Work, phrase: Phrase, region: int, action: Action, decision: Decision) -> None:
    work.review.drop("label", action, f"{decision.text!r}", decision.place)
    if action == "wrong-box":
        work.wrong.add(region)
    elif phrase.score is None:
        work.keep_textless.add(region)


def _link(work: _Work, phrase: Phrase, region: int, actions: dict[Action, Decision], text: str) -> _Link:
    box = actions["edit-box"].box_xyxy if "edit-box" in actions else None
    spans: tuple[Span, ...] | None = phrase.spans
    if "edit-label" in actions:
        spans = _words(text, actions["edit-label"].label or "", phrase.spans)
    return _Link(
        region=region,
        box_xyxy=None if box is None else _clipped(work.review.record, box),
        spans=phrase.spans if spans is None else spans,
        is_edited=bool(actions),
    )


def _by_reviewer(phrase: Phrase, spans: tuple[Span, ...], links: Sequence[_Link], done: Sequence[str]) -> Phrase:
    """The phrase with its new words, and who said so; a model's score goes where people vouch for every box."""
    was = phrase.provenance
    counts = {action: done.count(action) for action in dict.fromkeys(done)}
    what = ", ".join(action if count == 1 else f"{action} {count}" for action, count in counts.items())
    detail = f"{was.detail}; {what}" if was.source == SOURCE else f"was {was.source}: {what}"
    vouched = all(link.is_edited for link in links)
    return changed(
        phrase,
        spans=spans,
        score=None if vouched else phrase.score,
        provenance=Provenance(source=SOURCE, annotation_id=was.annotation_id, detail=detail),
    )


def _merge(work: _Work, number: int, drafts: Sequence[_Draft], text: str) -> Iterator[_Draft]:
    """One phrase for words that a reviewer's label moved to and that another phrase names already."""
    merged: dict[tuple[Span, ...], _Draft] = {}
    alone: list[tuple[Span, ...] | _Draft] = []
    for draft in drafts:
        spans = draft.phrase.spans
        earlier = merged.get(spans)
        if earlier is None:
            merged[spans] = draft
            alone.append(spans)
        elif not (earlier.moved or draft.moved):  # the input's own repetition is not the reviewer's business
            alone.append(draft)
        else:
            work.review.drop("phrase", "merged", _said(draft.phrase, text), f"queries[{number}]")
            merged[spans] = _join(work, number, earlier, draft, text)
    for one in alone:
        yield one if isinstance(one, _Draft) else merged[one]


def _join(work: _Work, number: int, earlier: _Draft, later: _Draft, text: str) -> _Draft:
    links = {link.target: link for link in earlier.links}
    for link in later.links:
        if link.target in links:
            work.review.drop(
                "label", "duplicate", _said(later.phrase, text), f"queries[{number}].regions[{link.region}]"
            )
        links.setdefault(link.target, link)
    host = later if earlier.moved and not later.moved else earlier
    return replace(host, links=tuple(links.values()), moved=True)


def _review_textless(work: _Work, index: int) -> tuple[bool, Box | None]:
    """Whether a region that no phrase names stays, and the box that it is moved to."""
    actions = work.of(None, None, index)
    for action in ("reject", "wrong-box"):
        if action in actions:
            return False, None
    box = actions["edit-box"].box_xyxy if "edit-box" in actions else None
    return True, None if box is None else _clipped(work.review.record, box)


def _number_regions(
    work: _Work,
    drafts: Sequence[Sequence[_Draft]],
    loose: Sequence[tuple[int, bool, Box | None]],
    named: set[int],
) -> tuple[list[Region], dict[tuple[int, Box | None], int]]:
    """The new list of regions, and the place in it of every region that something means."""
    wanted: dict[int, dict[Box | None, None]] = {index: {} for index in range(len(work.review.record.regions))}
    for query in drafts:
        for draft in query:
            for link in draft.links:
                wanted[link.region][link.box_xyxy] = None
    for index, stays, box in loose:
        if stays:
            wanted[index][box] = None
    regions: list[Region] = []
    numbers: dict[tuple[int, Box | None], int] = {}
    for index, old in enumerate(work.review.record.regions):
        boxes = wanted[index]
        if not boxes and index in work.keep_textless - work.wrong:
            boxes = {None: None}
        if None not in boxes:
            reason = "moved" if boxes else "wrong-box" if index in work.wrong else "reject"
            work.review.drop("box", reason, f"box_xyxy {list(old.box_xyxy)}", f"regions[{index}]")
        for box in boxes:
            numbers[index, box] = len(regions)
            regions.append(old if box is None else _moved(old, box))
            work.review.regions_made += box is not None
    return regions, numbers


def _moved(old: Region, box_xyxy: Box) -> Region:
    was = old.provenance
    detail = f"{was.detail}; edit-box" if was.source == SOURCE else f"was {was.source}: edit-box"
    return changed(
        old,
        box_xyxy=box_xyxy,
        provenance=Provenance(source=SOURCE, annotation_id=was.annotation_id, detail=detail),
    )


def _finish_query(
    work: _Work, number: int, query: Query, drafts: Sequence[_Draft], numbers: dict[tuple[int, Box | None], int]
) -> Query:
    phrases = tuple(
        changed(draft.phrase, regions=tuple(numbers[link.target] for link in draft.links)) for draft in drafts
    )
    lost = any("wrong-box" in actions for place, actions in work.decided.items() if place[0] == number)
    return changed(query, phrases=phrases, is_exhaustive=query.is_exhaustive and not lost)
