"""``xdetr-data sources``: what to fetch for which command, what is there, and whether it is what was published."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.inputs import source_of, sources
from tests.pipelines.tiny import run_cli
from xdetr_data.sources.counting import FORMATS
from xdetr_data.toyworld.world import write_toyworld

FLAGS = Path(__file__).with_name("cli_flags.txt").read_text().splitlines()


def listed(*args: str) -> dict[str, dict[str, Any]]:
    """What ``--json`` tells, by the names of the files."""
    ended = run_cli("sources", *args, "--json")
    assert ended.code == 0, ended.stderr
    return {file["name"]: file for source in json.loads(ended.stdout) for file in source["files"]}


def test_every_file_is_for_flags_that_there_are_and_of_a_format_that_can_be_counted() -> None:
    known = {line.removesuffix(" repeatable") for line in FLAGS}
    assert len(sources()) >= 9
    for source in sources():
        assert source.homepage.startswith("https://")
        assert source.licence
        for file in source.files:
            assert file.format in FORMATS, file.name
            assert file.takes
            assert set(file.takes) <= known, file.name
            assert all(count > 0 for count in file.counts.values())


def test_no_two_files_have_one_name_and_every_command_that_builds_has_its_files() -> None:
    files = [file for source in sources() for file in source.files]
    assert len({file.name for file in files}) == len(files)
    commands = {takes.rpartition(" ")[0] for file in files for takes in file.takes}
    builders = {line.rpartition(" ")[0] for line in FLAGS if re.match("(build|pseudo-label)[ -]", line)}
    of_this_tool = {"pseudo-label dataset"}  # reads what other commands wrote
    assert commands == {name.partition(" --")[0] for name in builders} - of_this_tool


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/instances_train2014.json", "COCO 2014 and 2017"),
        ("s3://bucket/final_mixed_train.json.gz", "MDETR pre-training and fine-tuning annotations"),
        ("refs(unc).p", "RefCOCO, RefCOCO+, RefCOCOg"),
        ("refcoco+/refs(unc).p", "RefCOCO, RefCOCO+, RefCOCOg"),
        ("entities/Sentences", "Flickr30k Entities"),
        ("entities/Annotations/", "Flickr30k Entities"),
        ("flickr30k_entities/train.txt", "Flickr30k Entities"),
        ("my/train.txt", None),
        ("my/region_descriptions.jsonl", None),
        ("entities", None),
    ],
)
def test_the_licence_of_a_file_or_folder_is_that_of_the_dataset_that_it_is_of(path: str, name: str | None) -> None:
    assert source_of(path) == next((one for one in sources() if one.name == name), None)


def test_without_a_folder_all_datasets_are_listed_and_nothing_is_looked_for() -> None:
    ended = run_cli("sources")
    assert ended.code == 0
    assert ended.stdout == ""
    for source in sources():
        assert f"{source.name} · {source.homepage}\nlicence: {source.licence}\n" in ended.stderr
    assert re.search(r"\n  flickr30k_entities/val.txt +1,000 lines +build flickr30k --ids\n", ended.stderr)
    assert "–" not in ended.stderr
    assert all(file["paths"] == [] for file in listed().values())


def test_files_are_found_wherever_they_lie_and_counted_where_counts_are_published(tmp_path: Path) -> None:
    (tmp_path / "a" / "flickr30k_entities").mkdir(parents=True)
    (tmp_path / "a" / "flickr30k_entities" / "val.txt").write_text("7\n" * 1000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "lvis_v0.5_train.json.gz").write_bytes(gzip.compress(b'{"categories": [1, 2]}'))
    (tmp_path / "b" / "region_descriptions.json").write_bytes(b'{"no": "array"}')
    (tmp_path / "b" / "cc12m.tsv").write_bytes(b"a\tb\n")
    (tmp_path / "val.txt").write_text("of another dataset")
    found = listed(str(tmp_path))
    val = found["flickr30k_entities/val.txt"]
    assert (val["counts"], val["problem"], val["bytes"]) == ({"lines": 1000}, "", 2000)
    assert val["paths"] == [str(tmp_path / "a" / "flickr30k_entities" / "val.txt")]
    assert found["lvis_v0.5_*.json"]["problem"] == "2 categories, published are 1,230"
    assert "expected one JSON array" in found["region_descriptions.json"]["problem"]
    assert (found["cc12m.tsv"]["counts"], found["cc12m.tsv"]["problem"]) == ({}, "")
    assert sum(bool(one["paths"]) for one in found.values()) == 4
    shown = run_cli("sources", str(tmp_path)).stderr
    assert re.search(
        r"\n  flickr30k_entities/val.txt +1,000 lines +as published \(0.0 MB\) +build flickr30k --ids\n", shown
    )
    assert re.search(r"\n  flickr30k_entities/test.txt +1,000 lines +– +build flickr30k --ids\n", shown)
    assert re.search(r"\n  cc12m.tsv +there \(0.0 MB\) +build captions --tsv · pseudo-label captions --tsv\n", shown)
    assert "warning: lvis_v0.5_*.json: 2 categories, published are 1,230\n" in shown
    assert shown.count("warning: ") == 2


def test_the_files_of_one_name_count_together(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"coco_train_localized_narratives-{number:05}-of-00004.jsonl").write_text("{}\n" * 10)
    found = listed(str(tmp_path))["coco_train_localized_narratives-*.jsonl"]
    assert (found["counts"], found["problem"]) == ({"lines": 30}, "30 lines, published are 134,272")
    assert len(found["paths"]) == 3


def test_a_toy_world_has_a_file_of_nearly_every_name(tmp_path: Path) -> None:
    write_toyworld(tmp_path / "toy", photos=40, seed=0, workers=0)
    found = listed(str(tmp_path / "toy"))
    missing = {name for name, one in found.items() if not one["paths"] and "jpg" not in name and "tsv" not in name}
    assert missing == {
        "annotations.zip", "final_refexp_*.json", "region_descriptions.json", "ade20k_*_localized_narratives*.jsonl"
    }  # fmt: skip


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    for folder in (str(tmp_path / "none"), "s4://bucket"):
        ended = run_cli("sources", folder)
        assert (ended.code, len(ended.errors)) == (1, 1)
        assert folder in ended.errors[0]
