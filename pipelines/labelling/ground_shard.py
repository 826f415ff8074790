"""The step that needs the model: what is told of one shard's photos becomes phrases with candidates, one photo a row.

What it writes is the audit trail (``grounded/``): labels are chosen from it by ``TrailSamples``, now or with other
thresholds later.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.engine.outcome import Ledger, Outcome
from pipelines.engine.shards import ShardElements
from pipelines.labelling.answers import FIRST_JUDGED_AT, GROUND, check_answers, no_answer
from pipelines.labelling.coco_boxes import coco_boxes
from pipelines.labelling.grounding import Clock, Grounded, Job, LoadGrounder, Phrase, ground, readers
from pipelines.labelling.models import model_errors
from pipelines.labelling.narration import Line, Told, start, tell
from pipelines.labelling.options import ModelOptions
from pipelines.labelling.teachers import Answers, Teacher, Teachers, all_of
from pipelines.labelling.telling import Telling
from pipelines.labelling.trail import TRAIL_PREFIX, write_trail
from pipelines.machine import DescribeMachine, Machine, check_machine
from pipelines.progress import telling
from xdetr_data.accounting import Tally
from xdetr_data.boxed import LooseBox
from xdetr_data.photos.look_alikes import stage_of, unlike
from xdetr_data.photos.photo import BadPhoto, Photo
from xdetr_data.record import ImageRef
from xdetr_data.shards.grounded import (
    AskedContrast,
    Candidate,
    GroundedPhoto,
    GroundedPhrase,
    GroundedQuery,
)
from xdetr_data.shards.writer import (
    ShardStats,
    shard_name,
    write_stats,
)
from xdetr_data.sources.elements import PhotoElements
from xdetr_data.sources.protocol import line_name
from xdetr_data.stages.contrasts.contrasts import contrasts
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates
from xdetr_data.stages.grounding.trace_agreement import PointedPath, path_agreement
from xdetr_data.stages.place_openimages import BadBox, FlagPolicy, place_boxes
from xdetr_data.storage import Folder

PLACE_BOXES = "place_openimages"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundContext:
    """What every shard of the run shares; ``load`` gives each process its grounders, ``machine`` says what it runs on.

    Where ``begun_on`` names kinds of machine, processes on others refuse to work. ``processes`` share the cores.
    """

    out: Folder
    elements: ShardElements
    config_hash: str
    telling: Telling
    teachers: Sequence[Teacher]
    model: ModelOptions
    flags: FlagPolicy
    class_names: dict[str, str]
    load: LoadGrounder
    machine: DescribeMachine
    begun_on: Sequence[Machine]
    processes: int
    exclude_like: Sequence[str] = ()


def make_ground_worker(context: GroundContext) -> "GroundWorker":
    """Loads the checkpoints and, in its own process, the language pipeline: once for all shards of a process."""
    model = context.model
    with model_errors(context.teachers[0].ckpt):
        machine = context.machine(model.device)
    check_machine(machine, context.begun_on, context.out.url)
    start(model.spacy_model, context.telling)
    how = {"device": model.device, "precision": model.precision, "batch_size": model.batch_size, **model.asking()}
    grounders = [context.load(one.ckpt, **how) for one in context.teachers]
    tell(model.spacy_model, (), context.telling)  # it can read now
    return GroundWorker(context, Teachers(grounders), machine)


@dataclass(slots=True)
class _Photo:
    """A row of the photo table, all that the inputs say of the photo, and what its narratives tell."""

    about: dict[str, Any]
    elements: PhotoElements
    told: list[Told] = field(default_factory=list)
    outcome: Outcome = field(init=False)

    def __post_init__(self) -> None:
        self.outcome = Outcome(key=self.about["key"])


class GroundWorker:
    """Grounds shards, one after the other."""

    def __init__(self, context: GroundContext, grounder: Teachers, machine: Machine) -> None:
        self._context = context
        self._grounder = grounder
        self._machine = machine
        self._answered = self._unanswered = 0  # photos, of all shards so far

    def __call__(self, shard: int) -> ShardStats:
        """Writes one shard's audit trail, its rejects, and its done-marker."""
        started = time.monotonic()
        context, ledger, clock = self._context, Ledger(), Clock()
        self._grounder.forget()
        photos = [_Photo(about, elements) for about, elements in context.elements.of(shard)]
        with model_errors(all_of(context.teachers)):
            grounded = self._ground(photos, ledger, clock)
            stem = shard_name(TRAIL_PREFIX, shard)
            rows, files = write_trail(context.out, stem, telling(context.out, stem, grounded), ledger.rejects)
        seconds = round(time.monotonic() - started, 3)
        stats = ShardStats(
            shard=shard,
            rows=rows,
            files=files,
            accounting=ledger.tally.to_builtins(),
            config_hash=context.config_hash,
            seconds=seconds,
            photos_per_second=round(clock.photos / seconds, 2) if seconds else 0.0,
            waiting_share=round(clock.waiting_s / seconds, 4) if seconds else 0.0,
            padding_share=None if clock.padding_share is None else round(clock.padding_share, 4),
            machine=self._machine,
        )
        write_stats(context.out, TRAIL_PREFIX, stats)
        return stats

    def _find_phrases(self, photos: Sequence[_Photo]) -> list[list[Phrase]]:
        """Has what is told of photos read, in one batch; their phrases."""
        telling, model = self._context.telling, self._context.model.spacy_model
        lines = [[Line(one.where, one.data) for one in photo.elements[telling.unit]] for photo in photos]
        for photo, results in zip(photos, tell(model, lines, telling), strict=True):
            for one in results:
                if isinstance(one, Told):
                    photo.told.append(one)
                else:
                    photo.outcome.reject(telling.unit, f"read_{telling.unit}", one.reason, one.detail, where=one.where)
        most = self._context.model.contrasts
        return [
            [
                Phrase(text, spans)
                for told in photo.told
                for sentence in told.sentences
                for mention in sentence.mentions
                for text, spans in ((sentence.text, mention.spans), *contrasts(sentence.text, mention.spans, most))
            ]
            for photo in photos
        ]

    def _ground(self, photos: Sequence[_Photo], ledger: Ledger, clock: Clock) -> Iterator[GroundedPhoto]:
        grounded = ground(
            [_job(number, photo.about) for number, photo in enumerate(photos)],
            lambda window: self._find_phrases([photos[job.number] for job in window]),
            self._grounder,
            batch_size=self._context.model.batch_size,
            keep=self._context.model.keep_candidates,
            threads=readers(self._context.processes),
            clock=clock,
        )
        for photo, one in zip(photos, grounded, strict=True):
            result = self._photo(photo, one, ledger.tally)
            ledger.enter(photo.outcome, photo.elements)
            if result is not None:
                yield result

    def _photo(self, photo: _Photo, one: Grounded, tally: Tally) -> GroundedPhoto | None:
        about, unit = photo.about, self._context.telling.unit
        found = unlike(one.photo, self._context.exclude_like)
        if isinstance(found, Photo) and not photo.told:
            found = BadPhoto(reason=f"no-{unit}-left", detail=f"all of its {unit}s were rejected")
        if isinstance(found, BadPhoto):
            _lose(photo, unit, found, stage_of(found))
            return None
        if (problem := _silence(one.candidates, self._context.teachers)) is not None:
            self._unanswered += 1
            if self._unanswered >= FIRST_JUDGED_AT:
                ckpt = all_of(self._context.teachers)
                check_answers(self._answered, self._unanswered, ckpt, self._context.model.precision)
            _lose(photo, unit, problem, GROUND)
            return None
        self._answered += 1
        photo.outcome.use(unit, len(photo.told))
        candidates = iter(one.candidates)
        most = self._context.model.contrasts
        queries = tuple(
            query for told in photo.told for query in _queries(told, candidates, found.size_hw, tally, most)
        )
        image = ImageRef(
            file_name=about["file_name"] if about["offset"] is None else f"{about['file_name']}.{found.suffix}",
            source=about["source"],
            size_hw=found.size_hw,
            sha256=found.sha256,
        )
        boxes = self._boxes(photo, found.size_hw)
        return GroundedPhoto(
            key=about["key"],
            address=about["address"],
            offset=about["offset"],
            bytes=None if about["offset"] is None else about["bytes"],
            image=image,
            queries=queries,
            boxes=boxes,
            record=photo.elements[unit][0].data.decode() if self._context.telling.is_record else None,
        )

    def _boxes(self, photo: _Photo, size_hw: tuple[int, int]) -> tuple[LooseBox, ...]:
        listed = coco_boxes(photo.elements["box"], size_hw, self._context.flags.group_of, photo.outcome)
        rows = photo.elements.rows.get("box")
        if rows is None:
            return listed
        placed = place_boxes(
            rows.table,
            size_hw=size_hw,
            policy=self._context.flags,
            sources=[label for label, _, _ in rows.places],
            annotation_ids=[line_name(line) for _, _, line in rows.places],
            names=self._context.class_names,
        )
        for box, where in zip(placed, rows.wheres, strict=True):
            if isinstance(box, BadBox):
                photo.outcome.reject("box", PLACE_BOXES, box.reason, box.detail, where=where)
        return (*listed, *(box for box in placed if not isinstance(box, BadBox)))


