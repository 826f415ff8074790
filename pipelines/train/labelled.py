"""Photos with what is true of them, to evaluate a model on: from a dataset's shards, or from a toy world's truth."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.train.say import warn
from xdetr_data.errors import InputError
from xdetr_data.manifest import read_manifest
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.storage import Folder
from xdetr_data.toyworld.truth import PhotoTruth, TextTruth, read_truth
from xdetr_model.evaluate.boxes import TrueBoxes
from xdetr_model.evaluate.driver import LabelledPhoto, PhraseToFind
from xdetr_model.grounders.protocol import PhraseQuery


def dataset_photos(path: str, limit: int | None) -> Iterator[LabelledPhoto]:
    """The first ``limit`` photos of a dataset in the order of its shards.

    Those that cannot be decoded are left out, with one warning at the end. Raises InputError where that is all of them.
    """
    folder = Folder(path)
    samples = (sample for stem in stems(read_manifest(folder)) for sample in read_samples(folder, stem))
    count, problems = 0, []
    for sample in islice(samples, limit):
        count += 1
        if sample.photo is None:
            raise InputError(
                f"--val {path}: {sample.record.key} has no photo; build the dataset without --metadata-only"
            )
        try:
            photo = decode_photo(sample.photo.data)
        except InputError as error:
            problems.append(f"{sample.record.key}: {error}")
            continue
        yield _of_record(sample.record, photo)
    if not problems:
        return
    told = f"--val {path}: {len(problems)} of {count} photos cannot be read (first: {problems[0]})"
    if len(problems) == count:
        raise InputError(f"{told}; see 'xdetr-data validate {path}'")
    warn(f"{told} and are left out; see 'xdetr-data validate {path}'")


def _of_record(record: GroundedImage, photo: Image.Image) -> LabelledPhoto:
    boxes = _boxes([region.box_xyxy for region in record.regions])
    phrases = tuple(
        PhraseToFind(
            query=PhraseQuery(text=query.text, spans=tuple(phrase.spans)), boxes_xyxy=boxes[list(phrase.regions)]
        )
        for query in record.queries
        for phrase in query.phrases
        if phrase.regions
    )
    is_crowd = np.array([region.is_crowd for region in record.regions], dtype=np.bool_)
    return LabelledPhoto(photo=photo, boxes=TrueBoxes(boxes_xyxy=boxes, is_crowd=is_crowd), phrases=phrases)


def toy_photos(world: Path, splits: Sequence[str], files: Sequence[str], limit: int | None) -> Iterator[LabelledPhoto]:
    """Photos of a toy world in the order of its truth, with the phrases of texts in ``files`` (beginnings of names).

    A phrase's tag is the truth's kind (attribute, relation, plural), or ``held_out`` where no relation is needed and
    one of its objects has a combination of attributes that no training photo shows. Raises InputError.
    """
    for count, truth in enumerate(_truths(world, splits)):
        if limit is not None and count >= limit:
            return
        image = decode_photo((world / "photos" / truth.collection / truth.file_name).read_bytes())
        is_crowd = np.array([one.is_crowd for one in truth.objects], dtype=np.bool_)
        boxes = TrueBoxes(boxes_xyxy=_boxes([one.box_xyxy for one in truth.objects]), is_crowd=is_crowd)
        yield LabelledPhoto(photo=image, boxes=boxes, phrases=tuple(_toy_phrases(truth, files)))


def _truths(world: Path, splits: Sequence[str]) -> Iterator[PhotoTruth]:
    for split in splits:
        path = world / "truth" / f"{split}.jsonl"
        if not path.is_file():
            raise InputError(f"{path}: no such file; draw the world with 'xdetr-data toyworld --out {world}'")
        # The photos of cc are in tars, and nothing there is boxed.
        yield from (truth for truth in read_truth(path) if truth.collection != "cc")


def _toy_phrases(truth: PhotoTruth, files: Sequence[str]) -> Iterator[PhraseToFind]:
    for text in truth.texts:
        if text.file.startswith(tuple(files)):
            yield from _phrases_of_text(truth, text)


def _phrases_of_text(truth: PhotoTruth, text: TextTruth) -> Iterator[PhraseToFind]:
    """Phrases in the sentence that they stand in, as in shards."""
    for begin, end in text.sentences:
        for phrase in text.phrases:
            if begin <= phrase.span[0] and phrase.span[1] <= end and phrase.objects:
                held_out = any(truth.objects[index].held_out for index in phrase.objects)
                span = (phrase.span[0] - begin, phrase.span[1] - begin)
                yield PhraseToFind(
                    query=PhraseQuery(text=text.text[begin:end], spans=(span,)),
                    boxes_xyxy=_boxes(truth.boxes_xyxy(phrase)),
                    tag="held_out" if held_out and phrase.kind != "relation" else phrase.kind,
                )


def _boxes(boxes_xyxy: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    return np.array([list(box) for box in boxes_xyxy], dtype=np.float64).reshape(-1, 4)
