"""build-mixed-star on a toy world finds what the world knows to be true: the sentences and the objects."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipelines.engine.run import run_recipe
from pipelines.recipes.mixed_star import MixedStarOptions, recipe
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.manifest import read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.truth import PhotoTruth, read_truth
from xdetr_data.toyworld.world import write_toyworld

MDETR = ("mdetr/final_mixed_train.json", "mdetr/final_flickr_separateGT_train.json")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[PhotoTruth, GroundedImage]]:
    folder = tmp_path_factory.mktemp("recovery")
    world = folder / "world"
    write_toyworld(world, photos=200, seed=4)
    options = MixedStarOptions(
        mdetr=tuple(str(world / name) for name in MDETR),
        coco_instances=(str(world / "coco/instances_train2014.json"),),
        image_root={source: str(world / "photos" / source) for source in ("coco", "vg", "flickr")},
    )
    shards = Folder(str(folder / "shards"))
    run_recipe(recipe(options), shards, workers=0, existing="refuse")
    records = {record.key: record for stem in stems(read_manifest(shards)) for record in read_records(shards, stem)}
    truths = [truth for truth in read_truth(Path(world) / "truth/train.jsonl") if truth.key in records]
    assert len(truths) == len(records) > 100
    return [(truth, records[truth.key]) for truth in truths]


def test_99_percent_of_the_true_queries_come_back_word_for_word(
    built: list[tuple[PhotoTruth, GroundedImage]],
) -> None:
    true = found = 0
    for truth, record in built:
        expected = Counter(
            text.text[begin:end] for text in truth.texts if text.file in MDETR for begin, end in text.sentences
        )
        true += expected.total()
        found += (expected & Counter(query.text for query in record.queries)).total()
    assert true > 800
    assert found >= 0.99 * true


def test_every_object_that_an_input_boxes_is_one_region(built: list[tuple[PhotoTruth, GroundedImage]]) -> None:
    objects = doubled = 0
    for truth, record in built:
        boxed = {
            index
            for text in truth.texts
            if text.file in MDETR
            for phrase in text.phrases
            if phrase.is_boxed
            for index in phrase.objects
        }
        if truth.collection == "coco":
            boxed |= {
                index
                for index, seen in enumerate(truth.objects)
                if words.SHAPE[seen.shape].coco_id and not seen.is_crowd
            }
        regions = np.array([region.box_xyxy for region in record.regions], dtype=float).reshape(-1, 4)
        for index in boxed:
            overlaps = iou_matrix_xyxy(np.array([truth.objects[index].box_xyxy], dtype=float), regions)
            assert (overlaps > 0.5).any(), f"{truth.key}: object {index} is lost"
            objects += 1
            doubled += int((overlaps > 0.5).sum()) - 1
    assert objects > 500
    assert doubled <= 0.01 * objects
