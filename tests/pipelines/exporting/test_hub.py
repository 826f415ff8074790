"""``export --to hf``: ``datasets`` reads it as a repository, with photos, and every record comes back as it was."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.exporting.test_odvg import write_dataset
from tests.pipelines.tiny import World, files_of, records_of, run_cli, usual_args
from tests.strategies import grounded_images
from xdetr_data.record import GroundedImage
from xdetr_data.schema import from_json


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    return tmp_path


def export(world: Path, out: str = "hf", *more: str) -> Path:
    ended = run_cli("export", f"{world}/out", "--to=hf", f"--out={world / out}", *more)
    assert ended.code == 0, ended.stderr
    return world / out


def record_of(row: dict[str, Any]) -> GroundedImage:
    image = {name: row[name] for name in ("file_name", "source", "height", "width", "sha256")}
    regions = [
        {name: value for name, value in one.items() if name != "mask" or value is not None} for one in row["regions"]
    ]
    sample = {"schema": 1, "key": row["key"], "image": image, "regions": regions, "queries": row["queries"]}
    return from_json(json.dumps(sample).encode())


def test_datasets_reads_photos_and_records(world: Path, tmp_path: Path) -> None:
    out = export(world)
    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.features["image"] == datasets.Image()
    records = {one.key: one for one in records_of(world / "out")}
    assert len(rows) == len(records) > 0
    raw = rows.cast_column("image", datasets.Image(decode=False))
    for number, row in enumerate(raw):
        assert record_of(row) == records[row["key"]]
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["sha256"]
        assert rows[number]["image"].size == (row["width"], row["height"])
    account = json.loads((out / "export.json").read_bytes())
    assert (account["photos_in"], account["photos_out"], account["lost"]) == (len(records), len(records), {})
    assert set(account["files"]) == {name for name in files_of(out) if name != "export.json"}


def test_the_card_names_the_files_of_the_split(world: Path) -> None:
    out = export(world)
    head = yaml.safe_load((out / "README.md").read_text().split("---")[1])
    [config] = head["configs"]
    [files] = config["data_files"]
    assert files["split"] == "train"
    assert sorted(out.glob(files["path"])) == sorted(out.glob("data/*.parquet"))
    assert "webdataset" not in (out / "README.md").read_text()


def test_the_same_dataset_is_the_same_bytes_and_overwrite_leaves_nothing_old(world: Path) -> None:
    first = files_of(export(world))
    assert files_of(export(world, "again")) == first
    (world / "hf" / "data" / "train-00007-of-00008.parquet").write_bytes(b"old")
    refused = run_cli("export", f"{world}/out", "--to=hf", f"--out={world}/hf")
    assert "say --overwrite" in refused.errors[0]
    assert files_of(export(world, "hf", "--overwrite")) == first


def test_labels_alone_need_no_photos(world: Path, tmp_path: Path) -> None:
    out = export(world, "labels", "--photos=leave")
    assert "image" not in pq.read_schema(next(out.glob("data/*.parquet"))).names
    bare = tmp_path / "bare"
    assert (
        run_cli(
            *[one for one in usual_args(world) if not one.startswith("--out")], f"--out={bare}", "--metadata-only"
        ).code
        == 0
    )
    refused = run_cli("export", str(bare), "--to=hf", f"--out={tmp_path}/x")
    assert "say --photos leave" in refused.errors[0]
    assert run_cli("export", str(bare), "--to=hf", f"--out={tmp_path}/y", "--photos=leave").code == 0


@settings(max_examples=10)
@given(st.lists(grounded_images(), min_size=1, max_size=3, unique_by=lambda one: one.key))
def test_any_record_comes_back_as_it_was(drawn: list[GroundedImage]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "out", drawn)
        out = export(Path(folder), "hf", "--photos=leave")
        rows = [row for path in sorted(out.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert {row["key"]: record_of(row) for row in rows} == {one.key: one for one in drawn}


def test_photos_as_files_are_an_image_folder_with_every_label(world: Path, tmp_path: Path) -> None:
    out = export(world, "files", "--photos=files")
    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    records = {one.key: one for one in records_of(world / "out")}
    assert {name for name in files_of(out) if name.endswith(".jpg")} == {f"data/train/{key}.jpg" for key in records}
    assert len(rows) == len(records) > 0
    for row in rows:
        assert row["image"].size == (row["width"], row["height"])
        assert record_of(row | {"file_name": row["photo_name"]}) == records[row["key"]]
    before = files_of(out)
    assert export(world, "files", "--photos=files", "--overwrite")
    assert files_of(out) == before


class Hub:
    """What a hub is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repository: str, **about: Any) -> Any:
        self.asked.append((repository, about))
        return huggingface_hub.RepoUrl(f"https://huggingface.co/datasets/{repository}")

    def upload_folder(self, **about: Any) -> None:
        self.asked.append((about["repo_id"], about | {"files": sorted(files_of(Path(about["folder_path"])))}))


def test_it_is_sent_only_when_asked_and_whole(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    out = export(world)
    assert hub.asked == []
    export(world, "sent", "--push=me/things", "--private")
    (_, made), (repository, sent) = hub.asked
    assert made == {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert (repository, sent["repo_type"], sent["files"]) == ("me/things", "dataset", sorted(files_of(out)))


@pytest.mark.parametrize(("to", "name"), [("coco", "me/things"), ("hf", "me/too/deep"), ("hf", "..")])
def test_what_cannot_be_sent_is_refused_before_anything_is_written(to: str, name: str, world: Path) -> None:
    ended = run_cli("export", f"{world}/out", f"--to={to}", f"--out={world}/new", f"--push={name}")
    assert ended.code == 2
    assert "--push" in ended.errors[0]
    assert not (world / "new").exists()


def test_a_hub_that_is_not_reached_is_one_line_and_the_export_stays(world: Path) -> None:
    script = "import sys; from pipelines.cli import main; sys.argv[0] = 'xdetr-data'; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, "export", f"{world}/out", "--to=hf", f"--out={world}/new", "--push=me/things"],
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "me/things: could not be sent to the hub" in errors[0]
    assert "Traceback" not in ended.stderr
    assert (world / "new/export.json").exists()
