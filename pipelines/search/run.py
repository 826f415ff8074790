"""``xdetr-search index`` as a table of contents: photos, plan, shards, one file of vectors, the index."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from pipelines import console
from pipelines.engine.done import add_up, run_shards
from pipelines.execution import executor
from pipelines.folder import Existing, config_hash, has_files
from pipelines.labelling.answers import NO_ANSWER, check_answers
from pipelines.lock import locked
from pipelines.machine import Mixture, machines_of
from pipelines.search.claim import claim_index, clear_index, close_index, open_index_folder
from pipelines.search.encode import ENCODE, EncodeContext, ModelToLoad, check_keep, make_worker
from pipelines.search.layout import (
    INDEX,
    OBJECTS,
    PROBE,
    VECTORS,
    VERSION,
    Index,
    Keep,
    Model,
    Part,
    part_folder,
    read_index,
    read_rows,
    write_index,
)
from pipelines.search.photos import PhotoPlan, plan_photos
from pipelines.search.removed import alive_keys
from pipelines.search.structure import PROBE_FROM, Vectors, open_vectors, write_probe, write_vectors
from pipelines.status import telling_status
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError, InputError, OutputError
from xdetr_data.manifest import tool_version
from xdetr_data.shards.writer import ShardStats, entry, shard_name, write_rejects
from xdetr_data.storage import FileEntry, Folder

_ENCODED_BY = 1  # raise it where the same photos and model now make other bytes
REJECTS = "rejects/plan.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be indexed, how; ``add``: beside what the index holds."""

    photos: tuple[str, ...]
    model: ModelToLoad
    keep: Keep
    limit: int | None = None
    add: bool = False
    probe_from: int = PROBE_FROM


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What a run did: the index, and the account of its own photos (of none where there was nothing to do)."""

    index: Index
    accounting: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A run that is ready to start; ``before`` is the index as it counts until then."""

    asked: Asked
    plan: PhotoPlan
    model: Model
    before: Index | None
    part: str
    digest: str


def index_photos(asked: Asked, out: Folder, *, workers: int, gpus: int, existing: Existing) -> Indexed:
    """Makes the index, adds to it, or goes on where an earlier run stopped. Raises XdetrDataError in one line."""
    if gpus and not workers:
        raise ConfigError(f"--gpus {gpus} needs processes of their own: give --workers {gpus}, too")
    check_keep(asked.keep)
    open_index_folder(out, existing, add=asked.add)
    plan_photos(asked.photos, known=frozenset(), limit=asked.limit)  # what is wrong with the photos is told first
    loading = replace(asked.model, device="cpu", batch_size=1) if workers else asked.model
    encoder = loading.encoder()
    here = asked.model if workers else replace(asked.model, load=lambda *_, **__: encoder)
    with executor(workers) as run, locked(out), ExitStack() as claimed:
        if existing == "overwrite":
            clear_index(out, add=asked.add)
        prepared = _prepare(asked, out, encoder)
        if (nothing := _nothing_to_do(prepared, out)) is not None:
            return nothing
        claim_index(out, prepared.digest)
        claimed.enter_context(telling_status(out))
        folder = part_folder(out, prepared.part)
        folder.sweep()
        context = EncodeContext(
            out=folder, shards=prepared.plan.shards, keep=asked.keep, model=here, config_hash=prepared.digest
        )
        mixture = Mixture([])
        encode = functools.partial(run.pool, make_worker, context, gpus=gpus)
        done = run_shards(
            folder,
            OBJECTS,
            prepared.digest,
            lambda missing: map(mixture.watched, encode(missing)),
            title="indexing photos",
            photos=[len(one) for one in prepared.plan.shards],
        )
        return _finish(prepared, out, done)


def _prepare(asked: Asked, out: Folder, encoder: Any) -> _Prepared:
    name = asked.model.ckpt
    model = Model(
        ckpt=os.path.abspath(name) if os.path.isfile(os.path.join(name, "config.json")) else name,
        fingerprint=encoder.fingerprint(),
        precision=asked.model.precision,
        dim=encoder.dim,
    )
    before = read_index(out) if out.exists(INDEX) else None
    known: frozenset[str] = frozenset()
    number = 1
    if before is not None and asked.add:
        _check_same(before, model, asked.keep, out)
        known = alive_keys(out, before)
        number = 1 + max(int(one.name.rpartition("-")[2]) for one in before.parts)
    plan = plan_photos(asked.photos, known=known, limit=asked.limit)
    decides = [_ENCODED_BY, VERSION, model.fingerprint, asked.keep, asked.model.batch_size, number, asked.probe_from]
    digest = config_hash(msgspec.to_builtins(decides), plan.inputs, plan.digest)
    return _Prepared(asked=asked, plan=plan, model=model, before=before, part=f"part-{number:06d}", digest=digest)


