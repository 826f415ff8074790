"""The part of a record that a format can hold, and what is lost, counted.

An exporter writes the projected record whole, and what an import of its files gives is that record again, but for
provenance: that the two agree is what makes the counts true. Regions come in the order in which phrases name them.
"""

from collections import Counter

import msgspec
from msgspec import UNSET

from xdetr_data.exports.formats import Format
from xdetr_data.exports.losses import Loss
from xdetr_data.photos.ids import photo_id, photo_key
from xdetr_data.record import GroundedImage, Phrase, Provenance, Query, Region
from xdetr_data.sources.protocol import Problem, name_photo
from xdetr_data.spans import Span, join_spans, span_text
from xdetr_data.stages.check_boxes import MIN_SIDE_PX

Losses = Counter[Loss]
NOBODY = Provenance(source="")


def project(record: GroundedImage, target: Format) -> tuple[GroundedImage | None, Losses]:
    """What ``target`` holds of a record (None: nothing), and how much of what is lost.

    Losses are declared in ``target.loses``; anything else that a record has is in the result.
    """
    losses: Losses = Counter()
    image = record.image
    if isinstance(name_photo(image.source, image.file_name), Problem):
        losses[Loss.UNSAFE_NAME] += 1
        return None, losses
    key = photo_key(image.source, photo_id(image.source, image.file_name))
    losses[Loss.KEY] += key != record.key
    queries = _classes(record, losses) if target.is_of_classes else record.queries
    regions = [_region(one, image.size_hw, target, losses) for one in record.regions]
    numbers: dict[Region, int] = {}
    held = [_query(query, regions, numbers, target, losses) for query in queries]
    named = {index for query in queries for phrase in query.phrases for index in phrase.regions}
    losses[Loss.TEXTLESS] += len(record.regions) - len(named)
    alike = len({index for index in named if regions[index] is not None}) - len(numbers)
    losses[Loss.EQUAL_REGIONS] += alike
    kept = tuple([query for query in held if query is not None])
    if not kept:
        losses[Loss.EMPTY_PHOTO] += 1
        return None, +losses
    return GroundedImage(key=key, image=image, regions=tuple(numbers), queries=kept), +losses


def _region(region: Region, size_hw: tuple[int, int], target: Format, losses: Losses) -> Region | None:
    """The region as the format has it, or None where it has no place there."""
    box = target.rounded(region.box_xyxy, size_hw)
    losses[Loss.PROVENANCE] += 1
    if region.is_crowd and Loss.CROWD in target.loses:
        losses[Loss.CROWD] += 1
        return None
    if min(box[2] - box[0], box[3] - box[1]) < MIN_SIDE_PX:
        losses[Loss.THIN_BOX] += 1
        return None
    losses[Loss.BOX_BITS] += box != region.box_xyxy
    mask = region.mask
    if mask is not UNSET and Loss.MASK in target.loses:
        losses[Loss.MASK] += 1
        mask = UNSET
    return Region(box_xyxy=box, is_crowd=region.is_crowd, provenance=NOBODY, mask=mask)


def _query(
    query: Query, regions: list[Region | None], numbers: dict[Region, int], target: Format, losses: Losses
) -> Query | None:
    """The query as the format has it; gives regions their numbers in the order in which they are named."""
    if not query.text.strip():
        losses[Loss.NO_WORDS] += 1
        return None
    losses[Loss.GROUP] += bool(query.group)
    is_exhaustive = query.is_exhaustive
    if is_exhaustive and Loss.EXHAUSTIVE in target.loses:
        losses[Loss.EXHAUSTIVE] += 1
        is_exhaustive = False
    phrases: dict[tuple[Span, ...], dict[int, None]] = {}
    for phrase in query.phrases:
        losses[Loss.PROVENANCE] += 1
        losses[Loss.SCORE] += phrase.score is not None
        if (spans := _spans(phrase, query.text, losses)) is None:
            continue
        if Loss.PARTS in target.loses and len(spans) > 1:
            losses[Loss.PARTS] += 1
            spans = spans[:1]
        found = [region for index in phrase.regions if (region := regions[index]) is not None]
        if not found:
            is_absence = query.is_exhaustive and not phrase.regions
            loss = Loss.ABSENCE if is_absence else Loss.UNBOXED
            if loss in target.loses:
                losses[loss] += 1
                continue
        losses[Loss.EQUAL_PHRASES] += spans in phrases
        own = phrases.setdefault(spans, {})
        for region in found:
            own[numbers.setdefault(region, len(numbers))] = None
    if target.needs_phrases and not phrases:
        losses[Loss.NO_PHRASES] += not query.phrases
        return None
    return Query(
        text=query.text,
        group="",
        is_exhaustive=is_exhaustive,
        phrases=tuple([Phrase(spans=spans, regions=tuple(own), provenance=NOBODY) for spans, own in phrases.items()]),
    )


def _spans(phrase: Phrase, text: str, losses: Losses) -> tuple[Span, ...] | None:
    """The words as imports read them, or None where they are white space."""
    spans = phrase.spans
    if any(text[begin:end].isspace() for begin, end in spans):
        losses[Loss.NO_WORDS] += 1
        return None
    if len(spans) > 1 and (joined := join_spans(spans, text)) != spans:
        losses[Loss.SPANS] += 1
        return joined
    return spans


def _classes(record: GroundedImage, losses: Losses) -> tuple[Query, ...]:
    """A query for each class: the words of phrases, with the regions of all phrases of the same words."""
    found: dict[str, list[tuple[Query, Phrase]]] = {}
    for query in record.queries:
        if not query.phrases:
            losses[Loss.NO_PHRASES] += 1
            losses[Loss.GROUP] += bool(query.group)
        for number, phrase in enumerate(query.phrases):
            words = span_text(phrase.spans, query.text)
            is_class = words == query.text and len(query.phrases) == 1
            losses[Loss.SENTENCE] += not is_class
            losses[Loss.GROUP] += number == 0 and bool(query.group) and words in found
            losses[Loss.EQUAL_QUERIES] += words in found
            losses[Loss.SCORE] += words in found and phrase.score is not None
            losses[Loss.PROVENANCE] += words in found
            found.setdefault(words, []).append((query, phrase))
    return tuple([_class(words, alike) for words, alike in found.items()])


def _class(words: str, alike: list[tuple[Query, Phrase]]) -> Query:
    regions = dict.fromkeys(index for _, phrase in alike for index in phrase.regions)
    said = [query.is_exhaustive for query, _ in alike]
    phrase = msgspec.structs.replace(
        alike[0][1], spans=((0, len(words)),) if words else alike[0][1].spans, regions=tuple(regions)
    )
    first = alike[0][0]
    return Query(text=words, group=first.group, is_exhaustive=all(said), phrases=(phrase,))
