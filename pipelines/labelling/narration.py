"""What people say of photos is read in a process of its own: spaCy and the model would take turns with one lock.

The process (this module, run with ``-m``) is started when a run first needs it and serves all shards of its parent. It
stands in a session of its own, so that Ctrl-C is its parent's matter, and ends when its parent closes the pipe or dies.
"""

import atexit
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple

from msgspec.structs import replace

from pipelines.labelling.add_labels import wants_labels
from pipelines.labelling.telling import NARRATIVES, Telling
from xdetr_data.errors import XdetrDataError
from xdetr_data.record import GroundedImage, Query
from xdetr_data.sources.dataset_records import parse_dataset_record
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.localized_narratives import Narrative
from xdetr_data.spans import Span
from xdetr_data.stages.grounding.trace_agreement import PointedPath, TraceClock, pointed_path
from xdetr_data.stages.noun_phrases.noun_phrases import Mention, NarrativeSentence, NounPhrases

LONGEST_CAPTION = 50_000  # characters; people say some hundred, and a tagger takes memory by the word


class Line(NamedTuple):
    """One element that tells of a photo: where it stands, and its bytes."""

    where: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A narrative that can be read: where it stands, its sentences, and for each mention of each the mouse's path."""

    group: str
    sentences: tuple[NarrativeSentence, ...]
    paths: tuple[tuple[PointedPath | None, ...], ...]


@dataclass(frozen=True, slots=True)
class NotTold:
    """A line that tells nothing, and why."""

    where: str
    reason: str
    detail: str


Photos = Sequence[Sequence[Line]]
Answer = list[list[Told | NotTold]]


def start(spacy_model: str | None, telling: Telling = NARRATIVES) -> None:
    """Starts the process, and has it load the language pipeline while the caller does something else."""
    if not telling.prompts:
        _reader().ask(spacy_model, (), telling)


def tell(spacy_model: str | None, photos: Photos, telling: Telling = NARRATIVES) -> Answer:
    """What the lines of each photo say, in their order.

    Raises ConfigError where the language pipeline is not installed, XdetrDataError where the process was killed.
    """
    if telling.prompts:
        sentences = tuple(map(_prompt, telling.prompts))
        paths = tuple((None,) for _ in sentences)
        return [[Told(line.where, sentences, paths) for line in lines] for lines in photos]
    reader = _reader()
    try:
        return reader.answer(spacy_model, photos, telling)
    except (EOFError, OSError) as error:
        code = reader.close()
        first = f" while it read {photos[0][0].where} and what follows" if photos and photos[0] else ""
        raise XdetrDataError(
            f"the process that reads {telling.unit}s ended{first} (exit code {code}; -9 is a kill, as when memory runs "
            "out); go on with --resume, with fewer --workers"
        ) from error


def _prompt(text: str) -> NarrativeSentence:
    """A text that as a whole names whatever there is of it."""
    mention = Mention(spans=((0, len(text)),), head=text, is_plural=True, count=None)
    return NarrativeSentence(begin=0, end=len(text), text=text, mentions=(mention,))


