"""The sets and the checkpoint that these tests share."""

from pathlib import Path

import pytest

from tests.pipelines.evaluate.sets import write_sets

TOY = str(Path(__file__).parents[3] / "manifests/checkpoints/xdetr-toy")


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_sets(tmp_path_factory.mktemp("sets"))
