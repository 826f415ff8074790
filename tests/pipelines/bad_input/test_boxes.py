"""Bad elements of COCO's ``annotations[]``: each is rejected by name; the photo keeps all the others."""

from collections.abc import Callable
from pathlib import Path

from tests.pipelines.bad_input.corpus import Case, Rejects, check, each
from tests.pipelines.bad_input.values import NEVER_RIGHT, NO_NUMBER, NOT_JSON, put
from tests.pipelines.tiny import WIDTH, Verbatim, World, coco_box

VICTIM = 1


def lost(reason: str) -> Rejects:
    return {("box", reason): 1}


UNREADABLE = lost("unreadable-box")


def setting(name: str, value: object) -> Callable[[World], None]:
    return lambda world: put(world.boxes[VICTIM], name, value)


def case(name: str, kind: str, value: object, rejects: Rejects) -> Case:
    return Case(id=f"coco-{name}-{kind}", change=setting(name, value), rejects=rejects)


def replacing(*values: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.boxes[VICTIM : VICTIM + 1] = values

    return change


FIELDS = [
    *(
        case(name, kind, value, UNREADABLE)
        for name in ("id", "image_id", "bbox", "segmentation")
        for kind, value in NOT_JSON.items()
    ),
    *(
        case("id", kind, value, UNREADABLE)
        for kind, value in NO_NUMBER.items()
        if "text" not in kind and kind[:3] != "hex"
    ),
    case("id", "huge", 10**30, {}),
    case("id", "of-another-box", 900, lost("duplicate-annotation-id")),
    *(case("image_id", kind, value, UNREADABLE) for kind, value in NEVER_RIGHT.items()),
    *(case("image_id", kind, value, UNREADABLE) for kind, value in {"half": 1.5, "list": [1]}.items()),
    *(
        case("image_id", kind, value, lost("box-of-unknown-image"))
        for kind, value in {
            "text": "eleven",
            "empty-text": "",
            "hexadecimal": "0x0B",
            "huge": 10**30,
            "negative": -1,
        }.items()
    ),
    case("image_id", "text-number", "1", {}),
    case("image_id", "text-number-with-zeros", "0001", {}),
    case("image_id", "of-an-image-that-the-file-does-not-list", 77, lost("box-of-unknown-image")),
    *(case("bbox", kind, value, UNREADABLE) for kind, value in NEVER_RIGHT.items()),
    case("bbox", "of-three", [1, 2, 3], UNREADABLE),
    case("bbox", "of-texts", ["1", "2", "3", "4"], UNREADABLE),
    case("bbox", "with-nan", [Verbatim("NaN"), 2, 3, 4], UNREADABLE),
    case("bbox", "zero-width", [1, 2, 0, 4], lost("degenerate-box")),
    case("bbox", "negative-height", [1, 20, 3, -4], lost("degenerate-box")),
    case("bbox", "outside", [WIDTH + 1, 2, 3, 4], lost("box-outside-photo")),
    case("bbox", "partly-outside", [55, -3, 30, 20], {}),
    case("bbox", "of-a-named-region", [2, 3, 10, 12], {}),
    case("bbox", "of-another-box", [50, 5, 11, 5.5], lost("duplicate-of-region")),
    *(case("iscrowd", kind, value, UNREADABLE) for kind, value in NO_NUMBER.items() if kind not in ("missing", "bool")),
    case("iscrowd", "crowd", 1, lost("crowd-box")),
    case("segmentation", "run-lengths", {"counts": [1, 2], "size": [48, 64]}, {}),
    case("segmentation", "null", None, {}),
    case("category_id", "text", "cat", {}),
    case("area", "negative", -1, {}),
]
ELEMENTS = [
    Case(id=f"coco-element-{kind}", change=replacing(value), rejects=UNREADABLE)
    for kind, value in {
        "null": None,
        "number": 5,
        "text": "box",
        "list": [],
        "empty-object": {},
        "nan": Verbatim("NaN"),
    }.items()
] + [
    Case(
        id="coco-element-twice",
        change=replacing(coco_box(901, 1), coco_box(901, 1)),
        rejects=lost("duplicate-annotation-id"),
    ),
    Case(id="coco-none", change=lambda world: world.boxes.clear(), spares_photo_2=False),
]
CASES = [*FIELDS, *ELEMENTS]


@each(CASES)
def test_a_bad_box_is_rejected_by_name_and_alone(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)
