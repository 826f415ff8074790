"""Queries as vectors: a sentence, a phrase in a sentence, what a box of an image shows, an instance of the index."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.labelling.grounding import Phrase
from pipelines.labelling.models import load_grounder, model_errors
from pipelines.search.database import Database, Vector
from pipelines.search.encode import ModelToLoad
from pipelines.search.layout import Index
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import BadPhoto, read_photo

LEAST_IOU = 0.3  # of an image's box with an object that the model sees there


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query ``[d]``, and how it is called. ``kind``: text, phrase, image or like."""

    kind: str
    name: str
    vector: Vector


class QueryEncoder:
    """The model of an index, loaded; raises InputError where ``ckpt`` is another one."""

    def __init__(self, index: Index, *, ckpt: str | None, device: str) -> None:
        self._ckpt = ckpt or index.model.ckpt
        precision: Any = index.model.precision
        model = ModelToLoad(ckpt=self._ckpt, device=device, precision=precision, batch_size=1, load=load_grounder)
        self._encoder = model.encoder()
        if self._encoder.fingerprint() != index.model.fingerprint:
            raise InputError(
                f"--ckpt {self._ckpt}: is another model ({self._encoder.fingerprint()[:12]}) than the index was made "
                f"with ({index.model.ckpt}, {index.model.fingerprint[:12]}); its texts mean nothing there: give that "
                "checkpoint, or index the photos again"
            )

    def text(self, text: str, phrase: str | None = None) -> Query:
        """A sentence, or a phrase of it (its first occurrence), read in its sentence."""
        begin = 0 if phrase is None else text.find(phrase)
        words = text if phrase is None else phrase
        if not words.strip():
            raise ConfigError("the query is empty; say what to look for, as in 'a red racing car'")
        if begin < 0:
            raise ConfigError(f"--phrase {phrase!r}: is no part of {text!r}")
        span = (begin + len(words) - len(words.lstrip()), begin + len(words.rstrip()))
        with model_errors(self._ckpt):
            self._encoder.forget()  # so that a vector's bits do not depend on earlier queries
            [found] = self._encoder.encode_phrases([Phrase(text, (span,))])
        if not len(found.vectors):
            raise ConfigError(f"{words[:60]!r}: the model sees none of it ({found.fit}); say it in fewer words")
        kind, name = ("text", text) if phrase is None else ("phrase", f"{phrase} · {text}")
        return Query(kind=kind, name=name, vector=found.vectors[0])

    def phrases(self, phrases: Sequence[Phrase]) -> list[Vector | None]:
        """The vectors of many phrases, None where the model sees nothing of one."""
        with model_errors(self._ckpt):
            found = self._encoder.encode_phrases(phrases)
        return [one.vectors[0] if len(one.vectors) else None for one in found]

    def image(self, path: str, box_xyxy: Box | None) -> tuple[Query, Box, float]:
        """The object that a box of an image shows, without a box the one that fills it: its vector, its box, the IoU.

        Raises InputError where the model sees no object there.
        """
        photo = read_photo(path)
        if isinstance(photo, BadPhoto):
            raise InputError(f"--image {photo.detail} ({photo.reason})")
        height, width = photo.size_hw
        wanted = (0.0, 0.0, float(width), float(height)) if box_xyxy is None else box_xyxy
        x0, y0, x1, y1 = wanted
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ConfigError(f"--box {_said(wanted)}: is not on the image of {width}x{height} pixels, as x0,y0,x1,y1")
        with model_errors(self._ckpt):
            [found] = self._encoder.encode_photos([self._encoder.prepare(decode_photo(photo.data))])
        overlaps = iou_matrix_xyxy([wanted], found.boxes_xyxy)[0]
        best = int(np.lexsort((-found.objectness, -overlaps))[0])
        seen: Box = tuple(found.boxes_xyxy[best].tolist())
        if overlaps[best] < LEAST_IOU:
            raise InputError(
                f"--image {path}: the model sees no object at {_said(wanted)}; the nearest is {_said(seen)}, "
                f"IoU {overlaps[best]:.2f}; give its --box"
            )
        name = f"{path} at {_said(wanted)}"
        return Query(kind="image", name=name, vector=found.objects[best]), seen, float(overlaps[best])


def like(database: Database, key: str, number: int) -> Query:
    """An instance of the index as a query; needs no model."""
    hit = database.object(key, number)
    return Query(kind="like", name=f"{key}:{number}", vector=database.vector(hit))


def parse_instance(option: str, text: str) -> tuple[str, int]:
    """``KEY:OBJECT`` → both; raises ConfigError for anything else."""
    key, _, number = text.rpartition(":")
    if not (key and number.isascii() and number.isdigit()):
        raise ConfigError(f"{option} {text!r}: write an instance as KEY:OBJECT, as in coco_000000000139:3")
    return key, int(number)


def parse_box(text: str) -> Box:
    """``x0,y0,x1,y1`` in pixels → a box; raises ConfigError for anything else."""
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--box {text!r}: write it as x0,y0,x1,y1 in pixels, as in 10,20,200,180") from None
    return (x0, y0, x1, y1)


def _said(box: Box) -> str:
    return ",".join(f"{one:.0f}" for one in box)
