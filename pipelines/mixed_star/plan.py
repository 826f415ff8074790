"""Plan of a mixed* build: which photos, in which shard, and where every element of the inputs goes.

Reads the ids of all paragraphs, once, in bounded memory; nothing else is interpreted before its shard.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.build import input_label
from pipelines.mixed_star.config import MixedStarConfig
from pipelines.partitioning import ChunkRange, chunk_range
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError
from xdetr_data.photos import MAX_KEY_CHARS, is_number, list_photos, photo_id, photo_key, unsafe_file_name
from xdetr_data.record import Rejected
from xdetr_data.shards.plan import assign_shards, shard_count
from xdetr_data.sources import coco, mdetr
from xdetr_data.sources.exclusions import ExclusionList
from xdetr_data.sources.framing.json_stream import Unreadable
from xdetr_data.stages.exclude_images import Ledger, exclude_images

STAGE = "plan"
REJECTED, EXCLUDED, BEYOND_LIMIT, UNKNOWN = -1, -2, -3, -4  # in place of a photo's row
_REFEXP_DATASETS = ("refcoco", "refcoco+", "refcocog")
_SOURCE = re.compile(r"[a-z0-9]{1,24}")

Codes = NDArray[np.int32]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """One input file: its chunks, and for an MDETR file the photo of each paragraph (a row, or a negative code)."""

    path: str
    label: str
    is_mdetr: bool
    chunks: list[ChunkRange]
    photo_of_row: Codes
    sorted_ids: NDArray[np.int64]
    photo_of_id: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the partition and the shards need. ``photos`` is ordered by key; ``shard`` is the shard of each row."""

    photos: pa.Table
    shard: Codes
    shards: int
    inputs: list[InputPlan]
    coco_ids: NDArray[np.int64]
    coco_rows: Codes
    ledger: Ledger
    tally: Tally
    rejects: list[Rejected]
    photo_bytes: int
    label_bytes: int

    @property
    def digest(self) -> str:
        """A hash of which photos (key, size in bytes) are in which shard."""
        digest = hashlib.sha256(self.shard.tobytes())
        for name in ("key", "bytes"):
            digest.update(msgspec.json.encode(self.photos[name].to_pylist()))
        return digest.hexdigest()


@dataclass(slots=True)
class _Heads:
    """Photos in the order of their first paragraph, while the files are read."""

    row_of: dict[tuple[str, str], int] = field(default_factory=dict)
    first: list[mdetr.ParagraphHead] = field(default_factory=list)
    rejects: list[Rejected] = field(default_factory=list)


def make_plan(config: MixedStarConfig, lists: Sequence[ExclusionList], advance: Progress) -> Plan:
    """Reads the inputs' ids and decides where everything goes; ``advance`` is told the bytes read."""
    heads = _Heads()
    tally = Tally()
    scanned = [_scan_mdetr(path, heads, tally, advance) for path in config.mdetr]
    boxes = [_scan_coco(path, tally, advance) for path in config.coco_instances]
    pairs = list(heads.row_of)
    verdicts, ledger = exclude_images(pairs, lists)
    codes = _select(pairs, verdicts, config.limit, heads.rejects, tally)
    files = _photo_files(config, pairs, codes)
    selected = [row for row, code in enumerate(codes) if code >= 0]
    order = sorted(selected, key=lambda row: photo_key(*pairs[row]))
    for rank, row in enumerate(order):
        codes[row] = rank
    final = np.array(codes, dtype=np.int32)
    photos = _photo_table([pairs[row] for row in order], [heads.first[row] for row in order], files)
    photo_bytes = 0 if config.metadata_only else sum(photos["bytes"].to_pylist())
    inputs = [_resolve(one, final) for one in scanned] + boxes
    label_bytes = sum(chunk.length for one in inputs for chunk in one.chunks)
    shards = shard_count(photo_bytes=photo_bytes, label_bytes=label_bytes, shard_bytes=config.shard_bytes)
    coco_pairs = sorted((int(pairs[row][1]), codes[row]) for row in range(len(pairs)) if _is_coco_number(pairs[row]))
    return Plan(
        photos=photos,
        shard=assign_shards(photos["key"].to_pylist(), seed=config.seed, shards=shards),
        shards=shards,
        inputs=inputs,
        coco_ids=np.array([number for number, _ in coco_pairs], dtype=np.int64),
        coco_rows=np.array([code for _, code in coco_pairs], dtype=np.int32),
        ledger=ledger,
        tally=tally,
        rejects=heads.rejects,
        photo_bytes=photo_bytes,
        label_bytes=label_bytes,
    )


