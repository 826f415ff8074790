"""Boxes after a review: the new list of a sample's regions, and what went of the old one."""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace as changed

from xdetr_data.boxes import Box
from xdetr_data.record import Provenance, Region
from xdetr_data.reviewing.draft import SOURCE, Draft, Work, clipped


def review_textless(work: Work, index: int) -> tuple[bool, Box | None]:
    """Whether a region that no phrase names stays, and the box that it is moved to."""
    actions = work.of(None, None, index)
    for action in ("reject", "wrong-box"):
        if action in actions:
            return False, None
    box = actions["edit-box"].box_xyxy if "edit-box" in actions else None
    return True, None if box is None else clipped(work.review.record, box)


def number_regions(
    work: Work,
    drafts: Sequence[Sequence[Draft]],
    loose: Sequence[tuple[int, bool, Box | None]],
    named: set[int],
) -> tuple[list[Region], dict[tuple[int, Box | None], int]]:
    """The new list of regions, and the place in it of every region that something means."""
    wanted: dict[int, dict[Box | None, None]] = {index: {} for index in range(len(work.review.record.regions))}
    for query in drafts:
        for draft in query:
            for link in draft.links:
                wanted[link.region][link.box_xyxy] = None
    for index, stays, box in loose:
        if stays:
            wanted[index][box] = None
    regions: list[Region] = []
    numbers: dict[tuple[int, Box | None], int] = {}
    for index, old in enumerate(work.review.record.regions):
        boxes = wanted[index]
        if not boxes and index in work.keep_textless - work.wrong:
            boxes = {None: None}
        if None not in boxes:
            reason = "moved" if boxes else "wrong-box" if index in work.wrong else "reject"
            work.review.drop("box", reason, f"box_xyxy {list(old.box_xyxy)}", f"regions[{index}]")
        for box in boxes:
            numbers[index, box] = len(regions)
            regions.append(old if box is None else _moved(old, box))
            work.review.regions_made += box is not None
    return regions, numbers


def _moved(old: Region, box_xyxy: Box) -> Region:
    was = old.provenance
    detail = f"{was.detail}; edit-box" if was.source == SOURCE else f"was {was.source}: edit-box"
    return changed(
        old,
        box_xyxy=box_xyxy,
        provenance=Provenance(source=SOURCE, annotation_id=was.annotation_id, detail=detail),
        mask=UNSET,  # of the box that was wrong
    )
