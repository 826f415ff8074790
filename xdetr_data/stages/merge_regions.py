"""One object is one region: joins the boxes that different queries drew around the same object.

Visual Genome's boxes are looser than COCO's, so the threshold is a parameter of the source. Within one query boxes are
different objects, however much they overlap, because one annotator told them apart; only equal boxes are joined there.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET

from xdetr_data.box_order import rank
from xdetr_data.boxed import BoxedQuery
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.record import Phrase, Provenance, Query, Region

CELLS_AT_A_TIME = 1 << 20  # of the table of IoUs, so that memory is some MB however many boxes a photo has


def merge_regions(
    queries: Sequence[BoxedQuery], *, min_iou: float, order: Sequence[str] = ()
) -> tuple[tuple[Region, ...], tuple[Query, ...]]:
    """Regions in order of first mention, and the queries with phrases that point at them.

    A box joins the region with the highest IoU of at least ``min_iou`` whose members come from other queries; the
    region keeps the box whose source stands first in ``order`` (``xdetr_data.box_order``), of equals the one that was
    met first, and names the annotations that joined it in ``provenance.detail``. Its mask is the first of that box.
    """
    mentions: dict[Box, set[int]] = {}
    first: dict[Box, tuple[str, str]] = {}
    joined: dict[Box, list[str]] = {}
    masks: dict[Box, str] = {}
    for number, query in enumerate(queries):
        for phrase in query.phrases:
            for box, annotation_id in zip(phrase.boxes_xyxy, phrase.annotation_ids, strict=True):
                if box not in mentions:
                    mentions[box] = {number}
                    first[box] = (query.source, annotation_id)
                    joined[box] = []
                else:
                    mentions[box].add(number)
                    joined[box].append(annotation_id)
            for box, mask in zip(phrase.boxes_xyxy, phrase.masks, strict=False):
                if mask is not None:
                    masks.setdefault(box, mask)
    boxes = list(mentions)
    owner = _assign(boxes, [mentions[box] for box in boxes], min_iou)
    kept = sorted(set(owner))
    position = {i: index for index, i in enumerate(kept)}
    index_of = {box: position[owner[i]] for i, box in enumerate(boxes)}
    members: dict[int, list[Box]] = {i: [] for i in kept}
    for i, box in enumerate(boxes):
        members[owner[i]].append(box)
    regions = tuple(_region(members[i], first, joined, masks, order) for i in kept)
    return regions, tuple(_point(query, index_of) for query in queries)


def _region(
    members: list[Box],
    first: dict[Box, tuple[str, str]],
    joined: dict[Box, list[str]],
    masks: dict[Box, str],
    order: Sequence[str],
) -> Region:
    """One region of all boxes around an object, in the order in which they were met."""
    best, also = members[0], joined[members[0]]
    if len(members) > 1:
        best = min(members, key=lambda box: rank(first[box][0], order)) if order else best
        also = [*joined[best], *(name for box in members if box != best for name in (first[box][1], *joined[box]))]
    source, annotation_id = first[best]
    detail = "also " + " ".join(also) if also else ""
    provenance = Provenance(source=source, annotation_id=annotation_id, detail=detail)
    return Region(box_xyxy=best, provenance=provenance, mask=masks.get(best, UNSET))


def _assign(boxes: list[Box], queries_of: list[set[int]], min_iou: float) -> list[int]:
    """For each box the index of the box that stands for its region."""
    owner = list(range(len(boxes)))
    if len(boxes) < 2 or min_iou >= 1.0:
        return owner
    table = np.array(boxes, dtype=np.float64)
    members = [set(queries) for queries in queries_of]
    step = max(1, CELLS_AT_A_TIME // len(boxes))
    for begin in range(0, len(boxes), step):
        iou = iou_matrix_xyxy(table[begin : begin + step], table[: begin + step])
        near = np.tril(iou >= min_iou, k=begin - 1)  # boxes that were met before
        for row in np.flatnonzero(near.any(axis=1)).tolist():
            i, overlap = begin + row, iou[row]
            candidates = [
                j for j in near[row].nonzero()[0].tolist() if owner[j] == j and not members[j] & queries_of[i]
            ]
            if candidates:
                best = max(candidates, key=lambda j: (overlap[j], -j))
                owner[i] = best
                members[best] |= queries_of[i]
    return owner


def _point(query: BoxedQuery, index_of: dict[Box, int]) -> Query:
    return Query(
        text=query.text,
        group=query.group,
        phrases=tuple(
            [
                Phrase(
                    spans=phrase.spans,
                    regions=tuple(dict.fromkeys([index_of[box] for box in phrase.boxes_xyxy])),
                    score=phrase.score,
                    provenance=Provenance(
                        source=query.source, annotation_id=" ".join(phrase.annotation_ids), detail=phrase.detail
                    ),
                )
                for phrase in query.phrases
            ]
        ),
    )
