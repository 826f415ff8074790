"""The step that needs the model: one shard's narratives become phrases with candidates, one photo a row.

What it writes is the audit trail (``grounded/``): labels are chosen from it by ``label_shard``, now or with other
thresholds later.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.machine import DescribeMachine, Machine, check_machine
from pipelines.pseudo_label.config import PseudoLabelConfig
from pipelines.pseudo_label.grounding import Clock, Grounded, Grounder, Job, LoadGrounder, Phrase, ground
from pipelines.pseudo_label.models import model_errors
from pipelines.pseudo_label.narration import Line, Told, start, tell
from pipelines.pseudo_label.partition import BOX_SPILL_SCHEMA
from pipelines.pseudo_label.scan import line_name, line_ref
from xdetr_data.accounting import Tally
from xdetr_data.boxed import LooseBox
from xdetr_data.grounded import (
    GROUNDED_ARROW_SCHEMA,
    Candidate,
    GroundedPhoto,
    GroundedPhrase,
    GroundedQuery,
    grounded_to_arrow,
)
from xdetr_data.photos import BadPhoto
from xdetr_data.record import ImageRef, Rejected
from xdetr_data.shards.spill import read_spills
from xdetr_data.shards.writer import (
    ROWS_PER_GROUP,
    FileEntry,
    ShardStats,
    entry,
    rejects_writer,
    shard_name,
    write_stats,
)
from xdetr_data.stages.ground_phrases import PhraseCandidates
from xdetr_data.stages.place_openimages import BadBox, place_boxes
from xdetr_data.stages.trace_agreement import path_agreement
from xdetr_data.storage import Folder

GROUND_PREFIX = "grounded/photos"
READ_PHOTO, READ_NARRATIVE, PLACE_BOXES = "read_photo", "read_narrative", "place_openimages"
READ_AHEAD_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundContext:
    """What every shard of the run shares; ``load`` gives each process its grounder, ``machine`` says what it runs on.

    Where ``begun_on`` names kinds of machine, processes on others refuse to work.
    """

    out: Folder
    config: PseudoLabelConfig
    config_hash: str
    photos: pa.Table
    labels: list[str]
    narrative_spills: list[str]
    box_spills: list[str]
    class_names: dict[str, str]
    load: LoadGrounder
    machine: DescribeMachine
    begun_on: Sequence[Machine] = ()


def make_ground_worker(context: GroundContext) -> "GroundWorker":
    """Loads the checkpoint and, in its own process, the language pipeline: once for all shards of a process."""
    config = context.config
    with model_errors(config.ckpt):
        machine = context.machine(config.device)
    check_machine(machine, context.begun_on, context.out.url)
    start(config.spacy_model)
    grounder = context.load(config.ckpt, device=config.device, precision=config.precision, batch_size=config.batch_size)
    tell(config.spacy_model, ())  # it can read now
    return GroundWorker(context, grounder, machine)


@dataclass(slots=True)
class _Photo:
    """All that the inputs say of one photo."""

    row: int
    lines: list[Line] = field(default_factory=list)
    boxes: pa.Table | None = None
    told: list[Told] = field(default_factory=list)
    rejects: list[Rejected] = field(default_factory=list)


@dataclass(slots=True)
class _Account:
    tally: Tally = field(default_factory=Tally)
    rejects: list[Rejected] = field(default_factory=list)

    def reject(self, one: Rejected) -> None:
        self.rejects.append(one)
        self.tally.rejected(one.unit, one.stage, one.reason)


class GroundWorker:
    """Grounds shards, one after the other."""

    def __init__(self, context: GroundContext, grounder: Grounder, machine: Machine) -> None:
        self._context = context
        self._grounder = grounder
        self._machine = machine

    def __call__(self, shard: int) -> ShardStats:
        """Writes one shard's audit trail, its rejects, and its done-marker."""
        started = time.monotonic()
        context, account, clock = self._context, _Account(), Clock()
        self._grounder.forget()
        photos = _read_shard(context, shard)
        stem = shard_name(GROUND_PREFIX, shard)
        with model_errors(context.config.ckpt):
            rows, files = _write(context.out, stem, self._ground(photos, account, clock), account)
        seconds = round(time.monotonic() - started, 3)
        stats = ShardStats(
            shard=shard,
            rows=rows,
            files=files,
            accounting=account.tally.to_builtins(),
            config_hash=context.config_hash,
            seconds=seconds,
            photos_per_second=round(clock.photos / seconds, 2) if seconds else 0.0,
            waiting_share=round(clock.waiting_s / seconds, 4) if seconds else 0.0,
            machine=self._machine,
        )
        write_stats(context.out, GROUND_PREFIX, stats)
        return stats

    def _find_phrases(self, photos: Sequence[_Photo]) -> list[list[Phrase]]:
        """Has the narratives of photos read, in one batch; their phrases."""
        told = tell(self._context.config.spacy_model, [photo.lines for photo in photos])
        for photo, results in zip(photos, told, strict=True):
            for one in results:
                if isinstance(one, Told):
                    photo.told.append(one)
                else:
                    photo.rejects.append(
                        Rejected(
                            key=self._context.photos["key"][photo.row].as_py(),
                            unit="narrative",
                            stage=READ_NARRATIVE,
                            reason=one.reason,
                            detail=one.detail,
                            input_ref=one.where,
                        )
                    )
        return [
            [
                Phrase(sentence.text, mention.spans)
                for told in photo.told
                for sentence in told.sentences
                for mention in sentence.mentions
            ]
            for photo in photos
        ]

    def _ground(self, photos: Sequence[_Photo], account: _Account, clock: Clock) -> Iterator[GroundedPhoto]:
        config = self._context.config
        addresses = self._context.photos["address"]
        jobs = [Job(number=i, address=addresses[photo.row].as_py()) for i, photo in enumerate(photos)]
        grounded = ground(
            jobs,
            lambda window: self._find_phrases([photos[job.number] for job in window]),
            self._grounder,
            batch_size=config.batch_size,
            keep=config.keep_candidates,
            threads=READ_AHEAD_THREADS,
            clock=clock,
        )
        for photo, one in zip(photos, grounded, strict=True):
            for reject in photo.rejects:
                account.reject(reject)
            result = self._photo(photo, one, account)
            if result is not None:
                yield result

    def _photo(self, photo: _Photo, one: Grounded, account: _Account) -> GroundedPhoto | None:
        about = {
            name: self._context.photos[name][photo.row].as_py() for name in ("key", "source", "file_name", "address")
        }
        key = about["key"]
        if isinstance(one.photo, BadPhoto):
            for reject in _lost(key, photo, one.photo, self._context.labels):
                account.reject(reject)
            return None
        if not photo.told:
            problem = BadPhoto(reason="no-narrative-left", detail="all of its narratives were rejected")
            for reject in _lost(key, photo, problem, self._context.labels):
                account.reject(reject)
            return None
        account.tally.went_out("narrative", len(photo.told))
        candidates = iter(one.candidates)
        queries = tuple(
            query for told in photo.told for query in _queries(told, candidates, one.photo.size_hw, account.tally)
        )
        image = ImageRef(
            file_name=about["file_name"], source=about["source"], size_hw=one.photo.size_hw, sha256=one.photo.sha256
        )
        boxes = self._boxes(key, photo, one.photo.size_hw, account)
        return GroundedPhoto(key=key, address=about["address"], image=image, queries=queries, boxes=boxes)

    def _boxes(self, key: str, photo: _Photo, size_hw: tuple[int, int], account: _Account) -> tuple[LooseBox, ...]:
        table = photo.boxes
        if table is None:
            return ()
        labels = [self._context.labels[file] for file in table["file"].to_pylist()]
        lines = table["row"].to_pylist()
        placed = place_boxes(
            table,
            size_hw=size_hw,
            policy=self._context.config.flags,
            sources=labels,
            annotation_ids=[line_name(line) for line in lines],
            names=self._context.class_names,
        )
        loose: list[LooseBox] = []
        for box, label, line in zip(placed, labels, lines, strict=True):
            if isinstance(box, BadBox):
                account.reject(
                    Rejected(
                        key=key,
                        unit="box",
                        stage=PLACE_BOXES,
                        reason=box.reason,
                        detail=box.detail,
                        input_ref=line_ref(label, line),
                    )
                )
            else:
                loose.append(box)
        return tuple(loose)


