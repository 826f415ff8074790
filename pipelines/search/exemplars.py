"""``xdetr-data review like``: instances that are like a reviewed one, and what is labelled where they are."""

from typing import Any

import msgspec
import numpy as np

from pipelines.search.answers import Answer, Answers, Found, answer_of, state_of
from pipelines.search.database import Database
from pipelines.search.encoder import LEAST_IOU
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.dataset import Dataset, open_dataset
from xdetr_data.errors import InputError
from xdetr_data.record import GroundedImage

LABELLED_IOU = 0.5  # from which on a box of the dataset is one of the instance


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """The region that others are to be like, and the object of the index that stands for it.

    Of photos without labels, ``region`` is the object itself.
    """

    key: str
    region: int
    box_xyxy: Box
    phrases: list[str]
    object: int
    iou: float


class Candidate(Answer, frozen=True, kw_only=True):
    """An instance to review. ``labelled`` is the region of the dataset that is there, None where none is;
    ``phrases`` are those that name it."""

    labelled: int | None
    phrases: list[str]


class Exemplars(msgspec.Struct, frozen=True, kw_only=True):
    """What is like a reviewed region, best first."""

    index: str
    dataset: str | None
    region: Reviewed
    candidates: list[Candidate]

    def answers(self, database: Database) -> Answers:
        """The same as the answers of a query, for a page or FiftyOne."""
        name = f"{self.region.key}, region {self.region.region}: {', '.join(self.region.phrases) or 'textless'}"
        fields = Answer.__struct_fields__
        plain = [Answer(**{field: getattr(one, field) for field in fields}) for one in self.candidates]
        return Answers(
            index=self.index,
            generation=database.index.generation,
            fingerprint=database.index.model.fingerprint,
            where=None,
            is_exact=database.is_exact,
            queries=[Found(kind="like", query=name, answers=plain)],
        )


def exemplars(database: Database, key: str, region: int, *, top: int, same_iou: float, data: str | None) -> Exemplars:
    """The ``top`` instances nearest to a region of a dataset, itself left out.

    The dataset is the one that the index was made of, or ``data``; of an index of photos without labels, ``region`` is
    an object's number. Raises InputError where the index has no object at the region.
    """
    address = data or _dataset_of(database, key)
    dataset = None if address is None else open_dataset(address)
    reviewed = _object(database, key, region) if dataset is None else _region(database, dataset, key, region)
    vector = database.vector(database.object(key, reviewed.object))
    hits = database.answers(vector, top + len(database.objects_of(key)[0]), same_iou=same_iou)
    others = [hit for hit in hits if hit.key != key or not _is_at(reviewed.box_xyxy, hit.box_xyxy)][:top]
    candidates = []
    for rank, hit in enumerate(others, start=1):
        answer = msgspec.to_builtins(answer_of(database, rank, hit, state_of(database, hit.key)))
        candidates.append(Candidate(**answer, **_labelled_at(dataset, hit.key, hit.box_xyxy)))
    return Exemplars(index=database.folder.url, dataset=address, region=reviewed, candidates=candidates)


def _object(database: Database, key: str, number: int) -> Reviewed:
    box = database.object(key, number).box_xyxy
    return Reviewed(key=key, region=number, box_xyxy=box, phrases=[], object=number, iou=1.0)


def _region(database: Database, dataset: Dataset, key: str, region: int) -> Reviewed:
    record = dataset[key].record
    if not 0 <= region < len(record.regions):
        has = f"regions 0 to {len(record.regions) - 1}" if record.regions else "no regions"
        raise InputError(f"{dataset.folder.url}: {key} has {has}, and no region {region}")
    box = record.regions[region].box_xyxy
    overlaps = iou_matrix_xyxy([box], database.objects_of(key)[0])[0]
    if overlaps.max(initial=0) < LEAST_IOU:
        raise InputError(
            f"{database.folder.url}: the model sees no object at region {region} of {key} (best IoU "
            f"{overlaps.max(initial=0):.2f}); choose another region, or index more --objects"
        )
    number = int(np.argmax(overlaps))
    return Reviewed(
        key=key,
        region=region,
        box_xyxy=box,
        phrases=_phrases(record, region),
        object=number,
        iou=float(overlaps[number]),
    )


def _dataset_of(database: Database, key: str) -> str | None:
    """The dataset among the inputs of the index that has the photo, None where it is a photo without labels."""
    database.photo(key)  # raises where it is not there at all
    paths = [one.path for part in database.index.parts for one in part.inputs if one.role == "dataset"]
    return next((path for path in dict.fromkeys(paths) if key in open_dataset(path)), None)


def _is_at(box: Box, other: Box) -> bool:
    return bool(iou_matrix_xyxy([box], [other])[0, 0] >= LABELLED_IOU)


def _phrases(record: GroundedImage, region: int) -> list[str]:
    """The words that name a region, each once."""
    said = [
        " ".join(query.text[begin:end] for begin, end in phrase.spans)
        for query in record.queries
        for phrase in query.phrases
        if region in phrase.regions
    ]
    return list(dict.fromkeys(said))


def _labelled_at(dataset: Dataset | None, key: str, box: Box) -> dict[str, Any]:
    """The region of the dataset at a place of a photo, and the words that name it."""
    record = dataset[key].record if dataset is not None and key in dataset else None
    if record is None or not record.regions:
        return {"labelled": None, "phrases": []}
    overlaps = iou_matrix_xyxy([box], [one.box_xyxy for one in record.regions])[0]
    best = int(np.argmax(overlaps))
    if overlaps[best] < LABELLED_IOU:
        return {"labelled": None, "phrases": []}
    return {"labelled": best, "phrases": _phrases(record, best)}
