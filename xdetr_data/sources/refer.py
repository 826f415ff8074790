"""RefCOCO, RefCOCO+ and RefCOCOg as sources: the references of one split of a refer pickle, and the boxes.

The three sets call their files by the same names, so that an input is called by its folder and its name. References
and expressions are counted within the split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.addresses.reading import file_system
from xdetr_data.errors import InputError
from xdetr_data.photos.ids import collection_id, photo_id, photo_name
from xdetr_data.sources.coco import CocoInstances
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable, chunk_range
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, input_label, name_photo
from xdetr_data.sources.refer_files import Expression, Reference, read_images, read_references

COLLECTION = "coco"
REFS, EXPRESSIONS = "refs", "expressions"
REFS_PER_CHUNK = 4096


def folder_label(path: str) -> str:
    """What records call an input whose file name does not tell it apart: ``refcoco+/refs(unc)``."""
    folder = str(file_system(path)[1]).rpartition("/")[0].rpartition("/")[2]
    label = input_label(path).removesuffix(".p")
    return f"{folder}/{label}" if folder else label


@dataclass(frozen=True, slots=True, kw_only=True)
class RefInstances(CocoInstances):
    """The boxes: COCO's instances, or those that come with each of the three sets, all called ``instances.json``."""

    role = "instances"

    @property
    def label(self) -> str:
        """Its folder and its name."""
        return folder_label(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferPickle(Source):
    """The references of one split of a refer pickle; ``instances`` are the files that state the photos' sizes."""

    role = "refs"
    kinds = (
        Kind(unit="reference", array=REFS, introduces=True),
        Kind(unit="expression", array=EXPRESSIONS, hangs_on="reference"),
    )
    split: str
    instances: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its folder and its name, for RefCOCO's and RefCOCO+'s files have one name."""
        return folder_label(self.path)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Some thousand references at a time, and behind them their expressions. A pickle is read whole: no bytes."""
        row = 0
        for begin in range(0, len(read_references(self.path, self.split)), REFS_PER_CHUNK):
            references = self._references(begin)
            yield ArrayChunk(name=REFS, offset=begin, first_row=begin, count=len(references), data=b"")
            if count := sum(len(one.expressions) for one in references):
                yield ArrayChunk(name=EXPRESSIONS, offset=begin, first_row=row, count=count, data=b"")
                row += count

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """The chunks; raises InputError where the file changed meanwhile."""
        wanted = set(ranges)
        found = [one for one in self.chunks() if chunk_range(one) in wanted]
        if len(found) != len(wanted):
            raise InputError(f"{self.path}: changed while it was read; start again when nothing writes to it")
        yield from found

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each reference, or the reference of each expression."""
        references = self._references(chunk.offset)
        rows = chunk.first_row + np.arange(chunk.count)
        if chunk.name == REFS:
            stated = [self._stated(one) for one in references]
            problems = {row: one for row, one in enumerate(stated, chunk.first_row) if isinstance(one, Problem)}
            about = [None if isinstance(one, Problem) else one for one in stated]
            names = [
                None if one is None else photo_name(COLLECTION, photo_id(COLLECTION, one.file_name)) for one in about
            ]
            sizes = [sum(map(len, map(_encoded, one.expressions))) for one in references]
            return Heads(
                row=rows,
                photo=pa.array(names, pa.string()),
                problems=problems,
                ids=rows.tolist(),
                stated=about,
                sizes=sizes,
            )
        owned = [(row, ref, one) for row, ref in enumerate(references, chunk.offset) for one in ref.expressions]
        problems = {
            row: Problem("unreadable-expression", one.problem)
            for row, (_, _, one) in enumerate(owned, chunk.first_row)
            if isinstance(one, Unreadable)
        }
        parents = [None if isinstance(one, Unreadable) else row for row, _, one in owned]
        return Heads(row=rows, parent=pa.array(parents, pa.int64()), problems=problems)

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """Each expression as JSON, and nothing of a reference, of which nothing else is read."""
        references = self._references(chunk.offset)
        parts = (
            [b""] * chunk.count
            if chunk.name == REFS
            else [_encoded(one) for ref in references for one in ref.expressions]
        )
        return [pa.array(parts, pa.large_binary())]

    def nothing(self, first: tuple[str, str] | None) -> str | None:
        """A file without the split is not read for nothing."""
        why = f"the first problem is at {first[0]}: {first[1]}" if first else "correct --split, or leave the file out"
        return f"{self.path}: no photo is named by a reference of split {self.split!r}; {why}"

    def _references(self, begin: int) -> Sequence[Reference]:
        return read_references(self.path, self.split)[begin : begin + REFS_PER_CHUNK]

    def _stated(self, ref: Reference) -> Stated | Problem:
        if ref.problem:
            return Problem("unreadable-reference", ref.problem)
        stated = next(
            (found[ref.image_id] for found in map(read_images, self.instances) if ref.image_id in found), None
        )
        if stated is None:
            detail = f"no --instances file has image {ref.image_id}; give that of its own set, too"
            return Problem("image-not-in-instances", detail)
        named = name_photo(COLLECTION, stated.file_name)
        if isinstance(named, Problem):
            return named
        if collection_id(COLLECTION, ref.file_name) not in (None, photo_id(COLLECTION, stated.file_name)):
            detail = f"is of {ref.file_name}, but image {ref.image_id} of the instances is {stated.file_name}"
            return Problem("ambiguous-image-id", detail)
        return stated


def _encoded(one: Any) -> bytes:
    return msgspec.json.encode(one) if isinstance(one, Expression) else b""
