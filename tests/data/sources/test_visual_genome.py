"""Visual Genome's region descriptions: images, their regions, the sizes beside them, and what is damaged of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.tiny import Verbatim, to_json
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable, chunk_range
from xdetr_data.sources.framing.json_stream import WHOLE_FILE
from xdetr_data.sources.protocol import Heads, Problem, Stated
from xdetr_data.sources.visual_genome import (
    REGIONS,
    RegionDescriptions,
    VgRegion,
    parse_images,
    parse_regions,
    read_chunks,
    read_sizes,
)

REGION = {"region_id": 1382, "width": 82, "height": 139.5, "image_id": 1, "phrase": "the clock", "y": 57, "x": -3}
DAMAGE = [Verbatim("NaN"), Verbatim('"\\ud800"'), Verbatim("9" * 5000), None, 7, "text", [], {}]
ANYTHING = st.sampled_from([REGION, *DAMAGE, *({"region_id": one} for one in DAMAGE)])
IMAGES = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 9), "regions": st.lists(ANYTHING, max_size=4)})
    | st.fixed_dictionaries({"id": st.sampled_from([None, "1", -1, 1 << 63]), "regions": st.lists(ANYTHING)})
    | st.sampled_from([*DAMAGE, {"id": 1}, {"id": 1, "regions": {}}]),
    max_size=6,
)


def image(number: Any, *regions: Any) -> dict[str, Any]:
    return {"id": number, "regions": list(regions)}


def size(number: Any, **changes: Any) -> dict[str, Any]:
    return {"image_id": number, "width": 800, "height": 600, "url": "x", "coco_id": None, "flickr_id": 7} | changes


def stored(value: object, name: str) -> str:
    path = f"memory://visual-genome/{name}"
    with fsspec.open(path, "wb") as sink:
        sink.write(to_json(value))
    return path


def source(images: Sequence[Any], sizes: Sequence[Any], name: str) -> RegionDescriptions:
    """The files of a test under names of its own, since sizes are read once for each name."""
    return RegionDescriptions(
        path=stored(images, f"{name}-regions.json"), image_data=stored(sizes, f"{name}-data.json")
    )


def heads_of(one: RegionDescriptions) -> dict[str, Heads]:
    """The heads of a small file's only chunk of each kind."""
    return {chunk.name: one.heads(chunk) for chunk in one.chunks()}


def test_a_region_has_an_id_a_photo_a_box_and_a_phrase() -> None:
    (region,) = parse_regions([to_json(REGION)])
    assert region == VgRegion(id=1382, image_id=1, x=-3.0, y=57.0, width=82.0, height=139.5, phrase="the clock")
    assert (region.text, region.key) == ("the clock", "vg_1")


@pytest.mark.parametrize(
    ("phrase", "text"),
    [("  A Man\n", "A Man"), ("a  red\t\r\nball", "a red ball"), ("é\u00a0 Ü.", "é Ü."), (" \n", ""), ("", "")],
)
def test_only_the_white_space_of_a_phrase_is_tidied(phrase: str, text: str) -> None:
    (region,) = parse_regions([to_json(REGION | {"phrase": phrase})])
    assert isinstance(region, VgRegion)
    assert region.text == text


@pytest.mark.parametrize(
    "change", [{"region_id": None}, {"image_id": "1"}, {"x": None}, {"width": "82"}, {"phrase": None}, {"phrase": 3}]
)
def test_a_region_that_is_none_is_unreadable_and_takes_no_other_with_it(change: dict[str, Any]) -> None:
    found = parse_regions([to_json(REGION | change), to_json(REGION)])
    assert isinstance(found[0], Unreadable)
    assert next(iter(change)) in found[0].problem
    assert isinstance(found[1], VgRegion)


