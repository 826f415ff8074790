"""What reviewers decided in the App: tags, edits and deletions, as differences from what was imported."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

from pipelines.qa.labels import LISTS, REJECT, RIGHT, UNBOXED, WRONG_BOX
from xdetr_data.boxes import Box, scale_xyxy, xywh_to_xyxy
from xdetr_data.reviewing.decisions import Action, Decision

AT_A_TIME = 500
SAME_PIXELS = 0.01  # a box that moved less did not move: rounding on its way is no edit

_PLACE = re.compile(r"(?:queries\[(\d+)\]\.phrases\[(\d+)\])?\.?(?:regions\[(\d+)\])?")
_TAGS: dict[str, Action] = {RIGHT: "right", REJECT: "reject", WRONG_BOX: "wrong-box"}


class _Label(NamedTuple):
    place: str | None
    label: str | None
    imported_label: str | None
    tags: list[str] | None
    bounding_box: list[float] | None = None
    imported_box: list[float] | None = None


class _Photo(NamedTuple):
    key: str
    sha256: str
    size_hw: tuple[int, int]
    places: list[str]
    changed_at: datetime | None
    labels: list[_Label]


def collect(dataset: Any) -> Iterator[Decision]:
    """Every decision in a dataset that ``qa`` made, in bounded memory."""
    for photo in _photos(dataset):
        yield from _decisions(photo)


def decided_keys(dataset: Any) -> set[str]:
    """Keys of the samples that something was decided about."""
    return {one.key for one in collect(dataset)}


def _photos(dataset: Any) -> Iterator[_Photo]:
    plain = ("place", "label", "imported_label", "tags")
    fields = {
        name: [f"{name}.{inner}.{field}" for field in (plain if name == UNBOXED else _Label._fields)]
        for name, inner in LISTS.items()
    }
    about = ["key", "labels_sha256", "metadata.height", "metadata.width", "places", "last_modified_at"]
    wanted = [*about, *(one for many in fields.values() for one in many)]
    for begin in itertools.count(0, AT_A_TIME):  # until there are no more: a database that crashed counts wrongly
        columns = dataset.skip(begin).limit(AT_A_TIME).values(wanted)
        if not columns[0]:
            return
        for key, sha256, height, width, places, changed_at, *rest in zip(*columns, strict=True):
            labels: list[_Label] = []
            for names in fields.values():
                values, rest = rest[: len(names)], rest[len(names) :]
                labels += [_Label(*one) for one in zip(*(many or () for many in values), strict=True)]
            yield _Photo(key, sha256, (height, width), places or [], changed_at, labels)


def _decisions(photo: _Photo) -> Iterator[Decision]:
    seen: set[str] = set()
    for label in photo.labels:
        if label.place is None or label.place in seen:
            yield _decision(photo, "", "new-label", label.label or "", box_xyxy=_pixels(photo, label.bounding_box))
            continue
        seen.add(label.place)
        yield from _about(photo, label, label.place)
    for place in photo.places:
        if place not in seen:
            yield _decision(photo, place, "reject", "(deleted in the App)")


def _about(photo: _Photo, label: _Label, place: str) -> Iterator[Decision]:
    text = label.imported_label or ""
    tags = set(map(_plain, label.tags or ()))
    for tag, action in _TAGS.items():
        if tag in tags:
            yield _decision(photo, place, action, text)
    if label.label != label.imported_label:
        yield _decision(photo, place, "edit-label", text, label=label.label or "")
    if label.bounding_box is not None and _has_moved(photo, label):
        yield _decision(photo, place, "edit-box", text, box_xyxy=_pixels(photo, label.bounding_box))


def _plain(tag: str) -> str:
    return re.sub(r"[\s_]+", "-", tag.strip().lower())


def _has_moved(photo: _Photo, label: _Label) -> bool:
    now, then = _pixels(photo, label.bounding_box), _pixels(photo, label.imported_box)
    if now is None or then is None:
        return now != then
    return any(abs(one - other) > SAME_PIXELS for one, other in zip(now, then, strict=True))


def _pixels(photo: _Photo, box_xywh_norm: list[float] | None) -> Box | None:
    return None if box_xywh_norm is None else scale_xyxy(xywh_to_xyxy(box_xywh_norm), photo.size_hw)


def _decision(
    photo: _Photo, place: str, action: Action, text: str, *, box_xyxy: Box | None = None, label: str | None = None
) -> Decision:
    match = _PLACE.fullmatch(place)
    query, phrase, region = (None if one is None else int(one) for one in (match.groups() if match else (None,) * 3))
    return Decision(
        key=photo.key,
        sample_sha256=photo.sha256,
        query=query,
        phrase=phrase,
        region=region,
        action=action,
        text=text,
        box_xyxy=box_xyxy,
        label=label,
        decided_at=None if photo.changed_at is None else _utc(photo.changed_at),
    )


def _utc(when: datetime) -> str:
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return aware.strftime("%Y-%m-%dT%H:%M:%SZ")


def unknown_tags(dataset: Any) -> dict[str, tuple[int, str | None]]:
    """Tags of labels that are no verdict: on how many labels, and which verdict may be meant."""
    counts = dataset.count_label_tags(label_fields=list(LISTS))
    return {
        tag: (count, next(iter(get_close_matches(_plain(tag), list(_TAGS), 1)), None))
        for tag, count in sorted(counts.items())
        if _plain(tag) not in _TAGS
    }


def tagged_photos(dataset: Any) -> int:
    """Photos that carry a reviewer's tag themselves, where only labels count."""
    return len(dataset.match_tags(list(_TAGS)))
