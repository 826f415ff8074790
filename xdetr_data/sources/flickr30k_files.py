"""What the files of Flickr30k Entities say: a photo's sentences with marked phrases, its XML of boxes, the lists.

``[/EN#1/people Two men] in [/EN#5/clothing green shirts] are in [/EN#9/scene a yard] .``: the number is the phrase's
chain, the words behind it are its types; chain 0 is not visual. A box belongs to the chains that it names, and a chain
has any number of boxes. Corners are pixels as they stand, as MDETR reads them.
Source: bryanplummer/flickr30k_entities, README of version 1.0.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from xdetr_data.boxes import Box
from xdetr_data.errors import InputError
from xdetr_data.photos.ids import is_number, photo_id
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines
from xdetr_data.sources.protocol import Problem
from xdetr_data.spans import Span

NOT_VISUAL = "0"  # the chain of phrases that are no object
SENTENCES, ANNOTATIONS, UNRELATED = "Sentences", "Annotations", "UNRELATED_CAPTIONS"

CAPTIONS_EACH = 5
WITHOUT_FIVE = "doubtful-photos-without-five-captions"
UNKNOWN_CHAIN = "doubtful-photos-whose-captions-name-what-their-xml-lacks"

_MARK = re.compile(r"\[/EN#([0-9]+)((?:/[^\s\[\]/]+)+) ([^\[\]]*[^\[\] ]) ?\]")


class MarkedPhrase(NamedTuple):
    """A phrase of a caption: where its words stand, its chain, and its types, as ``clothing/other``."""

    span: Span
    chain: str
    types: str


class FlickrCaption(msgspec.Struct, frozen=True, gc=False):
    """A line of a file of sentences; ``id`` is its number there, counted from 1."""

    photo: str
    id: int
    line: str

    def read(self) -> tuple[str, tuple[MarkedPhrase, ...]] | str:
        """The text without marks and its phrases in order, or what is wrong with the marks; white space is tidied."""
        line = " ".join(self.line.split())
        text, end, phrases = "", 0, []
        for mark in _MARK.finditer(line):
            text += line[end : mark.start()]
            phrases.append(MarkedPhrase((len(text), len(text) + len(mark[3])), mark[1], mark[2][1:]))
            text += mark[3]
            end = mark.end()
        text += line[end:]
        return (text, tuple(phrases)) if "[/EN#" not in text else f"a mark of {line!r} is damaged"


class FlickrBox(msgspec.Struct, frozen=True, gc=False):
    """A box of an XML file; ``id`` is the position of its ``<object>``, counted from 0."""

    id: int
    chains: tuple[str, ...]
    box_xyxy: Box


class FlickrPhoto(NamedTuple):
    """What both files say of a photo, as far as they can be read, and why it cannot be used, or None.

    ``doubts`` are signs that a file was cut, though it can be read. Of 151 published photos that were looked at none
    has any; the whole set was not.
    """

    id: str
    size_hw: tuple[int, int]
    captions: Sequence[FlickrCaption]
    boxes: Sequence[FlickrBox | Unreadable]
    problem: Problem | None
    doubts: tuple[str, ...] = ()


_CAPTION = msgspec.json.Decoder(FlickrCaption)
_BOX = msgspec.json.Decoder(FlickrBox)


def parse_caption(data: bytes) -> FlickrCaption | Unreadable:
    """A caption from its element's bytes."""
    return parse_record(_CAPTION, data)


def parse_box(data: bytes) -> FlickrBox | Unreadable:
    """A box from its element's bytes."""
    return parse_record(_BOX, data)


