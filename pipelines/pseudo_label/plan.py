"""Plan of a pseudo-label run: which photos, in which shard, and where every narrative and box row goes.

Reads the ids of all narratives and counts the lines of the box files, each input once, in bounded memory and several at
a time; nothing else is interpreted before its shard.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.build import check_labels
from pipelines.execution import Executor
from pipelines.partitioning import ChunkRange
from pipelines.pseudo_label.scan import BoxScan, NarrativeScan, Pair, scan_boxes, scan_narratives
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError
from xdetr_data.photos import list_photos, photo_key
from xdetr_data.record import Rejected
from xdetr_data.shards.plan import assign_shards, shard_count
from xdetr_data.sources.exclusions import ExclusionList
from xdetr_data.stages.exclude_images import Ledger, exclude_images

STAGE = "plan"
EXCLUDED, BEYOND_LIMIT, MISSING, UNKNOWN = -2, -3, -4, -5  # in place of a photo's row, as REJECTED and BLANK are
ANY_SOURCE = "any"
OPENIMAGES = "openimages"
BOX_ID_CHARS = 16
BOX_BYTES_PER_PHOTO = 2048  # twice what the real file has

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrativeInput:
    """One narratives file: its chunks, and the photo of each line (a row of the photo table, or a negative code)."""

    path: str
    label: str
    chunks: list[ChunkRange]
    photo_of_line: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxInput:
    """One box file: its chunks and its columns in their order."""

    path: str
    label: str
    chunks: list[ChunkRange]
    columns: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the partition and the shards need. ``photos`` is ordered by key; ``shard`` is the shard of each row.

    Attributes:
        photos: key, source, file_name, address, bytes of every photo that is built.
        box_ids: sorted image ids ``[M]`` as box files spell them; ``box_rows`` their photos or codes ``[M]``.
        rejects: what never reaches a shard; ``tally`` counts it, and everything that came in.
    """

    photos: pa.Table
    shard: Codes
    shards: int
    narratives: list[NarrativeInput]
    boxes: list[BoxInput]
    box_ids: NDArray[np.bytes_]
    box_rows: Codes
    ledger: Ledger
    tally: Tally
    rejects: list[Rejected]
    photo_bytes: int
    label_bytes: int

    @property
    def labels(self) -> list[str]:
        """What the records call each input, by its number in the spills."""
        return [*(one.label for one in self.narratives), *(one.label for one in self.boxes)]

    @property
    def digest(self) -> str:
        """A hash of which photos (key, size in bytes) are in which shard."""
        digest = hashlib.sha256(self.shard.tobytes())
        for name in ("key", "bytes"):
            digest.update(msgspec.json.encode(self.photos[name].to_pylist()))
        return digest.hexdigest()


def make_plan(
    *,
    narratives: Sequence[str],
    boxes: Sequence[str],
    image_roots: Mapping[str, str],
    lists: Sequence[ExclusionList],
    seed: int,
    limit: int | None,
    shard_bytes: int,
    run: Executor,
) -> Plan:
    """Reads the inputs' ids and decides where everything goes.

    ``narratives`` and ``boxes`` are files (no wildcards), ``image_roots`` says where the photos of a source (coco,
    flickr, ade20k, openimages) are, or of all (``any``) where the narratives speak of one source. Raises InputError
    for a file of another format, ConfigError for a source without a root or two inputs of one name.
    """
    check_labels([*narratives, *boxes])
    spoken = [scan for _, scan in sorted(run(scan_narratives, None, list(enumerate(narratives))), key=_number)]
    boxed = [scan for _, scan in sorted(run(scan_boxes, None, list(enumerate(boxes))), key=_number)]
    tally, rejects = _count(spoken, boxed)
    pairs, pair_of_scan = _merge_pairs(spoken)
    verdicts, ledger = exclude_images(pairs, lists)
    files = _find_photos(pairs, image_roots)
    codes = _choose(pairs, files, verdicts, limit, rejects, tally)
    order = sorted(np.flatnonzero(codes >= 0).tolist(), key=lambda row: photo_key(*pairs[row]))
    codes[order] = np.arange(len(order))
    photos = _photo_table([pairs[row] for row in order], files)
    photo_bytes = sum(photos["bytes"].to_pylist())
    photo_of_line = [_photo_of_line(scan, rows, codes) for scan, rows in zip(spoken, pair_of_scan, strict=True)]
    label_bytes = sum(int(one.line_bytes[of >= 0].sum()) for one, of in zip(spoken, photo_of_line, strict=True))
    label_bytes += min(sum(chunk.length for one in boxed for chunk in one.chunks), BOX_BYTES_PER_PHOTO * len(order))
    shards = shard_count(photo_bytes=photo_bytes, label_bytes=label_bytes, shard_bytes=shard_bytes)
    box_ids, box_rows = _box_index(pairs, codes)
    return Plan(
        photos=photos,
        shard=assign_shards(photos["key"].to_pylist(), seed=seed, shards=shards),
        shards=shards,
        narratives=[
            NarrativeInput(path=one.path, label=one.label, chunks=one.chunks, photo_of_line=of)
            for one, of in zip(spoken, photo_of_line, strict=True)
        ],
        boxes=[BoxInput(path=one.path, label=one.label, chunks=one.chunks, columns=one.columns) for one in boxed],
        box_ids=box_ids,
        box_rows=box_rows,
        ledger=ledger,
        tally=tally,
        rejects=rejects,
        photo_bytes=photo_bytes,
        label_bytes=label_bytes,
    )


