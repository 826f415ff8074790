"""Subsets of photos: as large as asked, the same for a seed, and with every class that there is room for."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.stages.choose_subset import describe_subset, digest_of, draw_subset

CLASSES = st.dictionaries(
    st.integers(1, 10**6).map(str), st.frozensets(st.integers(0, 12), max_size=4), min_size=1, max_size=40
)


@given(CLASSES, st.floats(0.001, 1), st.integers(0, 5))
def test_a_subset_is_as_large_as_asked_and_a_function_of_the_seed_alone(
    classes_of: dict[str, frozenset[int]], share: float, seed: int
) -> None:
    found = draw_subset(classes_of, share=share, seed=seed)
    assert len(found) == max(1, round(share * len(classes_of)))
    assert found <= classes_of.keys()
    backwards = dict(reversed(classes_of.items()))
    assert draw_subset(backwards, share=share, seed=seed) == found


@given(CLASSES, st.integers(0, 5))
def test_with_a_photo_for_every_class_no_class_is_lost(classes_of: dict[str, frozenset[int]], seed: int) -> None:
    every = frozenset[int]().union(*classes_of.values())
    share = min(1.0, len(every) / len(classes_of))
    found = draw_subset(classes_of, share=share, seed=seed)
    if len(found) >= len(every):
        assert frozenset[int]().union(*(classes_of[photo] for photo in found)) == every
        assert describe_subset(classes_of, found).lost == ()


def test_where_there_is_no_room_the_most_frequent_classes_are_lost() -> None:
    photos = {str(n): {1} for n in range(50)} | {str(n): {2} for n in range(50, 70)} | {"70": {3}, "71": {4, 5}}
    two = draw_subset(photos, share=2 / 72, seed=0)
    assert two == {"70", "71"}
    assert describe_subset(photos, two).lost == (1, 2)
    assert describe_subset(photos, draw_subset(photos, share=3 / 72, seed=0)).lost == (1,)


def test_photos_are_drawn_without_a_look_at_their_classes_where_no_class_is_lost_by_it() -> None:
    photos = {str(n): {n % 2} for n in range(50)} | {"50": {0, 1}}
    drawn = [draw_subset(photos, share=4 / 51, seed=seed) for seed in range(40)]
    assert 0 < sum("50" in one for one in drawn) < 20


def test_where_a_class_would_be_lost_the_photo_with_most_new_classes_is_taken() -> None:
    photos = {"1": {1}, "2": {1, 2, 3}, "3": {3}, "4": {1}, "5": {2}, "6": {2}}
    for seed in range(20):
        assert draw_subset(photos, share=1 / 6, seed=seed) == {"2"}


def test_other_seeds_draw_other_photos_and_every_photo_can_be_drawn() -> None:
    photos = {str(n): {n % 3} for n in range(60)}
    drawn = [draw_subset(photos, share=0.1, seed=seed) for seed in range(60)]
    assert len(set(drawn)) > 50
    assert frozenset[str]().union(*drawn) == photos.keys()


def test_a_share_as_small_as_the_papers_keeps_lvis_many_classes() -> None:
    rng = random.Random(0)
    photos: dict[str, set[int]] = {str(n): set() for n in range(20_000)}
    for number in range(240):  # a fifth of LVIS: classes of one photo, of ten, of a hundred, of thousands
        for photo in rng.sample(range(20_000), max(1, int(10 ** rng.uniform(0, 3.3)))):
            photos[str(photo)].add(number)
    found = describe_subset(photos, draw_subset(photos, share=0.01, seed=0))
    assert (found.photos, found.of, found.lost, found.unknown) == (200, 20_000, (), 0)


def test_the_hash_is_of_ids_one_a_line_ordered_by_number() -> None:
    assert digest_of({"10", "9", "123"}) == hashlib.sha256(b"9\n10\n123\n").hexdigest()


@pytest.mark.parametrize("listed", [["1", "2", "77"], ("2", "1", "77")])
def test_a_list_is_described_by_what_the_file_has_of_it(listed: list[str]) -> None:
    found = describe_subset({"1": {5}, "2": {6}, "3": {5, 7}}, listed)
    assert (found.photos, found.of, found.lost, found.unknown) == (2, 3, (7,), 1)
    assert found.sha256 == digest_of(["1", "2"])