def parse_photo(photo: str, sentences: bytes | None, annotations: bytes | None) -> FlickrPhoto:
    """A photo from its two files, None where there is no such file. A blank line is no caption."""
    captions: list[FlickrCaption] = []
    size_hw, boxes, chains = (0, 0), list[FlickrBox | Unreadable](), frozenset[str]()
    problem: Problem | None = None
    if sentences is None or annotations is None:
        folder = SENTENCES if sentences is None else ANNOTATIONS
        problem = Problem(f"not-in-{folder.lower()}", f"there is no file of photo {photo} in {folder}")
    if sentences is not None:
        try:
            lines = sentences.decode().split("\n")
            captions = [FlickrCaption(photo, number, line) for number, line in enumerate(lines, 1) if line.strip()]
        except UnicodeDecodeError as error:
            problem = Problem("unreadable-sentences", str(error))
    if annotations is not None:
        try:
            size_hw, boxes, chains = parse_annotations(annotations)
        except (ValueError, ET.ParseError) as error:
            problem = problem or Problem("unreadable-annotations", str(error))
    told = {mark[1] for caption in captions for mark in _MARK.finditer(caption.line)} - {NOT_VISUAL}
    doubts = (WITHOUT_FIVE,) * (len(captions) != CAPTIONS_EACH) + (UNKNOWN_CHAIN,) * (not told <= chains)
    return FlickrPhoto(photo, size_hw, captions, boxes, problem, () if problem else doubts)


def parse_annotations(data: bytes) -> tuple[tuple[int, int], list[FlickrBox | Unreadable], frozenset[str]]:
    """Height and width of the photo in pixels, every ``<object>`` that has a ``<bndbox>``, and the chains of all.

    Raises ValueError or ParseError where the file is no such XML.
    """
    if b"<!" in data:
        raise ValueError("it declares entities or a document type, which these files do not")
    root = ET.fromstring(data)
    height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    if not (0 < height < 1 << 31 and 0 < width < 1 << 31):
        raise ValueError(f"it states a size of {width}x{height} pixels")
    objects = list(root.iter("object"))
    chains = frozenset((name.text or "").strip() for one in objects for name in one.iter("name"))
    boxed = [(number, one) for number, one in enumerate(objects) if one.find("bndbox") is not None]
    return (height, width), [_parse_object(number, one) for number, one in boxed], chains


def _parse_object(number: int, found: ET.Element) -> FlickrBox | Unreadable:
    chains = tuple((name.text or "").strip() for name in found.iter("name"))
    try:
        x0, y0, x1, y1 = (float(found.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError as error:
        return Unreadable(problem=f"object {number}: {error}", id=number)
    return FlickrBox(number, chains, (x0, y0, x1, y1))


@lru_cache(maxsize=8)
def read_ids(path: str) -> tuple[str, ...]:
    """The photos of a list (``train.txt``), one a line, each once.

    Raises InputError where it names none, or a line is no number or name of a photo.
    """
    ids: dict[str, None] = {}
    for chunk in iter_line_chunks(path):
        for row, line in enumerate(split_lines(chunk.data), chunk.first_row):
            name = line.decode(errors="replace").strip()
            identity = photo_id("flickr", name)
            if name and not is_number(identity):
                raise InputError(f"{path}: line {row + 1}: {name[:40]!r} is no photo of Flickr30k; give train.txt")
            ids |= {identity: None} if name else {}
    if not ids:
        raise InputError(f"{path}: names no photo; give a split of Flickr30k Entities, as train.txt")
    return tuple(ids)


@lru_cache(maxsize=8)
def read_unrelated(path: str) -> frozenset[tuple[str, int]]:
    """Photo and number (from 1) of each caption that is about another photo (``UNRELATED_CAPTIONS``).

    Raises InputError where there is no such file, or a line is none of it.
    """
    found = set()
    for chunk in iter_line_chunks(path):
        for row, line in enumerate(split_lines(chunk.data), chunk.first_row):
            words = line.decode(errors="replace").split()
            if words and not words[0].startswith("#"):
                if len(words) != 2 or not words[1].isdecimal():
                    raise InputError(f"{path}: line {row + 1}: {line[:40]!r} is no photo and number of a caption")
                found.add((photo_id("flickr", words[0]), int(words[1])))
    return frozenset(found)
