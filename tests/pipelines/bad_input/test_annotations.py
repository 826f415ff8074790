"""Bad elements of MDETR's ``annotations[]``: each is rejected by name; its paragraph keeps all the others."""

from collections.abc import Callable
from pathlib import Path

from tests.pipelines.bad_input.corpus import Case, Rejects, check, each
from tests.pipelines.bad_input.values import NEVER_RIGHT, NO_NUMBER, NOT_JSON, put
from tests.pipelines.tiny import CAPTION, HEIGHT, WIDTH, Verbatim, World, annotation

VICTIM = 2  # the first annotation (102, the red ball) of the second paragraph


def lost(reason: str) -> Rejects:
    return {("annotation", reason): 1}


UNREADABLE, BAD_SPAN = lost("unreadable-annotation"), lost("bad-span")


def setting(name: str, value: object) -> Callable[[World], None]:
    return lambda world: put(world.annotations[VICTIM], name, value)


def case(name: str, kind: str, value: object, rejects: Rejects) -> Case:
    return Case(id=f"annotations-{name}-{kind}", change=setting(name, value), rejects=rejects)


def replacing(*values: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.annotations[VICTIM : VICTIM + 1] = values

    return change


NO_JSON = [
    case(name, kind, value, UNREADABLE)
    for name in ("id", "image_id", "bbox", "tokens_positive", "area", "extra")
    for kind, value in NOT_JSON.items()
]
IDS = [
    *(
        case("id", kind, value, UNREADABLE)
        for kind, value in NO_NUMBER.items()
        if "text" not in kind and kind[:3] != "hex"
    ),
    case("id", "huge", 10**30, {}),
    case("id", "negative", -5, {}),
    case("id", "text", "a-102", {}),
    case("id", "of-another-annotation", 103, lost("duplicate-annotation-id")),
    *(case("image_id", kind, value, UNREADABLE) for kind, value in NO_NUMBER.items()),
    case("image_id", "text-number", "11", {}),
    case("image_id", "huge", 10**30, UNREADABLE),
    case("image_id", "of-no-paragraph", 9999, lost("annotation-of-unknown-paragraph")),
    case("image_id", "negative", -11, lost("annotation-of-unknown-paragraph")),
    case("image_id", "of-the-photo-instead", 1, lost("annotation-of-unknown-paragraph")),
]
BOXES = [
    *(case("bbox", kind, value, UNREADABLE) for kind, value in NEVER_RIGHT.items()),
    case("bbox", "empty", [], UNREADABLE),
    case("bbox", "of-three", [1, 2, 3], UNREADABLE),
    case("bbox", "of-five", [1, 2, 3, 4, 5], UNREADABLE),
    case("bbox", "text", "1,2,3,4", UNREADABLE),
    case("bbox", "of-texts", ["1", "2", "3", "4"], UNREADABLE),
    case("bbox", "of-nulls", [None, None, None, None], UNREADABLE),
    case("bbox", "nested", [[1, 2, 3, 4]], UNREADABLE),
    case("bbox", "with-bool", [1, 2, True, 4], UNREADABLE),
    case("bbox", "with-nan", [1, 2, Verbatim("NaN"), 4], UNREADABLE),
    case("bbox", "with-infinity", [1, 2, Verbatim("Infinity"), 4], UNREADABLE),
    case("bbox", "beyond-float-inside", [1, 2, Verbatim("1e400"), 4], UNREADABLE),
    case("bbox", "zero-width", [1, 2, 0, 4], lost("degenerate-box")),
    case("bbox", "zero-height", [1, 2, 3, 0.0], lost("degenerate-box")),
    case("bbox", "negative-width", [20, 2, -3, 4], lost("degenerate-box")),
    case("bbox", "negative-height", [20, 20, 3, -4], lost("degenerate-box")),
    case("bbox", "subnormal-size", [1, 2, 5e-324, 4], lost("degenerate-box")),
    case("bbox", "right-of-the-photo", [WIDTH, 2, 5, 5], lost("box-outside-photo")),
    case("bbox", "above-the-photo", [1, -9, 5, 9], lost("box-outside-photo")),
    case("bbox", "far-below", [1, 1e300, 5, 5], lost("box-outside-photo")),
    case("bbox", "touching-by-a-hair", [WIDTH - 1e-7, 2, 5, 5], lost("box-outside-photo")),
    case("bbox", "overflowing-sum", [1.7e308, 0, 1.7e308, 5], lost("box-outside-photo")),
    case("bbox", "huge-integers", [10**400, 0, 5, 5], UNREADABLE),
    case("bbox", "as-corners", [2, 3, 12, 15], {}),
    case("bbox", "partly-outside", [-5.5, -5, 20, 20], {}),
    case("bbox", "around-the-photo", [-1e9, -1e9, 2e9, 2e9], {}),
]
SPANS = [
    *(case("tokens_positive", kind, value, UNREADABLE) for kind, value in NEVER_RIGHT.items()),
    case("tokens_positive", "flat", [2, 5], UNREADABLE),
    case("tokens_positive", "text", "red ball", UNREADABLE),
    case("tokens_positive", "of-texts", [["2", "5"]], UNREADABLE),
    case("tokens_positive", "of-halves", [[2.5, 5.5]], UNREADABLE),
    case("tokens_positive", "with-null", [[2, None]], UNREADABLE),
    case("tokens_positive", "with-bool", [[False, True]], UNREADABLE),
    case("tokens_positive", "none", [], BAD_SPAN),
    case("tokens_positive", "empty-span", [[]], BAD_SPAN),
    case("tokens_positive", "one-element", [[2]], BAD_SPAN),
    case("tokens_positive", "three-elements", [[2, 5, 9]], BAD_SPAN),
    case("tokens_positive", "no-characters", [[5, 5]], BAD_SPAN),
    case("tokens_positive", "reversed", [[10, 2]], BAD_SPAN),
    case("tokens_positive", "negative-begin", [[-3, 5]], BAD_SPAN),
    case("tokens_positive", "negative-both", [[-5, -3]], BAD_SPAN),
    case("tokens_positive", "ends-behind-the-text", [[2, len(CAPTION) + 1]], BAD_SPAN),
    case("tokens_positive", "behind-the-text", [[900, 905]], BAD_SPAN),
    case("tokens_positive", "huge", [[2, 10**30]], BAD_SPAN),
    case("tokens_positive", "white-space", [[1, 2]], BAD_SPAN),
    case("tokens_positive", "one-good-one-bad", [[2, 5], [50, 60]], BAD_SPAN),
    case("tokens_positive", "very-many-bad", [[0, 0]] * 100_000, BAD_SPAN),
    case("tokens_positive", "one-with-very-many-numbers", [list(range(100_000))], BAD_SPAN),
    case("tokens_positive", "the-space-between-queries", [[11, 12]], BAD_SPAN),
    case("tokens_positive", "overlapping", [[2, 7], [5, 10]], {}),
    case("tokens_positive", "twice", [[2, 5], [2, 5]], {}),
    case("tokens_positive", "unordered", [[6, 10], [2, 5]], {}),
    case("tokens_positive", "very-many", [[2, 5], [6, 10]] * 50_000, {}),
    case("tokens_positive", "across-queries", [[2, 20]], {}),
    case("tokens_positive", "in-two-queries", [[6, 10], [21, 24]], {}),
    case("tokens_positive", "whole-caption", [[0, len(CAPTION)]], {}),
]
FLAGS = [
    *(case("iscrowd", kind, value, UNREADABLE) for kind, value in NO_NUMBER.items() if kind not in ("missing", "bool")),
    case("iscrowd", "text-number", "0", UNREADABLE),
    case("iscrowd", "missing", 0, {}),
    case("iscrowd", "crowd", 1, lost("crowd-box")),
    case("iscrowd", "crowd-as-bool", True, lost("crowd-box")),
    case("iscrowd", "neither-0-nor-1", 2, lost("crowd-box")),
    case("area", "text", "big", {}),
    case("area", "not-of-the-box", -1e6, {}),
    case("category_id", "null", None, {}),
    case("extra", "nested-500-deep", Verbatim('{"a":' * 500 + "0" + "}" * 500), {}),
]
ELEMENTS = [
    Case(id=f"annotations-element-{kind}", change=replacing(value), rejects=UNREADABLE)
    for kind, value in {
        "null": None,
        "number": 5,
        "text": "annotation",
        "brackets-in-text": "]}],[{",
        "list": [102, 11],
        "empty-list": [],
        "empty-object": {},
        "bool": False,
        "nan": Verbatim("NaN"),
    }.items()
] + [
    Case(
        id="annotations-element-twice",
        change=replacing(annotation(102, 11), annotation(102, 11)),
        rejects=lost("duplicate-annotation-id"),
    ),
    Case(
        id="annotations-element-with-a-key-twice",
        change=replacing(Verbatim('{"id":1,"image_id":11,"image_id":77,"bbox":[1,2,3,4],"tokens_positive":[[0,1]]}')),
        rejects=lost("annotation-of-unknown-paragraph"),
    ),
    Case(
        id="annotations-id-as-number-and-as-text",
        change=replacing(annotation(102, 11), annotation(102, 11, id="102")),
    ),
    Case(
        id="annotations-of-all-paragraphs-bad",
        change=lambda world: [put(one, "bbox", None) for one in world.annotations] and None,
        rejects={("annotation", "unreadable-annotation"): 8},
        spares_photo_2=False,
    ),
    Case(
        id="annotations-none",
        change=lambda world: world.annotations.clear(),
        spares_photo_2=False,
    ),
]
CASES = [*NO_JSON, *IDS, *BOXES, *SPANS, *FLAGS, *ELEMENTS]


@each(CASES)
def test_a_bad_annotation_is_rejected_by_name_and_alone(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


def test_a_box_partly_outside_is_clipped_kept_and_counted(tmp_path: Path) -> None:
    from tests.pipelines.tiny import manifest_of, records_of

    check(next(one for one in BOXES if one.id.endswith("partly-outside")), tmp_path)
    assert manifest_of(tmp_path / "out").accounting["notes"]["clipped-boxes"] == 1
    boxes = [region.box_xyxy for region in records_of(tmp_path / "out")[0].regions]
    assert (0.0, 0.0, 14.5, 15.0) in boxes
    assert all(0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT for x0, y0, x1, y1 in boxes)
