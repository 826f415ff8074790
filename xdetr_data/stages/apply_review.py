"""Puts reviewers' decisions into a record: labels rejected, boxes taken away or moved, phrases put on other words.

Every decision is applied or becomes a ``Rejected`` with its reason. Nothing else of the record changes.

* ``right``: the words mean this box. Nothing changes.
* ``reject``: the words do not mean this box. The link goes; a phrase that has no box left goes with it.
* ``wrong-box``: the words are right, the box is not. The link goes, the phrase stays, with no box if it was the last;
  its query is not exhaustive any more.
* ``edit-box``: this phrase's box becomes another one. Where other phrases name the old box, they keep it.
* ``edit-label``: the box moves to other words of the same query.

A box that was named and is no more goes too, but for a rejected box that people drew: it is still an object, and stays
as a textless region.
"""

from collections.abc import Sequence

from msgspec.structs import replace as changed

from xdetr_data.boxes import Box
from xdetr_data.record import GroundedImage, Query
from xdetr_data.reviewing.decisions import Decision
from xdetr_data.reviewing.draft import STAGE, Draft, Review, Work
from xdetr_data.reviewing.phrases import review_query
from xdetr_data.reviewing.regions import number_regions, review_textless
from xdetr_data.reviewing.standing import standing_decisions

__all__ = ["STAGE", "Review", "apply_review"]


def apply_review(record: GroundedImage, decisions: Sequence[Decision]) -> Review:
    """The record with the decisions about it; the record itself where there are none that can be applied."""
    review = Review(record)
    work = Work(review, standing_decisions(record, decisions, review))
    drafts = [review_query(work, number, query) for number, query in enumerate(record.queries)]
    named = {region for query in record.queries for phrase in query.phrases for region in phrase.regions}
    loose = [(index, *review_textless(work, index)) for index in range(len(record.regions)) if index not in named]
    regions, numbers = number_regions(work, drafts, loose, named)
    if review.applied:
        queries = [
            _finish_query(work, number, query, phrases, numbers)
            for number, (query, phrases) in enumerate(zip(record.queries, drafts, strict=True))
        ]
        review.record = changed(record, regions=tuple(regions), queries=tuple(queries))
    return review


def _finish_query(
    work: Work, number: int, query: Query, drafts: Sequence[Draft], numbers: dict[tuple[int, Box | None], int]
) -> Query:
    phrases = tuple(
        changed(draft.phrase, regions=tuple(numbers[link.target] for link in draft.links)) for draft in drafts
    )
    lost = any("wrong-box" in actions for place, actions in work.decided.items() if place[0] == number)
    return changed(query, phrases=phrases, is_exhaustive=query.is_exhaustive and not lost)
