"""What all sources of captions have in common: an element is one caption of one photo, as plain text in UTF-8.

A source says how its file is cut and what each element of a chunk is (``read``); from that come whose the elements are,
and what is spilled of them.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import ArrayChunk
from xdetr_data.sources.protocol import Heads, Problem, Source, Stated, name_photo

CAPTION_KEYS = ("caption", "text", "sentence", "description")
PATH_KEYS = ("path", "file_name", "filename", "file", "filepath", "image", "image_path", "image_file")
ADDRESS_KEYS = ("url", "image_url", "address")


class Caption(NamedTuple):
    """The name of a photo (``photo_name``), what is said of it, and what the file calls it."""

    photo: str
    text: str
    stated: Stated | None = None


class Captions(Source):
    """A source of captions."""

    __slots__ = ()

    @abstractmethod
    def read(self, chunk: ArrayChunk) -> Sequence[Caption | Problem | None]:
        """What each element of a chunk is, or why it is no caption; None of a header, which is no element."""

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each caption."""
        found = self.read(chunk)
        return Heads(
            row=chunk.first_row + np.arange(len(found)),
            photo=pa.array([one.photo if isinstance(one, Caption) else None for one in found], pa.string()),
            problems={row: one for row, one in enumerate(found, chunk.first_row) if isinstance(one, Problem)},
            stated=[one.stated if isinstance(one, Caption) else None for one in found],
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """The captions' texts."""
        texts = [one.text.encode(errors="replace") if isinstance(one, Caption) else b"" for one in self.read(chunk)]
        return [pa.array(texts, pa.large_binary())]


def read_caption(data: bytes) -> str:
    """The text of an element of a source of captions."""
    return data.decode()


def caption_of_path(collection: str, path: str, text: str) -> Caption | Problem:
    """A caption of the photo at a path below its root, or why the path is none."""
    name = name_photo(collection, path)
    return name if isinstance(name, Problem) else Caption(name, text, Stated(path, 0, 0))


def text_of(values: Mapping[str, object]) -> str | Problem:
    """The caption among the values of a record, the first of ``CAPTION_KEYS`` that it has."""
    found = next((values[key] for key in CAPTION_KEYS if key in values), None)
    if not isinstance(found, str):
        what = f"a caption must be text, not {found!r:.40}" if found is not None else f"no {' or '.join(CAPTION_KEYS)}"
        return Problem("unreadable-caption", what)
    return " ".join(found.split())
