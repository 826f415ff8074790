"""docs/python.md: every example runs as it stands, on a dataset that the tests build, and gives what it says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.data.tiny_dataset import KEYS, PREFIX, SIZE_HW, build
from xdetr_data.shards.tables import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HEIGHT, WIDTH = SIZE_HW

Names = dict[str, Any]


def has_photo(names: Names) -> bool:
    photo = names["photo"]
    return isinstance(photo, Image.Image) and photo.size == (WIDTH, HEIGHT)


EXPECTED: tuple[Callable[[Names], bool], ...] = (
    lambda names: len(names["dataset"]) == len(KEYS) and names["sample"].record.key in KEYS,
    has_photo,
    lambda names: len(names["labels"]) == len(KEYS) and isinstance(names["unsure"], pd.Series),
    lambda names: names["reasons"].to_dict() == {("box", "merge", "twice"): 2},
    lambda names: sorted(names["samples"]["key"]) == KEYS,
    lambda names: has_photo(names) and names["labels"]["key"] in KEYS,
    lambda names: has_photo(names) and names["labels"]["key"] in KEYS,
    lambda names: len(names["rows"]) == len(KEYS) and names["sentences"] == ["a red man runs.", "an outside view."],
    lambda names: (
        sorted(names["sentences"].itertuples(index=False, name=None))
        == sorted(
            (key, text, count) for key in KEYS for text, count in (("a red man runs.", 1), ("an outside view.", 0))
        )
    ),
)


def test_every_example_has_its_expectation() -> None:
    assert len(EXAMPLES) == len(EXPECTED)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "from datasets" in EXAMPLES[number]:
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    build(tmp_path / "OUT")
    monkeypatch.chdir(tmp_path)
    names: Names = {}
    exec(compile(EXAMPLES[number].replace("mixed-star-train", PREFIX), f"example {number}", "exec"), names)
    assert EXPECTED[number](names)


def test_the_columns_are_the_real_ones() -> None:
    listed = re.findall(r'^\| `"(\w+)"` \|.*\| `([^`]*)` \|$', PAGE, re.MULTILINE)
    assert {rows: tuple(columns.split()) for rows, columns in listed} == COLUMNS
