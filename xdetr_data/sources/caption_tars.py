"""Tars as img2dataset leaves them that bring their own captions: ``<key>.jpg`` beside ``<key>.txt`` or ``<key>.json``.

A tar is both: the container of the photos, and the source of their captions, joined by key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from xdetr_data.addresses.reading import file_system, open_file
from xdetr_data.photos.ids import photo_name
from xdetr_data.sources.captioned import Caption, Captions, text_of
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, split_lines
from xdetr_data.sources.framing.web_members import WebMembers, iter_web_members
from xdetr_data.sources.protocol import FoundPhoto, Kind, PhotoSource, Problem

_CAPTIONS_AT_A_TIME = 4096
_RECORD = msgspec.json.Decoder(dict[str, object])


class _Row(NamedTuple):
    """A key of a tar, with its caption, or why it has none."""

    key: str
    text: str
    reason: str = ""


_ROW = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarPhotos(PhotoSource):
    """The photos of a tar, called by their keys."""

    path: str

    def photos(self) -> Iterator[FoundPhoto]:
        """The photos of the tar in order."""
        with open_file(*file_system(self.path), self.path) as stream:
            for one in iter_web_members(self.path, stream):
                extent = one.photo
                yield FoundPhoto(
                    id=one.key,
                    names=(_name(self.path, one.key),),
                    offset=0 if extent is None else extent[0],
                    size=0 if extent is None else extent[1],
                    problem=_problem(one),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TarCaptions(Captions):
    """The captions of a tar, one for every key that has one."""

    role = "tar"
    kinds = (Kind(unit="caption", array=LINES, selects=True, stray="no-photo", lists_strays=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """The keys in order, as JSON lines."""
        rows: list[_Row] = []
        first = 0
        with open_file(*file_system(self.path), self.path) as stream:
            for one in iter_web_members(self.path, stream):
                if (row := self.row(one)) is not None:
                    rows.append(row)
                if len(rows) == _CAPTIONS_AT_A_TIME:
                    yield _chunk(rows, first)
                    rows, first = [], first + len(rows)
        if rows:
            yield _chunk(rows, first)

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """A tar is gone through again, from header to header."""
        wanted = {one.first_row for one in ranges}
        return (chunk for chunk in self.chunks() if chunk.first_row in wanted)

    @staticmethod
    def row(one: WebMembers) -> _Row | None:
        """What a key says, or None where it says nothing."""
        return _row(one)

    def read(self, chunk: ArrayChunk) -> list[Caption | Problem]:
        """The caption of each key."""
        return [self._read(_ROW.decode(line)) for line in split_lines(chunk.data)]

    def _read(self, row: _Row) -> Caption | Problem:
        if row.reason:
            return Problem(row.reason, f"{row.key}: {row.text}")
        return Caption(_name(self.path, row.key), row.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarQuestions(TarCaptions):
    """A question for every key of a tar that has a photo, whatever is said of it."""

    kinds = (Kind(unit="question", array=LINES, selects=True, stray="no-photo", lists_strays=True),)

    @staticmethod
    def row(one: WebMembers) -> _Row | None:
        """The key."""
        return None if one.photo is None else _Row(one.key, "")


def _name(path: str, key: str) -> str:
    """What captions call a photo of a tar."""
    return photo_name("tar", blake2b(f"{path}\0{key}".encode(errors="replace"), digest_size=8).hexdigest())


def _problem(one: WebMembers) -> Problem | None:
    if one.is_mixed:
        return Problem("duplicate-key", "the tar holds parts of two photos of this key, which cannot be told apart")
    return None if one.photo is not None else Problem("missing-photo", "the tar holds no photo of this key")


def _row(one: WebMembers) -> _Row | None:
    """A key's caption: of its ``.txt``, else of its ``.json``; None where it has neither."""
    if "txt" in one.parts:
        try:
            return _Row(one.key, " ".join(one.read("txt").decode("utf-8-sig").split()))
        except UnicodeDecodeError as error:
            return _Row(one.key, f"no UTF-8 ({error.reason} at byte {error.start})", "unreadable-caption")
    if "json" not in one.parts:
        return None
    record = parse_record(_RECORD, one.read("json"))
    found = Problem("unreadable-caption", record.problem) if isinstance(record, Unreadable) else text_of(record)
    return _Row(one.key, found.detail, found.reason) if isinstance(found, Problem) else _Row(one.key, found)


def _chunk(rows: Sequence[_Row], first: int) -> ArrayChunk:
    data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    return ArrayChunk(name=LINES, offset=first, first_row=first, count=len(rows), data=data)
