"""Which of a sample's decisions stand; the others are refused with their reason."""

from collections.abc import Sequence

from xdetr_data.record import GroundedImage
from xdetr_data.reviewing.decisions import Action, Decision
from xdetr_data.reviewing.draft import Place, Review, clipped, find_words

# Of two decisions about one label, the first of these stands: whoever moved a box repaired what another called wrong.
# A label that is right stays as it is, so that anything else overrules it.
_STRENGTH: tuple[Action, ...] = ("reject", "edit-box", "wrong-box", "edit-label", "right")


def standing_decisions(
    record: GroundedImage, decisions: Sequence[Decision], review: Review
) -> dict[Place, dict[Action, Decision]]:
    """The decisions that stand, by label; the others are refused."""
    found: dict[Place, dict[Action, Decision]] = {}
    for one in decisions:
        if one.action == "new-label":
            review.refuse(one, "new-label", "labels drawn in the App have no place in a sentence")
        elif not _exists(record, one):
            review.refuse(one, "no-such-label", "the sample has no such label")
        elif (reason := _unfit(record, one)) is not None:
            review.refuse(one, *reason)
        elif one.action in found.setdefault((one.query, one.phrase, one.region), {}):
            review.refuse(one, "decided-twice")
        else:
            found[one.query, one.phrase, one.region][one.action] = one
    for actions in found.values():
        standing = next((action for action in _STRENGTH if action in actions), None)
        for action in list(actions):
            if action != standing and not (action == "edit-label" and standing == "edit-box"):
                review.refuse(actions.pop(action), "overruled", f"its label has the decision {standing}")
        review.applied += len(actions)
        actions.pop("right", None)  # it stands, and changes nothing
    return found


def _exists(record: GroundedImage, one: Decision) -> bool:
    if one.query is None or one.phrase is None:
        is_region = one.query is None and one.phrase is None and one.region is not None
        return is_region and 0 <= one.region < len(record.regions) and not _is_named(record, one.region)  # type: ignore[operator,arg-type]
    if not (0 <= one.query < len(record.queries) and 0 <= one.phrase < len(record.queries[one.query].phrases)):
        return False
    phrase = record.queries[one.query].phrases[one.phrase]
    return one.region in phrase.regions if one.region is not None else not phrase.regions


def _is_named(record: GroundedImage, region: int) -> bool:
    return any(region in phrase.regions for query in record.queries for phrase in query.phrases)


def _unfit(record: GroundedImage, one: Decision) -> tuple[str, str] | None:
    """Why a decision about an existing label cannot be applied: reason and detail."""
    if one.region is None and one.action in ("wrong-box", "edit-box"):
        return "no-box", "the phrase has no box"
    if one.action == "edit-box":
        if one.box_xyxy is None or clipped(record, one.box_xyxy) is None:
            return "box-without-area", f"the new box {one.box_xyxy} has no area on the photo"
    elif one.action == "edit-label":
        if one.query is None or one.phrase is None:
            return "textless-label", "a box that no sentence names can be rejected or moved, not named"
        query = record.queries[one.query]
        if find_words(query.text, one.label or "", query.phrases[one.phrase].spans) is None:
            return "label-not-in-query", f"{one.label!r} does not occur in {query.text!r}"
    return None
