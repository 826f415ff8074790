"""The candidates of a phrase among which its labels are chosen: of one teacher, or of what several agree on."""

from collections.abc import Sequence

import msgspec
import numpy as np

from pipelines.labelling.options import LabelOptions
from xdetr_data.shards.grounded import Candidate
from xdetr_data.stages.grounding.consensus import agree

NO_CONSENSUS = "no-consensus"


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A candidate as it can become a label: ``name`` finds it in the audit trail, as do the numbers of its ``members``
    among the candidates; ``detail`` says who agreed."""

    candidate: Candidate
    name: str
    members: tuple[int, ...]
    detail: str = ""


def choices(
    candidates: Sequence[Candidate], rule: LabelOptions, teachers: Sequence[str]
) -> tuple[list[Choice], str | None]:
    """Candidates, best first, with their scores comparable; or none, and why they are none."""
    indexed = list(enumerate(candidates))
    if rule.consensus not in ("any", "majority"):
        own = teachers.index(rule.consensus) if rule.consensus else 0
        return [
            Choice(candidate=one, name=f"candidate-{i}", members=(i,)) for i, one in indexed if one.teacher == own
        ], None
    found = agree(
        np.array([one.box_xyxy for one in candidates], dtype=np.float64).reshape(-1, 4),
        [one.score for one in candidates],
        [one.teacher for one in candidates],
        least=1 if rule.consensus == "any" else len(teachers) // 2 + 1,
    )
    if candidates and not found:
        return [], NO_CONSENSUS
    return [_agreed(one.box_xyxy.tolist(), one.score, one.members, candidates, teachers) for one in found], None


def _agreed(
    box_xyxy: Sequence[float],
    score: float,
    members: Sequence[int],
    candidates: Sequence[Candidate],
    teachers: Sequence[str],
) -> Choice:
    own = [candidates[i] for i in members]
    agreements = [one.agreement for one in own if one.agreement is not None]
    x0, y0, x1, y1 = box_xyxy
    candidate = Candidate(
        box_xyxy=(x0, y0, x1, y1),
        score=score,
        agreement=float(np.mean(agreements)) if agreements else None,
        teacher=own[0].teacher,
        mask=next((one.mask for one in own if one.mask is not None), None),
    )
    said_by = ", ".join(sorted(teachers[one.teacher] for one in own))
    name = "+".join(f"candidate-{i}" for i in members)
    return Choice(candidate=candidate, name=name, members=tuple(members), detail=f"seen by {said_by}")
