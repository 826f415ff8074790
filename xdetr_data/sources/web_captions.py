"""Captions of web photos: a TSV of caption and address a line, and the photos in tars as img2dataset leaves them.

Conceptual Captions has ``caption<TAB>address`` without a header, CC12M the two the other way round. A tar holds
``<key>.jpg``, ``<key>.txt`` and ``<key>.json`` (``{"url", "status", …}``) of every photo that could be fetched.
"""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.addresses.reading import file_system, open_file, reading
from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_name
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import DECODE_ERRORS
from xdetr_data.sources.framing.lines import LINES, expand_inputs, iter_line_chunks, spelled_out, split_lines
from xdetr_data.sources.framing.web_members import PHOTO_ENDINGS, WebMembers, iter_web_members
from xdetr_data.sources.protocol import FoundPhoto, Heads, Kind, PhotoSource, Problem, Source

_MIXED = ("duplicate-key", "the tar holds parts of two photos of this key, which cannot be told apart")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionLine:
    """A line of the TSV; white space in the caption is one space, and an empty caption stays empty."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebCaptions(Source):
    """A TSV; each caption names its photo by the photo's address on the web."""

    role = "tsv"
    kinds = (Kind(unit="caption", array=LINES, selects=True, stray="no-photo", lists_strays=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines."""
        return iter_line_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each line."""
        lines = [parse_line(line) for line in split_lines(chunk.data)]
        names = [None if isinstance(one, Unreadable) else name_of_url(one.url) for one in lines]
        problems = {row: one.problem for row, one in enumerate(lines, chunk.first_row) if isinstance(one, Unreadable)}
        return Heads(
            row=chunk.first_row + np.arange(len(lines)),
            photo=pa.array(names, pa.string()),
            problems={row: Problem("unreadable-caption", problem) for row, problem in problems.items()},
        )

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A file without one caption is of another format."""
        problem = first[1] if first else "it is empty"
        return f"{self.path}: no line of it is a caption with an address ({problem}); give caption<TAB>address"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTar(PhotoSource):
    """A tar of photos as img2dataset leaves it; captions name a photo by its address on the web."""

    path: str

    def photos(self) -> Iterator[FoundPhoto]:
        """The photos of the tar in order."""
        for one in iter_web_photos(self.path):
            problem = None if one.problem is None else Problem(*one.problem)
            yield FoundPhoto(
                id=one.key, names=(name_of_url(one.url),), offset=one.offset, size=one.size, problem=problem
            )


class WebFacts(msgspec.Struct, frozen=True):
    """What img2dataset notes of a photo, as far as it is needed."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPhoto:
    """A photo in a tar, or why a key of it is none (``problem``: a reason, and a detail).

    ``offset`` and ``size`` in bytes say where the photo's own bytes are.
    """

    key: str
    url: str = ""
    offset: int = 0
    size: int = 0
    problem: tuple[str, str] | None = None


def expand_tars(names: Sequence[str]) -> list[str]:
    """The tars that are meant: files and patterns as they stand, of a folder all tars in it, in alphabetical order.

    Raises InputError where a folder or a pattern holds none.
    """
    patterns = []
    for name in (one for spelled in names for one in spelled_out(spelled)):
        fs, path = file_system(name)
        with reading(name, "listed"):
            is_folder = bool(fs.isdir(path))
            others = list(fs.find(path)) if is_folder and not fs.glob(f"{glob.escape(path)}/*.tar") else None
        if others is not None:
            raise InputError(_no_tars(name, others))
        patterns.append(f"{name.rstrip('/')}/*.tar" if is_folder else name)
    return expand_inputs(patterns)


def has_tars(names: Sequence[str]) -> bool:
    """Whether names mean tars, or folders that hold some, and no folder of photos.

    Raises InputError where a folder cannot be reached.
    """
    for name in (one for spelled in names for one in spelled_out(spelled)):
        fs, path = file_system(name)
        with reading(name, "listed"):
            if fs.isdir(path) and not fs.glob(f"{glob.escape(path)}/*.tar"):
                return False
    return True


def _no_tars(folder: str, files: Sequence[str]) -> str:
    """The error of a folder without tars, by what is in it instead."""
    if below := next((file for file in files if file.endswith(".tar")), None):
        return f"{folder}: holds no tar, but folders below it do ({below}); give these"
    if any(file.rpartition(".")[2].lower() in (*PHOTO_ENDINGS, "parquet", "tfrecord") for file in files):
        return f"{folder}: holds files and no tars; tars are needed: img2dataset --output_format webdataset writes them"
    return f"{folder}: holds no tar; give the folder that img2dataset --output_format webdataset wrote"


def parse_line(line: bytes) -> CaptionLine | Unreadable:
    """The caption and the address of a line, in either order: an address is all of its field, a caption may hold it.

    Where both or none are addresses, the line does not tell.
    """
    try:
        fields = line.decode("utf-8").rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        return Unreadable(problem=f"no UTF-8 ({error.reason} at byte {error.start})")
    if len(fields) < 2:
        return Unreadable(problem="no tab between a caption and an address")
    places = [place for place in (0, 1) if _ADDRESS.fullmatch(fields[place].strip())]
    if len(places) != 1:
        what = "two addresses and no caption" if places else f"no address in {fields[1][:40]!r}"
        return Unreadable(problem=what)
    text, url = fields[1 - places[0]], fields[places[0]]
    return CaptionLine(text=" ".join(text.split()), url=url.strip())


def url_hash(url: str) -> int:
    """63-bit hash of an address: what captions and photos are joined by."""
    return int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), "little") >> 1


def name_of_url(url: str) -> str:
    """What captions call the photo at an address; short, so that no address has to be kept."""
    return photo_name("url", f"{url_hash(url):x}")


def iter_web_photos(path: str) -> Iterator[WebPhoto]:
    """The photos of a tar in order, going from header to header; of each only its facts are read.

    Raises InputError where the file is no tar from its beginning to its end mark.
    """
    with open_file(*file_system(path), path) as stream:
        for one in iter_web_members(path, stream):
            facts = one.read("json") if "json" in one.parts else b""
            yield WebPhoto(key=one.key, problem=_MIXED) if one.is_mixed else _web_photo(one, facts)


def _web_photo(one: WebMembers, facts: bytes) -> WebPhoto:
    extent = one.photo
    if extent is None:
        return WebPhoto(key=one.key, problem=("missing-photo", "the tar holds no photo of this key"))
    try:
        url = msgspec.json.decode(facts, type=WebFacts).url
    except DECODE_ERRORS as error:
        return WebPhoto(key=one.key, problem=("no-address", f"{one.key}.json: {error}"))
    return WebPhoto(key=one.key, url=url.strip(), offset=extent[0], size=extent[1])
