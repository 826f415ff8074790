"""An open index: the instances of largest product with a vector, over all its parts, without what was removed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.search.layout import OBJECTS, PROBE, VECTORS, Index, Part, part_folder, read_index, read_rows
from pipelines.search.removed import Removed, part_photos, read_removed
from pipelines.search.structure import Flat, Mask, Probe, Rows, open_probe, open_vectors
from pipelines.search.where import Where, fitting
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.shards.writer import shard_name
from xdetr_data.storage import Folder

PROBED_FROM = 8  # a filter that leaves less than an eighth is searched exactly: lists hold too few that fit
FIRST = 4  # hits that are looked at for each answer, before near duplicates are left out
_MASKS = 8

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An instance that was found: an object of a photo, and its product with the query."""

    score: float
    key: str
    object: int
    part: int
    row: int
    box_xyxy: tuple[float, float, float, float]


class OpenPart:
    """A part in memory: its photos, its boxes, and its vectors mapped."""

    def __init__(self, folder: Folder, part: Part, removed: Removed) -> None:
        self._folder, self._part, self._removed = folder, part, removed
        self.photos: pa.Table = part_photos(folder, part)
        counts = self.photos["objects"].to_numpy().astype(np.int64)
        self.counts: NDArray[np.int64] = counts
        self.first_row: NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts)])
        place = part_folder(folder, part.name)
        if not place.is_local:
            raise ConfigError(f"{folder.url}: an index is searched on this machine's own disk; copy it there first")
        self.flat: Flat = open_vectors(place.path(VECTORS))
        if len(self.flat) != self.first_row[-1]:
            raise InputError(
                f"{place.path(VECTORS)}: has {len(self.flat):,} vectors, its photos {self.first_row[-1]:,} objects; "
                "say the command that made the index again with --resume, or copy it again"
            )
        self.probe: Probe | None = open_probe(place.path(PROBE), part.probes) if part.probes else None
        self._mask = lru_cache(_MASKS)(self._compute_mask)

    @cached_property
    def boxes_xyxy(self) -> NDArray[np.float32]:
        """``[N, 4]`` in pixels of the photos."""
        flat = self._column("box_xyxy").flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, np.float32).reshape(-1, 4)

    @cached_property
    def objectness(self) -> NDArray[np.float32]:
        """``[N]``."""
        return np.asarray(self._column("objectness").to_numpy(zero_copy_only=False), np.float32)

    @cached_property
    def area(self) -> NDArray[np.float64]:
        """``[N]``, the share of its photo that a box takes."""
        sides = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).astype(np.float64)
        pixels = self.photos["height"].to_numpy().astype(np.float64) * self.photos["width"].to_numpy()
        return np.asarray(sides.prod(1) / np.repeat(pixels, self.counts))

    @cached_property
    def row_of_key(self) -> dict[str, int]:
        """Rows of the photos that count, by key."""
        keys = self.photos["key"].to_pylist()
        return {key: row for row, key in enumerate(keys) if (self._part.name, key) not in self._removed}

    def _column(self, name: str) -> pa.Array:
        place = part_folder(self._folder, self._part.name)
        names = (f"{shard_name(OBJECTS, shard.shard)}.parquet" for shard in self._part.shards)
        pieces = [read_rows(place, one, [name])[name] for one in names]
        return pa.chunked_array([chunk for one in pieces for chunk in one.chunks], pieces[0].type).combine_chunks()

    def mask(self, where: Where) -> Mask | None:
        """Which rows may be found; None where all may."""
        return self._mask(where)

    def _compute_mask(self, where: Where) -> Mask | None:
        gone = [key for part, key in self._removed if part == self._part.name]
        if not gone and not where:
            return None
        fits: Mask = fitting(where, self.photos, self.counts, lambda name: getattr(self, name))
        if gone:
            is_gone = np.isin(self.photos["key"].to_numpy(), np.array(gone, object))
            fits = fits & ~np.repeat(is_gone, self.counts)
        return fits

    def candidates(self, query: Vector, count: int, where: Where, *, exact: bool) -> Rows:
        """Rows among which are the best ``count``: surely, or with lists and without ``exact`` probably."""
        mask = self.mask(where)
        is_narrow = mask is not None and mask.sum() * PROBED_FROM < len(mask)
        if self.probe is None or exact or is_narrow:
            return self.flat.candidates(query, count, mask)
        return self.probe.candidates(query, count, mask)

    def photo_of(self, rows: Rows) -> Rows:
        """The photo's row of each object's row."""
        return np.asarray(np.searchsorted(self.first_row, rows, side="right") - 1)


