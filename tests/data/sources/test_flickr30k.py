"""Flickr30k Entities: sentences with marks, XML of boxes, and the source that groups them by photo."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxes import Box, iou_matrix_xyxy, xywh_to_xyxy
from xdetr_data.errors import InputError
from xdetr_data.sources import flickr30k
from xdetr_data.sources.flickr30k import BOXES, CAPTIONS, IMAGES, Flickr30k
from xdetr_data.sources.flickr30k_files import (
    FlickrBox,
    FlickrCaption,
    MarkedPhrase,
    parse_annotations,
    parse_box,
    parse_caption,
    parse_photo,
    read_ids,
    read_unrelated,
)
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable, chunk_range
from xdetr_data.sources.protocol import Heads, Problem, Stated
from xdetr_data.spans import Span

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the real files are not here (XDETR_FIXTURES)")

LINE = "[/EN#1/people Two men] in [/EN#5/clothing/other green shirts] look at [/EN#0/notvisual it] .\n"


def read(line: str) -> Any:
    return FlickrCaption("7", 1, line).read()


def an_object(chains: Iterable[object], *sides: object, flags: str = "") -> str:
    names = "".join(f"<name>{one}</name>" for one in chains)
    corners = "".join(f"<{n}>{s}</{n}>" for n, s in zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=False))
    return f"<object>{names}{f'<bndbox>{corners}</bndbox>' if sides else flags}</object>"


def xml(*objects: str, width: object = 500, height: object = 333) -> bytes:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>7.jpg</filename>{size}{''.join(objects)}</annotation>".encode()


def test_marks_leave_the_text_and_become_phrases_with_chain_and_types() -> None:
    text, phrases = read(LINE)
    assert text == "Two men in green shirts look at it ."
    assert phrases == (
        MarkedPhrase((0, 7), "1", "people"),
        MarkedPhrase((11, 23), "5", "clothing/other"),
        MarkedPhrase((32, 34), "0", "notvisual"),
    )
    assert [text[slice(*one.span)] for one in phrases] == ["Two men", "green shirts", "it"]


def test_white_space_is_tidied_and_spans_are_those_of_the_tidy_text() -> None:
    text, phrases = read("  A\tbig [/EN#3/animals  red   dog ] ,\u00a0[/EN#4/scene snow]\r")
    assert (text, [one.span for one in phrases]) == ("A big red dog , snow", [(6, 13), (16, 20)])


@pytest.mark.parametrize(
    "line",
    ["[/EN#1/people a man", "[/EN#1 a man]", "[/EN#x/people a man]", "[/EN#1/people ] x", "[/EN#1/people[/EN#2/x a]"],
)
def test_a_damaged_mark_is_told_and_not_left_in_the_text(line: str) -> None:
    assert "is damaged" in read(line)


WORDS = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(st.booleans(), WORDS), min_size=1, max_size=6))
def test_every_phrase_is_found_where_its_words_stand(parts: list[tuple[bool, str]]) -> None:
    line = " ".join(f"[/EN#{n}/other {words}]" if marked else words for n, (marked, words) in enumerate(parts))
    text, phrases = read(line)
    tidy = [" ".join(words.split()) for _, words in parts]
    assert text == " ".join(tidy)
    assert [(one.chain, text[slice(*one.span)]) for one in phrases] == [
        (str(n), words) for n, ((marked, _), words) in enumerate(zip(parts, tidy, strict=True)) if marked
    ]


def test_an_object_is_a_box_of_its_chains_and_one_without_a_box_is_none() -> None:
    objects = [
        an_object([1, 6], 159, 125, 219, 335),
        an_object([2], flags="<scene>1</scene>"),
        an_object([3], 1, 2, 3, 4),
    ]
    size_hw, boxes, _ = parse_annotations(xml(*objects))
    assert size_hw == (333, 500)
    assert boxes == [FlickrBox(0, ("1", "6"), (159.0, 125.0, 219.0, 335.0)), FlickrBox(2, ("3",), (1.0, 2.0, 3.0, 4.0))]


def test_a_box_that_is_none_takes_no_other_with_it() -> None:
    objects = (an_object([1], "x", 2, 3, 4), an_object([1], 1, 2, 3), an_object([1], 1, 2, 3, 4))
    _, boxes, _ = parse_annotations(xml(*objects))
    assert [isinstance(one, Unreadable) for one in boxes] == [True, True, False]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<annotation>", b"\xff", xml(width=0), xml(height="x"), xml(width=1 << 31), b"<annotation/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + xml(),
    ],
)  # fmt: skip
def test_a_damaged_file_of_boxes_is_the_images_problem(data: bytes) -> None:
    photo = parse_photo("7", LINE.encode(), data)
    assert photo.problem is not None
    assert photo.problem.reason == "unreadable-annotations"
    assert len(photo.captions) == 1


def test_a_file_that_is_missing_or_no_text_is_the_images_problem() -> None:
    assert parse_photo("7", None, xml()).problem == Problem(
        "not-in-sentences", "there is no file of photo 7 in Sentences"
    )
    assert parse_photo("7", b"x", None).problem == Problem(
        "not-in-annotations", "there is no file of photo 7 in Annotations"
    )
    found = parse_photo("7", b"\xff", xml(an_object([1], 1, 2, 3, 4)))
    assert (found.problem and found.problem.reason, len(found.captions), len(found.boxes)) == (
        "unreadable-sentences",
        0,
        1,
    )


def test_blank_lines_are_no_captions_and_numbers_are_those_of_the_lines() -> None:
    assert [one.id for one in parse_photo("7", b"a\n\nb\r\n \nc", xml()).captions] == [1, 3, 5]


def test_captions_and_boxes_survive_their_way_to_the_shard() -> None:
    caption, box = FlickrCaption("7", 2, LINE), FlickrBox(3, ("1", "2"), (1.0, 2.0, 3.5, 4.0))
    assert parse_caption(msgspec.json.encode(caption)) == caption
    assert parse_box(msgspec.json.encode(box)) == box


def test_a_split_names_each_photo_once_by_number_or_file_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("36979\n\n65567.jpg\r\nflickr30k-images/36979.jpg\n5")
    assert read_ids(str(tmp_path / "train.txt")) == ("36979", "65567", "5")


@pytest.mark.parametrize(
    ("text", "says"), [("", "names no photo"), ("1\n../x\n", r"line 2: '../x' is no photo"), ("{}", "line 1")]
)
def test_a_list_that_is_no_split_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(InputError, match=f"ids.txt: .*{says}"):
        read_ids(str(tmp_path / "ids.txt"))


def test_unrelated_captions_are_photo_and_number(tmp_path: Path) -> None:
    (tmp_path / "UNRELATED").write_text("# format: <imageID> <sentence number>\n129602216 5\n\n7 2")
    assert read_unrelated(str(tmp_path / "UNRELATED")) == {("129602216", 5), ("7", 2)}
    (tmp_path / "other").write_text("7 2\n8\n")
    with pytest.raises(InputError, match="other: line 2"):
        read_unrelated(str(tmp_path / "other"))


def write(folder: Path, photos: dict[str, tuple[bytes | None, bytes | None]], unrelated: str = "") -> Flickr30k:
    for name, place, ending in (("Sentences", 0, "txt"), ("Annotations", 1, "xml")):
        (folder / name).mkdir()
        for photo, files in photos.items():
            if files[place] is not None:
                (folder / name / f"{photo}.{ending}").write_bytes(files[place] or b"")
    (folder / "UNRELATED_CAPTIONS").write_text(unrelated)
    (folder / "ids.txt").write_text("\n".join(photos))
    return Flickr30k.of(str(folder), str(folder / "ids.txt"))


def elements_of(source: Flickr30k) -> dict[str, list[tuple[Heads, ArrayChunk]]]:
    found: dict[str, list[tuple[Heads, ArrayChunk]]] = {IMAGES: [], CAPTIONS: [], BOXES: []}
    for chunk in source.chunks():
        found[chunk.name].append((source.heads(chunk), chunk))
    return found


def test_images_name_photos_with_their_size_and_captions_and_boxes_their_image(tmp_path: Path) -> None:
    boxes = xml(an_object([1], 1, 2, 3, 4), an_object([1], "x", 2, 3, 4))
    source = write(tmp_path, {"5": (b"a\nb", boxes), "6": (b"c", None), "7": (b"d", xml())}, "5 2\n")
    found = elements_of(source)
    ((images, _),) = found[IMAGES]
    assert images.photo is not None
    assert images.photo.to_pylist() == ["flickr/5", None, "flickr/7"]
    assert images.stated == [Stated("5.jpg", 333, 500), None, Stated("7.jpg", 333, 500)]
    assert images.problems == {1: Problem("not-in-annotations", "there is no file of photo 6 in Annotations")}
    ((captions, chunk),) = found[CAPTIONS]
    assert captions.parent is not None
    assert captions.parent.to_pylist() == [0, None, 1, 2]
    assert captions.problems == {1: Problem("unrelated-caption", "UNRELATED_CAPTIONS lists 5 2")}
    assert [parse_caption(one) for one in source.values(chunk, captions)[0].to_pylist()] == [
        FlickrCaption("5", 1, "a"), FlickrCaption("5", 2, "b"), FlickrCaption("6", 1, "c"), FlickrCaption("7", 1, "d")
    ]  # fmt: skip
    ((placed, _),) = found[BOXES]
    assert placed.parent is not None
    assert placed.parent.to_pylist() == [0, None]
    assert [one.reason for one in placed.problems.values()] == ["unreadable-box"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=9), st.integers(1, 4))
def test_every_element_is_counted_once_however_many_photos_are_a_chunk(
    tmp_path_factory: pytest.TempPathFactory, counts: list[tuple[int, int]], size: int
) -> None:
    photos = {
        str(n + 1): (b"x\n" * captions, xml(*[an_object([1], 1, 2, 3, 4)] * boxes))
        for n, (captions, boxes) in enumerate(counts)
    }
    wanted = {IMAGES: len(counts), CAPTIONS: sum(c for c, _ in counts), BOXES: sum(b for _, b in counts)}
    source = write(tmp_path_factory.mktemp("entities"), photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flickr30k, "PHOTOS_PER_CHUNK", size)
        chunks = list(source.chunks())
        for name, count in wanted.items():
            found = [one for one in chunks if one.name == name]
            rows = [row for one in found for row in range(one.first_row, one.first_row + one.count)]
            assert rows == list(range(count))
        for part in (chunks, chunks[1:], chunks[::2]):
            assert list(source.chunks_again([chunk_range(one) for one in part])) == part


def test_files_that_change_between_two_readings_are_told(tmp_path: Path) -> None:
    source = write(tmp_path, {"5": (b"a\nb", xml())})
    ranges = [chunk_range(one) for one in source.chunks()]
    (tmp_path / "Sentences" / "5.txt").write_bytes(b"a\nb\nc")
    with pytest.raises(InputError, match="changed while it was read"):
        list(source.chunks_again(ranges))


# The real dataset beside what MDETR's own script made of it.


def mdetr_captions() -> dict[tuple[str, int], tuple[str, list[tuple[Box, Span]], list[Span]]]:
    """Photo and number → caption, its boxes with each of their spans, and the spans of the phrases that have a box."""
    made = json.loads((FIXTURES / "mdetr/final_flickr_separateGT_train.json").read_bytes())
    boxes: dict[int, list[tuple[Box, Span]]] = defaultdict(list)
    for one in made["annotations"]:
        boxes[one["image_id"]] += [(xywh_to_xyxy(one["bbox"]), (b, e)) for b, e in one["tokens_positive"]]
    return {
        (str(one["original_img_id"]), one["sentence_id"] + 1): (
            one["caption"], sorted(boxes[one["id"]]), [tuple(spans[0]) for spans in one["tokens_positive_eval"]]
        )
        for one in made["images"]
    }  # fmt: skip


def our_captions() -> Iterator[tuple[tuple[str, int], str, list[tuple[Box, Span]], list[Span]]]:
    entities = FIXTURES / "flickr30k_entities"
    for photo in read_ids(str(entities / "train.txt")):
        files = [
            (entities / name / f"{photo}.{ending}").read_bytes()
            for name, ending in (("Sentences", "txt"), ("Annotations", "xml"))
        ]
        found = parse_photo(photo, *files)
        assert found.problem is None
        for caption in found.captions:
            result = caption.read()
            assert not isinstance(result, str)
            text, phrases = result
            named = [
                (one.box_xyxy, phrase.span)
                for phrase in phrases
                for one in found.boxes
                if isinstance(one, FlickrBox) and phrase.chain in one.chains
            ]
            has_box = {span for _, span in named}
            yield (photo, caption.id), text, named, [one.span for one in phrases if one.span in has_box]


def as_mdetr(named: Sequence[tuple[Box, Span]]) -> list[tuple[Box, Span]]:
    """MDETR takes boxes of one caption with an IoU of at least 0.95 for one object, which keeps the last one's box."""
    boxes = [box for box, _ in named]
    same = iou_matrix_xyxy(boxes, boxes) >= 0.95
    last = [boxes[max(row.nonzero()[0])] for row in same]
    return sorted({(box, span) for box, (_, span) in zip(last, named, strict=True)})


@needs_fixtures
def test_phrases_and_boxes_are_those_of_mdetrs_own_conversion_caption_by_caption() -> None:
    theirs = mdetr_captions()
    differ: dict[tuple[str, int], tuple[list[tuple[Box, Span]], list[tuple[Box, Span]]]] = {}
    for key, text, named, spans in our_captions():
        caption, boxes, has_box = theirs.pop(key)
        assert (text, spans) == (caption, has_box), key
        if sorted(named) != boxes:
            differ[key] = (named, boxes)
    assert not theirs
    # In eight of 755 captions two phrases' boxes are nearly the same: MDETR merges them, the record keeps both.
    assert sorted(differ) == [
        ("3348384389", 1), ("3348384389", 2), ("4740975956", 2), ("4742814797", 4),
        ("72964268", 1), ("72964268", 2), ("72964268", 4), ("72964268", 5),
    ]  # fmt: skip
    for key, (named, boxes) in differ.items():
        assert as_mdetr(named) == boxes, key
        assert {span for _, span in named} == {span for _, span in boxes}
