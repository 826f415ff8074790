"""Photos of benchmark splits are left out, and the ledger says which list named how many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.sources.exclusion_list import VG_COPIES
from xdetr_data.sources.exclusions import ExclusionList
from xdetr_data.stages.exclude_images import exclude_images

SOURCES = st.sampled_from(["coco", "vg", "flickr"])
IDS = st.sampled_from(["1", "2", "3", "4"])
PHOTOS = st.lists(st.tuples(SOURCES, IDS), unique=True, max_size=12)


def listing(path: str, **ids: set[str]) -> ExclusionList:
    return ExclusionList(path=path, format="id list", ids={source: frozenset(found) for source, found in ids.items()})


def test_the_first_list_that_names_a_photo_is_its_verdict_and_every_list_that_does_counts() -> None:
    photos = [("coco", "1"), ("coco", "2"), ("vg", "1"), ("vg", "2")]
    lists = [listing("refs", coco={"1"}), listing("lvis", coco={"1", "2"}), listing("bare", any={"2"})]
    verdicts, ledger = exclude_images(photos, lists)
    assert verdicts == ["refs", "lvis", None, "bare"]
    assert ledger.hits == {"refs": {"coco": 1}, "lvis": {"coco": 2}, "bare": {"coco": 1, "vg": 1}}


def test_without_lists_nothing_is_left_out() -> None:
    verdicts, ledger = exclude_images([("coco", "1")], [])
    assert verdicts == [None]
    assert ledger.hits == {}


def test_a_list_that_hits_nothing_is_in_the_ledger_with_nothing() -> None:
    _, ledger = exclude_images([("coco", "1")], [listing("refs", coco={"9"})])
    assert ledger.hits == {"refs": {}}


@given(PHOTOS, st.lists(st.dictionaries(SOURCES | st.just("any"), st.sets(IDS), max_size=3), max_size=3))
def test_a_photo_is_left_out_exactly_if_some_list_names_it(
    photos: list[tuple[str, str]], contents: list[dict[str, set[str]]]
) -> None:
    lists = [listing(f"list-{number}", **ids) for number, ids in enumerate(contents)]
    verdicts, ledger = exclude_images(photos, lists)
    for (source, identity), verdict in zip(photos, verdicts, strict=True):
        naming = [
            one.path
            for one, ids in zip(lists, contents, strict=True)
            if identity in ids.get(source, set()) | ids.get("any", set())
        ]
        assert verdict == (naming[0] if naming else None)
    assert sum(sum(hits.values()) for hits in ledger.hits.values()) >= sum(verdict is not None for verdict in verdicts)
    shuffled, _ = exclude_images(photos[::-1], lists)
    assert shuffled == verdicts[::-1]


def test_a_list_that_knows_copies_reaches_them_in_both_directions_and_says_so() -> None:
    photos = [("coco", "1"), ("vg", "71"), ("vg", "72"), ("coco", "2"), ("vg", "73")]
    copies = ExclusionList(path="image_data", format=VG_COPIES, copies={"71": "1", "72": "2", "73": "3"})
    verdicts, ledger = exclude_images(photos, [listing("refs", coco={"1"}), listing("vg", vg={"72"}), copies])
    assert verdicts == ["refs", "refs", "vg", "vg", None]
    assert ledger.hits["image_data"] == {"vg": 1, "coco": 1}
    assert ledger.looked_for == {
        "refs": {"coco": 1, "vg": 0},
        "vg": {"coco": 0, "vg": 1},
        "image_data": {"coco": 3, "vg": 3},
    }


@pytest.mark.parametrize(
    ("name", "identity", "is_named"),
    [
        ("cam1/0001.jpg", "cam1/0001", True),
        ("cam1/0001.jpg", "cam2/0001", False),
        ("0001.jpg", "cam1/0001", True),
        ("1", "cam1/0001", True),
        ("photos/cam1/0001.jpg", "cam1/0001", True),
        ("cam1/0001.jpg", "photos/cam1/0001", True),
        ("m1/0001.jpg", "cam1/0001", False),
        ("0001.png", "0001.png", True),
        ("2", "cam1/0001", False),
    ],
)
def test_photos_that_are_known_by_their_paths_are_named_by_paths(name: str, identity: str, is_named: bool) -> None:
    assert listing("mine", any={name}).matches("shop", identity) == is_named