@given(IMAGES, st.integers(1, 200) | st.just(4 << 20))
def test_every_region_is_counted_once_however_the_file_is_cut_and_whatever_is_damaged(
    images: list[Any], chunk_bytes: int
) -> None:
    images = [image(0, REGION), *images]  # of a file whose first image has no regions at all, another test tells
    lists = [one["regions"] for one in images if isinstance(one, dict) and isinstance(one.get("regions"), list)]
    wanted = [to_json(region) for regions in lists for region in regions]
    one = source(images, [size(number) for number in range(10)], "any")
    chunks = list(read_chunks(one.path, chunk_bytes=chunk_bytes))
    check_rows([chunk for chunk in chunks if chunk.name == WHOLE_FILE], len(images))
    check_rows([chunk for chunk in chunks if chunk.name == REGIONS], len(wanted))
    again = list(one.chunks_again([chunk_range(chunk) for chunk in chunks]))
    assert again == chunks
    found = []
    for chunk in again:
        heads = one.heads(chunk)
        values = one.values(chunk, heads)[0].to_pylist()
        names = heads.photo if chunk.name == WHOLE_FILE else heads.parent
        assert names is not None
        assert len(heads.row) == len(names) == len(values) == chunk.count
        nameless = [row for row, name in zip(heads.row.tolist(), names.to_pylist(), strict=True) if name is None]
        assert nameless == sorted(heads.problems)
        found += values if chunk.name == REGIONS else []
    assert found == wanted


def check_rows(chunks: Sequence[ArrayChunk], count: int) -> None:
    """Chunks follow each other without a gap and hold this many elements."""
    rows = [row for chunk in chunks for row in range(chunk.first_row, chunk.first_row + chunk.count)]
    assert rows == list(range(count))


def test_images_name_photos_with_the_sizes_of_the_other_file_and_regions_their_image() -> None:
    one = source([image(5, REGION, REGION), image(6), image(7, REGION)], [size(7), size(5, width=640)], "heads")
    heads = heads_of(one)
    images, regions = heads[WHOLE_FILE], heads[REGIONS]
    assert images.photo is not None
    assert images.photo.to_pylist() == ["vg/5", None, "vg/7"]
    assert images.ids == [5, 6, 7]
    assert images.stated == [Stated("5.jpg", 600, 640), None, Stated("7.jpg", 600, 800)]
    assert images.problems == {1: Problem("not-in-image-data", "heads-data states no size of image 6")}
    assert regions.parent is not None
    assert regions.parent.to_pylist() == [5, 5, 7]
    assert regions.problems == {}


def test_what_is_damaged_of_an_image_harms_its_own_regions_only() -> None:
    images = [image("x", REGION), image(5, REGION | {"x": Verbatim("NaN")}, REGION), 7, {"id": 8}, image(9, REGION)]
    heads = heads_of(source(images, [size(5), size(9)], "damage"))
    assert heads[WHOLE_FILE].problems == {
        0: Problem("unreadable-image", "id: Expected `int`, got `str`"),
        2: Problem("unreadable-image", "it has no 'regions' array"),
        3: Problem("unreadable-image", "it has no 'regions' array"),
    }
    parent = heads[REGIONS].parent
    assert parent is not None
    assert parent.to_pylist() == [None, 5, 5, 9]
    assert heads[REGIONS].problems == {0: Problem("image-rejected", "id: Expected `int`, got `str`")}
    assert [len(one.regions) for one in parse_images(to_json(images)[1:-1])] == [1, 2, 0, 0, 1]


def test_sizes_are_read_past_damage_and_the_first_of_two_counts() -> None:
    sizes = [size(1), None, size(2, width=0), size(3, height="600"), size(1, width=5), size(4, url=Verbatim("NaN"))]
    assert read_sizes(stored(sizes, "sizes.json")) == {1: (600, 800)}


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ([], "it is empty"),
        ([image(1)], "missing required field `image_id`"),
        ({"images": []}, "expected one JSON array"),
    ],
)
def test_a_file_without_sizes_is_refused(sizes: Any, says: str) -> None:
    with pytest.raises(InputError, match=f"none.json: .*{says}"):
        read_sizes(stored(sizes, "none.json"))


@pytest.mark.parametrize("first", [size(1), {"image_id": 1, "objects": []}, {"id": 1, "qas": []}])
def test_another_of_visual_genomes_files_is_refused(first: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(to_json([first]))
    with pytest.raises(InputError, match=r"given.json: images have no 'regions': .*correct --regions"):
        list(read_chunks(str(path)))


@pytest.mark.parametrize("first", [None, 7, {}, []])
def test_a_damaged_first_image_is_that_images_problem_not_the_files(first: Any, tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(to_json([first, image(1, REGION)]))
    assert [(chunk.name, chunk.count) for chunk in read_chunks(str(path))] == [(WHOLE_FILE, 2), (REGIONS, 1)]
