"""One sample: which queries are chosen, when a photo may be mirrored, what is left out with what."""

import numpy as np
import pytest
from msgspec.structs import replace

from tests.data.loading.painted import paint, query, record, red_box
from xdetr_data.loading import sample
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.sample import LoadedPhoto, UnreadableSample, choose_queries, load_sample, says_side
from xdetr_data.loading.view import View
from xdetr_data.record import GroundedImage
from xdetr_data.schema import to_json

VIEW = View(crop_xyxy=(16.0, 0.0, 64.0, 48.0), out_hw=(48, 48), is_flipped=False)
PLAIN = DataConfig(shortest_px=(48,), longest_px=64, crop=0.0, flip=0.0, jitter=0.0)
ALL = replace(PLAIN, crop=1.0, flip=1.0, jitter=0.1)


def load(labels: GroundedImage, config: DataConfig = PLAIN, number: int = 0, photo: bytes | None = None) -> LoadedPhoto:
    found = try_load(labels, config, number, photo)
    assert isinstance(found, LoadedPhoto)
    return found


def try_load(
    labels: GroundedImage, config: DataConfig = PLAIN, number: int = 0, photo: bytes | None = None
) -> LoadedPhoto | UnreadableSample:
    data = photo or paint(labels.image.size_hw, labels.regions[0].box_xyxy)
    return load_sample(labels.key, to_json(labels), data, number, config)


@pytest.mark.parametrize(
    "text",
    ["the man on the left", "Leftmost chair.", "a right-hand glove", "at 3 o'clock", "turns counterclockwise", "RIGHT"],
)
def test_a_photo_whose_text_tells_left_from_right_is_never_flipped(text: str) -> None:
    loaded = load(record("a", queries=[query(text, regions=())]), replace(PLAIN, flip=1.0))
    assert loaded.counts.photos_flipped == 0
    assert loaded.counts.photos_not_flipped_for_text == 1
    assert red_box(loaded.pixels) == (16, 12, 40, 30)


@pytest.mark.parametrize("text", ["a bright lamp", "the cleft of a rock", "uprights", "an aleft thing", "the beast"])
def test_a_word_that_only_sounds_like_a_side_is_no_side(text: str) -> None:
    assert not says_side(text)
    loaded = load(record("a", queries=[query(text, regions=())]), replace(PLAIN, flip=1.0))
    assert red_box(loaded.pixels) == (24, 12, 48, 30)
    assert loaded.boxes_xyxy_norm[0] * [64, 48, 64, 48] == pytest.approx([24, 12, 48, 30])


def test_a_side_in_a_query_that_is_not_chosen_does_not_matter() -> None:
    queries = [query("a red box.", "g"), query("the left one", "h", ())]
    config = replace(PLAIN, flip=1.0, queries_per_photo=1)
    flipped = {
        load(record(f"k{n}", queries=queries), config).queries[0].text: load(
            record(f"k{n}", queries=queries), config
        ).counts.photos_flipped
        for n in range(12)
    }
    assert flipped == {"a red box.": 1, "the left one": 0}


def test_at_most_so_many_queries_are_chosen_in_their_order_and_in_time_all_of_them() -> None:
    queries = [query(f"a red box {n:02d}") for n in range(12)]
    seen: set[str] = set()
    for number in range(30):
        texts = [
            one.text for one in load(record("a", queries=queries), replace(PLAIN, queries_per_photo=3), number).queries
        ]
        assert len(texts) == 3
        assert texts == sorted(texts)
        seen |= set(texts)
    assert len(seen) == 12


def load_paragraph(labels: GroundedImage, paragraph: int, config: DataConfig = PLAIN) -> LoadedPhoto | UnreadableSample:
    data = paint(labels.image.size_hw, labels.regions[0].box_xyxy)
    return load_sample(labels.key, to_json(labels), data, 0, config, paragraph)


def test_a_paragraph_is_all_queries_of_one_group_in_the_order_of_the_labels() -> None:
    labels = record("a", queries=[query(f"a red box {group}{n}", group) for n in range(3) for group in "zxy"])
    for paragraph, group in enumerate("zxy"):
        loaded = load_paragraph(labels, paragraph, replace(PLAIN, unit="paragraph", queries_per_photo=1))
        assert isinstance(loaded, LoadedPhoto)
        assert [one.text for one in loaded.queries] == [f"a red box {group}{n}" for n in range(3)]
    missing = load_paragraph(labels, 3)
    assert isinstance(missing, UnreadableSample)
    assert "no paragraph 3" in missing.detail


