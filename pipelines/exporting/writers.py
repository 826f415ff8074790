"""How each format's files are written: a record at a time, in bounded memory, and at the end what belongs to all."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Protocol

import msgspec

from pipelines.exporting.classes import Classes
from pipelines.exporting.two_arrays import CocoWriter, MdetrWriter
from xdetr_data.errors import InputError
from xdetr_data.exports.chat import Style, conversations
from xdetr_data.exports.formats import (
    CHAT_QWEN,
    CHAT_SHAREGPT,
    COCO,
    COCO_FEDERATED,
    GRIT,
    MDETR,
    ODVG,
    ODVG_CLASSES,
    YOLO,
    Format,
)
from xdetr_data.exports.grit import grit_lines
from xdetr_data.exports.odvg import detection_line, grounding_lines
from xdetr_data.exports.yolo import yolo_lines
from xdetr_data.record import GroundedImage
from xdetr_data.storage import Folder, HashingWriter

ANNOTATIONS, LABEL_MAP, NAMES = "annotations", "label_map.json", "data.yaml"
_ENCODER = msgspec.json.Encoder()


class Writer(Protocol):
    """Writes projected records of its ``target``."""

    target: Format

    def add(self, record: GroundedImage) -> int:
        """Writes a record; how many lines or annotations it became."""

    def finish(self) -> list[str]:
        """Writes what belongs to all records; the names of all files but those of one photo each."""


class LinesWriter:
    """JSON lines, a file for each collection of photos: ``annotations/<collection>.jsonl``."""

    def __init__(
        self, out: Folder, stack: ExitStack, target: Format, lines: Callable[[GroundedImage], list[dict[str, Any]]]
    ) -> None:
        self.target = target
        self._out, self._stack, self._lines = out, stack, lines
        self._sinks: dict[str, HashingWriter] = {}

    def add(self, record: GroundedImage) -> int:
        """Writes the record's lines."""
        name = f"{ANNOTATIONS}/{collection_of(record)}.jsonl"
        if name not in self._sinks:
            self._sinks[name] = self._stack.enter_context(self._out.writing(name))
        lines = self._lines(record)
        self._sinks[name].write(b"".join(_ENCODER.encode(line) + b"\n" for line in lines))
        return len(lines)

    def finish(self) -> list[str]:
        """All is written."""
        return sorted(self._sinks)


class OdvgClassesWriter(LinesWriter):
    """ODVG's detection, with its label map."""

    def __init__(self, out: Folder, stack: ExitStack, vocabulary: Mapping[str, None]) -> None:
        self._classes = Classes(vocabulary)
        super().__init__(out, stack, ODVG_CLASSES, self._line)

    def _line(self, record: GroundedImage) -> list[dict[str, Any]]:
        return [detection_line(record, record.image.file_name, self._classes.number(record))]

    def finish(self) -> list[str]:
        """The label map."""
        self._out.write(LABEL_MAP, _ENCODER.encode({str(n): text for text, n in self._classes.labels.items()}))
        return [*super().finish(), LABEL_MAP]


class YoloWriter:
    """A text file for each photo, ``<collection>/labels/<name>.txt``, beside which its photos are expected in
    ``<collection>/images``, and ``data.yaml`` with the names of the classes."""

    target = YOLO

    def __init__(self, out: Folder, vocabulary: Mapping[str, None]) -> None:
        self._out, self._classes = out, Classes(vocabulary)
        self._collections: dict[str, None] = {}

    def add(self, record: GroundedImage) -> int:
        """Writes the photo's file."""
        collection = collection_of(record)
        self._collections[collection] = None
        text = yolo_lines(record, self._classes.number(record))
        stem = record.image.file_name.rpartition(".")[0] or record.image.file_name
        if not self._out.put(f"{collection}/labels/{stem}.txt", text.encode(), replace=False):
            raise InputError(
                f"{record.key}: another photo of {collection} is called {stem}, too, and YOLO knows no other"
            )
        return text.count("\n")

    def finish(self) -> list[str]:
        """The names of the classes, and where the photos are."""
        names = {number: text for text, number in self._classes.labels.items()}
        data = {"train": [f"{one}/images" for one in self._collections], "names": names}
        self._out.write(NAMES, msgspec.yaml.encode(data))
        return [NAMES]


def collection_of(record: GroundedImage) -> str:
    """The photo's collection; raises InputError where it cannot be part of a file's name."""
    source = record.image.source
    if not (source.isascii() and source.isalnum()):
        raise InputError(f"{record.key}: source {source!r} cannot name a file; build the dataset with a plain name")
    return source


def target_of(name: str, style: Style, vocabulary: Mapping[str, None]) -> Format:
    """What a format as ``--to`` calls it holds."""
    if name == "chat":
        return CHAT_QWEN if style == "qwen" else CHAT_SHAREGPT
    if name == "odvg":
        return ODVG_CLASSES if vocabulary else ODVG
    if name == "coco":
        return COCO_FEDERATED if vocabulary else COCO
    return {"yolo": YOLO, "grit": GRIT, "mdetr": MDETR}[name]


def writer_of(name: str, style: Style, vocabulary: Mapping[str, None], out: Folder, stack: ExitStack) -> Writer:
    """The writer of a format as ``--to`` calls it; ``vocabulary`` are the texts of all classes, or nothing."""
    target = target_of(name, style, vocabulary)
    if name == "coco":
        return CocoWriter(out, stack, target, vocabulary)
    if name == "mdetr":
        return MdetrWriter(out, stack)
    if name == "yolo":
        return YoloWriter(out, vocabulary)
    if target is ODVG_CLASSES:
        return OdvgClassesWriter(out, stack, vocabulary)
    if name == "grit":
        return LinesWriter(out, stack, target, grit_lines)
    if name == "chat":
        return LinesWriter(out, stack, target, lambda record: conversations(record, style))
    return LinesWriter(out, stack, target, lambda record: grounding_lines(record, record.image.file_name))
