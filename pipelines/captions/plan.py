"""Plan of a captions build: which photos of the tars, in which shard, and which captions are theirs.

Tars are walked from header to header and the TSVs' addresses are read, each once, several files at a time. Captions and
photos are joined by a hash of the address, so that no address has to be kept.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines import console
from pipelines.build import input_label
from pipelines.captions.config import CaptionsConfig
from pipelines.execution import Executor
from pipelines.job import advanced
from pipelines.partitioning import ChunkRange, chunk_range
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.photos import MAX_KEY_CHARS, photo_key
from xdetr_data.record import Rejected
from xdetr_data.shards.plan import assign_shards, shard_count
from xdetr_data.sources.framing.json_stream import Unreadable
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines
from xdetr_data.sources.web_captions import WebPhoto, iter_web_photos, parse_line, url_hash

STAGE = "plan"
PHOTO_REJECTED, BEYOND_LIMIT, NO_PHOTO = -1, -3, -4  # in place of a photo's row

Codes = NDArray[np.int32]
Hashes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvScan:
    """What the plan needs of a TSV: its chunks, and the hash of every address in it."""

    path: str
    chunks: list[ChunkRange]
    hashes: Hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class TsvInput:
    """A TSV as the partition reads it."""

    path: str
    label: str
    chunks: list[ChunkRange]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the partition and the shards need.

    Attributes:
        photos: key, file_name, address, offset, bytes of every photo that is built, ordered by key; ``shard`` is the
            shard of each row.
        url_hashes: sorted hashes of the addresses of all photos in the tars, ``photo_of_hash`` their rows or codes.
        rejects: what never reaches a shard; ``tally`` counts it, and everything that came in.
    """

    photos: pa.Table
    shard: Codes
    shards: int
    inputs: list[TsvInput]
    url_hashes: Hashes
    photo_of_hash: Codes
    tally: Tally
    rejects: list[Rejected]
    photo_bytes: int
    label_bytes: int

    @property
    def digest(self) -> str:
        """A hash of which photos (key, name, address on the web, size in bytes) are in which shard."""
        digest = hashlib.sha256(self.shard.tobytes())
        digest.update(self.url_hashes.tobytes() + self.photo_of_hash.tobytes())
        for name in ("key", "file_name", "bytes"):
            digest.update(msgspec.json.encode(self.photos[name].to_pylist()))
        return digest.hexdigest()


def make_plan(config: CaptionsConfig, run: Executor) -> Plan:
    """Reads addresses and decides where everything goes; raises InputError for a file of another format."""
    with console.progress("reading addresses", len(config.tsv) + len(config.images)) as advance:
        told = {scan.path: advanced(scan, advance) for scan in run(_scan_tsv, None, list(config.tsv))}
        found = {path: advanced(photos, advance) for path, photos in run(_scan_tar, None, list(config.images))}
    scans = [told[path] for path in config.tsv]
    tally = Tally()
    rejects: list[Rejected] = []
    captioned = np.unique(np.concatenate([scan.hashes for scan in scans]))
    named = [(path, photo) for path in config.images for photo in found[path]]
    chosen, code_of_hash = _choose(config, named, captioned, rejects, tally)
    chosen.sort(key=lambda one: one[0])
    code_of_hash.update({url_hash(photo.url): row for row, (_, _, photo) in enumerate(chosen)})
    hashes = np.array(sorted(code_of_hash), dtype=np.int64)
    photos = _photo_table(chosen)
    photo_bytes = sum(photo.size for _, _, photo in chosen)
    tally.came_in("caption", sum(chunk.count for scan in scans for chunk in scan.chunks))
    label_bytes = sum(chunk.length for scan in scans for chunk in scan.chunks)
    shards = shard_count(photo_bytes=photo_bytes, label_bytes=label_bytes, shard_bytes=config.shard_bytes)
    return Plan(
        photos=photos,
        shard=assign_shards(photos["key"].to_pylist(), seed=config.seed, shards=shards),
        shards=shards,
        inputs=[TsvInput(path=one.path, label=input_label(one.path), chunks=one.chunks) for one in scans],
        url_hashes=hashes,
        photo_of_hash=np.array([code_of_hash[one] for one in hashes.tolist()], dtype=np.int32),
        tally=tally,
        rejects=rejects,
        photo_bytes=photo_bytes,
        label_bytes=label_bytes,
    )