class Database:
    """An open index. Everything it finds is ordered by product, equal products by key and object."""

    def __init__(self, folder: Folder, index: Index) -> None:
        self.folder, self.index = folder, index
        removed = read_removed(folder, index)
        self.parts = [OpenPart(folder, part, removed) for part in index.parts]

    @property
    def photos(self) -> int:
        """How many count."""
        return sum(len(part.row_of_key) for part in self.parts)

    @property
    def objects(self) -> int:
        """How many count."""
        masks = [(part, part.mask(())) for part in self.parts]
        return sum(len(part.flat) if mask is None else int(mask.sum()) for part, mask in masks)

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys whose photos are in the index."""
        return {key for key in keys if any(key in part.row_of_key for part in self.parts)}

    @property
    def is_exact(self) -> bool:
        """Whether searches are exact without being told to."""
        return all(part.probe is None for part in self.parts)

    def search(self, query: Vector, count: int, *, where: Where = (), exact: bool = False) -> list[Hit]:
        """The ``count`` instances of largest product with a query ``[d]``, of the objects that fit."""
        found: list[tuple[float, str, int, int, int]] = []
        for number, part in enumerate(self.parts):
            rows = part.candidates(query, count, where, exact=exact)
            photos = part.photo_of(rows)
            keys = part.photos["key"].take(pa.array(photos)).to_pylist()
            objects = (rows - part.first_row[photos]).tolist()
            scores = part.flat.score(rows, query).tolist()
            found += zip([-one for one in scores], keys, objects, [number] * len(keys), rows.tolist(), strict=True)
        return [self._hit(*one) for one in sorted(found)[:count]]

    def _hit(self, negative: float, key: str, number: int, part: int, row: int) -> Hit:
        x0, y0, x1, y1 = self.parts[part].boxes_xyxy[row].tolist()
        return Hit(score=-negative, key=key, object=number, part=part, row=row, box_xyxy=(x0, y0, x1, y1))

    def answers(self, query: Vector, top: int, *, where: Where = (), same_iou: float, exact: bool = False) -> list[Hit]:
        """The ``top`` best objects: boxes of one photo with that IoU are one object, the best of them."""
        asked = FIRST * top
        while True:
            hits = self.search(query, asked, where=where, exact=exact)
            kept = list(_first_of_each(hits, same_iou))
            if len(kept) >= top or len(hits) < asked:
                return kept[:top]
            asked *= 2

    def object(self, key: str, number: int) -> Hit:
        """An instance by name; raises InputError where there is none."""
        part, photo = self._photo(key)
        opened = self.parts[part]
        if not 0 <= number < opened.counts[photo]:
            raise InputError(
                f"{self.folder.url}: photo {key!r} has objects 0 to {opened.counts[photo] - 1}, no {number}"
                if opened.counts[photo]
                else f"{self.folder.url}: no object of photo {key!r} is in the index"
            )
        return self._hit(0.0, key, number, part, int(opened.first_row[photo]) + number)

    def objects_of(self, key: str) -> tuple[NDArray[np.float64], int]:
        """Boxes ``[n, 4]`` of a photo's objects in their order, in pixels; and the part."""
        part, photo = self._photo(key)
        opened = self.parts[part]
        begin, end = opened.first_row[photo : photo + 2]
        return opened.boxes_xyxy[begin:end].astype(np.float64), part

    def vector(self, hit: Hit) -> Vector:
        """The vector ``[d]`` of an instance."""
        return np.asarray(self.parts[hit.part].flat.vectors[hit.row], np.float32)

    def photo(self, key: str) -> dict[str, object]:
        """The row of a photo, with all columns of ``PHOTO_SCHEMA``; raises InputError where there is none."""
        part, row = self._photo(key)
        described: dict[str, object] = self.parts[part].photos.slice(row, 1).to_pylist()[0]
        return described

    def _photo(self, key: str) -> tuple[int, int]:
        for number, part in enumerate(self.parts):
            if key in part.row_of_key:
                return number, part.row_of_key[key]
        raise InputError(f"{self.folder.url}: has no photo {key!r}")


def open_database(address: str) -> Database:
    """Opens the index at an address; raises InputError where there is none."""
    folder = Folder(address)
    index = read_index(folder)
    try:
        return Database(folder, index)
    except InputError:
        if (newer := read_index(folder)) == index:
            raise
        return Database(folder, newer)  # it was replaced while it was read


def _first_of_each(hits: Sequence[Hit], same_iou: float) -> Iterator[Hit]:
    kept: dict[str, list[tuple[float, float, float, float]]] = {}
    for hit in hits:
        before = kept.setdefault(hit.key, [])
        if before and (iou_matrix_xyxy([hit.box_xyxy], before) >= same_iou).any():
            continue
        before.append(hit.box_xyxy)
        yield hit
