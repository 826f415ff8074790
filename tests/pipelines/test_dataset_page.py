"""docs/dataset.md: its code runs, its fields and rules are the real ones."""

import json
import re
from pathlib import Path

import pytest

from tests.data.tiny_dataset import PREFIX, build
from xdetr_data.schema import sample_json_schema

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "dataset.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run_as_they_stand(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "OUT")
    add_vocabulary(tmp_path / "OUT" / "manifest.json")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(EXAMPLES[number].replace("mixed-star-train", PREFIX), f"example {number}", "exec"), names)
    if "photo" in names:
        assert names["photo"].size == (32, 24)  # type: ignore[attr-defined]
        assert names["boxes"] == [[1.0, 2.0, 10.5, 20.0], [0.0, 0.0, 32.0, 24.0]]
    if "photos" in names:
        assert names["photos"].num_rows == 8  # type: ignore[attr-defined]
    if "vocabulary_of" in names:
        assert names["texts"] == {459: "flip-flop"}


def add_vocabulary(path: Path) -> None:
    """Makes the dataset one of classes."""
    manifest = json.loads(path.read_text())
    manifest["config"]["vocabulary"] = [
        {"id": 459, "name": "flip-flop_(sandal)", "text": "flip-flop", "frequency": "r"}
    ]
    path.write_text(json.dumps(manifest))


def test_every_field_of_the_schema_is_explained() -> None:
    for definition in sample_json_schema()["$defs"].values():
        for field in definition["properties"]:
            assert re.search(rf"\b{field}[`.\[]", PAGE), field


def test_every_rule_of_validate_is_listed() -> None:
    sources = "".join(path.read_text() for path in (PROJECT / "xdetr_data" / "validation").glob("*.py"))
    rules = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', sources)) - {"utf-8"}
    listed = PAGE[PAGE.index("## What validate checks") :]
    found = set()
    for row in re.findall(r"^\| (`.*?) \|", listed, re.MULTILINE):
        stem = ""
        for rule in re.findall(r"`([a-z-]+)`", row):
            stem = stem if rule.startswith("-") else rule.split("-")[0]
            found.add(stem + rule if rule.startswith("-") else rule)
    assert rules - found == set()
