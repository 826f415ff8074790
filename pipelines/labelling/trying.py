"""Phrases on single photos, without a dataset: what ``xdetr-data ground`` shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.labelling.grounding import Grounder, Phrase
from pipelines.labelling.models import model_errors
from xdetr_data.addresses.trees import list_tree
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.record import GroundedImage, ImageRef
from xdetr_data.shards.reader import PHOTO_SUFFIXES
from xdetr_data.stages.grounding.ground_phrases import SelectionRule, select_boxes
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases

_NAMES = (*PHOTO_SUFFIXES, "jpeg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A phrase to find: ``is_plural`` and ``count`` say how many boxes it may have."""

    text: str
    is_plural: bool
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found for a phrase: ``[x0, y0, x1, y1]`` in pixels, best first; ``reason`` where it is nothing."""

    phrase: str
    boxes_xyxy: list[tuple[float, float, float, float]]
    scores: list[float]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A photo with its answers."""

    name: str
    photo: Photo
    answers: list[Answer]


def photos_at(address: str) -> tuple[list[tuple[str, str]], bool]:
    """Name and address of a photo, or of all photos below a folder in alphabetical order; and whether it is a folder.

    Raises InputError where a folder has none.
    """
    listed = list_tree(address)
    if listed is None:
        return [(PurePosixPath(address).name, address)], False
    tree, files = listed
    found = [(name, tree.address(name)) for name, _ in files if name.lower().rpartition(".")[2] in _NAMES]
    if not found:
        raise InputError(f"{address}: no photo below this folder (.{', .'.join(_NAMES)})")
    return found, True


def read_phrases(texts: Sequence[str], boxes: int | None) -> list[Wanted]:
    """Phrases with how many objects they name: ``boxes`` of each, or, of the first noun phrase, what its words say.

    Raises ConfigError for an empty phrase, and where words are to be read and no language pipeline is installed.
    """
    stripped = [text.strip() for text in texts]
    if not all(stripped):
        raise ConfigError("a phrase is empty; say what to look for, as in 'the red car'")
    if boxes is not None:
        return [Wanted(text=text, is_plural=boxes > 1, count=boxes) for text in stripped]
    stage = NounPhrases()
    stage.load()
    wanted = []
    for text, sentences in zip(stripped, stage(stripped), strict=True):
        mentions = [mention for sentence in sentences for mention in sentence.mentions]
        first = mentions[0] if mentions else None
        is_plural, count = (False, None) if first is None else (first.is_plural, first.count)
        wanted.append(Wanted(text=text, is_plural=is_plural, count=count))
    return wanted


def try_photos(
    photos: Sequence[tuple[str, str]], wanted: Sequence[Wanted], grounder: Grounder, ckpt: str, rule: SelectionRule
) -> Iterator[Tried | tuple[str, BadPhoto]]:
    """Each photo's answers, one photo at a time; or its name and why it cannot be read."""
    phrases = [Phrase(one.text, ((0, len(one.text)),)) for one in wanted]
    keep = max([rule.max_plural, *(one.count or 1 for one in wanted)])
    for name, address in photos:
        photo = read_photo(address)
        if isinstance(photo, BadPhoto):
            yield name, photo
            continue
        with model_errors(ckpt):
            prepared = grounder.prepare(decode_photo(photo.data))
            [candidates] = grounder.ground_prepared([prepared], [phrases], 10 * keep)
        answers = []
        for one, found in zip(wanted, candidates, strict=True):
            scores = [float(score) for score in found.scores]
            chosen, reason = select_boxes(
                rule,
                boxes_xyxy=found.boxes_xyxy,
                scores=scores,
                agreement=[None] * len(scores),
                is_plural=one.is_plural,
                count=one.count,
            )
            answers.append(
                Answer(
                    phrase=one.text,
                    boxes_xyxy=[tuple(found.boxes_xyxy[i].tolist()) for i in chosen],
                    scores=[scores[i] for i in chosen],
                    reason=reason if found.fit == "whole" or reason is None else f"{reason} ({found.fit})",
                )
            )
        yield Tried(name=name, photo=photo, answers=answers)


def as_record(tried: Tried, model: str) -> GroundedImage:
    """The answers as a record, which is what pictures are drawn of."""
    queries = [
        BoxedQuery(
            text=answer.phrase,
            group=str(number),
            source=model,
            phrases=(
                BoxedPhrase(
                    spans=((0, len(answer.phrase)),),
                    boxes_xyxy=tuple(answer.boxes_xyxy),
                    annotation_ids=tuple(f"{number}.{i}" for i in range(len(answer.boxes_xyxy))),
                    score=answer.scores[0] if answer.scores else None,
                ),
            ),
        )
        for number, answer in enumerate(tried.answers)
    ]
    regions, merged = merge_regions(queries, min_iou=1.0)
    image = ImageRef(file_name=tried.name, source=model, size_hw=tried.photo.size_hw, sha256=tried.photo.sha256)
    return GroundedImage(key="photo", image=image, regions=regions, queries=merged)
