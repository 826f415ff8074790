"""Saved views: where a reviewer's time is best spent."""

from typing import Any

from pipelines.qa.labels import PHRASES, REGIONS, UNBOXED, VERDICTS

LOW_CONFIDENCE = "low confidence"
TRACE_DISAGREES = "trace disagrees"
MANY_BOXES = "many boxes for a singular phrase"
NO_BOX = "no box found"
LARGEST = "largest boxes"
SMALLEST = "smallest boxes"
DECIDED = "tagged by reviewers"
NAMES = (LOW_CONFIDENCE, TRACE_DISAGREES, MANY_BOXES, NO_BOX, LARGEST, SMALLEST, DECIDED)

LEAST_AGREEMENT = 0.1  # what pseudo-labelling drops by default where it filters by the trace
LOWEST = 0.1  # share of the labels that have the lowest confidence
EXTREME = 0.01  # share of the boxes that are the largest, or the smallest


def save_views(fo: Any, dataset: Any) -> None:
    """Saves every view, also those that show nothing today; a view of the same name is replaced."""
    field = fo.ViewField
    low = _quantile(dataset, f"{PHRASES}.detections.confidence", LOWEST)
    small = _quantile(dataset, f"{PHRASES}.detections.area", EXTREME)
    large = _quantile(dataset, f"{PHRASES}.detections.area", 1 - EXTREME)
    many = (field("says_one") == True) & (field("boxes") > 1)  # noqa: E712  an expression of the database
    # To the database, what has no value is less than every number.
    unsure = field("confidence").is_number() & (field("confidence") <= low)
    apart = field("agreement").is_number() & (field("agreement") < LEAST_AGREEMENT)
    labels = [
        (LOW_CONFIDENCE, unsure, f"the tenth of the labels with a score of at most {low:.4g}"),
        (TRACE_DISAGREES, apart, f"agreement with the mouse below {LEAST_AGREEMENT}"),
        (MANY_BOXES, many, "the words say one object, but several boxes are labelled"),
        (LARGEST, field("area") >= large, f"at least {large:.2%} of the photo: the largest hundredth"),
        (SMALLEST, field("area") <= small, f"at most {small:.2%} of the photo: the smallest hundredth"),
    ]
    views = {name: (dataset.filter_labels(PHRASES, wanted), why) for name, wanted, why in labels}
    unboxed = dataset.match(field(f"{UNBOXED}.classifications").length() > 0)
    views[NO_BOX] = (unboxed, "phrases that no box was found for, in the field 'unboxed'")
    tagged = dataset.select_labels(tags=list(VERDICTS), fields=[PHRASES, UNBOXED, REGIONS])
    views[DECIDED] = (tagged, f"labels with the tag {', '.join(VERDICTS)}")
    for name in NAMES:
        view, why = views[name]
        dataset.save_view(name, view, description=why, overwrite=True)


def _quantile(dataset: Any, path: str, share: float) -> float:
    """That quantile of a field, or a number that nothing is below where no label has a value."""
    low, _ = dataset.bounds(path)
    return -1.0 if low is None else float(dataset.quantiles(path, share))
