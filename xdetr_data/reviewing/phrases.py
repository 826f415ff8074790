"""Phrases after a review: boxes taken away, moved, or put on other words of the sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from msgspec.structs import replace as changed

from xdetr_data.record import Phrase, Provenance, Query
from xdetr_data.reviewing.decisions import Action, Decision
from xdetr_data.reviewing.draft import SOURCE, Draft, Link, Work, clipped, find_words
from xdetr_data.spans import Span, span_text


def review_query(work: Work, number: int, query: Query) -> list[Draft]:
    """The query's phrases after the decisions, in order; those that went are noted."""
    drafts = [
        draft
        for position, phrase in enumerate(query.phrases)
        for draft in _review_phrase(work, number, position, phrase, query.text)
    ]
    if not any(draft.moved for draft in drafts):
        return drafts
    return list(_merge(work, number, drafts, query.text))


def _review_phrase(work: Work, number: int, position: int, phrase: Phrase, text: str) -> Iterator[Draft]:
    if not phrase.regions:
        yield from _review_unboxed(work, number, position, phrase, text)
        return
    groups: dict[tuple[Span, ...], list[Link]] = {}
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
        yield Draft(phrase, tuple(groups[phrase.spans]))
    elif groups:
        ordered = sorted(groups.items(), key=lambda group: group[0] != phrase.spans)
        for made, (spans, links) in enumerate(ordered):
            work.review.phrases_made += made > 0
            yield Draft(_by_reviewer(phrase, spans, links, done), tuple(links), moved=spans != phrase.spans)
    elif is_missing:
        yield Draft(_by_reviewer(phrase, phrase.spans, [], done), ())
    else:
        work.review.drop("phrase", "reject", _said(phrase, text), f"queries[{number}].phrases[{position}]")


def _review_unboxed(work: Work, number: int, position: int, phrase: Phrase, text: str) -> Iterator[Draft]:
    actions = work.of(number, position, None)
    if "reject" in actions:
        work.review.drop("phrase", "reject", _said(phrase, text), f"queries[{number}].phrases[{position}]")
    elif "edit-label" in actions:
        spans = find_words(text, actions["edit-label"].label or "", phrase.spans) or phrase.spans
        yield Draft(_by_reviewer(phrase, spans, [], ["edit-label"]), (), moved=spans != phrase.spans)
    else:
        yield Draft(phrase, ())


def _said(phrase: Phrase, text: str) -> str:
    return f"{span_text(phrase.spans, text)!r} at {list(phrase.spans)}"


def _drop_link(work: Work, phrase: Phrase, region: int, action: Action, decision: Decision) -> None:
    work.review.drop("label", action, f"{decision.text!r}", decision.place)
    if action == "wrong-box":
        work.wrong.add(region)
    elif phrase.score is None:
        work.keep_textless.add(region)


def _link(work: Work, phrase: Phrase, region: int, actions: dict[Action, Decision], text: str) -> Link:
    box = actions["edit-box"].box_xyxy if "edit-box" in actions else None
    spans: tuple[Span, ...] | None = phrase.spans
    if "edit-label" in actions:
        spans = find_words(text, actions["edit-label"].label or "", phrase.spans)
    return Link(
        region=region,
        box_xyxy=None if box is None else clipped(work.review.record, box),
        spans=phrase.spans if spans is None else spans,
        is_edited=bool(actions),
    )


def _by_reviewer(phrase: Phrase, spans: tuple[Span, ...], links: Sequence[Link], done: Sequence[str]) -> Phrase:
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


def _merge(work: Work, number: int, drafts: Sequence[Draft], text: str) -> Iterator[Draft]:
    """One phrase for words that a reviewer's label moved to and that another phrase names already."""
    merged: dict[tuple[Span, ...], Draft] = {}
    alone: list[tuple[Span, ...] | Draft] = []
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
        yield one if isinstance(one, Draft) else merged[one]


def _join(work: Work, number: int, earlier: Draft, later: Draft, text: str) -> Draft:
    links = {link.target: link for link in earlier.links}
    for link in later.links:
        if link.target in links:
            work.review.drop(
                "label", "duplicate", _said(later.phrase, text), f"queries[{number}].regions[{link.region}]"
            )
        links.setdefault(link.target, link)
    host = later if earlier.moved and not later.moved else earlier
    return replace(host, links=tuple(links.values()), moved=True)
