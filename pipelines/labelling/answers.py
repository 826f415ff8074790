"""Whether a model answers at all: an overflow in half precision or a damaged weight makes NaN of every score."""

from collections.abc import Iterable, Sequence

import numpy as np

from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.photos.photo import BadPhoto
from xdetr_data.shards.writer import ShardStats
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates

GROUND, NO_ANSWER = "ground_phrases", "no-finite-answer"
MOST_UNANSWERED = 0.1  # share of photos
FIRST_JUDGED_AT = 16  # photos without an answer; a run that ends before is judged at its end


def no_answer(candidates: Sequence[PhraseCandidates]) -> BadPhoto | None:
    """Why a photo has no answer: it has candidates, and neither box nor score of any is a finite number."""
    if not any(len(one.scores) for one in candidates) or any(map(_is_finite, candidates)):
        return None
    count = sum(len(one.scores) for one in candidates)
    return BadPhoto(reason=NO_ANSWER, detail=f"all of its {count} candidates are NaN or infinite")


def _is_finite(one: PhraseCandidates) -> bool:
    return bool((np.isfinite(one.scores) & np.isfinite(one.boxes_xyxy).all(axis=1)).any())


def check_answers(answered: int, unanswered: int, ckpt: str, precision: str) -> None:
    """Raises InputError where too large a share of photos has no answer."""
    photos = answered + unanswered
    if unanswered > MOST_UNANSWERED * photos and (unanswered > 2 or not answered):
        half = "" if precision == "float32" else f"numbers overflow in --precision {precision} (try float32), or "
        raise InputError(
            f"--ckpt {ckpt}: gives nothing but NaN or infinity for {unanswered:,} of {photos:,} photos; {half}"
            "its weights are damaged: fetch it again or give another"
        )


def check_trail(trail: Iterable[ShardStats], ckpt: str, precision: str) -> None:
    """The same of all shards of a run."""
    answered = unanswered = 0
    for one in trail:
        answered += one.rows
        unanswered += Tally.from_builtins(one.accounting).count("photo", GROUND, NO_ANSWER)
    check_answers(answered, unanswered, ckpt, precision)
