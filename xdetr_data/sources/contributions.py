"""What every input of a run gave to the dataset, and what is to be said of one that gave nothing.

An input that gives nothing is rarely meant: it is of another split, writes its ids as words, or names a collection of
one's own. The line names the first of its elements, and what most likely helps.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.addresses.trees import tree_of
from xdetr_data.photos.ids import COLLECTIONS, ending_of, is_number, photo_name, stem_of
from xdetr_data.shards.photo_index import AMBIGUOUS, BEYOND_LIMIT, EXCLUDED, MISSING, UNKNOWN, Index
from xdetr_data.sources.framing.files import ChunkRange
from xdetr_data.sources.places import ANY_SOURCE, Containers, Places, Roots
from xdetr_data.sources.protocol import Kind, Source, place_of

_WHY = {
    UNKNOWN: "is of no photo of the dataset; is the file of another split?",
    EXCLUDED: "is of a photo that --exclude leaves out",
    MISSING: "is of a photo that is not below its root; is it of another split?",
    AMBIGUOUS: "is of a photo that two files may be",
}


class Given(Protocol):
    """An input as the plan has it: its chunks, and the codes of the ids that its elements hang on."""

    @property
    def source(self) -> Source:
        """The input."""

    @property
    def ranges(self) -> Sequence[ChunkRange]:
        """Its chunks."""

    @property
    def parents(self) -> Index:
        """The codes of the ids that other elements of it hang on."""


def silent(
    inputs: Sequence[Given], places: Places, names: Index, photos: pa.Table, gave: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """A line for each kind of element of an input, and for each place of photos, of which nothing is in the dataset.

    ``names`` are the codes of all photos that came up, ``photos`` the table of those that are built, ``gave`` what each
    input gave, by label and unit. What ``--limit`` leaves out is no surprise.
    """
    lines = [line for one in inputs for line in _lines(one, names, gave.get(one.source.label, {}))]
    if isinstance(places, Roots):
        unused = [one for one in places.folders if one != ANY_SOURCE and not _has_names(names, one)]
        lines += [f"{places.option} {one}=…: no input names a photo of {one}; is a file missing?" for one in unused]
        is_limited = bool((names.codes == BEYOND_LIMIT).any())
        lines += [*_strangers(photos), *([] if is_limited else _unused_roots(places, unused, photos))]
    if isinstance(places, Containers) and not (names.codes == BEYOND_LIMIT).any():
        used = set(photos["address"].unique().to_pylist())
        unused = [one.path for one in places.containers if one.path not in used]
        brought = f"{len(unused)} of {len(places.containers)} {places.what} brought no photo"
        lines += [f"{brought}, as {unused[0]}; are the inputs that name them missing?"] if unused else []
    return lines


def _strangers(photos: pa.Table) -> Iterator[str]:
    """Files that have a photo's number and may be something else: PNGs in place of JPEGs, and in place of COCO's padded
    names bare numbers, as other collections name theirs.
    """
    rows = zip(*(photos[name].to_pylist() for name in ("source", "file_name", "address")), strict=True)
    masks, others = list[str](), list[str]()
    for source, name, address in rows:
        if address is None or source not in COLLECTIONS:
            continue
        paths = [part for part in address.split("::") if ending_of(part)]
        if ending_of(name) == "jpg" and any(ending_of(path) == "png" for path in paths):
            masks.append(address)
        stem = stem_of(paths[0]) if paths else ""
        if source == "coco" and len(stem) < 12 and is_number(stem) and stem != stem_of(name):
            others.append(address)
    if masks:
        yield f"{len(masks):,} photos that the inputs call JPEGs are PNGs, as {masks[0]}; are they masks?"
    if others:
        what = "photos of coco have bare numbers for names"
        yield f"{len(others):,} {what}, as {others[0]}; are they of another collection?"


def _unused_roots(places: Roots, unused: Sequence[str], photos: pa.Table) -> Iterator[str]:
    """Of collections in several folders, those that no photo is from."""
    for source in sorted({*places.folders} - {*unused}):
        roots = places.of(source)
        if len(roots) > 1:
            own = photos if source == ANY_SOURCE else photos.filter(pc.equal(photos["source"], source))
            addresses = pc.drop_null(own["address"]).to_pylist()
            for root in roots:
                if not any(map(tree_of(root).holds, addresses)):
                    yield f"{places.option} {source}={root}: no photo of the dataset is below it; is it the right one?"


def _has_names(names: Index, source: str) -> bool:
    begin = photo_name(source, "").encode()
    at = int(np.searchsorted(names.keys, begin)) if len(names.keys) else 0
    return at < len(names.keys) and bytes(names.keys[at]).startswith(begin)


def _lines(one: Given, names: Index, gave: Mapping[str, int]) -> Iterator[str]:
    source = one.source
    counts = {kind: sum(part.count for part in one.ranges if part.name == kind.array) for kind in source.kinds}
    if not any(counts.values()):
        yield f"{source.label}: holds nothing ({', '.join(kind.array for kind in source.kinds)}); is it cut short?"
    for kind, count in counts.items():
        if count and not gave.get(kind.unit):
            why = _first(one, kind, names)
            if why is not None:
                yield f"{source.label}: none of its {count:,} elements of unit {kind.unit} is in the dataset: {why}"


def _first(one: Given, kind: Kind, names: Index) -> str | None:
    """Why the first of an input's elements of a kind is not in the dataset; None where it is beyond ``--limit``."""
    first = next(part for part in one.ranges if part.name == kind.array)
    chunk = next(part for part in one.source.chunks_again([first]) if part.name == kind.array)
    heads = one.source.heads(chunk)
    if heads.problems:
        row, problem = min(heads.problems.items())
        ids = " (ids must be whole numbers, or texts of digits)" if "image_id" in problem.detail else ""
        return f"{place_of(one.source.label, kind.array, row)}: {problem.detail or problem.reason}{ids}"
    whose, index = (heads.photo, names) if heads.parent is None else (heads.parent, one.parents)
    assert whose is not None
    codes = index.find(whose)
    if (codes == BEYOND_LIMIT).any():
        return None
    where = place_of(one.source.label, kind.array, int(heads.row[0]))
    why = _WHY.get(int(codes[0]), "was rejected; see rejects/")
    if heads.parent is not None and codes[0] == UNKNOWN:
        why = f"hangs on no {kind.hangs_on} of the file"
    return f"{where}, of {whose[0].as_py()}, {why}"