def _is_coco_number(pair: tuple[str, str]) -> bool:
    return pair[0] == "coco" and is_number(pair[1]) and len(pair[1]) < 19


def _scan_mdetr(path: str, heads: _Heads, tally: Tally, advance: Progress) -> InputPlan:
    label = input_label(path)
    chunks: list[ChunkRange] = []
    rows: list[int] = []
    photo_of_id: dict[int, int] = {}
    for chunk in mdetr.read_chunks(path):
        chunks.append(chunk_range(chunk))
        advance(len(chunk.data))
        if chunk.name == "annotations":
            tally.came_in("annotation", chunk.count)
            continue
        tally.came_in("paragraph", chunk.count)
        for number, head in enumerate(mdetr.parse_heads(chunk.data), chunk.first_row):
            row = _photo_row(head, heads, photo_of_id, f"{label}#images[{number}]", tally)
            rows.append(row)
            if head.id is not None and _fits_int64(head.id):
                photo_of_id.setdefault(head.id, row)
    ids = np.array(sorted(photo_of_id), dtype=np.int64)
    return InputPlan(
        path=path,
        label=label,
        is_mdetr=True,
        chunks=chunks,
        photo_of_row=np.array(rows, dtype=np.int32),
        sorted_ids=ids,
        photo_of_id=np.array([photo_of_id[i] for i in ids.tolist()], dtype=np.int32),
    )


def _photo_row(
    head: mdetr.ParagraphHead | Unreadable, heads: _Heads, seen: dict[int, int], where: str, tally: Tally
) -> int:
    """Row of a paragraph's photo in order of first mention, or REJECTED with its reason noted."""
    reason, detail, key = _problem(head, seen)
    if reason is None and isinstance(head, mdetr.ParagraphHead):
        pair = (_source(head), photo_id(head.file_name))
        row = heads.row_of.setdefault(pair, len(heads.first))
        if row == len(heads.first):
            heads.first.append(head)
        return row
    heads.rejects.append(
        Rejected(key=key, unit="paragraph", stage=STAGE, reason=str(reason), detail=detail, input_ref=where)
    )
    tally.rejected("paragraph", STAGE, str(reason))
    return REJECTED


def _problem(head: mdetr.ParagraphHead | Unreadable, seen: dict[int, int]) -> tuple[str | None, str, str]:
    if isinstance(head, Unreadable):
        return "unreadable-paragraph", head.problem, ""
    if head.id in seen:
        return "duplicate-paragraph-id", f"id {head.id} is taken by an earlier paragraph", ""
    if not _fits_int64(head.id):
        return "unreadable-paragraph", f"id {head.id} does not fit 64 bits", ""
    if (unsafe := unsafe_file_name(head.file_name)) is not None:
        return "unsafe-file-name", unsafe, ""
    if not _SOURCE.fullmatch(_source(head)):
        return "unknown-source", f"data_source {head.data_source!r}, dataset_name {head.dataset_name!r}", ""
    key = photo_key(_source(head), photo_id(head.file_name))
    if len(key) > MAX_KEY_CHARS:
        return "file-name-too-long", f"key {key[:40]}… has {len(key)} characters, at most {MAX_KEY_CHARS} fit", ""
    return None, "", key


def _fits_int64(value: int) -> bool:
    return -(1 << 63) <= value < 1 << 63


