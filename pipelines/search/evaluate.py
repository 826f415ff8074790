"""``xdetr-search evaluate``: how often the instance that words mean is among the best answers of a whole database.

An expression is a phrase that names one box of one photo. Its instance is found at k where one of the k best answers is
on that photo with IoU 0.5 with the box. Other photos may show what the words say, too, and count as wrong: *same words*
counts any instance that an expression of the same words names, on any photo.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import console
from pipelines.evaluate.result import NOT_PUBLISHED, Figure, Result, Table, figure
from pipelines.labelling.grounding import Phrase
from pipelines.search.database import Database, Hit
from pipelines.search.encoder import QueryEncoder
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.errors import InputError
from xdetr_data.manifest import read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder

KS = (1, 5, 10)
LEAST_IOU = 0.5
INSTANCE = "the instance itself: IoU at least 0.5 with its box, on its photo, among all photos of the index"
SAME_WORDS = "any instance that an expression of the same words names, on any photo"
BOUND = "an object of the index has IoU 0.5 with the instance's box: what no order of answers can exceed"
COMPARABLE = "with MMIS of the X-DETR paper, if queries and index are of its photos (RefCOCO, +, g on COCO val)"

Words = tuple[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Words in their sentence, and the one box of a photo that they name; ``kinds`` are reported apart."""

    phrase: Phrase
    key: str
    box_xyxy: Box
    kinds: tuple[str, ...] = ()

    @property
    def words(self) -> Words:
        """What expressions of the same words share."""
        return self.phrase.text.casefold(), self.phrase.spans


def expressions_of(address: str) -> Iterator[Expression]:
    """Every phrase of a dataset that names one box: ``expression`` is a whole text, ``phrase`` a part of a sentence."""
    folder = Folder(address)
    for stem in stems(read_manifest(folder)):
        for record in read_records(folder, stem):
            yield from _of_record(record)


def _of_record(record: GroundedImage) -> Iterator[Expression]:
    for query in record.queries:
        for phrase in query.phrases:
            if len(phrase.regions) != 1 or record.regions[phrase.regions[0]].is_crowd:
                continue
            spans = tuple((begin, end) for begin, end in phrase.spans)
            kind = "expression" if spans == ((0, len(query.text)),) else "phrase"
            box = record.regions[phrase.regions[0]].box_xyxy
            yield Expression(phrase=Phrase(query.text, spans), key=record.key, box_xyxy=box, kinds=(kind,))


def measure(
    database: Database,
    encoder: QueryEncoder,
    expressions: Iterable[Expression],
    name: str,
    **options: Any,
) -> Result:
    """Recall at 1, 5 and 10 of every expression whose photo is in the index, of all and by kind.

    ``options`` are those of ``Database.answers``.

    Raises InputError where there is none.
    """
    given = list(expressions)
    is_there = database.holds({one.key for one in given})
    asked = [one for one in given if one.key in is_there]
    if not asked:
        raise InputError(_why_none(given, name))
    vectors = encoder.phrases([one.phrase for one in asked])
    named: dict[Words, dict[str, list[Box]]] = {}
    for one in asked:
        named.setdefault(one.words, {}).setdefault(one.key, []).append(one.box_xyxy)
    found: dict[Words, list[Hit]] = {}
    ranks = np.full((len(asked), 2), np.inf)
    bound = np.zeros(len(asked), bool)
    with console.progress(f"searching {name}", len(asked)) as advance:
        for number, (one, vector) in enumerate(zip(asked, vectors, strict=True)):
            if one.words not in found:
                found[one.words] = [] if vector is None else database.answers(vector, max(KS), **options)
            ranks[number] = (
                _rank(found[one.words], {one.key: [one.box_xyxy]}),
                _rank(found[one.words], named[one.words]),
            )
            boxes, _ = database.objects_of(one.key)
            bound[number] = bool((iou_matrix_xyxy([one.box_xyxy], boxes) >= LEAST_IOU).any())
            advance(1)
    measured = {
        "expressions": len(asked),
        "not_in_the_index": len(given) - len(asked),
        "not_seen_by_the_model": sum(vector is None for vector in vectors),
        "objects": database.objects,
        "photos": database.photos,
    }
    return Result(
        task="search",
        measured=measured,
        figures=[
            *_figures(name, ranks[:, 0], INSTANCE, COMPARABLE),
            *_figures(f"{name} same words", ranks[:, 1], SAME_WORDS, NOT_PUBLISHED),
            figure(f"upper bound {name}", float(bound.mean()), BOUND),
        ],
        tables=[_by_kind(asked, ranks, bound)],
    )


def _why_none(given: Sequence[Expression], name: str) -> str:
    if not given:
        return f"--queries {name}: no phrase names one box; give a dataset such as 'xdetr-data build refcoco' makes"
    return (
        f"--queries {name}: none of its photos is in the index (as {given[0].key}); index the photos that the queries "
        "are of, folders as SOURCE=FOLDER"
    )


def _rank(hits: Sequence[Hit], named: Mapping[str, Sequence[Box]]) -> float:
    """Place (from 0) of the first answer that is one of the named instances; infinity where none is."""
    for place, hit in enumerate(hits):
        boxes = named.get(hit.key)
        if boxes and (iou_matrix_xyxy([hit.box_xyxy], boxes) >= LEAST_IOU).any():
            return float(place)
    return float("inf")


def _figures(name: str, ranks: NDArray[np.float64], protocol: str, comparable: str) -> list[Figure]:
    return [figure(f"recall@{k} {name}", float((ranks < k).mean()), protocol, comparable) for k in KS]


def _by_kind(asked: Sequence[Expression], ranks: NDArray[np.float64], bound: NDArray[np.bool_]) -> Table:
    """A row for each kind: how many, recall of the instance, recall of the same words, upper bound."""
    rows: list[list[str | float | None]] = []
    for kind in sorted({kind for one in asked for kind in one.kinds}):
        own = np.array([kind in one.kinds for one in asked])
        recalls = [float((ranks[own, column] < k).mean()) for column in (0, 1) for k in KS]
        rows.append([kind, int(own.sum()), *recalls, float(bound[own].mean())])
    columns = [f"recall@{k}{which}" for which in ("", " same words") for k in KS]
    return Table(title="by kind", columns=["", "expressions", *columns, "upper bound"], rows=rows)
