"""Every narrative and every box row is either in its photo's shard or accounted for, whoever does the work."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipelines.engine.partition
from pipelines.empty_plan import check_not_empty
from pipelines.engine.done import run_partitions
from pipelines.engine.partition import PartitionContext, partition_tasks, run_partition
from pipelines.engine.plan import Plan, make_plan
from pipelines.engine.recipe import Recipe
from pipelines.execution import executor
from pipelines.recipe_options import BuildOptions
from xdetr_data.accounting import Tally, total
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.shards.spill import PLACE_FIELDS, SPILL_SCHEMA, read_spills
from xdetr_data.sources.exclusion_list import ExclusionList
from xdetr_data.sources.exclusions import read_exclusion
from xdetr_data.sources.localized_narratives import LocalizedNarratives
from xdetr_data.sources.openimages import OpenImagesBoxes
from xdetr_data.sources.places import Roots
from xdetr_data.storage import Folder

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
IDS = [f"{number:016x}" for number in (0xABC, 0x123, 0xFFF, 0x99)]  # the second and fourth are digits alone


def narrative(image_id: str, dataset_id: str = "open_images_train", **more: Any) -> str:
    return json.dumps({"dataset_id": dataset_id, "image_id": image_id, "caption": f"about {image_id}"} | more)


def row(image_id: str, x_min: float = 0.1) -> str:
    return f"{image_id},xclick,/m/1,1,{x_min},0.9,0.1,0.9,0,0,0,0,0"


class World:
    """Files of inputs, and the plan of a run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.narratives: list[str] = []
        self.boxes: list[str] = []
        (folder / "photos").mkdir()

    def photo(self, name: str, folder: str = "photos") -> None:
        (self.folder / folder).mkdir(exist_ok=True)
        (self.folder / folder / f"{name}.jpg").write_bytes(b"not looked at before the shard")

    def add(self, name: str, *lines: str) -> str:
        path = self.folder / name
        data = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        (self.boxes if ".csv" in name else self.narratives).append(str(path))
        return str(path)

    def recipe(
        self, *, image_roots: dict[str, str] | None = None, lists: Sequence[ExclusionList] = (), **options: Any
    ) -> Recipe:
        boxes = [OpenImagesBoxes(path=path) for path in self.boxes]
        roots = image_roots or {"any": str(self.folder / "photos")}
        return Recipe(
            name="test",
            prefix="test",
            options=BuildOptions(**{"shard_bytes": 20} | options),
            sources=[*(LocalizedNarratives(path=path) for path in self.narratives), *boxes],
            photos=Roots(folders=roots, option="--images", inputs="narratives", must_be_there=True),
            lists=lists,
            nothing="none",
            remedy="look",
        )

    def plan(self, **changes: Any) -> Plan:
        with executor(0) as run:
            return make_plan(self.recipe(**changes), run)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for image_id in IDS[:3]:
        world.photo(image_id)
    world.add("n-0.jsonl", narrative(IDS[0]), narrative(IDS[1]), "", "{broken", narrative(IDS[0], caption="again"))
    world.add("n-1.jsonl.gz", narrative(IDS[2]), narrative(IDS[3]), narrative("x", dataset_id="sbu"))
    world.add("boxes.csv", HEADER, *(row(i, 0.1) for i in IDS), row("elsewhere"), ",,,,,,,,,,,,", row(IDS[2], 0.3))
    world.add("more.csv.gz", HEADER, row(IDS[1], 0.2), "three,fields,only", row(IDS[0]).replace("0.9", "wide"))
    return world


