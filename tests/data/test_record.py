import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import KEY_CHARACTERS, boxes_xyxy, grounded_images, spans_of
from xdetr_data.errors import RecordError
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region

SOMEONE = Provenance(source="someone")
INF, NAN = float("inf"), float("nan")


def photo(width: int = 100, height: int = 50) -> ImageRef:
    return ImageRef(file_name="photo.jpg", source="coco", size_hw=(height, width))


def region(*box_xyxy: float) -> Region:
    return Region(box_xyxy=box_xyxy, provenance=SOMEONE)


def phrase(*spans: tuple[int, int], regions: tuple[int, ...] = (), score: float | None = None) -> Phrase:
    return Phrase(spans=spans, regions=regions, score=score, provenance=SOMEONE)


@given(grounded_images())
def test_a_record_cannot_be_changed(sample: GroundedImage) -> None:
    with pytest.raises(AttributeError):
        sample.key = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        sample.image.source = "other"  # type: ignore[misc]


@pytest.mark.parametrize("size_hw", [(0, 5), (5, 0), (-1, 5)])
def test_a_photo_has_a_positive_size(size_hw: tuple[int, int]) -> None:
    with pytest.raises(RecordError, match="not positive"):
        ImageRef(file_name="photo.jpg", source="coco", size_hw=size_hw)


@pytest.mark.parametrize(
    "box",
    [
        (1, 1, 1, 2), (1, 1, 2, 1), (2, 1, 1, 2), (1, 2, 2, 1),
        (NAN, 0, 1, 1), (0, NAN, 1, 1), (0, 0, INF, 1), (-INF, 0, INF, 1),
    ],
)  # fmt: skip
def test_a_region_has_area_and_finite_coordinates(box: tuple[float, ...]) -> None:
    with pytest.raises(RecordError, match="no area or is not finite"):
        region(*box)


@pytest.mark.parametrize("spans", [(), ((1, 1),), ((2, 1),), ((-1, 2),), ((3, 4), (1, 2)), ((1, 3), (2, 4))])
def test_spans_of_a_phrase_are_there_ordered_and_disjoint(spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(RecordError, match="span"):
        phrase(*spans)


def test_spans_of_a_phrase_may_touch() -> None:
    assert phrase((0, 2), (2, 3)).spans == ((0, 2), (2, 3))


def test_a_phrase_names_a_region_once() -> None:
    with pytest.raises(RecordError, match="twice"):
        phrase((0, 1), regions=(2, 2))


@pytest.mark.parametrize("score", [NAN, INF, -INF])
def test_a_score_is_finite_for_json_has_no_other_numbers(score: float) -> None:
    with pytest.raises(RecordError, match="score"):
        phrase((0, 1), score=score)


def test_a_span_ends_inside_its_query() -> None:
    assert Query(text="a man", group="", phrases=(phrase((2, 5)),))
    with pytest.raises(RecordError, match="outside the query of 5 characters"):
        Query(text="a man", group="", phrases=(phrase((2, 6)),))


def test_spans_count_code_points_not_bytes() -> None:
    assert Query(text="😀狗", group="", phrases=(phrase((1, 2)),))
    with pytest.raises(RecordError, match="2 characters"):
        Query(text="😀狗", group="", phrases=(phrase((1, 3)),))


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "..", "a b", "ä", "a\n", "a\0"])
def test_a_key_fits_a_tar_and_has_no_dot(key: str) -> None:
    with pytest.raises(RecordError, match="key"):
        GroundedImage(key=key, image=photo())


@given(st.text(KEY_CHARACTERS, min_size=1))
def test_a_key_may_hold_letters_digits_and_three_signs(key: str) -> None:
    assert GroundedImage(key=key, image=photo()).key == key


@pytest.mark.parametrize(
    "box", [(-0.001, 0, 5, 5), (0, -1, 5, 5), (0, 0, 100.001, 5), (0, 0, 5, 50.5), (200, 0, 300, 5)]
)
def test_a_box_stays_on_its_photo(box: tuple[float, ...]) -> None:
    with pytest.raises(RecordError, match="leaves the photo of 100x50 pixels"):
        GroundedImage(key="key", image=photo(100, 50), regions=(region(*box),))


@given(boxes_xyxy((50, 100)))
def test_a_box_may_reach_to_the_edges(box: tuple[float, float, float, float]) -> None:
    assert GroundedImage(key="key", image=photo(100, 50), regions=(region(*box), region(0, 0, 100, 50)))


@pytest.mark.parametrize("index", [-1, 1, 99])
def test_a_phrase_names_regions_that_exist(index: int) -> None:
    query = Query(text="a man", group="", phrases=(phrase((2, 5), regions=(index,)),))
    with pytest.raises(RecordError, match=f"names region {index} of 1"):
        GroundedImage(key="key", image=photo(), regions=(region(0, 0, 1, 1),), queries=(query,))


def test_fields_are_named_and_unknown_ones_refused() -> None:
    with pytest.raises(TypeError):
        Provenance("someone")  # type: ignore[misc]
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"source": "someone", "colour": "red"}, Provenance)


@given(st.integers(1, 30).flatmap(spans_of))
def test_the_strategy_of_spans_draws_what_a_phrase_accepts(spans: tuple[tuple[int, int], ...]) -> None:
    assert phrase(*spans).spans == spans