def line_hashes(lines: Iterable[bytes]) -> tuple[Hashes, dict[int, str]]:
    """Hash of the address of each line, and the problems of unreadable lines by position (their hash is -1)."""
    hashes: list[int] = []
    problems: dict[int, str] = {}
    for position, line in enumerate(lines):
        parsed = parse_line(line)
        if isinstance(parsed, Unreadable):
            problems[position] = parsed.problem
            hashes.append(-1)
        else:
            hashes.append(url_hash(parsed.url))
    return np.array(hashes, dtype=np.int64), problems


def _scan_tsv(_: None, path: str) -> TsvScan:
    chunks: list[ChunkRange] = []
    hashes: list[Hashes] = [np.zeros(0, dtype=np.int64)]
    problem = "it is empty"
    for chunk in iter_line_chunks(path):
        found, problems = line_hashes(split_lines(chunk.data))
        chunks.append(chunk_range(chunk))
        hashes.append(found[found >= 0])
        problem = next(iter(problems.values()), problem)
    if not sum(map(len, hashes)):
        raise InputError(f"{path}: no line of it is a caption with an address ({problem}); give caption<TAB>address")
    return TsvScan(path=path, chunks=chunks, hashes=np.unique(np.concatenate(hashes)))


def _scan_tar(_: None, path: str) -> tuple[str, list[WebPhoto]]:
    return path, list(iter_web_photos(path))


def _choose(
    config: CaptionsConfig,
    named: Sequence[tuple[str, WebPhoto]],
    captioned: Hashes,
    rejects: list[Rejected],
    tally: Tally,
) -> tuple[list[tuple[str, str, WebPhoto]], dict[int, int]]:
    """The photos that are built as (key, address of the tar, photo), and what became of all other addresses."""
    chosen: list[tuple[str, str, WebPhoto]] = []
    code_of_hash: dict[int, int] = {}
    keys: set[str] = set()
    hashes = np.array([url_hash(photo.url) for _, photo in named], dtype=np.int64)
    has_caption = np.isin(hashes, captioned).tolist()
    tally.came_in("photo", len(named))
    for (path, photo), hashed, is_captioned in zip(named, hashes.tolist(), has_caption, strict=True):
        key = photo_key(config.source, photo.key)
        problem = photo.problem or _problem(key, hashed, is_captioned, keys, code_of_hash)
        if problem is None and config.limit is not None and len(chosen) >= config.limit:
            tally.rejected("photo", "limit", "beyond-limit")
            code_of_hash.setdefault(hashed, BEYOND_LIMIT)
        elif problem is None:
            keys.add(key)
            code_of_hash[hashed] = len(chosen)
            chosen.append((key, path, photo))
        else:
            reason, detail = problem
            tally.rejected("photo", STAGE, reason)
            where = f"{_tar_label(path)}#{photo.key}"
            rejects.append(Rejected(key=key, unit="photo", stage=STAGE, reason=reason, detail=detail, input_ref=where))
            if reason in ("duplicate-key", "key-too-long"):
                code_of_hash.setdefault(hashed, PHOTO_REJECTED)
    return chosen, code_of_hash


def _problem(
    key: str, hashed: int, is_captioned: bool, keys: set[str], code_of_hash: dict[int, int]
) -> tuple[str, str] | None:
    """Why a photo of the tars is not built, or None."""
    if not is_captioned:
        return "no-caption", "no line of the TSVs has its address"
    if hashed in code_of_hash:
        return "duplicate-address", "an earlier photo of the tars has the same address"
    if key in keys:
        return "duplicate-key", "an earlier photo of the tars has the same key"
    if len(key) > MAX_KEY_CHARS:
        return "key-too-long", f"key {key[:40]}… has {len(key)} characters, at most {MAX_KEY_CHARS} fit"
    return None


def _tar_label(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".tar")


def _photo_table(chosen: Sequence[tuple[str, str, WebPhoto]]) -> pa.Table:
    return pa.table(
        {
            "key": pa.array([key for key, _, _ in chosen], pa.string()),
            "file_name": pa.array([f"{_tar_label(path)}/{photo.key}" for _, path, photo in chosen], pa.string()),
            "address": pa.array([path for _, path, _ in chosen], pa.string()),
            "offset": pa.array([photo.offset for _, _, photo in chosen], pa.int64()),
            "bytes": pa.array([photo.size for _, _, photo in chosen], pa.int64()),
        }
    )
