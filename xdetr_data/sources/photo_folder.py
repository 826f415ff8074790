"""A folder of photos with captions beside them: ``name.txt``, or ``name.json`` with a ``caption``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from xdetr_data.addresses.trees import list_tree, open_address, tree_of
from xdetr_data.errors import InputError
from xdetr_data.photos.ids import ending_of, stem_of
from xdetr_data.sources.captioned import Caption, Captions, caption_of_path, text_of
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, split_lines
from xdetr_data.sources.protocol import Kind, Problem

SIDECARS = (".txt", ".json")
MAX_SIDECAR_BYTES = 1 << 20

_FILES_AT_A_TIME = 4096
_RECORD = msgspec.json.Decoder(dict[str, object])


class _Row(NamedTuple):
    """A photo and the file beside it, as their paths below the folder; one of them may be missing."""

    photo: str
    sidecar: str


_ROW = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFolder(Captions):
    """A folder, or fsspec address, of photos of the ``collection``; two files beside a photo are two captions."""

    role = "photos"
    kinds = (Kind(unit="caption", array=LINES, introduces=True),)
    may_be_folder = True
    collection: str

    def chunks(self) -> Iterator[ArrayChunk]:
        """Photos in the order of their names, then captions without a photo, as JSON lines of both paths."""
        rows = self.rows()
        for first in range(0, len(rows), _FILES_AT_A_TIME):
            part = rows[first : first + _FILES_AT_A_TIME]
            data = b"".join(msgspec.json.encode(row) + b"\n" for row in part)
            yield ArrayChunk(name=LINES, offset=first, first_row=first, count=len(part), data=data)

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """The folder is listed again."""
        wanted = {one.first_row for one in ranges}
        return (chunk for chunk in self.chunks() if chunk.first_row in wanted)

    def read(self, chunk: ArrayChunk) -> list[Caption | Problem]:
        """The caption of each photo."""
        return [self._read(_ROW.decode(line)) for line in split_lines(chunk.data)]

    def rows(self) -> list[_Row]:
        """Photos and what is beside them, in their order."""
        return _list(self.path)

    def _read(self, row: _Row) -> Caption | Problem:
        if not row.sidecar:
            return Problem("no-caption", f"{row.photo}: neither .txt nor .json of its name is beside it")
        if not row.photo:
            return Problem("no-photo", f"{row.sidecar}: no photo of its name is beside it")
        text = _read_sidecar(self.path, row.sidecar)
        return text if isinstance(text, Problem) else caption_of_path(self.collection, row.photo, text)

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A folder without one caption."""
        problem = first[1] if first else "it holds no photo"
        return (
            f"{self.path}: no photo of it has a caption ({problem}); put name.txt beside name.jpg, give --captions FILE"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BarePhotos(PhotoFolder):
    """A folder of photos that are all asked the same: each is one question, whatever is beside it."""

    kinds = (Kind(unit="question", array=LINES, introduces=True),)

    def rows(self) -> list[_Row]:
        """Each photo once."""
        return [_Row(path, "") for path in dict.fromkeys(row.photo for row in _list(self.path)) if path]

    def _read(self, row: _Row) -> Caption | Problem:
        return caption_of_path(self.collection, row.photo, "")

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A folder without one photo."""
        return f"{self.path}: holds no photo{f' ({first[1]})' if first else ''}; give a folder of photos"


def _list(root: str) -> list[_Row]:
    if (listed := list_tree(root)) is None:
        raise InputError(f"{root}: there is no such folder; check the address")
    photos: list[str] = []
    sidecars: dict[str, list[str]] = {}
    for path, _ in listed[1]:
        if ending_of(path):
            photos.append(path)
        elif (ending := next((one for one in SIDECARS if path.endswith(one)), None)) is not None:
            sidecars.setdefault(path.removesuffix(ending), []).append(path)
    rows: list[_Row] = []
    used: set[str] = set()
    for photo in photos:
        stem = "/".join([*photo.split("/")[:-1], stem_of(photo)])
        used.add(stem)
        rows += [_Row(photo, sidecar) for sidecar in sorted(sidecars.get(stem, ()), reverse=True)] or [_Row(photo, "")]
    return rows + [_Row("", path) for stem, paths in sorted(sidecars.items()) if stem not in used for path in paths]


def _read_sidecar(root: str, path: str) -> str | Problem:
    with open_address(tree_of(root).address(path)) as stream:
        data = stream.read(MAX_SIDECAR_BYTES + 1)
    if len(data) > MAX_SIDECAR_BYTES:
        return Problem("unreadable-caption", f"{path}: holds more than {MAX_SIDECAR_BYTES >> 20} MiB")
    if path.endswith(".json"):
        record = parse_record(_RECORD, data)
        found = Problem("unreadable-caption", record.problem) if isinstance(record, Unreadable) else text_of(record)
        return Problem(found.reason, f"{path}: {found.detail}") if isinstance(found, Problem) else found
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        return Problem("unreadable-caption", f"{path}: no UTF-8 ({error.reason} at byte {error.start})")
