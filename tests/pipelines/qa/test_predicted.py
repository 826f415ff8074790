"""Predictions beside the truth: FiftyOne's own fields say which are right."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.evaluate import predictions
from pipelines.evaluate.predictions import Answer, Asked, PredictionsManifest
from tests.pipelines.evaluate.sets import flickr_record, write_set
from tests.pipelines.tiny import run_cli
from xdetr_data.manifest import read_manifest
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder


def write_kept(data: Folder, out: Folder, config_hash: str) -> None:
    """Of every photo: the boys right and one box of theirs wrong, the dog missed."""
    manifest = read_manifest(data)

    def answers(key: str) -> Mapping[int, Answer]:
        true = [one.box_xyxy for one in flickr_record(key).regions]
        return {0: Answer(boxes_xyxy=np.array([true[0], (0.0, 0.0, 2.0, 2.0)]), scores=np.array([0.9, 0.8]))}

    files = [
        predictions.write_shard(out, stem, [(one.key, answers(one.key)) for one in read_records(data, stem)])
        for stem in stems(manifest)
    ]
    asked = Asked(task="flickr30k", ckpt="c", fingerprint="f", dataset="made", config_hash=config_hash, keep=2)
    done = PredictionsManifest(asked=asked, tool_version="0", photos=manifest.rows, files=files)
    out.write(predictions.MANIFEST, msgspec.json.encode(done))


def test_predictions_are_shown_and_evaluated(fo: Any, tmp_path: Path) -> None:
    name = f"t{uuid.uuid4().hex}"
    data = write_set(tmp_path / "data", flickr_record, photos=3)
    write_kept(Folder(str(data)), Folder(str(tmp_path / "kept")), "data")
    try:
        ended = run_cli("qa", str(data), "--no-app", f"--name={name}", f"--predictions={tmp_path / 'kept'}")
        assert ended.code == 0, ended.stderr
        dataset = fo.load_dataset(name)
        assert "6 predicted boxes in the field predictions" in ended.stderr
        assert dataset.values("eval_tp") == [1, 1, 1]
        assert dataset.values("eval_fp") == [1, 1, 1]
        assert dataset.values("eval_fn") == [2, 2, 2]
        first = dataset.first().predictions.detections
        assert [(one.label, one.confidence) for one in first] == [
            ("two boys", pytest.approx(0.9)), ("two boys", pytest.approx(0.8)),
        ]  # fmt: skip
        again = run_cli("qa", str(data), "--no-app", f"--name={name}", f"--predictions={tmp_path / 'kept'}")
        assert again.code == 0, again.stderr
        write_kept(Folder(str(data)), Folder(str(tmp_path / "other")), "another")
        refused = run_cli("qa", str(data), "--no-app", f"--name={name}", f"--predictions={tmp_path / 'other'}")
        assert (refused.code, len(refused.errors)) == (2, 1)
        assert "predict again" in refused.errors[0]
    finally:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)
