"""What verdicts say of a dataset: how many of the looked-at labels are right, and how far reviewers agree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from xdetr_data.reviewing.decisions import Action, Decision

Z_95 = 1.959963984540054  # the normal quantile of an interval that holds 95 times in 100
WRONG: tuple[Action, ...] = ("reject", "wrong-box", "edit-box", "edit-label")

Label = tuple[str, int, int, int]  # key, query, phrase, region
Verdicts = Mapping[Label, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Labels that were called right among those with a verdict; ``low`` and ``high`` are the ends of Wilson's 95 %
    interval, as if labels were drawn one by one."""

    right: int
    labels: int

    @property
    def share(self) -> float:
        """NaN where nothing has a verdict."""
        return self.right / self.labels if self.labels else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; 0 and 1 where nothing has a verdict.

        Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927.
        """
        if not self.labels:
            return 0.0, 1.0
        n, p, z2 = self.labels, self.share, Z_95**2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = Z_95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, centre - half), min(1.0, centre + half)


def verdicts_of(decisions: Sequence[Decision]) -> dict[Label, bool]:
    """Of each label of a phrase's box that was judged whether it is right. What was rejected, moved or renamed was not;
    where somebody says both, it was not."""
    found: dict[Label, bool] = {}
    for one in decisions:
        if one.query is None or one.phrase is None or one.region is None:
            continue
        label = (one.key, one.query, one.phrase, one.region)
        if one.action == "right":
            found.setdefault(label, True)
        elif one.action in WRONG:
            found[label] = False
    return found


def settled(several: Sequence[Verdicts]) -> tuple[dict[Label, bool], int]:
    """The verdicts of several reviewers as one, and of how many labels as many call it right as do not: of these
    there is none."""
    votes: dict[Label, int] = {}
    for verdicts in several:
        for label, is_right in verdicts.items():
            votes[label] = votes.get(label, 0) + (1 if is_right else -1)
    return {label: vote > 0 for label, vote in votes.items() if vote}, sum(not vote for vote in votes.values())


def precision(verdicts: Mapping[Label, bool]) -> Precision:
    """Of all of them."""
    return Precision(right=sum(verdicts.values()), labels=len(verdicts))


def by_score(verdicts: Verdicts, scores: Mapping[Label, float], bins: int = 5) -> list[tuple[float, float, Precision]]:
    """Labels with a score in ``bins`` of like numbers, from the lowest on: least and most score, and precision."""
    scored = sorted((scores[label], label) for label in verdicts if label in scores)
    edges = [round(len(scored) * number / bins) for number in range(bins + 1)]
    parts = [scored[begin:end] for begin, end in pairwise(edges) if begin < end]
    return [(part[0][0], part[-1][0], precision({label: verdicts[label] for _, label in part})) for part in parts]


def kappa(one: Verdicts, other: Verdicts) -> tuple[int, float]:
    """How many labels both judged, and Cohen's kappa over these: 1 is full agreement, 0 what chance would give. NaN
    where both gave a single verdict to all, so that chance agrees, too."""
    both = one.keys() & other.keys()
    if not both:
        return 0, math.nan
    agree = sum(one[label] == other[label] for label in both) / len(both)
    first, second = (sum(verdicts[label] for label in both) / len(both) for verdicts in (one, other))
    chance = first * second + (1 - first) * (1 - second)
    return len(both), math.nan if chance == 1 else (agree - chance) / (1 - chance)
