"""``review summary``: the precision of a reviewed dataset, from files of decisions."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from pipelines.review.recipe import check_same
from xdetr_data.manifest import read_manifest
from xdetr_data.reviewing.decisions import read_decisions
from xdetr_data.reviewing.summary import Label, Precision, by_score, kappa, precision, settled, verdicts_of
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder, split_address


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A precision for people and programs; ``of`` says of what. ``share`` is None where nothing was judged."""

    of: str
    right: int
    labels: int
    share: float | None
    low: float
    high: float


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """Of two reviewers; ``kappa`` is None where chance would agree as well."""

    one: str
    other: str
    labels: int
    kappa: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``disputed`` labels have as many verdicts for as against; ``unknown`` ones are not in the dataset.
    ``left`` labels have no verdict, ``left_beside`` of them on photos on which another label has one."""

    precision: Share
    reviewers: list[Share]
    by_score: list[Share]
    agreement: list[Agreement]
    disputed: int
    unknown: int
    labels: int
    left: int
    left_beside: int
    photos: int
    photos_seen: int


def summarise(dataset: Folder, files: Sequence[str]) -> Summary:
    """What the decisions of one or several files say of a dataset.

    Raises InputError where a file is no file of decisions, or about another dataset.
    """
    manifest = read_manifest(dataset)
    everyone: dict[str, dict[Label, bool]] = {}
    for path in files:
        reviewed, decisions = read_decisions(*split_address(path))
        check_same(dataset, manifest, path, reviewed)
        for reviewer in dict.fromkeys(one.reviewer or path for one in decisions) or {path: None}:
            own = verdicts_of([one for one in decisions if (one.reviewer or path) == reviewer])
            everyone[reviewer] = everyone.get(reviewer, {}) | own
    judged, disputed = settled(list(everyone.values()))
    seen = {key for verdicts in everyone.values() for key, *_ in verdicts}
    scores: dict[Label, float] = {}
    known: set[Label] = set()
    labels = beside = 0
    for label, score in _labels(dataset, stems(manifest)):
        labels += 1
        if label in judged:
            known.add(label)
            scores |= {} if score is None else {label: score}
        elif label[0] in seen:
            beside += 1
    judged = {label: is_right for label, is_right in judged.items() if label in known}
    return Summary(
        precision=_share("all labels with a verdict", precision(judged)),
        reviewers=[_share(name, precision(own)) for name, own in everyone.items()],
        by_score=[_share(f"score {low:.3f} to {high:.3f}", one) for low, high, one in by_score(judged, scores)],
        agreement=[_agreement(one, other, everyone) for one, other in combinations(everyone, 2)],
        disputed=disputed,
        unknown=len({label for own in everyone.values() for label in own}) - disputed - len(judged),
        labels=labels,
        left=labels - len(judged),
        left_beside=beside,
        photos=manifest.rows,
        photos_seen=len(seen),
    )


def _labels(dataset: Folder, names: Sequence[str]) -> Iterator[tuple[Label, float | None]]:
    for stem in names:
        for record in read_records(dataset, stem):
            for number, query in enumerate(record.queries):
                for position, phrase in enumerate(query.phrases):
                    for region in phrase.regions:
                        yield (record.key, number, position, region), phrase.score


def _share(of: str, found: Precision) -> Share:
    low, high = found.interval
    share = None if math.isnan(found.share) else found.share
    return Share(of=of, right=found.right, labels=found.labels, share=share, low=low, high=high)


def _agreement(one: str, other: str, everyone: dict[str, dict[Label, bool]]) -> Agreement:
    labels, value = kappa(everyone[one], everyone[other])
    return Agreement(one=one, other=other, labels=labels, kappa=None if math.isnan(value) else value)