def _number(numbered: tuple[int, object]) -> int:
    return numbered[0]


def _count(spoken: Sequence[NarrativeScan], boxed: Sequence[BoxScan]) -> tuple[Tally, list[Rejected]]:
    """What came in, and the narratives that name no photo."""
    tally = Tally()
    rejects = [reject for scan in spoken for reject in scan.rejects]
    tally.came_in("narrative", sum(scan.count for scan in spoken))
    for reject in rejects:
        tally.rejected(reject.unit, reject.stage, reject.reason)
    if boxed:
        tally.came_in("box", sum(chunk.count for scan in boxed for chunk in scan.chunks))
    return tally, rejects


def _merge_pairs(spoken: Sequence[NarrativeScan]) -> tuple[list[Pair], list[Codes]]:
    """The photos of all files in the order of first mention, and for each file the position of each of its photos."""
    row_of: dict[Pair, int] = {}
    positions = [
        np.array([row_of.setdefault(pair, len(row_of)) for pair in scan.pairs], dtype=np.int32) for scan in spoken
    ]
    return list(row_of), positions


def _photo_of_line(scan: NarrativeScan, rows: Codes, codes: Codes) -> Codes:
    if not len(rows):
        return scan.pair_of_line
    found = codes[rows[np.maximum(scan.pair_of_line, 0)]]
    return np.where(scan.pair_of_line >= 0, found, scan.pair_of_line).astype(np.int32)


def _find_photos(pairs: Sequence[Pair], image_roots: Mapping[str, str]) -> dict[Pair, tuple[str, int]]:
    """(source, id) → (address, bytes) of the photos at hand."""
    sources = sorted({source for source, _ in pairs})
    files: dict[Pair, tuple[str, int]] = {}
    for source in sources:
        root = image_roots.get(source) or image_roots.get(ANY_SOURCE)
        if root is None:
            raise ConfigError(f"the narratives name photos of source {source!r}: give --images {source}=DIR")
        if source not in image_roots and len(sources) > 1:
            raise ConfigError(
                f"the narratives name photos of {', '.join(sources)}, whose numbers can be the same: "
                f"give --images SOURCE=DIR for each, as in --images {source}=DIR"
            )
        files.update({(source, identity): found for identity, found in list_photos(root).items()})
    return files


def _choose(
    pairs: list[Pair],
    files: dict[Pair, tuple[str, int]],
    verdicts: list[str | None],
    limit: int | None,
    rejects: list[Rejected],
    tally: Tally,
) -> Codes:
    """A code for each photo: 0 if it is in; ``limit`` counts photos that are at hand and not excluded."""
    codes: list[int] = []
    taken = 0
    tally.came_in("photo", len(pairs))
    for pair, verdict in zip(pairs, verdicts, strict=True):
        stage, reason, detail = "", "", ""
        if verdict is not None:
            code, stage, reason, detail = EXCLUDED, "exclude_images", "excluded", verdict
        elif limit is not None and taken >= limit:
            code = BEYOND_LIMIT
            tally.rejected("photo", "limit", "beyond-limit")
        elif pair not in files:
            code, stage, reason = MISSING, STAGE, "missing-photo"
            detail = f"photo {pair[1]} is not below the image root of {pair[0]}"
        else:
            code = 0
            taken += 1
        codes.append(code)
        if stage:
            tally.rejected("photo", stage, reason)
            rejects.append(Rejected(key=photo_key(*pair), unit="photo", stage=stage, reason=reason, detail=detail))
    return np.array(codes, dtype=np.int32)


def _photo_table(pairs: list[Pair], files: dict[Pair, tuple[str, int]]) -> pa.Table:
    found = [files[pair] for pair in pairs]
    return pa.table(
        {
            "key": pa.array([photo_key(*pair) for pair in pairs], pa.string()),
            "source": pa.array([source for source, _ in pairs], pa.string()),
            "file_name": pa.array([address.rsplit("/", 1)[-1] for address, _ in found], pa.string()),
            "address": pa.array([address for address, _ in found], pa.string()),
            "bytes": pa.array([size for _, size in found], pa.int64()),
        }
    )


def _box_index(pairs: Sequence[Pair], codes: Codes) -> tuple[NDArray[np.bytes_], Codes]:
    """The OpenImages photos by image id; an id of digits alone stands with its leading zeros too, as files spell it."""
    named: dict[bytes, int] = {}
    for (source, identity), code in zip(pairs, codes.tolist(), strict=True):
        if source == OPENIMAGES:
            named[identity.encode()] = code
            if identity.isdigit():
                named[identity.zfill(BOX_ID_CHARS).encode()] = code
    ids = np.array(sorted(named), dtype=np.bytes_)
    return ids, np.array([named[one] for one in sorted(named)], dtype=np.int32)