def test_paragraphs_of_one_photo_are_augmented_apart() -> None:
    labels = record("a", queries=[query(f"a red box {group}", group) for group in "vwxyz"])
    shown = [load_paragraph(labels, paragraph, replace(ALL, unit="paragraph")) for paragraph in range(5)]
    assert len({one.recolour for one in shown if isinstance(one, LoadedPhoto)}) == 5


def test_a_photo_without_queries_is_a_photo_of_boxes() -> None:
    assert choose_queries([], PLAIN, np.random.default_rng(0)).queries == []
    alone = load_paragraph(record("a", queries=[]), 0)
    assert isinstance(alone, LoadedPhoto)
    assert alone.boxes_xyxy_norm.shape == (1, 4)
    assert load(record("a", queries=[])).boxes_xyxy_norm.shape == (1, 4)


def test_a_textless_region_stays_and_a_crowd_is_left_out_with_what_names_only_it() -> None:
    boxes = [(16.0, 12.0, 40.0, 30.0), (0.0, 0.0, 64.0, 48.0), (1.0, 1.0, 9.0, 9.0)]
    queries = [
        query("a red box.", regions=(0, 1)),
        query("a big lot.", regions=(1,)),
        query("a red ball", regions=(2,)),
    ]
    loaded = load(record("a", boxes_xyxy=boxes, queries=queries, crowd=[1]))
    assert loaded.boxes_xyxy_norm * [64, 48, 64, 48] == pytest.approx(np.array([boxes[0], boxes[2]]))
    assert [[phrase.regions for phrase in one.phrases] for one in loaded.queries] == [[(0,)], [], [(1,)]]
    assert [one.text for one in loaded.queries] == [one.text for one in queries]
    assert loaded.counts.crowd_regions == 1
    assert loaded.crowds_xyxy_norm * [64, 48, 64, 48] == pytest.approx(np.array([boxes[1]]))
    assert loaded.counts.phrases_without_region == 1


def test_of_a_textless_box_at_a_crops_edge_the_part_that_shows_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "draw_view", lambda *_, **__: VIEW)
    boxes = [(16.0, 12.0, 40.0, 30.0), (0.0, 0.0, 20.0, 48.0), (0.0, 0.0, 16.0, 48.0)]  # 4 of 20 columns; none
    loaded = load(record("a", boxes_xyxy=boxes))
    assert loaded.boxes_xyxy_norm * 48 == pytest.approx(np.array([(0, 12, 24, 30), (0, 0, 4, 48)]))
    assert (loaded.counts.regions_cropped, loaded.counts.regions_cropped_away) == (1, 1)


def test_a_crop_takes_regions_away_that_no_chosen_query_names_and_no_others() -> None:
    boxes = [(30.0, 20.0, 40.0, 30.0), (0.0, 0.0, 4.0, 4.0), (60.0, 44.0, 64.0, 48.0)]
    away = 0
    for number in range(40):
        loaded = load(record("a", boxes_xyxy=boxes), ALL, number)
        away += loaded.counts.regions_cropped_away
        assert len(loaded.boxes_xyxy_norm) == 3 - loaded.counts.regions_cropped_away
        (phrase,) = loaded.queries[0].phrases
        height, width = loaded.pixels.shape[:2]
        told = loaded.boxes_xyxy_norm[phrase.regions[0]] * [width, height, width, height]
        assert np.abs(np.array(red_box(loaded.pixels)) - told).max() <= 2.5
        assert loaded.queries[0].text[slice(*phrase.spans[0])] == "red box"
    assert away > 10


def test_a_sample_is_the_same_again_and_another_in_another_pass() -> None:
    one, again, other = (load(record("a"), replace(ALL, shortest_px=(24, 32, 48)), number) for number in (3, 3, 4))
    assert np.array_equal(one.pixels, again.pixels)
    assert np.array_equal(one.boxes_xyxy_norm, again.boxes_xyxy_norm)
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)


def test_a_sample_that_cannot_be_used_says_why() -> None:
    labels = record("a")
    good = paint((48, 64), (16, 12, 40, 30))
    for data in (good[:90], b"?", b"GIF89a"):
        found = load_sample("a", to_json(labels), data, 0, PLAIN)
        assert isinstance(found, UnreadableSample)
        assert "Error" in found.detail
    other = try_load(labels, photo=paint((40, 64), (1, 1, 9, 9)))
    assert isinstance(other, UnreadableSample)
    assert "64x40 pixels, its labels are for 64x48" in other.detail
    for bad in (b"{}", b"\xff", to_json(record("b"))):
        assert isinstance(load_sample("a", bad, good, 0, PLAIN), UnreadableSample)
    assert isinstance(load_sample("a", to_json(labels), None, 0, PLAIN), UnreadableSample)
