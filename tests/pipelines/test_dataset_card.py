"""Every dataset brings its card: what is in it, how to load it, whose it is."""

import re
from pathlib import Path

import msgspec
import pytest

from pipelines.dataset_card import dataset_card
from tests.pipelines.tiny import MDETR, World, manifest_of, run_cli, usual_args
from xdetr_data.manifest import ExclusionEntry, InputEntry


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    World().write(folder)
    assert run_cli(*usual_args(folder)).code == 0
    return folder / "out"


def test_the_card_says_what_the_manifest_says(out: Path) -> None:
    card = (out / "README.md").read_text()
    manifest = manifest_of(out)
    for unit, flows in manifest.accounting["units"].items():
        plural = {"box": "boxes"}.get(unit, f"{unit}s")
        assert f"| {plural} | {flows['in']:,} | {flows['out']:,} | {flows['in'] - flows['out']:,} |" in card
    for one in manifest.inputs:
        assert one.homepage is not None
        assert f"[{one.dataset}]({one.homepage}) | {one.licence} |" in card
    assert "MDETR pre-training" in card


def test_the_card_loads_the_dataset_as_it_says(out: Path) -> None:
    card = (out / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    seen: list[object] = []
    exec(program.replace('stems = "', f'stems = "{out}/') + "    seen.append((photo, labels))\n", {"seen": seen})
    assert len(seen) == manifest_of(out).rows


def test_the_hub_reads_the_labels_by_the_front_matter(out: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: run make setup")
    rows = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path))
    assert sorted(rows["key"]) == ["coco_000000000001", "coco_000000000002"]


def test_a_card_survives_unknown_inputs_many_shards_and_no_photos(out: Path) -> None:
    manifest = manifest_of(out)
    odd = msgspec.structs.replace(
        manifest,
        inputs=[InputEntry(role="labels", path="/data/a|b`c.json", bytes=1, sha256="0")],
        shards=[msgspec.structs.replace(manifest.shards[0], shard=number) for number in range(3)],
        config={"metadata_only": True, "models": {"grounder": "abc"}},
        exclusions=[ExclusionEntry(path="x/val.json", format="COCO JSON", ids=9, hits={"coco": 1200, "vg": 34})],
        split="val",
    )
    card = dataset_card(odd)
    assert "| `a%7Cb'c.json` | labels | not one of `xdetr-data sources` | unknown: ask its owner |" in card
    assert "-{000000..000002}" in card
    assert 'labels = sample["json"]' in card
    assert "Models: grounder `abc`." in card
    assert "1,234 by `val.json`" in card
    assert "split: validation" in card


def test_a_dataset_without_its_card_is_still_whole(out: Path) -> None:
    (out / "README.md").rename(out / "elsewhere")
    try:
        assert run_cli("validate", str(out)).code == 0
    finally:
        (out / "elsewhere").rename(out / "README.md")
    assert MDETR in (out / "README.md").read_text()
