"""MDETR's annotation JSON: mixed, Flickr (separateGT) and referring-expression flavours.

``images[]`` are paragraphs, not photos: one photo occurs many times. ``annotations[]`` follow, each with the id of its
paragraph, a box in pixels ``[x, y, w, h]`` and character spans of the paragraph's caption.
Source: ashkamath/mdetr, ``scripts/pre-training``; docs of the released ``final_*.json``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import first_keys, read_image_ids
from xdetr_data.sources.framing.json_stream import iter_array_chunks
from xdetr_data.sources.mdetr_records import ParagraphHead, parse_heads
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

_COLLECTION = re.compile(r"[a-z0-9]{1,24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mdetr(Source):
    """An MDETR file: its paragraphs name the photos, its annotations hang on them."""

    role = "mdetr"
    kinds = (
        Kind(unit="paragraph", array="images", introduces=True),
        Kind(
            unit="annotation",
            array="annotations",
            hangs_on="paragraph",
            stray="annotation-of-unknown-paragraph",
            lists_strays=True,
        ),
    )

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of ``images`` and ``annotations``."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each paragraph, or the paragraph of each annotation."""
        if chunk.name == "images":
            return _paragraph_heads(chunk)
        ids, problems = read_image_ids(chunk)
        return Heads(
            row=chunk.first_row + np.arange(len(ids)),
            parent=ids,
            problems={row: Problem("unreadable-annotation", problem) for row, problem in problems.items()},
        )


def _paragraph_heads(chunk: ArrayChunk) -> Heads:
    heads = parse_heads(chunk.data)
    names = [_photo_of(head) for head in heads]
    return Heads(
        row=chunk.first_row + np.arange(len(heads)),
        photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
        problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
        ids=[head.id for head in heads],
        stated=[None if isinstance(one, Unreadable) else Stated(one.file_name, one.height, one.width) for one in heads],
    )


def _photo_of(head: ParagraphHead | Unreadable) -> str | Problem:
    if isinstance(head, Unreadable):
        return Problem("unreadable-paragraph", head.problem)
    if not -(1 << 63) <= head.id < 1 << 63:
        return Problem("unreadable-paragraph", f"id {head.id} does not fit 64 bits")
    name = name_photo(head.collection, head.file_name)
    if isinstance(name, Problem) and name.reason == "unsafe-file-name":
        return name
    if not _COLLECTION.fullmatch(head.collection):
        said = f"data_source {head.data_source!r}, dataset_name {head.dataset_name!r}"
        return Problem("unknown-source", f'{said} tell no collection: write "data_source": "coco" (or vg, flickr, …)')
    return name


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of ``images`` and ``annotations`` of an MDETR file; raises InputError where the file is no such file."""
    found: set[str] = set()
    for chunk in iter_array_chunks(path, ("images", "annotations"), chunk_bytes=chunk_bytes):
        if chunk.name == "images" and "images" not in found:
            _check_flavour(path, chunk.data)
        found.add(chunk.name)
        yield chunk


def _check_flavour(path: str, data: bytes) -> None:
    """Refuses a COCO file given as an MDETR file, before an hour's work rejects every one of its records."""
    keys = first_keys(data)
    if "caption" not in keys and "file_name" in keys:
        raise InputError(f"{path}: images have no 'caption': this is no MDETR file; give COCO's with --coco-instances")