def _job(number: int, about: Mapping[str, Any]) -> Job:
    if about["offset"] is None:
        return Job(number=number, address=about["address"])
    return Job(number=number, address=about["address"], offset=about["offset"], size=about["bytes"])


def _silence(answers: Sequence[Answers], teachers: Sequence[Teacher]) -> BadPhoto | None:
    """Why a photo has no answer of one of the teachers."""
    for number, teacher in enumerate(teachers):
        if (problem := no_answer([one[number] for one in answers])) is not None:
            who = f"{teacher.name}: " if len(teachers) > 1 else ""
            return BadPhoto(reason=problem.reason, detail=who + problem.detail)
    return None


def _queries(
    told: Told, candidates: Iterator[Answers], size_hw: tuple[int, int], tally: Tally, most: int
) -> Iterator[GroundedQuery]:
    """The sentences of what is told; takes the next candidates for each mention and its contrasts in turn."""
    for sentence, paths in zip(told.sentences, told.paths, strict=True):
        phrases: list[GroundedPhrase] = []
        for mention, path in zip(sentence.mentions, paths, strict=True):
            answers = next(candidates)
            phrases.append(
                GroundedPhrase(
                    spans=mention.spans,
                    head=mention.head,
                    is_plural=mention.is_plural,
                    count=mention.count,
                    fit=", ".join(dict.fromkeys(one.fit for one in answers)),
                    candidates=_of_all(answers, path, size_hw),
                    contrasts=tuple(
                        AskedContrast(text=one.phrase, candidates=_of_all(next(candidates), None, size_hw))
                        for one in contrasts(sentence.text, mention.spans, most)
                    ),
                )
            )
        tally.came_in("phrase", len(phrases))
        yield GroundedQuery(text=sentence.text, group=told.group, phrases=tuple(phrases))


