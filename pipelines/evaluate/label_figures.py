"""How right a dataset's labels are, against another dataset of the same photos that is true."""

from collections.abc import Iterator

from pipelines.evaluate.result import NOT_PUBLISHED, Curve, Figure, Result, Table, figure
from xdetr_data.dataset import Dataset, open_dataset
from xdetr_data.errors import InputError
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.validation.label_score import (
    Judgement,
    LabelScore,
    TrustBin,
    calibration_error,
    join_judgements,
    judge_labels,
    true_captions,
    trust,
)

MATCH = "IoU 0.5, one box to one, phrases by the characters that they share"


def label_result(labels: str, truth: str) -> Result:
    """Precision, recall and F1 of labels by kind of phrase, and how far their scores can be trusted.

    Photos of one dataset alone are counted and not judged. Raises InputError where the two share no photo or no words.
    """
    ours, known = open_dataset(labels), open_dataset(truth)
    photos = only_ours = 0
    judged = []
    true_records = {record.key: record for record in _records(known)}
    for record in _records(ours):
        true = true_records.pop(record.key, None)
        if true is None:
            only_ours += 1
            continue
        photos += 1
        judged.append(judge_labels(record, true_captions(true)))
    if not photos:
        raise InputError(f"{labels}: shares no photo with --truth {truth}; give the truth of the same photos")
    found = join_judgements(judged)
    if not found.labels:
        raise InputError(f"{labels}: --truth {truth} knows the words of none of its phrases; give the same sentences")
    bins = trust(found.labels)
    return Result(
        task="labels",
        measured={
            "photos": photos,
            "photos_without_truth": only_ours,
            "photos_without_labels": len(true_records),
            "labels": len(found.labels),
            "phrases_unknown_to_the_truth": found.unknown,
        },
        figures=list(_figures(found, bins)),
        tables=[_by_kind(found.scores()), _trust_table(bins)],
        curves=[_trust_curve(bins)] if bins else [],
    )


def _records(dataset: Dataset) -> Iterator[GroundedImage]:
    for stem in stems(dataset.manifest):
        yield from read_records(dataset.folder, stem)


def _figures(found: Judgement, bins: list[TrustBin]) -> Iterator[Figure]:
    for kind, score in found.scores().items():
        for name in ("precision", "recall", "f1"):
            value = getattr(score, name) if score.labels + score.truths else float("nan")
            yield figure(f"{name} {kind}", value, MATCH)
    protocol = "mean distance of score and precision in ten bins of equal number; of probabilities alone"
    yield figure("calibration error", calibration_error(bins), protocol, NOT_PUBLISHED)


def _by_kind(scores: dict[str, LabelScore]) -> Table:
    return Table(
        title="by kind of phrase",
        columns=["kind", "labels", "true boxes", "right", "precision", "recall", "F1"],
        rows=[
            [kind, one.labels, one.truths, one.right, one.precision, one.recall, one.f1] for kind, one in scores.items()
        ],
    )


def _trust_table(bins: list[TrustBin]) -> Table:
    rows: list[list[str | float | None]] = [
        [str(n), one.labels, one.score, one.precision] for n, one in enumerate(bins, 1)
    ]
    return Table(
        title="trust: labels by their score", columns=["tenth", "labels", "mean score", "precision"], rows=rows
    )


def _trust_curve(bins: list[TrustBin]) -> Curve:
    return Curve(
        title="trust: precision of labels over their score",
        x_label="mean score",
        y_label="precision",
        x=[one.score for one in bins],
        y=[one.precision for one in bins],
    )