def _queries(
    told: Told, candidates: Iterator[PhraseCandidates], size_hw: tuple[int, int], tally: Tally
) -> Iterator[GroundedQuery]:
    """The sentences of a narrative; takes the next candidates for each mention in turn."""
    for sentence, paths in zip(told.sentences, told.paths, strict=True):
        phrases: list[GroundedPhrase] = []
        for mention, path in zip(sentence.mentions, paths, strict=True):
            found = next(candidates)
            agreement = path_agreement(path, found.boxes_xyxy, size_hw)
            phrases.append(
                GroundedPhrase(
                    spans=mention.spans,
                    head=mention.head,
                    is_plural=mention.is_plural,
                    count=mention.count,
                    fit=found.fit,
                    candidates=_candidates(found, agreement),
                )
            )
        tally.came_in("phrase", len(phrases))
        yield GroundedQuery(text=sentence.text, group=told.group, phrases=tuple(phrases))


def _candidates(found: PhraseCandidates, agreement: Sequence[float | None]) -> tuple[Candidate, ...]:
    """Candidates that are a box: a model may put one outside the photo, where nothing of it is left."""
    boxes = np.asarray(found.boxes_xyxy, dtype=np.float64)
    scores = np.asarray(found.scores, dtype=np.float64)
    able = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return tuple(
        Candidate(box_xyxy=(box[0], box[1], box[2], box[3]), score=score, agreement=agrees)
        for box, score, agrees, is_box in zip(boxes.tolist(), scores.tolist(), agreement, able.tolist(), strict=True)
        if is_box
    )


