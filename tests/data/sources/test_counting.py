"""Elements of a file counted by kind, in each format whose counts are published."""

import gzip
import pickle
from pathlib import Path

import pytest

from tests.pipelines.tiny import Verbatim, to_json
from xdetr_data.errors import InputError
from xdetr_data.sources.counting import FORMATS, count_elements

OBJECT = {"images": [{"id": 1}, {"id": 2}], "annotations": [{"x": Verbatim("NaN")}], "categories": []}
REGIONS = [{"id": 1, "regions": [{}, {}]}, {"id": 2, "regions": []}, {"id": 3, "regions": [{}]}]
REFS = [{"sentences": [1, 2]}, {"sentences": []}, None]
EXAMPLES = {
    "coco-json": (to_json(OBJECT), {"images": 2, "annotations": 1, "categories": 0}),
    "mdetr-json": (to_json(OBJECT), {"annotations": 1}),
    "json-array": (to_json([1, 2, 3]), {"images": 3}),
    "visual-genome-json": (to_json(REGIONS), {"images": 3, "regions": 3}),
    "refer-pickle": (pickle.dumps(REFS, protocol=2), {"references": 3, "expressions": 2}),
    "lines": (b"a\nb\n\n c", {"lines": 3}),
    "files": (b"", {"files": 1}),
}


def test_every_format_has_an_example() -> None:
    assert EXAMPLES.keys() == FORMATS


@pytest.mark.parametrize("form", EXAMPLES)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_elements_are_counted_by_kind(form: str, ending: str, tmp_path: Path) -> None:
    data, counts = EXAMPLES[form]
    (tmp_path / f"file{ending}").write_bytes(gzip.compress(data) if ending else data)
    assert count_elements(str(tmp_path / f"file{ending}"), form, list(counts)) == counts


@pytest.mark.parametrize("form", sorted(FORMATS - {"files", "lines"}))
def test_a_file_of_another_format_is_told(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no such format")
    with pytest.raises(InputError, match="file: "):
        count_elements(str(tmp_path / "file"), form, ["images"])