def spilled(plan: Plan, out: Folder, workers: int = 0) -> tuple[Tally, list[Any], list[Any], list[Any]]:
    """The account, (shard, photo, file, row, …) of all narratives and of all boxes, and the rejects."""
    tasks = partition_tasks(plan.inputs)
    context = PartitionContext(out=out, config_hash="digest", inputs=plan.inputs, shard=plan.shard, index=plan.index)
    with executor(workers) as run:
        done = run_partitions(out, tasks, "digest", run, run_partition, context)
    is_box = [isinstance(one.source, OpenImagesBoxes) for one in plan.inputs]
    narratives, boxes = [], []
    for shard in range(plan.shards):
        table = read_spills(out, [task.spill for task in tasks if not is_box[task.file]], shard, SPILL_SCHEMA)
        narratives += [(shard, *one.values()) for one in table.to_pylist()]
        schema = pa.schema([*PLACE_FIELDS, *OpenImagesBoxes.schema])
        table = read_spills(out, [task.spill for task in tasks if is_box[task.file]], shard, schema)
        boxes += [(shard, *one.values()) for one in table.to_pylist()]
    rejects = [one for task in tasks for one in pq.read_table(out.path(task.rejects)).to_pylist()]
    return total([plan.tally, *(Tally.from_builtins(one.accounting) for one in done)]), narratives, boxes, rejects


def test_everything_is_in_its_photos_shard_or_accounted_for(world, tmp_path):
    plan = world.plan()
    tally, narratives, boxes, rejects = spilled(plan, Folder(str(tmp_path / "out")))
    assert plan.photos["key"].to_pylist() == [
        f"openimages_{i}" for i in ("0000000000000123", "0000000000000abc", "0000000000000fff")
    ]
    for shard, photo, *_ in [*narratives, *boxes]:
        assert plan.shard[photo] == shard
    files = plan.photos["file_name"].to_pylist()
    labels = [one.source.label for one in plan.inputs]
    told = {(files[photo], labels[file], line): json.loads(data) for _, photo, file, _, line, data in narratives}
    assert {where: one["caption"] for where, one in told.items()} == {
        (f"{IDS[0]}.jpg", "n-0", 0): f"about {IDS[0]}",
        (f"{IDS[0]}.jpg", "n-0", 4): "again",
        (f"{IDS[1]}.jpg", "n-0", 1): f"about {IDS[1]}",
        (f"{IDS[2]}.jpg", "n-1", 0): f"about {IDS[2]}",
    }
    found = {(files[photo], labels[file], line, x_min) for _, photo, file, _, line, _, _, x_min, *_ in boxes}
    assert found == {
        (f"{IDS[0]}.jpg", "boxes", 1, 0.1),
        (f"{IDS[1]}.jpg", "boxes", 2, 0.1),
        (f"{IDS[2]}.jpg", "boxes", 3, 0.1),
        (f"{IDS[2]}.jpg", "boxes", 7, 0.3),
        (f"{IDS[1]}.jpg", "more", 1, 0.2),
    }
    assert tally.count("narrative", "in") == 7
    assert tally.rejects("narrative") == {"plan": {"missing-photo": 1, "unknown-dataset": 1, "unreadable-narrative": 1}}
    assert tally.count("box", "in") == 10
    assert tally.rejects("box") == {
        "partition": {"missing-image-id": 1, "photo-not-in-set": 1, "unreadable-box": 2},
        "plan": {"missing-photo": 1},
    }
    assert tally.rejects("photo") == {"plan": {"missing-photo": 1}}
    assert [(one.reason, one.input_ref) for one in plan.rejects] == [
        ("unreadable-narrative", "n-0#L4"),
        ("unknown-dataset", "n-1#L3"),
        ("missing-photo", ""),
    ]
    assert [(one["reason"], one["input_ref"]) for one in rejects] == [
        ("missing-image-id", "boxes#L7"),
        ("unreadable-box", "more#L3"),
        ("unreadable-box", "more#L4"),
    ]


def test_an_image_id_of_a_megabyte_takes_no_other_rows_room(world, tmp_path):
    world.add("damaged.csv", HEADER, *(row(f"{number:016x}") for number in range(20_000)), row("x" * 1_000_000))
    tally, *_ = spilled(world.plan(), Folder(str(tmp_path / "out")))
    assert tally.rejects("box")["partition"]["photo-not-in-set"] >= 19_990


