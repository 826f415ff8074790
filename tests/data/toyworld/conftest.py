"""One small world that all tests of this folder read."""

from pathlib import Path

import pytest

from xdetr_data.toyworld.truth import PhotoTruth, read_truth
from xdetr_data.toyworld.world import write_toyworld

PHOTOS = 240


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world of 240 photos."""
    out = tmp_path_factory.mktemp("toyworld") / "world"
    write_toyworld(out, photos=PHOTOS, seed=0, workers=0)
    return out


@pytest.fixture(scope="session")
def truths(world: Path) -> list[PhotoTruth]:
    """Its truth, photo by photo in the order of their index."""
    found = [truth for path in (world / "truth").glob("*.jsonl") for truth in read_truth(path)]
    return sorted(found, key=lambda truth: truth.photo)
