import gzip
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.localized_narratives import (
    Narrative,
    NarrativeHead,
    parse_head,
    parse_narrative,
    read_narratives,
    source_of,
)

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
DERIVED = FIXTURES / "derived" / "open_images"
needs_fixtures = pytest.mark.skipif(not DERIVED.exists(), reason="the fixtures are not here (XDETR_FIXTURES)")


def line(**changes: object) -> dict[str, object]:
    return {
        "dataset_id": "mscoco_val2017",
        "image_id": "137576",
        "annotator_id": 93,
        "caption": "In this image there are cows.",
        "timed_caption": [{"utterance": "In this", "start_time": 0.0, "end_time": 0.4}],
        "traces": [[{"x": 0.2086, "y": -0.0533, "t": 0.022}]],
        "voice_recording": "coco_val/coco_val_137576_93.ogg",
    } | changes


def encode(**changes: object) -> bytes:
    return json.dumps(line(**changes)).encode()


@pytest.mark.parametrize(
    ("dataset_id", "source"),
    [
        ("mscoco_val2017", "coco"),
        ("mscoco_train2017", "coco"),
        ("open_images_train", "openimages"),
        ("openimages train", "openimages"),
        ("OpenImages_validation", "openimages"),
        ("Flickr30k_train", "flickr"),
        ("flick30k_test", "flickr"),
        ("ADE20k_train", "ade20k"),
        ("sbu_captions", None),
        ("", None),
    ],
)
def test_dataset_ids_name_their_collection(dataset_id, source):
    assert source_of(dataset_id) == source


def test_a_whole_line_is_read():
    narrative = parse_narrative(encode())
    assert isinstance(narrative, Narrative)
    assert narrative.timed_caption is not None
    assert narrative.timed_caption[0].utterance == "In this"
    assert narrative.traces is not None
    assert (narrative.traces[0][0].x, narrative.traces[0][0].y) == (0.2086, -0.0533)  # may lie off the photo


@pytest.mark.parametrize("missing", ["timed_caption", "traces", "voice_recording", "annotator_id"])
def test_captions_only_files_are_narratives_too(missing):
    values = line()
    del values[missing]
    assert isinstance(parse_narrative(json.dumps(values).encode()), Narrative)
    if missing != "annotator_id":
        assert isinstance(parse_narrative(encode(**{missing: None})), Narrative)


def test_a_number_as_image_id_is_read():
    head = parse_head(encode(image_id=137576))
    assert isinstance(head, NarrativeHead)
    assert head.image_id == 137576


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (encode()[:-40], "truncated"),
        (encode(image_id=None), "image_id"),
        (encode(caption=3), "caption"),
        (encode(traces=[[{"x": "left"}]]), "traces"),
        (b'{"dataset_id": "\xff"}', "utf-8"),
        (b"[" * 100_000, ""),
    ],
)
def test_a_bad_line_is_a_value_that_says_why(bad, says):
    problem = parse_narrative(bad)
    assert isinstance(problem, Unreadable)
    assert says.lower() in problem.problem.lower()


def test_planning_reads_ids_without_looking_at_the_rest():
    assert parse_head(encode(caption=None, traces="nonsense")) == NarrativeHead("mscoco_val2017", "137576")
    assert isinstance(parse_head(b'{"dataset_id": "mscoco_val2017"}'), Unreadable)


@given(st.binary(max_size=60))
def test_no_bytes_raise(data):
    assert isinstance(parse_head(data), NarrativeHead | Unreadable)
    assert isinstance(parse_narrative(data), Narrative | Unreadable)


def test_lines_keep_their_numbers_over_blank_and_bad_ones(tmp_path):
    path = tmp_path / "n.jsonl.gz"
    path.write_bytes(gzip.compress(encode() + b"\r\n\n   \n{broken\n" + encode(caption="b")))
    found = list(read_narratives(str(path)))
    assert [number for number, _ in found] == [0, 3, 4]
    assert [isinstance(one, Narrative) for _, one in found] == [True, False, True]


@needs_fixtures
def test_real_lines_read_the_same_as_with_the_standard_library():
    (path,) = DERIVED.glob("*localized_narratives*.jsonl")
    plain = [json.loads(text) for text in path.read_text().splitlines()]
    read = [narrative for _, narrative in read_narratives(str(path))]
    assert [msgspec.to_builtins(narrative) for narrative in read] == plain
    assert {one.dataset_id for one in read if isinstance(one, Narrative)} == {"open_images_train"}


@pytest.mark.parametrize(
    ("dataset_id", "source"),
    [
        ("shop", "shop"),
        ("Shop_train", "shop"),
        ("shop2_val", "shop2"),
        ("shopping_val", None),
        ("mscoco_val2017", "coco"),
    ],
)
def test_a_collection_of_ones_own_is_known_by_its_name(dataset_id: str, source: str | None) -> None:
    assert source_of(dataset_id, ("shop2", "shop")) == source
