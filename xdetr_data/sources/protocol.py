"""What the engine must know of a format: how a file is cut, whose each element is, what its kinds are called.

A source is one input file. It says nothing of recipes, and the engine knows of it no more than what stands here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xdetr_data.errors import shown
from xdetr_data.photos.ids import MAX_NAME_BYTES, photo_id, photo_name, unsafe_file_name
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, read_again
from xdetr_data.sources.framing.json_stream import elements
from xdetr_data.sources.framing.lines import LINES, split_lines

ELEMENT_BYTES = pa.schema([("element", pa.large_binary())])

_ENDINGS = (".json", ".jsonl", ".csv", ".tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the elements of one array of a file are, and what the accounts call what becomes of them.

    Attributes:
        unit: what one of them is called: paragraph, annotation, box, narrative, caption.
        array: the array of the file that holds them, or ``LINES``.
        introduces: the photos that they name are the photos of the dataset.
        selects: a photo that somebody else brings is left out where none of them names it.
        hangs_on: the unit of the same file whose id they name in place of a photo.
        stray: the reason why one is rejected whose photo (or element) is not in the set.
        lists_strays: whether each stray has a row among the rejects, or strays are only counted.
        bytes_per_photo: more than what a photo's share of them takes, where a file may be of many more photos.
    """

    unit: str
    array: str
    introduces: bool = False
    selects: bool = False
    hangs_on: str | None = None
    stray: str = "photo-not-in-set"
    lists_strays: bool = False
    bytes_per_photo: int | None = None


class Problem(NamedTuple):
    """Why an element cannot be used."""

    reason: str
    detail: str


class Stated(NamedTuple):
    """What an element says of its photo: the file's name, height and width in pixels."""

    file_name: str
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Whose the elements of a chunk are; N of them.

    Attributes:
        row: ``[N]`` which element of its array each is.
        photo: names of their photos ``[N]`` (``photo_name``), null where there is none.
        parent: in place of ``photo``, ids ``[N]`` of the elements that they hang on, null where there is none.
        problems: by row, why an element cannot be used; a null that has no problem is a blank.
        ids: ``[N]`` what elements that hang on these call them.
        stated: ``[N]`` what each says of its photo.
        sizes: ``[N]`` bytes of each.
        table: the elements ``[N]`` as columns, where a table was read to find this out.
    """

    row: NDArray[np.int64]
    photo: pa.Array | None = None
    parent: pa.Array | None = None
    problems: Mapping[int, Problem] = field(default_factory=dict)
    ids: Sequence[int | None] | None = None
    stated: Sequence[Stated | None] | None = None
    sizes: Sequence[int] | None = None
    table: pa.Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(ABC):
    """An input of one format: a file, or a folder of small ones.

    ``role`` is what the manifest calls it, ``schema`` the columns that are spilled.
    """

    path: str
    role: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    may_be_folder: ClassVar[bool] = False
    buffer_bytes: ClassVar[int] = 48 << 20  # of elements that a partition task holds before it spills them
    schema: ClassVar[pa.Schema] = ELEMENT_BYTES

    @property
    def label(self) -> str:
        """What the records call this input: its file name without folders and endings."""
        return input_label(self.path)

    def kind_of(self, array: str) -> int:
        """Position in ``kinds`` of what an array holds."""
        return next(number for number, kind in enumerate(self.kinds) if kind.array == array)

    @abstractmethod
    def chunks(self) -> Iterator[ArrayChunk]:
        """The file's whole elements, some MB at a time; raises InputError where it is of another format."""

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """Chunks that were read before: by byte range, or of a gzip file, which has no middle, all of them.

        A source whose chunks are no byte ranges of its file gives them in its own way.
        """
        return read_again(self.path, ranges, self.chunks)

    @abstractmethod
    def heads(self, chunk: ArrayChunk) -> Heads:
        """Whose the elements of a chunk are. Every element is in ``row`` or, where it cannot be used, a problem."""

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """The columns of ``schema`` ``[N]`` of a chunk, ``heads`` where they are known: each element's own bytes."""
        parts = split_lines(chunk.data) if chunk.name == LINES else elements(chunk.data)
        return [pa.array(parts, pa.large_binary())]

    def nothing(self, first: tuple[str, str] | None) -> str | None:
        """The error of a file of which no element names a photo, or None where that is none.

        ``first`` is where its first problem is, and what.
        """
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPhoto:
    """A photo that a container holds: its id there, other names by which labels call it, and where its bytes are.

    ``problem`` says why it cannot be used. ``source`` and ``key`` are said where they are not the run's.
    """

    id: str
    names: tuple[str, ...] = ()
    offset: int = 0
    size: int = 0
    problem: Problem | None = None
    source: str = ""
    key: str = ""


class PhotoSource(ABC):
    """A container of photos, such as a tar: one address, the photos in it known by their places."""

    path: str

    @abstractmethod
    def photos(self) -> Iterator[FoundPhoto]:
        """Its photos in order; raises InputError where it cannot be read."""


def input_label(path: str) -> str:
    """What the records call an input: its file name without folders and endings, and of an address no secret."""
    name = shown(path).rstrip("/").rsplit("/", 1)[-1].removesuffix(".gz")
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending)


def place_of(label: str, array: str, row: int) -> str:
    """What rejects call an element: ``final_mixed_train#annotations[12]``, or for line 2 (``row`` 1) ``train#L2``."""
    return f"{label}#{line_name(row)}" if array == LINES else f"{label}#{array}[{row}]"


def line_name(line: int) -> str:
    """``L2`` for line 1 counted from 0: the number that an editor shows."""
    return f"L{line + 1}"


@lru_cache(maxsize=1 << 16)
def name_photo(source: str, file_name: str) -> str | Problem:
    """The name of the photo that an annotation calls ``file_name``, or why it cannot be looked for."""
    if (unsafe := unsafe_file_name(file_name)) is not None:
        return Problem("unsafe-file-name", unsafe)
    name = photo_name(source, photo_id(source, file_name))
    if (size := len(name.encode(errors="replace"))) > MAX_NAME_BYTES:
        return Problem("file-name-too-long", f"name {name[:40]}… has {size} bytes, at most {MAX_NAME_BYTES} fit")
    return name
