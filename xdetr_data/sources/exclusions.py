"""Lists of photos that must not be trained on: COCO/LVIS/MDETR JSON, refer pickles, Flickr split files, id lists.

Ids compare by number, so that a 2014 name excludes the 2017 file. A list that does not say its source (bare numbers)
counts for every source, and the ledger tells how many photos of which source it hit. Visual Genome's
``image_data.json`` names no photo to leave out: it says which of its photos are COCO photos, so that the other lists
reach these, too.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import MAX_NAME_BYTES, collection_id, path_id, photo_id, stem_of
from xdetr_data.sources.exclusion_list import VG_COPIES, ExclusionList
from xdetr_data.sources.framing.files import open_input, read_input
from xdetr_data.sources.framing.json_records import DECODE_ERRORS
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines
from xdetr_data.sources.framing.plain_pickle import read_refs
from xdetr_data.sources.places import ANY_SOURCE
from xdetr_data.sources.refer_files import read_images

SOURCES = ("coco", "vg", "flickr", "openimages", "ade20k")
REFER = "refer pickle, all but its train split"
MAX_IDS = 10_000_000  # a list is held in memory: about 100 bytes an id
_IS_VG = re.compile(rb"\s*\[\s*\{")
_LINE = re.compile(r"[A-Za-z0-9_.%/:-]+")
_COLLECTION_OF = {"flickr": "flickr", "phrasecut": "vg", "gqa": "vg"}
_COCO_FILE = re.compile("COCO_.*|[0-9]{12}")


class _NamedImage(msgspec.Struct, frozen=True):
    id: int | str | None = None
    file_name: str | None = None
    coco_url: str | None = None
    data_source: str | None = None
    dataset_name: str | None = None


class _VgImage(msgspec.Struct, frozen=True, gc=False):
    """An entry of Visual Genome's ``image_data.json`` (its first versions call the id ``id``)."""

    coco_id: int | str | None
    image_id: int | str | None = None
    id: int | str | None = None


def read_exclusions(flags: Sequence[str]) -> list[ExclusionList]:
    """The lists of ``--exclude`` flags, each ``FILE`` or ``coco=FILE``."""
    lists = []
    for flag in flags:
        source, sign, path = flag.partition("=")
        lists.append(read_exclusion(path, source) if sign and source in SOURCES else read_exclusion(flag))
    return lists


def read_exclusion(path: str, source: str | None = None) -> ExclusionList:
    """Reads a list of any supported kind; ``source`` overrides what the list says of its source.

    Raises InputError where the file is of none of the kinds, holds no id or too many, or is a pickle that would run
    code.
    """
    with open_input(path) as stream:
        head = stream.read(64)
    if head[:1] == b"\x80" or path.endswith((".p", ".pkl")):
        kind, pairs = REFER, _from_pickle(path)
    elif head.lstrip()[:1] == b"{":
        kind, pairs = "COCO JSON", _from_json(path)
    elif _IS_VG.match(head):
        return _read_copies(path)
    elif head.lstrip()[:1] == b"[":
        kind, pairs = "JSON id list", _from_json_list(path)
    else:
        kind, pairs = "id list", _from_lines(path)
    read = _list_of(path, kind, pairs, source)
    if not read.size:
        raise InputError(f"{path}: holds no photo id; is it the right list?")
    return read


def read_evaluation(path: str, instances: Sequence[str] = ()) -> ExclusionList:
    """The photos of a refer pickle's val and test splits, none where it has no such split; ``instances`` are the files
    whose images its ids are."""
    return _list_of(path, REFER, _from_pickle(path, instances))


def _list_of(path: str, kind: str, pairs: Iterable[tuple[str, str]], source: str | None = None) -> ExclusionList:
    ids: dict[str, set[str]] = {}
    for found, identity in pairs:
        if len(identity) > MAX_NAME_BYTES:
            raise InputError(f"{path}: {identity[:40]!r}… has {len(identity):,} characters; is it the right list?")
        ids.setdefault(source or found, set()).add(identity)
        if len(ids[source or found]) > MAX_IDS:
            raise InputError(f"{path}: names more than {MAX_IDS:,} photos; leave these out of the inputs themselves")
    return ExclusionList(path=path, format=kind, ids={key: frozenset(value) for key, value in sorted(ids.items())})