def _source(head: mdetr.ParagraphHead) -> str:
    """Which photo collection a paragraph speaks of: mixed says it, Flickr and the refexp files imply it."""
    if head.data_source is not None:
        return head.data_source
    if head.dataset_name == "flickr":
        return "flickr"
    if head.dataset_name in _REFEXP_DATASETS or head.file_name.rsplit("/", 1)[-1].startswith("COCO_"):
        return "coco"
    return ""


def _scan_coco(path: str, tally: Tally, advance: Progress) -> InputPlan:
    chunks = []
    for chunk in coco.read_chunks(path):
        chunks.append(chunk_range(chunk))
        tally.came_in("box", chunk.count)
        advance(len(chunk.data))
    empty = np.zeros(0, dtype=np.int32)
    return InputPlan(
        path=path,
        label=input_label(path),
        is_mdetr=False,
        chunks=chunks,
        photo_of_row=empty,
        sorted_ids=empty.astype(np.int64),
        photo_of_id=empty,
    )


def _select(
    pairs: list[tuple[str, str]],
    verdicts: list[str | None],
    limit: int | None,
    rejects: list[Rejected],
    tally: Tally,
) -> list[int]:
    """A code for each photo: 0 if it is in, or EXCLUDED or BEYOND_LIMIT."""
    codes: list[int] = []
    taken = 0
    for pair, verdict in zip(pairs, verdicts, strict=True):
        tally.came_in("photo")
        if verdict is not None:
            codes.append(EXCLUDED)
            tally.rejected("photo", "exclude_images", "excluded")
            rejects.append(
                Rejected(key=photo_key(*pair), unit="photo", stage="exclude_images", reason="excluded", detail=verdict)
            )
        elif limit is not None and taken >= limit:
            codes.append(BEYOND_LIMIT)
            tally.rejected("photo", "limit", "beyond-limit")
        else:
            codes.append(0)
            taken += 1
    return codes


def _photo_files(
    config: MixedStarConfig, pairs: list[tuple[str, str]], codes: list[int]
) -> dict[tuple[str, str], tuple[str, int]]:
    """(source, id) → (address, bytes) of the photos at hand; raises ConfigError for a source without a root."""
    if config.metadata_only:
        return {}
    needed = sorted({pair[0] for pair, code in zip(pairs, codes, strict=True) if code >= 0})
    for source in needed:
        if source not in config.image_roots:
            raise ConfigError(f"the inputs name photos of source {source!r}: give --image-root {source}=DIR")
    return {
        (source, identity): found
        for source in needed
        for identity, found in list_photos(config.image_roots[source]).items()
    }


def _photo_table(
    pairs: list[tuple[str, str]],
    first: list[mdetr.ParagraphHead],
    files: dict[tuple[str, str], tuple[str, int]],
) -> pa.Table:
    found = [files.get(pair) for pair in pairs]
    return pa.table(
        {
            "key": [photo_key(*pair) for pair in pairs],
            "source": [pair[0] for pair in pairs],
            "file_name": [head.file_name for head in first],
            "height": pa.array([_int32(head.height) for head in first], pa.int32()),
            "width": pa.array([_int32(head.width) for head in first], pa.int32()),
            "address": pa.array([None if file is None else file[0] for file in found], pa.string()),
            "bytes": pa.array([0 if file is None else file[1] for file in found], pa.int64()),
        }
    )


def _int32(value: int) -> int:
    return value if 0 <= value < 1 << 31 else 0  # no photo has such a side: its paragraphs are rejected in the shard


def _resolve(scanned: InputPlan, codes: Codes) -> InputPlan:
    """Replaces rows in order of first mention by rows of the photo table, or by codes."""

    def renumber(rows: Codes) -> Codes:
        if len(codes) == 0:
            return rows
        return np.where(rows >= 0, codes[np.maximum(rows, 0)], rows).astype(np.int32)

    return InputPlan(
        path=scanned.path,
        label=scanned.label,
        is_mdetr=True,
        chunks=scanned.chunks,
        photo_of_row=renumber(scanned.photo_of_row),
        sorted_ids=scanned.sorted_ids,
        photo_of_id=renumber(scanned.photo_of_id),
    )
