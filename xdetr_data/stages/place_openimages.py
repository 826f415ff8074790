"""Which rows of OpenImages' boxes are an object's outline on its photo, and where they are in pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta
from numpy.typing import NDArray

from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import clip_xyxy, scale_xyxy
from xdetr_data.sources.openimages import COORDINATES, FLAGS

STAGE = "place_openimages"
TOLERANCE = 1e-6  # of the photo's side: how far rounding may put a coordinate outside it

REASONS = (  # of rows that are no object box, by ``judge_boxes``; 0 stands for a good one
    "",
    "missing-coordinate",
    "non-finite-box",
    "coordinate-out-of-range",
    "reversed-box",
    "degenerate-box",
    "group-of-box",
    "inside-box",
    "depiction-box",
    "occluded-box",
    "truncated-box",
)

_USED = [*COORDINATES, *FLAGS, "LabelName", "Source"]

Verdict = Literal["keep", "drop"]


class FlagPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a box whose flag is 1; an unknown flag (-1) drops nothing.

    A group box (*IsGroupOf*) bounds many objects and a box seen from *inside* its object bounds the photo: neither is
    an object's outline. A group is a crowd, so that what a model finds in it is no mistake in training.
    Occluded and truncated objects are the larger part of all real ones, and a *depiction* (a painted cat) is a thing
    that text names: these stay.
    """

    group_of: Annotated[Verdict, Meta(description="OpenImages group-of boxes: as crowds, or not at all.")] = "keep"
    inside: Annotated[Verdict, Meta(description="OpenImages boxes seen from inside.")] = "drop"
    depiction: Annotated[Verdict, Meta(description="OpenImages depictions.")] = "keep"
    occluded: Verdict = "keep"
    truncated: Verdict = "keep"

    @property
    def dropped(self) -> dict[str, str]:
        """Column → reason of each flag that drops its box."""
        verdicts = (self.group_of, self.inside, self.depiction, self.occluded, self.truncated)
        return {
            column: f"{_WORDS[column]}-box"
            for column, verdict in zip(_WORDS, verdicts, strict=True)
            if verdict == "drop"
        }


_WORDS = {  # in the order of FlagPolicy's fields
    "IsGroupOf": "group-of",
    "IsInside": "inside",
    "IsDepiction": "depiction",
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadBox:
    """Why a row is no object box on its photo."""

    reason: str
    detail: str


def judge_boxes(table: pa.Table, policy: FlagPolicy) -> NDArray[np.int64]:
    """Why each row is no object box: its position in ``REASONS``, 0 for one that is; ``[N]``.

    ``table`` has the coordinates and flags of ``BOX_SCHEMA``.
    What is wrong with the coordinates counts before what the flags say.
    """
    box = np.stack([table[name].to_numpy().astype(np.float64) for name in COORDINATES])  # [4, N], NaN where null
    empty = np.zeros(table.num_rows, dtype=bool)
    for name in COORDINATES:
        empty |= table[name].is_null().to_numpy()
    on_photo = np.clip(box, 0.0, 1.0)
    outside = (box < -TOLERANCE) | (box > 1 + TOLERANCE)
    x0, x1, y0, y1 = box
    width, height = on_photo[1] - on_photo[0], on_photo[3] - on_photo[2]
    cases = {
        "missing-coordinate": empty,
        "non-finite-box": ~np.isfinite(box).all(axis=0),
        "coordinate-out-of-range": outside.any(axis=0),
        "reversed-box": (x0 > x1) | (y0 > y1),
        "degenerate-box": (width < TOLERANCE) | (height < TOLERANCE),
        **{reason: table[column].to_numpy() == 1 for column, reason in policy.dropped.items()},
    }
    codes = [REASONS.index(reason) for reason in cases]
    return np.select(list(cases.values()), codes, 0)


def place_boxes(
    table: pa.Table,
    *,
    size_hw: tuple[int, int],
    policy: FlagPolicy,
    sources: Sequence[str],
    annotation_ids: Sequence[str],
    names: Mapping[str, str],
) -> list[LooseBox | BadBox]:
    """For each row of one photo the box in pixels, or why it is none.

    ``sources`` and ``annotation_ids`` say of each row which input it is from and where it stands there; ``names`` are
    the spoken names of the labels (may be empty).
    """
    reasons = judge_boxes(table, policy)
    places = zip(table.select(_USED).to_pylist(), reasons.tolist(), sources, annotation_ids, strict=True)
    result: list[LooseBox | BadBox] = []
    for row, reason, source, annotation_id in places:
        if reason:
            coordinates = ", ".join(f"{name}={row[name]}" for name in COORDINATES)
            result.append(BadBox(reason=REASONS[reason], detail=coordinates))
            continue
        box_norm = (row["XMin"], row["YMin"], row["XMax"], row["YMax"])
        result.append(
            LooseBox(
                box_xyxy=clip_xyxy(scale_xyxy(box_norm, size_hw), size_hw),
                is_crowd=row["IsGroupOf"] == 1,
                source=source,
                annotation_id=annotation_id,
                input_ref=f"{source}#{annotation_id}",
                detail=_detail(row, names),
            )
        )
    return result


def _detail(row: Mapping[str, str | int], names: Mapping[str, str]) -> str:
    """``Person (/m/01g317), xclick, occluded``."""
    label = str(row["LabelName"])
    named = f"{names[label]} ({label})" if label in names else label
    return ", ".join(
        filter(None, [named, str(row["Source"]), *(word for flag, word in _WORDS.items() if row[flag] == 1)])
    )
