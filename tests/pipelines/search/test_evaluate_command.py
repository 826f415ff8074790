"""``xdetr-search evaluate``: recall over the whole index, counted as a loop over all expressions counts it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.search.cli import answers, done, wrong
from tests.pipelines.tiny import records_of
from xdetr_data.boxes import iou_matrix_xyxy


def evaluated(*args: object) -> dict[str, Any]:
    [result] = json.loads(done("evaluate", *args, "--json").stdout).values()
    return {one["name"]: one["value"] for one in result["figures"]} | {"measured": result["measured"]}


def test_recall_is_that_of_a_loop_over_the_answers(index: Path, dataset: Path) -> None:
    found = evaluated(index, "--queries", dataset)
    assert found["measured"]["expressions"] == 18
    assert found["measured"]["not_in_the_index"] == 0
    best = {text: answers(index, text, "--top", 10) for text in ("left red ball", "the blue ball")}
    ranks: list[float] = []
    same: list[float] = []
    truths = [
        (q.text, r.key, r.regions[q.phrases[0].regions[0]].box_xyxy) for r in records_of(dataset) for q in r.queries
    ]
    for text, key, box in truths:

        def rank(named: list[tuple[str, Any]], text: str = text) -> float:
            for one in best[text]:
                if any(one["key"] == k and iou_matrix_xyxy([one["box_xyxy"]], [b])[0, 0] >= 0.5 for k, b in named):
                    return float(one["rank"])
            return float("inf")

        ranks.append(rank([(key, box)]))
        same.append(rank([(k, b) for t, k, b in truths if t == text]))
    for k in (1, 5, 10):
        assert found[f"recall@{k} made"] == pytest.approx(sum(one <= k for one in ranks) / 18)
        assert found[f"recall@{k} made same words"] == pytest.approx(sum(one <= k for one in same) / 18)
    assert found["recall@10 made"] <= found["upper bound made"]


def test_queries_whose_photos_are_not_in_the_index_are_counted_and_left_out(
    index: Path, dataset: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(index, tmp_path / "index")
    done("remove", tmp_path / "index", "coco_000000000001")
    assert evaluated(tmp_path / "index", "--queries", dataset)["measured"]["not_in_the_index"] == 2
    keys = [f"coco_{number:012d}" for number in range(2, 10)]
    done("remove", tmp_path / "index", *keys)
    assert "none of its photos is in the index" in wrong("evaluate", tmp_path / "index", "--queries", dataset)[1]
