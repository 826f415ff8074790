"""Formats whose file is one object of two arrays, written a record at a time: COCO's and MDETR's."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import msgspec

from pipelines.exporting.classes import Classes
from xdetr_data.exports.coco import coco_annotations, coco_image
from xdetr_data.exports.formats import COCO_FEDERATED, MDETR, Format
from xdetr_data.exports.mdetr import annotations, paragraph
from xdetr_data.record import GroundedImage
from xdetr_data.storage import Folder

INSTANCES, PARAGRAPHS = "instances.json", "final_sentences.json"
_ENCODER = msgspec.json.Encoder()


class _TwoArrays:
    """A file ``{"images": […], "annotations": […], …}``; annotations wait on the disk until all images are written."""

    def __init__(self, out: Folder, stack: ExitStack, name: str) -> None:
        self.images = self.annotations = 0
        self._waiting = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=1 << 24))  # noqa: SIM115
        self._sink = stack.enter_context(out.writing(name))
        self._sink.write(b'{"images":[')

    def add_image(self, image: dict[str, Any]) -> None:
        """Writes an element of ``images``."""
        self._sink.write(b",\n" * (self.images > 0) + _ENCODER.encode(image))
        self.images += 1

    def add_annotation(self, annotation: dict[str, Any]) -> None:
        """Writes an element of ``annotations``."""
        self._waiting.write(b",\n" * (self.annotations > 0) + _ENCODER.encode(annotation))
        self.annotations += 1

    def finish(self, others: Mapping[str, Any]) -> None:
        """Writes the annotations, and the other fields."""
        self._sink.write(b'],"annotations":[')
        self._waiting.seek(0)
        while piece := self._waiting.read(1 << 20):
            self._sink.write(piece)
        self._sink.write(b"]," + _ENCODER.encode(others)[1:])


class CocoWriter:
    """One file of instances."""

    def __init__(self, out: Folder, stack: ExitStack, target: Format, vocabulary: Mapping[str, None]) -> None:
        self.target = target
        self._classes = Classes(vocabulary, first=1)
        self._file = _TwoArrays(out, stack, INSTANCES)

    def add(self, record: GroundedImage) -> int:
        """Writes the record's image and annotations."""
        labels = self._classes.number(record)
        identity = self._file.images + 1
        self._file.add_image(coco_image(record, identity, labels, is_federated=self.target is COCO_FEDERATED))
        made = coco_annotations(record, identity, self._file.annotations + 1, labels)
        for one in made:
            self._file.add_annotation(one)
        return len(made)

    def finish(self) -> list[str]:
        """The categories."""
        self._file.finish(
            {"categories": [{"id": number, "name": text} for text, number in self._classes.labels.items()]}
        )
        return [INSTANCES]


class MdetrWriter:
    """One file of paragraphs."""

    target = MDETR

    def __init__(self, out: Folder, stack: ExitStack) -> None:
        self._file = _TwoArrays(out, stack, PARAGRAPHS)

    def add(self, record: GroundedImage) -> int:
        """Writes a paragraph for each query, and its annotations."""
        for number, query in enumerate(record.queries):
            identity = self._file.images
            self._file.add_image(paragraph(record, number, identity))
            for one in annotations(record, query, identity, self._file.annotations):
                self._file.add_annotation(one)
        return len(record.queries)

    def finish(self) -> list[str]:
        """MDETR's one category."""
        self._file.finish(
            {"categories": [{"supercategory": "object", "id": 1, "name": "object"}], "info": [], "licenses": []}
        )
        return [PARAGRAPHS]