def _read_copies(path: str) -> ExclusionList:
    try:
        images = msgspec.json.decode(read_input(path), type=list[_VgImage])
    except DECODE_ERRORS as error:
        raise InputError(f"{path}: is no list of ids and no {VG_COPIES} ({error})") from error
    copies = {
        photo_id("vg", str(image.id if image.image_id is None else image.image_id)): photo_id(
            "coco", str(image.coco_id)
        )
        for image in images
        if image.coco_id is not None
    }
    if not copies:
        raise InputError(f"{path}: no image has a coco_id; is it {VG_COPIES}?")
    return ExclusionList(path=path, format=VG_COPIES, copies=copies)


def _from_pickle(path: str, instances: Sequence[str] = ()) -> Iterable[tuple[str, str]]:
    refs = read_refs(path)
    if not all(isinstance(ref, dict) and _is_id(ref.get("image_id")) for ref in refs):
        raise InputError(f"{path}: is no list of referring expressions with an 'image_id' each")
    for ref in refs:
        if ref.get("split") != "train":  # its training photos may be trained on; val and test ones may not
            named = [str(ref.get("file_name") or "")]
            named += [
                found[ref["image_id"]].file_name for found in map(read_images, instances) if ref["image_id"] in found
            ]
            known = [one for one in named if collection_id("coco", one) is not None]
            yield "coco", photo_id("coco", (known or [str(ref["image_id"])])[0])  # names tell more than numbers


def _is_id(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and value.bit_length() < 64)


def _from_json(path: str) -> Iterable[tuple[str, str]]:
    for chunk in iter_array_chunks(path, ("images",)):
        for row, element in enumerate(elements(chunk.data), chunk.first_row):
            try:
                image = msgspec.json.decode(element, type=_NamedImage)
            except DECODE_ERRORS as error:
                raise InputError(f"{path}: images[{row}]: {error}") from error
            names = [one for one in (image.file_name, image.coco_url) if one]
            if not names and image.id is None:
                raise InputError(f"{path}: images[{row}] has no file_name, coco_url or id")
            for name in names or [str(image.id)]:  # names that mean different photos leave out both
                source = _source_of(image)
                yield source, path_id(name) if source == ANY_SOURCE else photo_id(source, name.partition("?")[0])


def _source_of(image: _NamedImage) -> str:
    """Whose photo it is; of a file name that is none of COCO's, everybody's."""
    if image.data_source is not None or image.dataset_name in _COLLECTION_OF:
        return image.data_source or _COLLECTION_OF[str(image.dataset_name)]
    is_own = image.file_name and not image.coco_url and not _COCO_FILE.fullmatch(stem_of(image.file_name))
    return ANY_SOURCE if is_own else "coco"


def _from_json_list(path: str) -> Iterable[tuple[str, str]]:
    try:
        values = msgspec.json.decode(read_input(path), type=list[int | str])
    except DECODE_ERRORS as error:
        raise InputError(f"{path}: is no list of ids ({error})") from error
    for value in values:
        yield _named_source(str(value))


def _from_lines(path: str) -> Iterable[tuple[str, str]]:
    for chunk in iter_line_chunks(path):
        for number, line in enumerate(split_lines(chunk.data), chunk.first_row + 1):
            text = line.decode("utf-8", errors="replace").lstrip("\ufeff").strip()
            if not text or text.startswith("#"):
                continue
            if not _LINE.fullmatch(text) or (_is_coco(text) and collection_id("coco", text) is None):
                raise InputError(f"{path}: line {number}: {text[:40]!r} is no photo id or file name")
            yield _named_source(text)


def _named_source(text: str) -> tuple[str, str]:
    """A file name, a number, or a key of this project (``vg_2334951``) → source and photo id, or any and a path."""
    source, _, rest = text.partition("_")
    if source in SOURCES and rest:
        return source, photo_id(source, rest)
    return ("coco", photo_id("coco", text)) if _is_coco(text) else (ANY_SOURCE, path_id(text))


def _is_coco(text: str) -> bool:
    return text.rsplit("/", 1)[-1].startswith("COCO_")
