"""``export --to odvg`` and ``import --from odvg``: there and back through the command lines, and others' files."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange import exchangeable, one_a_photo, plain
from tests.pipelines.tiny import World, manifest_of, records_of, reject_counts, run_cli, usual_args
from xdetr_data.accounting import Tally
from xdetr_data.exports.formats import FORMATS, ODVG, ODVG_CLASSES
from xdetr_data.exports.losses import MEANING
from xdetr_data.exports.project import project
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import Sample, shard_name, write_samples
from xdetr_data.storage import Folder

ROOT = Path(__file__).parents[3]
FIXTURES = os.environ.get("XDETR_FIXTURES", "")


def write_dataset(path: Path, records: Sequence[GroundedImage], vocabulary: Sequence[str] = ()) -> None:
    """A finished dataset of one shard of labels."""
    folder = Folder(str(path))
    rows, files = write_samples(folder, shard_name("any-train", 0), [Sample(one, None) for one in records])
    classes = [{"id": number, "name": text, "text": text} for number, text in enumerate(vocabulary, 1)]
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="any", tool_version="0", prefix="any-train", split="train", seed=0,
            config={"vocabulary": classes} if classes else {}, config_hash="c0ffee", inputs=[], exclusions=[],
            accounting=Tally().to_builtins(), rows=rows, shards=[ShardEntry(shard=0, rows=rows, files=files)],
            rejects=[],
        ),
    )  # fmt: skip


def there_and_back(root: Path, to: str = "odvg") -> list[GroundedImage]:
    assert run_cli("export", f"{root}/data", f"--to={to}", f"--out={root}/{to}").code == 0
    ended = run_cli("import", f"{root}/{to}", f"--from={to}", "--metadata-only", "--workers=0", f"--out={root}/again")
    assert ended.code == 0, ended.stderr
    assert reject_counts(root / "again") == {}
    return records_of(root / "again")


@settings(max_examples=25)
@given(st.lists(exchangeable(), min_size=1, max_size=4))
def test_any_records_come_back_but_for_what_the_table_says(drawn: list[GroundedImage]) -> None:
    records = one_a_photo(drawn)
    held = [one for record in records if (one := project(record, ODVG)[0]) is not None]
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", records)
        if held:
            assert [plain(one) for one in there_and_back(Path(folder))] == [plain(one) for one in held]


@settings(max_examples=25)
@given(st.lists(exchangeable(), min_size=1, max_size=4))
def test_classes_come_back_with_their_label_map(drawn: list[GroundedImage]) -> None:
    records = one_a_photo(drawn)
    held = [one for record in records if (one := project(record, ODVG_CLASSES)[0]) is not None]
    boxed = [one for one in held if one.regions]
    texts = sorted({query.text for one in held for query in one.queries})
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", records, texts or ["a thing"])
        if boxed:
            again = there_and_back(Path(folder))
            assert [plain(one) for one in again] == [plain(one) for one in boxed]
            labels = json.loads((Path(folder) / "odvg/label_map.json").read_text())
            assert list(labels.values()) == texts


def export(world: Path, *more: str) -> int:
    return run_cli("export", f"{world}/out", "--to=odvg", f"--out={world}/odvg", *more).code


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    return tmp_path


def test_lines_are_as_trainers_read_them_and_spans_are_kept(world: Path) -> None:
    assert export(world) == 0
    lines = [json.loads(line) for line in (world / "odvg/annotations/coco.jsonl").read_text().splitlines()]
    for line in lines:
        assert set(line) == {"filename", "height", "width", "grounding"}
        for region in line["grounding"]["regions"]:
            assert len(region["bbox"]) == 4
            words = " ".join(line["grounding"]["caption"][b:e] for b, e in region["tokens_positive"])
            assert words == region["phrase"]
    account = json.loads((world / "odvg/export.json").read_text())
    assert account["lines"] == len(lines) == 8
    assert account["lost"]["textless"] == 4


def test_strict_refuses_and_writes_nothing_unless_all_losses_are_allowed(world: Path) -> None:
    assert export(world, "--strict") == 2
    assert [one for one in (world / "odvg").rglob("*") if one.is_file()] == []
    assert export(world, "--strict", "--may-lose=provenance", "--may-lose=group", "--may-lose=textless") == 0
    assert export(world, "--may-lose=nothing-of-the-kind", "--overwrite") == 2


def test_an_export_is_replaced_only_when_so_wanted_and_has_the_same_bytes(world: Path) -> None:
    assert export(world) == 0
    before = (world / "odvg/annotations/coco.jsonl").read_bytes()
    assert export(world) == 1
    assert export(world, "--overwrite") == 0
    assert (world / "odvg/annotations/coco.jsonl").read_bytes() == before
    (world / "other").mkdir()
    (world / "other/mine.txt").write_text("mine")
    assert run_cli("export", f"{world}/out", "--to=odvg", f"--out={world}/other", "--overwrite").code == 1


def test_an_import_reads_the_photos(world: Path) -> None:
    assert export(world) == 0
    root = f"--image-root=coco={world}/photos"
    ended = run_cli("import", f"{world}/odvg", "--from=odvg", root, "--workers=0", f"--out={world}/again")
    assert ended.code == 0, ended.stderr
    assert [one.image for one in records_of(world / "again")] == [one.image for one in records_of(world / "out")]
    assert run_cli("validate", f"{world}/again").code == 0


LINES = [
    {"filename": "1.jpg", "height": 48, "width": 64, "grounding": {"caption": "a man and a man", "regions": [
        {"bbox": [1, 2, 9, 9], "phrase": "man"}, {"bbox": [[1, 2, 9, 9], [3, 3, 8, 8]], "phrase": "man",
        "tokens_positive": [[12, 15]]}, {"bbox": [5, 5, 5, 9], "phrase": "man", "tokens_positive": [[2, 5]]},
        {"bbox": [1, 2, 9], "phrase": "man", "tokens_positive": [[2, 5]]}, {"bbox": [1, 2, 9, 9], "phrase": "dog"},
        {"bbox": [1, 2, 9, 9], "phrase": "man", "tokens_positive": [[2, 99]]}, {"phrase": "man"}]}},
    {"filename": "1.jpg", "height": 48, "width": 64, "detection": {"instances": [
        {"bbox": [1, 2, 9, 9], "label": 0, "category": "person"},
        {"bbox": [0, 0, 4, 4], "label": 1, "category": "cat"}]}},
    {"filename": "1.jpg", "height": 48, "width": 64, "grounding": {"caption": " ", "regions": [
        {"bbox": [1, 2, 9, 9]}]}},
    {"filename": "../1.jpg", "height": 48, "width": 64, "grounding": {"caption": "a", "regions": []}},
    {"filename": "2.jpg", "height": 48, "width": 64},
]  # fmt: skip


def test_damage_of_others_files_is_accounted_for(tmp_path: Path) -> None:
    lines = [json.dumps(one) for one in LINES]
    (tmp_path / "theirs.jsonl").write_text("\n".join([*lines[:2], "", "{broken", *lines[2:]]))
    ended = run_cli(
        "import", f"{tmp_path}/theirs.jsonl", "--from=odvg", "--source=flickr", "--metadata-only", "--workers=0",
        "--max-error-rate=1", f"--out={tmp_path}/out",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    assert reject_counts(tmp_path / "out") == {
        ("line", "unreadable-line"): 2,
        ("line", "unsafe-file-name"): 1,
        ("line", "empty-caption"): 1,
        ("region", "line-rejected"): 1,
        ("region", "degenerate-box"): 1,
        ("region", "bad-box"): 1,
        ("region", "bad-span"): 2,
        ("region", "unreadable-region"): 1,
    }
    units = manifest_of(tmp_path / "out").accounting["units"]
    assert (units["region"]["in"], units["line"]["in"]) == (10, 6)
    assert manifest_of(tmp_path / "out").accounting["notes"]["ambiguous-phrases"] == 1
    (record,) = records_of(tmp_path / "out")
    assert [query.text for query in record.queries] == ["a man and a man", "person", "cat"]
    assert [phrase.spans for phrase in record.queries[0].phrases] == [((2, 5),), ((12, 15),)]
    assert [phrase.regions for phrase in record.queries[0].phrases] == [(0,), (0, 1)]


def test_a_file_says_by_which_flag_its_collection_is_told(tmp_path: Path) -> None:
    (tmp_path / "theirs.jsonl").write_text(json.dumps(LINES[1]))
    ended = run_cli("import", f"{tmp_path}/theirs.jsonl", "--from=odvg", "--metadata-only", f"--out={tmp_path}/out")
    assert ended.code == 2
    assert "give --source NAME" in ended.errors[0]


@pytest.mark.skipif(not FIXTURES, reason="needs the real files: set XDETR_FIXTURES")
def test_real_classes_have_the_fields_of_the_published_label_map(tmp_path: Path) -> None:
    lvis = Path(FIXTURES, "lvis/lvis_val_10.json")
    assert run_cli("build", "lvis", f"--annotations={lvis}", "--metadata-only", "--workers=0",
                   f"--out={tmp_path}/out").code == 0  # fmt: skip
    assert export(tmp_path) == 0
    theirs = json.loads(Path(FIXTURES, "odvg/coco2017_label_map.json").read_text())
    ours = json.loads((tmp_path / "odvg/label_map.json").read_text())
    assert list(theirs) == [str(number) for number in range(len(theirs))]
    assert list(ours) == [str(number) for number in range(len(ours))]
    for line in (tmp_path / "odvg/annotations/coco.jsonl").read_text().splitlines():
        for one in json.loads(line)["detection"]["instances"]:
            assert ours[str(one["label"])] == one["category"]


def test_the_page_tells_what_each_format_loses() -> None:
    page = (ROOT / "docs/exchange.md").read_text()
    for loss, meaning in MEANING.items():
        held = " | ".join("lost" if loss in target.loses else "held" for target in FORMATS.values())
        assert f"| `{loss.value}`: {meaning} | {held} |" in page
