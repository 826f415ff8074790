"""A dataset of nine photos in three shards, a folder of the same photos, and an index of each."""

from pathlib import Path

import pytest

from tests.data.tiny_dataset import jpeg
from tests.pipelines.evaluate.sets import refcoco_record, write_set
from tests.pipelines.search.cli import ALL, done


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("search") / "refcoco", refcoco_record, split="testA")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos as COCO calls them, those of the dataset."""
    made = tmp_path_factory.mktemp("photos")
    for number in range(1, 10):
        (made / f"COCO_train2014_{number:012d}.jpg").write_bytes(jpeg(number))
    return made


@pytest.fixture(scope="session")
def index(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index") / "index"
    done("index", dataset, *ALL, "--out", out)
    return out