def _lost(key: str, photo: _Photo, problem: BadPhoto, labels: Sequence[str]) -> Iterator[Rejected]:
    """Rejects of a photo, and of what speaks of it and was not rejected before."""
    yield Rejected(key=key, unit="photo", stage=READ_PHOTO, reason=problem.reason, detail=problem.detail)
    wheres = [("narrative", told.group) for told in photo.told]
    if photo.boxes is not None:
        places = zip(photo.boxes["file"].to_pylist(), photo.boxes["row"].to_pylist(), strict=True)
        wheres += [("box", line_ref(labels[file], line)) for file, line in places]
    for unit, where in wheres:
        yield Rejected(key=key, unit=unit, stage=READ_PHOTO, reason=problem.reason, input_ref=where)


def _read_shard(context: GroundContext, shard: int) -> list[_Photo]:
    """The photos of a shard in the order of their keys, with what the spills hold of them."""
    narratives = read_spills(context.out, context.narrative_spills, shard)
    photos: dict[int, _Photo] = {}
    columns = (narratives[name].to_pylist() for name in ("photo", "file", "row", "element"))
    for row, file, line, data in zip(*columns, strict=True):
        photos.setdefault(row, _Photo(row)).lines.append(Line(line_ref(context.labels[file], line), data))
    boxes = read_spills(context.out, context.box_spills, shard, BOX_SPILL_SCHEMA).combine_chunks()
    owner = boxes["photo"].to_numpy()
    begins = np.flatnonzero(np.diff(owner, prepend=-1)).tolist()
    for begin, end in pairwise([*begins, len(owner)]):
        photos[int(owner[begin])].boxes = boxes.slice(begin, end - begin)
    return [photos[row] for row in sorted(photos)]


def _write(out: Folder, stem: str, photos: Iterator[GroundedPhoto], account: _Account) -> tuple[int, list[FileEntry]]:
    rows = 0
    name = f"{stem}.parquet"
    with out.writing(name) as sink, pq.ParquetWriter(sink, GROUNDED_ARROW_SCHEMA, compression="zstd") as writer:
        pending: list[GroundedPhoto] = []
        for photo in photos:
            pending.append(photo)
            rows += 1
            if len(pending) == ROWS_PER_GROUP:
                writer.write_table(grounded_to_arrow(pending))
                pending = []
        writer.write_table(grounded_to_arrow(pending))
    rejects = f"{stem}.rejects.parquet"
    with out.writing(rejects) as rejects_sink, rejects_writer(rejects_sink) as lines:
        for one in account.rejects:
            lines.add(one)
    return rows, [entry(name, sink), entry(rejects, rejects_sink)]
