"""Predictions of a model on a dataset: a shard is a task, in this process, on Ray or on the ranks of torchrun."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from pipelines import console
from pipelines.evaluate import predictions
from pipelines.evaluate.cutting import LvisCut
from pipelines.evaluate.predictions import Answer, Asked, PredictionsManifest
from pipelines.evaluate.ranks import Ranks
from pipelines.evaluate.tasks import Task
from pipelines.execution import executor
from pipelines.labelling.answers import check_answers, no_answer
from pipelines.labelling.grounding import Grounder, LoadGrounder, Precision
from pipelines.labelling.models import model_errors
from xdetr_data.errors import InputError, OutputError
from xdetr_data.manifest import Manifest, tool_version
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.shards.writer import FileEntry, Sample
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates
from xdetr_data.storage import Folder
from xdetr_data.validation.files import identify

READ_AHEAD_THREADS = 2
_BATCHES = 4  # in a window of photos that are read at once

Photos = Iterator[tuple[str, Mapping[int, Answer]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which model, and how it runs."""

    ckpt: str
    device: str
    precision: Precision
    batch_size: int
    load: LoadGrounder

    def grounder(self) -> Grounder:
        """Loads it; raises InputError where there is none that can ground."""
        device = Ranks.of_environment().device(self.device)
        return self.load(self.ckpt, device=device, precision=self.precision, batch_size=self.batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictContext:
    """What every shard of the run shares."""

    data: Folder
    out: Folder
    asked: Asked
    task: Task
    model: Model


def predict(context: PredictContext, manifest: Manifest, *, workers: int, gpus: int, overwrite: bool) -> None:
    """Predicts the shards that are not there yet, and writes the manifest last.

    Raises OutputError where the folder holds predictions of something else, InputError for photos that are missing or
    cannot be read.
    """
    out, ranks = context.out, Ranks.of_environment()
    if ranks.is_first:
        _claim(out, context.asked, overwrite=overwrite)
    ranks.wait()
    if out.exists(predictions.MANIFEST):
        console.say(f"{out.url}: predictions are complete, nothing to predict")
        return
    missing = [one for one in stems(manifest) if not out.exists(predictions.file_name(one))]
    mine = ranks.share(missing)
    with console.progress(f"predicting {context.asked.task}", len(mine)) as advance, executor(workers) as run:
        for _ in run.pool(make_worker, context, mine, gpus=gpus):
            advance(1)
    ranks.wait()
    if ranks.is_first:
        _finish(out, context.asked, manifest)
    ranks.wait()


def make_worker(context: PredictContext) -> "PredictWorker":
    """Loads the model, once a process."""
    return PredictWorker(context, context.model.grounder())


class PredictWorker:
    """Predicts shards, one after the other."""

    def __init__(self, context: PredictContext, grounder: Grounder) -> None:
        self._context = context
        self._grounder = grounder
        self._answered = self._unanswered = 0  # photos, of all shards so far

    def __call__(self, stem: str) -> FileEntry:
        """Writes what the model says of one shard's photos."""
        context = self._context
        with model_errors(context.model.ckpt):
            if context.asked.task == "lvis":  # the same names for every shard: encoded once, always together
                return predictions.write_shard(context.out, stem, _cut(self._photos(stem)))
            self._grounder.forget()  # so that a shard's bits do not depend on what was predicted before
            return predictions.write_shard(context.out, stem, self._photos(stem))

    def _photos(self, stem: str) -> Photos:
        """What the model says of a shard's photos; raises InputError where it says nothing but NaN of too many."""
        yield from self._asked(stem)
        model = self._context.model
        check_answers(self._answered, self._unanswered, model.ckpt, model.precision)

    def _asked(self, stem: str) -> Photos:
        context, size = self._context, self._context.model.batch_size
        samples = read_samples(context.data, stem)
        with ThreadPoolExecutor(READ_AHEAD_THREADS) as threads:
            while window := list(islice(samples, size * _BATCHES)):
                prepared = list(threads.map(self._prepare, window))
                for begin in range(0, len(window), size):
                    end = begin + size
                    yield from self._batch(window[begin:end], prepared[begin:end])

    def _prepare(self, sample: Sample) -> Any:
        where = f"--data {self._context.data.url}: {sample.record.key}"
        if sample.photo is None:
            raise InputError(f"{where} has no photo; build the dataset without --metadata-only")
        try:
            return self._grounder.prepare(decode_photo(sample.photo.data))
        except (OSError, ValueError) as error:
            problem = " ".join(str(error).split())
            raise InputError(f"{where} cannot be read ({problem}); see 'xdetr-data validate'") from error

    def _batch(self, samples: Sequence[Sample], prepared: Sequence[Any]) -> Photos:
        task, keep = self._context.task, self._context.asked.keep
        if task.asks_proposals:
            from xdetr_model.evaluate.proposals import propose

            for sample, found in zip(samples, propose(self._grounder, prepared, keep), strict=True):  # type: ignore[arg-type]
                yield sample.record.key, {0: self._answer([found])[0]}
            return
        questions = [task.questions(sample.record) for sample in samples]
        grounded = self._grounder.ground_prepared(prepared, [[one for _, one in own] for own in questions], keep)
        for sample, own, answers in zip(samples, questions, grounded, strict=True):
            numbers = [number for number, _ in own]
            yield sample.record.key, dict(zip(numbers, self._answer(answers), strict=True))

    def _answer(self, candidates: Sequence[PhraseCandidates]) -> list[Answer]:
        """A photo's answers, and whether it has any."""
        has_none = no_answer(candidates) is not None
        self._unanswered += has_none
        self._answered += not has_none
        return [_answer(one) for one in candidates]


def _answer(found: PhraseCandidates) -> Answer:
    """What is a box: a model may give numbers that are none."""
    boxes, scores = np.asarray(found.boxes_xyxy, np.float64), np.asarray(found.scores, np.float64)
    able = np.isfinite(boxes).all(1) & np.isfinite(scores)
    return Answer(boxes_xyxy=boxes[able], scores=scores[able], fit=found.fit)


def _cut(photos: Photos) -> Photos:
    """Of all photos of a shard what some protocol of LVIS can look at."""
    kept = LvisCut()
    for key, answers in photos:
        kept.add(key, answers)
    return kept.photos()


def _claim(out: Folder, asked: Asked, *, overwrite: bool) -> None:
    if overwrite and out.exists(predictions.RUN):
        for name in [predictions.MANIFEST, *out.names("*.predictions.parquet"), predictions.RUN]:
            out.remove(name)
    if not out.exists(predictions.RUN):
        if out.names():
            raise OutputError(f"{out.url}: holds files that are no predictions; choose another --out")
        out.write(predictions.RUN, msgspec.json.encode(asked))
        return
    try:
        found = msgspec.json.decode(out.read(predictions.RUN), type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if found is None or not asked.is_answered_by(found):
        raise OutputError(
            f"{out.url}: holds predictions of another model, dataset, task or --keep; say --overwrite, or choose "
            "another --out"
        )
    out.sweep()
    _take_up_lost(out)


def _take_up_lost(out: Folder) -> None:
    """Finished predictions of which files are gone or cut are unfinished ones: those shards are predicted again."""
    if not out.exists(predictions.MANIFEST):
        return
    lost = predictions.changed_files(out, predictions.read_predictions(out))
    if not lost:
        return
    console.say(f"{out.url}: {lost[0].file} is missing or not as it was written ({len(lost)} such); predicted again")
    out.remove(predictions.MANIFEST)
    for name in filter(out.exists, [one.file for one in lost]):
        out.remove(name)


def _finish(out: Folder, asked: Asked, manifest: Manifest) -> None:
    files = []
    for name in map(predictions.file_name, stems(manifest)):
        if not out.exists(name):
            raise OutputError(f"{out.path(name)}: is missing, another process did not write it; run the command again")
        size, digest = identify(out, name)
        files.append(FileEntry(name=name, bytes=size, sha256=digest))
    done = PredictionsManifest(asked=asked, tool_version=tool_version(), photos=manifest.rows, files=files)
    out.write(predictions.MANIFEST, msgspec.json.format(msgspec.json.encode(done), indent=1))