def _check_same(before: Index, model: Model, keep: Keep, out: Folder) -> None:
    if before.model.fingerprint != model.fingerprint:
        raise ConfigError(
            f"--add: {out.url} holds vectors of another model ({before.model.ckpt}, {before.model.fingerprint[:12]}; "
            f"now {model.fingerprint[:12]}); give that --ckpt and --precision, or make a new index"
        )
    if before.keep != keep:
        raise ConfigError(
            f"--add: {out.url} keeps {before.keep.objects} objects of at least {before.keep.least_objectness} "
            "objectness a photo; give the same --objects and --least-objectness"
        )


def _nothing_to_do(prepared: _Prepared, out: Folder) -> Indexed | None:
    """The index as it is, where all photos are in it; raises OutputError where it is another command's."""
    before, plan = prepared.before, prepared.plan
    if before is None:
        return None
    if prepared.asked.add:
        if plan.photos:
            return None
        console.say(f"{out.url}: holds all these photos already, nothing to add")
        close_index(out)
        return Indexed(index=before, accounting=plan.tally.to_builtins())
    first = before.parts[0]
    if first.config_hash != prepared.digest:
        raise OutputError(
            f"{out.url}: holds an index of another model, of other photos or options, or of another version of this "
            "tool; say --add to add these photos to it, or --overwrite"
        )
    files = [*first.files, *(file for shard in first.shards for file in shard.files)]
    if not has_files(part_folder(out, first.name), files):
        console.warn(f"{out.url}: files of {first.name} are missing or cut short; they are made again")
        return None
    console.say(f"{out.url}: already complete, nothing to do")
    close_index(out)
    return Indexed(index=before, accounting=first.accounting)


def _finish(prepared: _Prepared, out: Folder, done: list[ShardStats]) -> Indexed:
    """One file of vectors, the account, and the index in its next generation."""
    folder = part_folder(out, prepared.part)
    accounting = add_up(prepared.plan.tally, done)
    asked = prepared.asked.model
    unanswered = Tally.from_builtins(accounting).count("photo", ENCODE, NO_ANSWER)
    check_answers(sum(one.rows for one in done), unanswered, asked.ckpt, asked.precision)
    photos, objects = (accounting["units"].get(unit, {"out": 0})["out"] for unit in ("photo", "object"))
    if not photos:
        close_index(out)
        out.remove(prepared.part)
        if prepared.before is None:
            reasons = accounting["units"]["photo"]["rejected"]
            why = ", ".join(f"{count:,} {reason}" for own in reasons.values() for reason, count in own.items())
            raise InputError(f"{', '.join(prepared.asked.photos)}: no photo could be indexed (rejected: {why})")
        return Indexed(index=prepared.before, accounting=accounting)
    files = [write_rejects(folder, REJECTS, prepared.plan.rejects)]
    vectors, probes = _structure(folder, prepared, objects)
    part = Part(
        name=prepared.part,
        config_hash=prepared.digest,
        inputs=prepared.plan.inputs,
        photos=photos,
        objects=objects,
        accounting=accounting,
        shards=[one.entry for one in done],
        files=[*files, *vectors],
        machines=machines_of(done),
        probes=probes,
    )
    index = _next(prepared, part)
    write_index(out, index)
    close_index(out)
    return Indexed(index=index, accounting=accounting)


def _next(prepared: _Prepared, part: Part) -> Index:
    """The index with a part more, or with a part that was made again in its place."""
    before = prepared.before
    if before is None:
        return Index(
            generation=1, tool_version=tool_version(), model=prepared.model, keep=prepared.asked.keep, parts=[part]
        )
    parts = {one.name: one for one in [*before.parts, part]}
    return msgspec.structs.replace(
        before, generation=before.generation + 1, tool_version=tool_version(), parts=list(parts.values())
    )


def _structure(folder: Folder, prepared: _Prepared, objects: int) -> tuple[list[FileEntry], int]:
    """The files that are searched, made of the shards' vectors, and how many lists a query looks at."""
    with console.progress("one file of vectors", len(prepared.plan.shards)) as advance:
        with folder.writing(VECTORS) as sink:
            write_vectors(sink, _vectors(folder, prepared, advance), objects, prepared.model.dim)
    files = [entry(VECTORS, sink)]
    if objects < prepared.asked.probe_from:
        folder.remove(PROBE)
        return files, 0
    with console.progress(f"lists of {objects:,} vectors", 1) as advance:
        with folder.writing(PROBE) as sink:
            probes = write_probe(sink, open_vectors(folder.path(VECTORS)))
        advance(1)
    return [*files, entry(PROBE, sink)], probes


def _vectors(folder: Folder, prepared: _Prepared, advance: Callable[[int], None]) -> Iterator[Vectors]:
    """The vectors ``[n, d]`` of every shard, in order."""
    for number in range(len(prepared.plan.shards)):
        name = f"{shard_name(OBJECTS, number)}.parquet"
        column = read_rows(folder, name, ["vector"])["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        yield np.asarray(flat, np.float16).reshape(len(column), prepared.model.dim)
        advance(1)