def _of_all(answers: Answers, path: PointedPath | None, size_hw: tuple[int, int]) -> tuple[Candidate, ...]:
    """The candidates of all teachers."""
    return tuple(
        candidate
        for teacher, found in enumerate(answers)
        for candidate in _candidates(found, path_agreement(path, found.boxes_xyxy, size_hw), teacher)
    )


def _candidates(found: PhraseCandidates, agreement: Sequence[float | None], teacher: int) -> tuple[Candidate, ...]:
    """Candidates that are a box: a model may put one outside the photo, where nothing of it is left."""
    boxes = np.asarray(found.boxes_xyxy, dtype=np.float64)
    scores = np.asarray(found.scores, dtype=np.float64)
    able = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    masks = getattr(found, "masks", ()) or (None,) * len(boxes)  # a grounder that segments nothing need not say so
    return tuple(
        Candidate(box_xyxy=(box[0], box[1], box[2], box[3]), score=score, agreement=agrees, teacher=teacher, mask=mask)
        for box, score, agrees, mask, is_box in zip(
            boxes.tolist(), scores.tolist(), agreement, masks, able.tolist(), strict=True
        )
        if is_box
    )


def _lose(photo: _Photo, unit: str, problem: BadPhoto, stage: str) -> None:
    """Rejects a photo, and what speaks of it and was not rejected before."""
    told = [(unit, one.group) for one in photo.told]
    boxes = [place for place in photo.elements.wheres() if place[0] == "box"]
    photo.outcome.reject("photo", stage, problem.reason, problem.detail)
    for kind, where in [*told, *boxes]:
        photo.outcome.reject(kind, stage, problem.reason, where=where)
