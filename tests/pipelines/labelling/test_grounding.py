"""The three stations of grounding: an interrupted caller waits for no more than the batch that is under way."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.labelling import grounding
from pipelines.labelling.grounding import READ_AHEAD_BATCHES, Clock, Job, Phrase, ground
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates, PhraseQuery

BATCHES = 3 * READ_AHEAD_BATCHES


class SlowGrounder:
    """Counts its calls."""

    calls = 0

    def prepare(self, photo: Image.Image) -> Any:
        return photo.size

    def ground_prepared(
        self, photos: Sequence[Any], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> Sequence[Sequence[PhraseCandidates]]:
        self.calls += 1
        time.sleep(0.05)
        return [[] for _ in photos]

    def forget(self) -> None: ...

    def fingerprint(self) -> str:
        return "slow"


def phrases(window: Sequence[Job]) -> Sequence[Sequence[Phrase]]:
    return [[Phrase("a dog", ((0, 5),))] for _ in window]


def test_what_has_not_begun_is_left_when_the_caller_stops(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    jobs = [Job(number=i, address=str(tmp_path / "a.png")) for i in range(BATCHES)]
    grounder = SlowGrounder()
    results = ground(
        jobs,
        phrases,
        grounder,
        batch_size=1,
        keep=1,
        threads=1,
        clock=Clock(),
    )
    next(results)
    results.close()  # type: ignore[attr-defined]
    at_the_end = grounder.calls
    assert at_the_end <= READ_AHEAD_BATCHES + 2
    time.sleep(0.2)
    assert grounder.calls == at_the_end


class BrokenReader(SlowGrounder):
    """Fails as no photo of its own can make it fail."""

    def prepare(self, photo: Image.Image) -> Any:
        raise MemoryError("no room for pixels")


def test_what_a_reading_thread_raises_reaches_the_caller(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    jobs = [Job(number=i, address=str(tmp_path / "a.png")) for i in range(BATCHES)]
    with pytest.raises(MemoryError, match="no room for pixels"):
        list(ground(jobs, phrases, BrokenReader(), batch_size=1, keep=1, threads=2, clock=Clock()))


class Pixels(SlowGrounder):
    """Counts the photos that are prepared and were not grounded yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = self.most = 0

    def prepare(self, photo: Image.Image) -> Any:
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        return photo.size

    def ground_prepared(
        self, photos: Sequence[Any], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> Sequence[Sequence[PhraseCandidates]]:
        time.sleep(0.002)
        with self.lock:
            self.held -= len(photos)
        return [[] for _ in photos]


@pytest.mark.parametrize("threads", [1, 16])
def test_no_more_than_two_windows_of_photos_are_read_ahead(tmp_path: Path, threads: int) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    jobs = [Job(number=i, address=str(tmp_path / "a.png")) for i in range(8 * READ_AHEAD_BATCHES * 2)]
    grounder = Pixels()
    found = list(ground(jobs, phrases, grounder, batch_size=2, keep=1, threads=threads, clock=Clock()))
    assert [one.job for one in found] == jobs
    assert 2 < grounder.most <= 2 * 2 * READ_AHEAD_BATCHES


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(2, 1, 2), (16, 1, 16), (16, 8, 2), (4, 8, 2), (256, 1, 32)]
)
def test_processes_share_the_cores_for_reading(
    cores: int, processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grounding, "cores", lambda: cores)
    assert grounding.readers(processes) == threads
