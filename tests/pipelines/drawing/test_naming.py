from hypothesis import given
from hypothesis import strategies as st

from pipelines.drawing.naming import cast_of, color_of
from tests.strategies import grounded_images
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region

_SOMEONE = Provenance(source="test")


def photo(queries: list[tuple[str, list[tuple[int, int, tuple[int, ...]]]]], regions: int = 4) -> GroundedImage:
    """Queries as text and phrases (begin, end, regions)."""
    return GroundedImage(
        key="key",
        image=ImageRef(file_name="a.jpg", source="coco", size_hw=(9, 9)),
        regions=tuple(Region(box_xyxy=(0.0, 0.0, 1.0 + n, 1.0), provenance=_SOMEONE) for n in range(regions)),
        queries=tuple(
            Query(
                text=text,
                group="",
                phrases=tuple(Phrase(spans=((b, e),), regions=r, provenance=_SOMEONE) for b, e, r in phrases),
            )
            for text, phrases in queries
        ),
    )


def test_phrases_that_name_the_same_objects_share_number_and_colour() -> None:
    sample = photo([("a man", [(2, 5, (1, 0))]), ("a dog and people", [(2, 5, (2,)), (10, 16, (0, 1))])])
    cast = cast_of(sample, 2)
    assert [(one.number, one.regions, one.texts) for one in cast.namings] == [
        (1, (0, 1), ("man", "people")),
        (2, (2,), ("dog",)),
    ]
    assert cast.of_phrase == ((cast.namings[0],), (cast.namings[1], cast.namings[0]))


def test_regions_without_a_shown_phrase_are_textless_or_left_out() -> None:
    sample = photo([("a man", [(2, 5, (0,))]), ("a dog", [(2, 5, (1,))])])
    cast = cast_of(sample, 1)
    assert cast.textless == (2, 3)
    assert cast.left_out == (1,)


def test_a_phrase_that_names_no_region_has_no_colour() -> None:
    assert cast_of(photo([("a man", [(2, 5, ())])]), 1).of_phrase == ((None,),)


@given(grounded_images(), st.integers(0, 5))
def test_every_region_has_exactly_one_role(sample: GroundedImage, shown: int) -> None:
    cast = cast_of(sample, shown)
    named = {region for naming in cast.namings for region in naming.regions}
    roles = [*named, *cast.textless, *cast.left_out]
    assert sorted(roles) == list(range(len(sample.regions)))


def test_colours_differ_and_are_dark_enough_for_white_letters() -> None:
    colors = [color_of(position) for position in range(60)]
    assert len(set(colors)) == 60
    for color in colors:
        red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 3.0, color
