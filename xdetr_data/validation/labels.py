"""Checks of one sample's JSON: the published JSON Schema, then the rules of the record, each breach by name."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
from jsonschema import Draft202012Validator

from xdetr_data.errors import RecordError
from xdetr_data.masks import check_mask
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import from_json, sample_json_schema, to_json

_UNIT_IMAGE = ImageRef(file_name="unit", source="unit", size_hw=(1, 1))
_UNIT_REGION = Region(box_xyxy=(0.0, 0.0, 1.0, 1.0), provenance=Provenance(source="unit"))
_WHERE_IN_PART = " - at `$"  # msgspec says where in the part; the breach says where the part is


class Breach(NamedTuple):
    """A rule and what breaks it."""

    rule: str
    what: str


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(sample_json_schema())


def check_labels(data: bytes) -> tuple[GroundedImage | None, list[Breach]]:
    """The record that a sample's JSON holds, or None and why it holds none.

    The JSON Schema describes what ``to_json`` writes. So bytes that decode and encode to themselves conform, which
    takes 0.2 ms; only others are shown to the jsonschema library, which takes 5 ms.
    """
    try:
        record = from_json(data)
    except (RecordError, RecursionError) as error:
        return None, _breaches(data, str(error))
    if to_json(record) != data and (breaches := _schema_breaches(msgspec.json.decode(data))):
        return None, breaches
    return record, list(_mask_breaches(record))


def _mask_breaches(record: GroundedImage) -> Iterator[Breach]:
    for number, region in enumerate(record.regions):
        if region.mask:
            counts, size_hw = region.mask, record.image.size_hw
            yield from _tried("bad-mask", f"regions[{number}].mask", lambda: check_mask(counts, size_hw))  # noqa: B023


def _breaches(data: bytes, error: str) -> list[Breach]:
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return [Breach("json-unreadable", str(problem))]
    return _schema_breaches(raw) or list(_rule_breaches(raw)) or [Breach("json-schema", error)]


def _schema_breaches(raw: Any) -> list[Breach]:
    return [Breach("json-schema", f"{error.json_path}: {error.message}") for error in _validator().iter_errors(raw)]


def _rule_breaches(raw: dict[str, Any]) -> Iterator[Breach]:
    """Breaches of a sample that fits the schema: each part is made a record of its own, so that each breach shows."""
    image = raw["image"]
    size_hw = (image["height"], image["width"])
    yield from _tried("key", "key", lambda: GroundedImage(key=raw["key"], image=_UNIT_IMAGE))
    for number, item in enumerate(raw["regions"]):
        yield from _region_breaches(item, size_hw, f"regions[{number}]")
    for number, query in enumerate(raw["queries"]):
        for position, item in enumerate(query.get("phrases", ())):
            yield from _phrase_breaches(
                item, query["text"], len(raw["regions"]), f"queries[{number}].phrases[{position}]"
            )


def _region_breaches(item: Any, size_hw: tuple[int, int], place: str) -> Iterator[Breach]:
    breaches = list(_tried("bad-box", place, lambda: msgspec.convert(item, Region)))
    yield from breaches or _tried("box-outside-photo", place, lambda: _alone(item, size_hw))


def _phrase_breaches(item: Any, text: str, regions: int, place: str) -> Iterator[Breach]:
    breaches = list(_tried("bad-phrase", place, lambda: msgspec.convert(item, Phrase)))
    yield from breaches
    if breaches:
        return
    phrase = msgspec.convert(item, Phrase)
    yield from _tried("span-outside-text", place, lambda: Query(text=text, group="", phrases=(phrase,)))
    short = Query(text="x", group="", phrases=(msgspec.structs.replace(phrase, spans=((0, 1),)),))
    yield from _tried(
        "region-index",
        place,
        lambda: GroundedImage(key="sample", image=_UNIT_IMAGE, regions=(_UNIT_REGION,) * regions, queries=(short,)),
    )


def _alone(item: Any, size_hw: tuple[int, int]) -> GroundedImage:
    image = ImageRef(file_name="photo", source="", size_hw=size_hw)
    return GroundedImage(key="sample", image=image, regions=(msgspec.convert(item, Region),))


def _tried(rule: str, place: str, make: Callable[[], Any]) -> Iterator[Breach]:
    try:
        make()
    except (RecordError, msgspec.ValidationError) as error:
        yield Breach(rule, f"{place}: {str(error).removeprefix('sample: ').split(_WHERE_IN_PART)[0]}")


def first_difference(left: Any, right: Any, place: str = "$") -> str:
    """Where two JSON values differ first, as ``$.regions[0].box_xyxy[1]: 3.0 / 4.0``; "" where they are the same."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            if name not in left or name not in right:
                return f"{place}.{name}: only in {'the one' if name in left else 'the other'}"
            if found := first_difference(left[name], right[name], f"{place}.{name}"):
                return found
        return ""
    if isinstance(left, list) and isinstance(right, list):
        for number, (one, other) in enumerate(zip(left, right, strict=False)):
            if found := first_difference(one, other, f"{place}[{number}]"):
                return found
        return "" if len(left) == len(right) else f"{place}: {len(left)} / {len(right)} items"
    same = type(left) is type(right) and msgspec.json.encode(left) == msgspec.json.encode(right)
    return "" if same else f"{place}: {left!r} / {right!r}"
