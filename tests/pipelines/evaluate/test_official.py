"""The whole command beside lvis 0.5.3 itself, which reads the same truth and the same predictions as JSON."""

import logging
from pathlib import Path

import numpy as np
import pytest
from lvis import LVIS, LVISEval, LVISResults

from pipelines.evaluate.predictions import answered
from tests.pipelines.evaluate.cli import figures_of, run_eval
from tests.pipelines.evaluate.conftest import TOY
from tests.pipelines.evaluate.sets import HEIGHT, VOCABULARY, WIDTH
from xdetr_data.manifest import read_manifest
from xdetr_data.storage import Folder
from xdetr_data.vocabulary import class_of


def official(data: Path, kept: Path) -> dict[str, float]:
    folder = Folder(str(data))
    images, truths, found = [], [], []
    for number, (record, answers) in enumerate(answered(folder, read_manifest(folder), Folder(str(kept))), start=1):
        absent, unsure = [], []
        for query in record.queries:
            for phrase in query.phrases:
                label = class_of(phrase)
                if not query.is_exhaustive:
                    unsure.append(label)
                elif not phrase.regions:
                    absent.append(label)
                truths += [(number, label, record.regions[index].box_xyxy) for index in phrase.regions]
        images.append(
            {"id": number, "height": HEIGHT, "width": WIDTH, "neg_category_ids": absent,
             "not_exhaustive_category_ids": unsure}
        )  # fmt: skip
        found += [
            {"image_id": number, "category_id": VOCABULARY[place].id, "bbox": xywh(box), "score": float(score)}
            for place, answer in answers.items()
            for box, score in zip(answer.boxes_xyxy.tolist(), answer.scores.tolist(), strict=True)
        ]
    assert len(found) > 500
    known = LVIS.__new__(LVIS)
    known.logger = logging.getLogger("lvis")
    known.dataset = {
        "images": images,
        "categories": [{"id": one.id, "name": one.name, "frequency": one.frequency} for one in VOCABULARY],
        "annotations": [
            {"id": n, "image_id": photo, "category_id": label, "bbox": xywh(box), "area": area(box)}
            for n, (photo, label, box) in enumerate(truths, start=1)
        ],
    }  # fmt: skip
    known._create_index()
    run = LVISEval(known, LVISResults(known, found), "bbox")
    run.run()
    return {name: run.results[name] for name in ("AP", "AP50", "AP75", "APr", "APc", "APf")}


def area(box: tuple[float, ...]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def xywh(box: tuple[float, ...]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")
def test_the_command_says_what_lvis_says(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    args = ("--ckpt", TOY, "--data", sets["lvis"], "--out", kept, "--protocol", "standard", "--json")
    figures = figures_of(run_eval("lvis", *args))
    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 is older than numpy 1.24
    theirs = official(sets["lvis"], kept)
    assert any(theirs.values())
    for name, value in theirs.items():
        assert figures[f"{name} standard"] == pytest.approx(value, abs=1e-12), name
