"""The three stations of grounding: an interrupted caller waits for no more than the batch that is under way."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

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


def test_what_has_not_begun_is_left_when_the_caller_stops(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    jobs = [Job(number=i, address=str(tmp_path / "a.png")) for i in range(BATCHES)]
    grounder = SlowGrounder()
    results = ground(
        jobs,
        lambda window: [[Phrase("a dog", ((0, 5),))] for _ in window],
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
