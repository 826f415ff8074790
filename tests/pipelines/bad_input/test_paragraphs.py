"""Bad elements of ``images[]``: the paragraph is rejected by name with its annotations; nothing else suffers."""

from collections.abc import Callable
from pathlib import Path

from tests.pipelines.bad_input.corpus import Case, Rejects, check, each
from tests.pipelines.bad_input.values import NEVER_RIGHT, NO_NUMBER, NO_TEXT, NOT_JSON, put
from tests.pipelines.tiny import HEIGHT, WIDTH, Verbatim, World

VICTIM = 1  # the second paragraph of the first photo, with two annotations


def lost(reason: str, annotations: str = "paragraph-rejected") -> Rejects:
    return {("paragraph", reason): 1, ("annotation", annotations): 2}


UNREADABLE = lost("unreadable-paragraph")
WITHOUT_ID = lost("unreadable-paragraph", "annotation-of-unknown-paragraph")


def setting(name: str, value: object) -> Callable[[World], None]:
    return lambda world: put(world.images[VICTIM], name, value)


def case(name: str, kind: str, value: object, rejects: Rejects) -> Case:
    return Case(id=f"images-{name}-{kind}", change=setting(name, value), rejects=rejects)


def replacing(value: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.images[VICTIM] = value

    return change


NO_JSON = [
    case(name, kind, value, WITHOUT_ID)
    for name in ("id", "height", "caption", "tokens_negative", "data_source", "sentence_id")
    for kind, value in NOT_JSON.items()
]
IDS = [
    *(case("id", kind, value, WITHOUT_ID) for kind, value in NO_NUMBER.items()),
    case("id", "huge", 10**30, WITHOUT_ID),
    case("id", "just-beyond-64-bits", 2**63, WITHOUT_ID),
    case("id", "negative", -11, {("annotation", "annotation-of-unknown-paragraph"): 2}),
    case("id", "text-number", "11", {}),
    case("id", "whole-float", 11.0, {}),
    case("id", "of-an-earlier-paragraph", 10, lost("duplicate-paragraph-id", "annotation-of-unknown-paragraph")),
]
SIDES = [
    one
    for name, right in (("height", HEIGHT), ("width", WIDTH))
    for one in [
        *(case(name, kind, value, UNREADABLE) for kind, value in NO_NUMBER.items()),
        case(name, "with-unit", f"{right}px", UNREADABLE),
        case(name, "zero", 0, lost("size-mismatch")),
        case(name, "negative", -right, lost("size-mismatch")),
        case(name, "other-than-the-photo's", right + 1, lost("size-mismatch")),
        case(name, "huge", 10**30, lost("size-mismatch")),
        case(name, "beyond-32-bits", right + 2**32, lost("size-mismatch")),
        case(name, "text-number", str(right), {}),
        case(name, "whole-float", float(right), {}),
    ]
]
CAPTIONS = [
    *(case("caption", kind, value, UNREADABLE) for kind, value in NO_TEXT.items()),
    case("caption", "control-character-escaped", "a red ball.\u0000the blue box on a shelf", {}),
    case("caption", "empty", "", lost("empty-caption")),
    case("caption", "white-space", " \n\t ", lost("empty-caption")),
    case("caption", "no-break-spaces", "\u00a0\u2003", lost("empty-caption")),
    case("caption", "one-mark", ".", {("annotation", "bad-span"): 2}),
    case("caption", "shorter-than-its-spans", "a red ball", {("annotation", "bad-span"): 1}),
    case("caption", "very-long", "a red ball. " * 20_000, {}),
    case("caption", "nothing-but-marks", ". " * 30, {}),
    case("caption", "right-to-left-and-astral", "כדור אדום 🎈 של הילד. תיבה כחולה על מדף.", {}),
]
NEGATIVES = [
    *(
        case("tokens_negative", kind, value, UNREADABLE)
        for kind, value in NEVER_RIGHT.items()
        if kind not in ("missing", "list-of-lists")
    ),
    case("tokens_negative", "one-number-spans", [[0]], UNREADABLE),
    case("tokens_negative", "three-number-spans", [[0, 1, 2]], UNREADABLE),
    case("tokens_negative", "text-spans", [["a", "b"]], UNREADABLE),
    case("tokens_negative", "flat", [0, 1], UNREADABLE),
    case("tokens_negative", "missing", [], {}),
    case("tokens_negative", "reversed", [[5, 3]], {}),
    case("tokens_negative", "below-zero", [[-5, 3]], {}),
    case("tokens_negative", "outside", [[0, 10**9], [10**30, 10**31]], {}),
    case("tokens_negative", "empty-and-overlapping", [[3, 3], [0, 9], [2, 5], [2, 5]], {}),
    case("tokens_negative", "very-many", [[i, i + 1] for i in range(50_000)], {}),
]
SOURCES = [
    *(
        case("data_source", kind, value, UNREADABLE)
        for kind, value in NO_TEXT.items()
        if kind not in ("missing", "null")
    ),
    case("data_source", "null", None, {}),
    case("data_source", "empty", "", lost("unknown-source")),
    case("data_source", "folder", "../vg", lost("unknown-source")),
    case("data_source", "capitals", "COCO", lost("unknown-source")),
    *(
        case("dataset_name", kind, value, UNREADABLE)
        for kind, value in NO_TEXT.items()
        if kind not in ("missing", "null")
    ),
    case("dataset_name", "null", None, {}),
]
UNREAD = [
    case("original_id", "object", {"a": [1, {}]}, {}),
    case("original_id", "missing", None, {}),
    case("sentence_id", "extra-key", "surplus", {}),
    case("extra", "nested-500-deep", Verbatim("[" * 500 + "]" * 500), {}),
]
ELEMENTS = [
    Case(id=f"images-element-{kind}", change=replacing(value), rejects=WITHOUT_ID)
    for kind, value in {
        "null": None,
        "number": 5,
        "text": "paragraph",
        "list": [1, 2],
        "empty-list": [],
        "empty-object": {},
        "bool": False,
        "nan": Verbatim("NaN"),
        "minus-infinity": Verbatim("-Infinity"),
        "huge-number": Verbatim("1e999"),
        "braces-in-text": '}],"annotations":[{',
    }.items()
] + [
    Case(
        id="images-element-twice",
        change=lambda world: world.images.append(world.images[VICTIM]),
        rejects={("paragraph", "duplicate-paragraph-id"): 1},
    ),
    Case(
        id="images-element-with-a-key-twice",
        change=replacing(Verbatim('{"id": 11, "id": 11, "file_name": "x"}')),
        rejects=UNREADABLE,
    ),
]
CASES = [*NO_JSON, *IDS, *SIDES, *CAPTIONS, *NEGATIVES, *SOURCES, *UNREAD, *ELEMENTS]


@each(CASES)
def test_a_bad_paragraph_is_rejected_by_name_with_its_annotations(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)
