"""From narratives, boxes and a grounder's known answers to exactly the expected labels, on every path."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.engine.run import run_recipe
from pipelines.labelling.options import LabelOptions, ModelOptions
from pipelines.recipes.locnar import recipe
from tests.pipelines.labelling.spoken import (
    FAR_OFF,
    FARM,
    LEFT,
    LEFT_AGAIN,
    MIDDLE,
    RIGHT,
    RIGHT_AGAIN,
    ROOM,
    World,
    labelled,
    load_knowing,
    named_boxes,
    options_of,
)
from tests.pipelines.tiny import records_of, reject_counts, rejects_of
from xdetr_data.record import GroundedImage, Phrase, Query
from xdetr_data.spans import span_text
from xdetr_data.stages.place_openimages import FlagPolicy
from xdetr_data.storage import Folder

CORNER = (0.0, 95.0, 20.0, 100.0)
TABLE = (0.0, 60.0, 160.0, 120.0)
DOGS, BALL, TREES = "three dogs", "a red ball", "trees"

PATHS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "paper": ({}, {DOGS: [LEFT], BALL: [RIGHT], TREES: [LEFT]}),
    "paper-ignores-plural-options": (
        {"max_plural": 5, "relative_threshold": 0.0, "nms_iou": 1.0},
        {DOGS: [LEFT], BALL: [RIGHT], TREES: [LEFT]},
    ),
    "paper-score": ({"trace": "score"}, {DOGS: [LEFT], BALL: [RIGHT], TREES: [LEFT]}),
    "paper-filter": ({"trace": "filter", "min_agreement": 0.3}, {DOGS: [RIGHT], BALL: [MIDDLE], TREES: [LEFT]}),
    "paper-filter-without-ranking": (
        {"trace": "filter", "min_agreement": 0.0, "trace_weight": 0.0},
        {DOGS: [LEFT], BALL: [RIGHT], TREES: [LEFT]},
    ),
    "multi": ({"method": "multi"}, {DOGS: [LEFT, RIGHT, MIDDLE], BALL: [RIGHT], TREES: [LEFT, FAR_OFF]}),
    "multi-without-suppression": (
        {"method": "multi", "nms_iou": 1.0, "merge_iou": 1.0},
        {DOGS: [LEFT, LEFT_AGAIN, RIGHT], BALL: [RIGHT], TREES: [LEFT, FAR_OFF]},
    ),
    "multi-strict": (
        {"method": "multi", "relative_threshold": 0.85},
        {DOGS: [LEFT, RIGHT], BALL: [RIGHT], TREES: [LEFT]},
    ),
    "multi-at-most-one-of-a-plural": (
        {"method": "multi", "max_plural": 1},
        {DOGS: [LEFT], BALL: [RIGHT], TREES: [LEFT]},
    ),
    "multi-lax": (
        {"method": "multi", "relative_threshold": 0.0},
        {DOGS: [LEFT, RIGHT, MIDDLE], BALL: [RIGHT], TREES: [LEFT, FAR_OFF, MIDDLE]},
    ),
    "multi-threshold": ({"method": "multi", "score_threshold": 0.75}, {DOGS: [LEFT, RIGHT]}),
    "multi-filter": (
        {"method": "multi", "trace": "filter", "min_agreement": 0.3},
        {DOGS: [RIGHT], BALL: [MIDDLE], TREES: [LEFT, FAR_OFF]},  # the mouse rested while the trees were named
    ),
    "multi-filter-by-rank-alone": (
        {"method": "multi", "trace": "filter", "min_agreement": 0.0, "trace_weight": 1.0, "relative_threshold": 0.0},
        {DOGS: [RIGHT, LEFT, MIDDLE], BALL: [MIDDLE], TREES: [LEFT, FAR_OFF, MIDDLE]},
    ),
}


def built(folder: Path, **options: Any) -> dict[str, GroundedImage]:
    World().write(folder)
    labelled(folder, **options)
    return {record.key: record for record in records_of(folder / "out")}


def named(query: Query, phrase: Phrase) -> str:
    return span_text(phrase.spans, query.text)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_gives_exactly_the_expected_labels(path: str, tmp_path: Path) -> None:
    options, expected = PATHS[path]
    records = built(tmp_path, **options)
    assert named_boxes(records[f"openimages_{FARM}"]) == expected


def test_what_becomes_no_label_is_a_reject_that_says_why(tmp_path: Path) -> None:
    record = built(tmp_path, score_threshold=0.0)[f"openimages_{ROOM}"]
    assert named_boxes(record) == {"a table": [TABLE]}
    out = tmp_path / "out"
    assert reject_counts(out) == {
        ("phrase", "no-candidate"): 1,
        ("phrase", "below-threshold"): 1,
        ("box", "duplicate-of-region"): 1,
    }
    assert sorted((one.reason, one.detail, one.input_ref) for one in rejects_of(out) if one.unit == "phrase") == [
        ("below-threshold", "'a cat' at [(9, 14)] (whole)", "told#L2"),
        ("no-candidate", "'a kite' at [(23, 29)] (whole)", "told#L1"),
    ]


def test_a_label_that_the_mouse_contradicts_is_a_reject(tmp_path: Path) -> None:
    built(tmp_path, trace="filter", min_agreement=1.0)
    disagreeing = [one.detail for one in rejects_of(tmp_path / "out") if one.reason == "trace-disagrees"]
    assert sorted(disagreeing) == ["'a red ball' at [(9, 19)] (whole)", "'three dogs' at [(10, 20)] (whole)"]


def test_by_default_no_score_is_too_low(tmp_path: Path) -> None:
    record = built(tmp_path)[f"openimages_{ROOM}"]
    assert named_boxes(record) == {"a cat": [(10.0, 10.0, 60.0, 60.0)], "a table": [TABLE]}


def test_boxes_join_without_text_unless_they_repeat_a_label(tmp_path: Path) -> None:
    record = built(tmp_path)[f"openimages_{FARM}"]
    textless = [region.box_xyxy for region in record.regions if region.provenance.source == "boxes"]
    assert textless == [pytest.approx(CORNER)]
    sources = {region.box_xyxy: region.provenance.source for region in record.regions}
    assert sources[RIGHT] == "grounder"
    assert RIGHT_AGAIN not in sources


def test_by_default_a_persons_box_takes_the_place_of_the_models(tmp_path: Path) -> None:
    farm = built(tmp_path, box_order=LabelOptions().box_order)[f"openimages_{FARM}"]
    ball = next(phrase for query in farm.queries for phrase in query.phrases if named(query, phrase) == BALL)
    region = farm.regions[ball.regions[0]]
    assert region.box_xyxy == pytest.approx(RIGHT_AGAIN)
    assert region.provenance.source == "boxes"
    assert "also grounder candidate-0" in region.provenance.detail
    assert ball.provenance.source == "grounder"
    assert ("box", "duplicate-of-region") not in reject_counts(tmp_path / "out")


@pytest.mark.parametrize("verdict", ["keep", "drop"])
def test_a_box_around_a_group_is_a_crowd_unless_it_is_dropped(verdict: Any, tmp_path: Path) -> None:
    World().write(tmp_path)
    flags = {} if verdict == "keep" else {"flags": FlagPolicy(group_of=verdict)}
    made = recipe(options_of(tmp_path, **flags), load=load_knowing)
    run_recipe(made, Folder(str(tmp_path / "out")), workers=0, existing="refuse")
    (room,) = [one for one in records_of(tmp_path / "out") if one.key == f"openimages_{ROOM}"]
    textless = [one.is_crowd for one in room.regions if one.provenance.source == "boxes"]
    assert textless == ([True] if verdict == "keep" else [])
    assert reject_counts(tmp_path / "out").get(("box", "group-of-box"), 0) == (verdict == "drop")


@pytest.mark.parametrize(("trace", "is_noted"), [("off", False), ("score", True), ("filter", True)])
def test_a_label_carries_its_score_and_where_the_speaker_pointed(trace: str, is_noted: bool, tmp_path: Path) -> None:
    record = built(tmp_path, trace=trace)[f"openimages_{FARM}"]
    phrases = {span: phrase for query in record.queries for phrase in query.phrases for span in phrase.spans}
    ball = phrases[9, 19]
    assert ball.score == pytest.approx(0.5 if trace == "filter" else 0.6)
    assert ball.provenance.detail.startswith("trace 0.") == is_noted
    assert ball.provenance.annotation_id == ("candidate-1" if trace == "filter" else "candidate-0")


def test_no_more_candidates_are_kept_than_wanted(tmp_path: Path) -> None:
    World().write(tmp_path)
    options = options_of(tmp_path, LabelOptions(method="multi"), model=ModelOptions(keep_candidates=2))
    run_recipe(recipe(options, load=load_knowing), Folder(str(tmp_path / "out")), workers=0, existing="refuse")
    (trail,) = [pq.read_table(file) for file in (tmp_path / "out" / "grounded").glob("photos-*0.parquet")]
    kept = [
        len(phrase["candidates"]) for photo in trail["queries"].to_pylist() for q in photo for phrase in q["phrases"]
    ]
    assert max(kept) == 2
    farm = {record.key: record for record in records_of(tmp_path / "out")}[f"openimages_{FARM}"]
    assert named_boxes(farm)[DOGS] == [LEFT]
