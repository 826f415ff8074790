import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.tiny_dataset import KEYS, TinyDataset, build
from tests.pipelines.tiny import Ended, run_cli


@pytest.fixture
def dataset(tmp_path: Path) -> TinyDataset:
    return build(tmp_path / "dataset")


def show(dataset: TinyDataset, key: str, *more: str, out: str = "x.png") -> Ended:
    return run_cli("show", str(dataset.path), key, "--out", str(dataset.path.parent / out), *more)


def test_a_picture_is_written(dataset: TinyDataset) -> None:
    ended = show(dataset, KEYS[0])
    assert ended.code == 0
    with Image.open(dataset.path.parent / "x.png") as picture:
        assert picture.size[0] == 1400
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 500


@pytest.mark.parametrize(("suffix", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_the_suffix_decides_the_format(dataset: TinyDataset, suffix: str, magic: bytes) -> None:
    assert show(dataset, KEYS[0], out=f"x.{suffix}").code == 0
    assert (dataset.path.parent / f"x.{suffix}").read_bytes().startswith(magic)


def test_another_suffix_is_a_usage_error(dataset: TinyDataset) -> None:
    ended = show(dataset, KEYS[0], out="x.gif")
    assert ended.code == 2
    assert "must end in .png, .pdf, .svg" in ended.stderr


def test_an_unknown_key_is_one_line_with_the_nearest(dataset: TinyDataset) -> None:
    ended = show(dataset, "coco_00000000003")
    assert ended.code == 1
    assert "has no sample 'coco_00000000003'; nearest: coco_" in ended.stderr
    assert KEYS[2] in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_labels_without_photos_say_how_to_draw_them(tmp_path: Path) -> None:
    dataset = build(tmp_path / "labels", metadata_only=True)
    ended = show(dataset, KEYS[0])
    assert ended.code == 1
    assert "holds labels without photos; say --blank" in ended.stderr
    assert show(dataset, KEYS[0], "--blank").code == 0
    assert (tmp_path / "x.png").exists()


def test_a_photo_that_does_not_decode_is_one_line(dataset: TinyDataset) -> None:
    for shard in (0, 1):
        members = [(name, data if name.endswith("json") else b"no photo") for name, data in dataset.members(shard)]
        dataset.write_members(members, shard)
    ended = show(dataset, KEYS[0])
    assert ended.code == 1
    assert "its photo does not decode" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_same_sample_gives_the_same_picture(dataset: TinyDataset) -> None:
    pictures = []
    for out in ("a.png", "b.png"):
        show(dataset, KEYS[0], out=out)
        pictures.append((dataset.path.parent / out).read_bytes())
    assert pictures[0] == pictures[1]


def test_fewer_queries_give_a_shorter_picture(dataset: TinyDataset) -> None:
    heights = []
    for count in ("1", "2"):
        show(dataset, KEYS[0], "--max-queries", count)
        with Image.open(io.BytesIO((dataset.path.parent / "x.png").read_bytes())) as picture:
            heights.append(picture.size[1])
    assert heights[0] < heights[1]


def test_no_query_at_all_is_a_usage_error(dataset: TinyDataset) -> None:
    assert show(dataset, KEYS[0], "--max-queries", "0").code == 2