def test_many_tasks_and_many_processes_spill_the_same(world, tmp_path, monkeypatch):
    monkeypatch.setattr("xdetr_data.sources.framing.lines.iter_line_chunks.__kwdefaults__", {"chunk_bytes": 70})
    monkeypatch.setattr("xdetr_data.sources.localized_narratives.read_chunks.__kwdefaults__", {"chunk_bytes": 70})
    monkeypatch.setattr("xdetr_data.sources.openimages.read_chunks.__kwdefaults__", {"chunk_bytes": 70})
    plan = world.plan()
    few = spilled(plan, Folder(str(tmp_path / "few")))
    monkeypatch.setattr(pipelines.engine.partition, "TASK_BYTES", 1)
    assert len(partition_tasks(plan.inputs)) > 10
    many = spilled(plan, Folder(str(tmp_path / "many")), workers=2)
    assert few[1:3] == many[1:3]
    assert few[0].to_builtins() == many[0].to_builtins()
    assert sorted(map(str, few[3])) == sorted(map(str, many[3]))


def test_a_task_that_is_done_is_not_done_again(world, tmp_path):
    plan, out = world.plan(), Folder(str(tmp_path / "out"))
    spilled(plan, out)
    names = out.names("_work/*.arrow")
    before = [Path(out.path(name)).stat().st_mtime_ns for name in names]
    assert spilled(plan, out)[0].to_builtins() == spilled(plan, Folder(str(tmp_path / "again")))[0].to_builtins()
    assert [Path(out.path(name)).stat().st_mtime_ns for name in names] == before


def test_limit_takes_the_first_photos_that_are_at_hand(world, tmp_path):
    plan = world.plan(limit=2)
    assert set(plan.photos["file_name"].to_pylist()) == {f"{IDS[0]}.jpg", f"{IDS[1]}.jpg"}
    tally, narratives, boxes, _ = spilled(plan, Folder(str(tmp_path / "out")))
    assert tally.rejects("photo") == {"limit": {"beyond-limit": 2}}
    assert tally.rejects("narrative")["limit"] == {"beyond-limit": 2}
    assert tally.rejects("box")["limit"] == {"beyond-limit": 3}
    assert (len(narratives), len(boxes)) == (3, 3)


def test_excluded_photos_are_named_once_and_their_lines_counted(world, tmp_path):
    (tmp_path / "leave.txt").write_text(f"{IDS[0]}\n{IDS[1]}\n")
    plan = world.plan(lists=[read_exclusion(str(tmp_path / "leave.txt"))])
    tally, narratives, boxes, _ = spilled(plan, Folder(str(tmp_path / "out")))
    assert tally.rejects("photo")["exclude_images"] == {"excluded": 2}
    assert tally.rejects("narrative")["exclude_images"] == {"excluded": 3}
    assert tally.rejects("box")["exclude_images"] == {"excluded": 3}
    assert (len(narratives), len(boxes)) == (1, 2)


def test_the_shard_of_a_photo_does_not_depend_on_what_else_is_there(world):
    every, one = world.plan(shard_bytes=1), world.plan(shard_bytes=1, limit=3)
    shards = dict(zip(every.photos["key"].to_pylist(), every.shard.tolist(), strict=True))
    assert dict(zip(one.photos["key"].to_pylist(), one.shard.tolist(), strict=True)) == shards
    assert every.digest == one.digest
    assert world.plan(shard_bytes=1, seed=1).digest != every.digest


def test_several_collections_need_a_root_each(tmp_path):
    world = World(tmp_path)
    world.photo("000000000007", "coco")
    world.photo("7", "flickr")
    world.add("n.jsonl", narrative("7", "mscoco_val2017"), narrative("7", "Flickr30k_train"))
    with pytest.raises(ConfigError, match=r"photos of coco, flickr, .*--images SOURCE=DIR"):
        world.plan()
    with pytest.raises(ConfigError, match="give --images flickr=DIR"):
        world.plan(image_roots={"coco": f"{tmp_path}/coco"})
    plan = world.plan(image_roots={"coco": f"{tmp_path}/coco", "flickr": f"{tmp_path}/flickr"})
    assert plan.photos["key"].to_pylist() == ["coco_000000000007", "flickr_7"]
    assert plan.photos["file_name"].to_pylist() == ["000000000007.jpg", "7.jpg"]


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "/etc/passwd", "a" * 300, ""])
def test_image_ids_that_could_be_no_photo_are_rejects(tmp_path, image_id):
    world = World(tmp_path)
    world.photo(IDS[0])
    world.add("n.jsonl", narrative(IDS[0]), narrative(image_id))
    (reject,) = world.plan().rejects
    assert reject.reason in ("unsafe-file-name", "file-name-too-long")
    assert reject.input_ref == "n#L2"