class _Reader:
    """The process, seen from its parent."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._lock = threading.Lock()
        self._unread = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        theirs.close()
        atexit.register(self._end)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, spacy_model: str | None, photos: Photos, telling: Telling) -> None:
        self._pipe.send((spacy_model, photos, telling))
        self._unread += 1

    def answer(self, spacy_model: str | None, photos: Photos, telling: Telling) -> Answer:
        with self._lock:
            self.ask(spacy_model, photos, telling)
            while self._unread:  # the answers to what was asked before are of no interest
                found: Answer | XdetrDataError = self._pipe.recv()
                self._unread -= 1
        if isinstance(found, XdetrDataError):
            raise found
        return found

    def close(self) -> int:
        """The exit code of a process that has broken off."""
        self._pipe.close()
        return self.process.wait()

    def _end(self) -> None:
        self.process.kill()  # it holds nothing that could be lost
        self.close()


_readers: list[_Reader] = []


def _reader() -> _Reader:
    """The process of this one; a new one where it has ended."""
    if _readers and not _readers[0].is_alive:
        _readers.clear()
    if not _readers:
        _readers.append(_Reader())
    return _readers[0]


def _serve(pipe: Connection) -> None:
    """In the process: answers until the parent closes its end, or is gone."""
    while True:
        try:
            spacy_model, photos, telling = pipe.recv()
        except EOFError:
            return
        try:
            found: Answer | XdetrDataError = _tell(spacy_model, photos, telling)
        except XdetrDataError as error:
            found = error
        try:
            pipe.send(found)
        except BrokenPipeError:
            return


@functools.cache
def _nouns(spacy_model: str | None) -> NounPhrases:
    nouns = NounPhrases(spacy_model)
    nouns.load()
    return nouns


def _tell(spacy_model: str | None, photos: Photos, telling: Telling) -> Answer:
    """All that is told of the photos is tagged in one batch."""
    nouns = _nouns(spacy_model)
    if telling.is_record:
        return tell_records(photos, nouns)
    read = [[_read(line, telling) for line in lines] for lines in photos]
    sentences = iter(nouns([one.caption for lines in read for one in lines if isinstance(one, Narrative)]))
    return [
        [
            _told(line.where, one, next(sentences)) if isinstance(one, Narrative) else one
            for line, one in zip(lines, narratives, strict=True)
        ]
        for lines, narratives in zip(photos, read, strict=True)
    ]


def tell_records(photos: Photos, nouns: NounPhrases) -> Answer:
    """Each query of a record as a sentence: its phrases that want a box, or where it has no phrase its noun phrases."""
    read = [[(line, parse_dataset_record(line.data)) for line in lines] for lines in photos]
    queries = [query for lines in read for _, one in lines if isinstance(one, GroundedImage) for query in one.queries]
    sentences = iter(nouns([query.text if _wants(query) else "" for query in queries]))
    return [
        [
            NotTold(line.where, "unreadable-record", one.problem)
            if isinstance(one, Unreadable)
            else _told_of(line.where, [_sentence(query, next(sentences)) for query in one.queries])
            for line, one in lines
        ]
        for lines in read
    ]


def _wants(query: Query) -> bool:
    return not query.phrases or any(wants_labels(phrase, query) for phrase in query.phrases)


def _sentence(query: Query, found: Sequence[NarrativeSentence]) -> NarrativeSentence:
    """A query as one sentence, whatever sentences a reader finds in it."""
    nouns = [
        replace(mention, spans=tuple((begin + one.begin, end + one.begin) for begin, end in mention.spans))
        for one in found
        for mention in one.mentions
    ]
    mentions = [_mention(one.spans, nouns) for one in query.phrases if wants_labels(one, query)]
    if not query.phrases and not query.is_exhaustive:
        mentions = nouns
    return NarrativeSentence(begin=0, end=len(query.text), text=query.text, mentions=tuple(mentions))


def _mention(spans: tuple[Span, ...], nouns: Sequence[Mention]) -> Mention:
    """A phrase of a record, which names as many as the noun phrase at its end does."""
    same = next((one for one in nouns if one.spans[-1][1] == spans[-1][1]), None)
    return Mention(spans=spans, head="", is_plural=False, count=None) if same is None else replace(same, spans=spans)


def _told_of(where: str, sentences: Sequence[NarrativeSentence]) -> Told:
    return Told(where, tuple(sentences), tuple((None,) * len(one.mentions) for one in sentences))


def _told(where: str, narrative: Narrative, sentences: tuple[NarrativeSentence, ...]) -> Told:
    clock = TraceClock(narrative)
    paths = (
        tuple(
            pointed_path(clock, [(begin + sentence.begin, end + sentence.begin) for begin, end in mention.spans])
            for mention in sentence.mentions
        )
        for sentence in sentences
    )
    return Told(where, sentences, tuple(paths))


def _read(line: Line, telling: Telling) -> Narrative | NotTold:
    narrative = telling.parse(line.data)
    assert not isinstance(narrative, GroundedImage)
    if isinstance(narrative, Unreadable):
        return NotTold(line.where, f"unreadable-{telling.unit}", narrative.problem)
    if not narrative.caption.strip():
        return NotTold(line.where, "empty-caption", "the caption holds no words")
    if len(narrative.caption) > LONGEST_CAPTION:
        detail = f"the caption has {len(narrative.caption):,} characters, more than {LONGEST_CAPTION:,}"
        return NotTold(line.where, "caption-too-long", detail)
    return narrative


if __name__ == "__main__":
    from pipelines.labelling import narration  # values must be of the module that the parent knows

    narration._serve(Connection(int(sys.argv[1])))