def test_a_file_without_any_narrative_is_refused_with_its_first_problem(tmp_path):
    world = World(tmp_path)
    world.add("n.jsonl", HEADER, row(IDS[0]))
    with pytest.raises(InputError, match=r"n\.jsonl: no line of it is a narrative \(n#L1: "):
        world.plan()


def test_two_inputs_of_one_name_are_refused(tmp_path):
    world = World(tmp_path)
    (tmp_path / "a").mkdir()
    world.add("n.jsonl", narrative(IDS[0]))
    world.add("a/n.jsonl", narrative(IDS[1]))
    with pytest.raises(ConfigError, match="2 inputs are called 'n'"):
        world.plan()


def test_a_plan_without_photos_says_why(tmp_path):
    world = World(tmp_path)
    world.add("n.jsonl", narrative(IDS[0]))
    plan = world.plan()
    with pytest.raises(InputError, match=r"no photo is left to label .*1 photos missing-photo"):
        check_not_empty(plan, "label", nothing="none", remedy="look")


def test_a_large_random_file_is_split_as_one_loop_would(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"{number:016x}" for number in rng.integers(0, 1 << 40, 300)]
    world = World(tmp_path)
    for image_id in ids[:150]:
        world.photo(image_id)
    world.add("n.jsonl", *map(narrative, ids[:150]))
    owners = rng.integers(0, 300, 5000)
    world.add(
        "b.csv", HEADER, *(row(ids[owner], round(x, 6)) for owner, x in zip(owners, rng.random(5000), strict=True))
    )
    plan = world.plan(shard_bytes=200)
    tally, _, boxes, _ = spilled(plan, Folder(str(tmp_path / "out")))
    files = plan.photos["file_name"].to_pylist()
    found = Counter(files[photo] for _, photo, *_ in boxes)
    assert found == Counter(f"{ids[owner]}.jpg" for owner in owners if owner < 150)
    assert tally.count("box", "partition", "photo-not-in-set") == sum(owner >= 150 for owner in owners)
    assert pa.array([line for _, _, _, _, line, *_ in sorted(boxes, key=lambda one: one[4])]).to_pylist() == [
        line for line, owner in enumerate(owners, 1) if owner < 150
    ]


def test_narratives_of_ones_own_photos_of_one_base_name_are_of_different_photos(tmp_path):
    world = World(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir()
        (tmp_path / "photos" / folder / "1.jpg").write_bytes(folder.encode())
    world.add(
        "n.jsonl", *(narrative(f"{folder}/1", "open_images_own") for folder in ("a", "b")), narrative("1", "coco")
    )
    roots = {source: str(tmp_path / "photos") for source in ("openimages", "coco")}
    plan = world.plan(image_roots=roots)
    assert plan.photos["key"].to_pylist() == ["openimages_a%2F1", "openimages_b%2F1"]
    assert [address.rsplit("/", 2)[-2] for address in plan.photos["address"].to_pylist()] == ["a", "b"]
    (reject,) = plan.rejects
    assert (reject.reason, reject.key) == ("ambiguous-photo", "coco_000000000001")
    assert "a/1.jpg or b/1.jpg" in reject.detail
    tally, narratives, _, _ = spilled(plan, Folder(str(tmp_path / "out")))
    assert tally.rejects("narrative") == {"plan": {"ambiguous-photo": 1}}
    assert len(narratives) == 2


def test_folders_of_narratives_count_where_numbers_are_the_same(tmp_path):
    world = World(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir()
        (tmp_path / "photos" / folder / "1.jpg").write_bytes(folder.encode())
    world.add("n.jsonl", narrative("a/1", "mscoco_own"), narrative("b/1", "mscoco_own"))
    assert world.plan().rejects[0].reason == "ambiguous-photo"
