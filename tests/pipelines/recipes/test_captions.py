"""``build captions``: every caption and photo accounted for, the same bytes from any number of processes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.train.loading.batches import SourceConfig, TrainBatches
from tests.data.sources.test_web_captions import write_tar
from tests.pipelines.recipes.checks import check, check_interruption
from tests.pipelines.tiny import (
    Ended,
    files_of,
    jpeg,
    manifest_of,
    records_of,
    reject_counts,
    rejects_of,
    run_cli,
)
from xdetr_data.loading.config import DataConfig
from xdetr_data.toyworld.world import write_toyworld
from xdetr_model.network.tokenizer import word_tokenizer


def url(number: int) -> str:
    return f"https://photos.example.com/{number}.jpg"


def facts(number: int) -> bytes:
    return json.dumps({"url": url(number), "status": "success", "width": 64, "height": 48}).encode()


def web(root: Path, lines: str, tars: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A TSV and tars in one folder."""
    (root / "train.tsv").write_text(lines)
    (root / "tars").mkdir()
    for name, members in tars.items():
        write_tar(root / "tars" / name, members)
    return root


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Twelve photos in three tars, each with a caption, and two captions of dead links."""
    lines = "".join(f"a thing number {number}\t{url(number)}\n" for number in range(14))
    tars: dict[str, dict[str, bytes]] = {f"0000{tar}.tar": {} for tar in range(3)}
    for number in range(12):
        members = tars[f"0000{number % 3}.tar"]
        members[f"{number:09d}.jpg"], members[f"{number:09d}.json"] = jpeg(number), facts(number)
    return web(tmp_path, lines, tars)


def build(world: Path, *more: str, out: str = "out") -> Ended:
    return run_cli(
        "build", "captions", f"--tsv={world}/train.tsv", f"--images={world}/tars", f"--out={world}/{out}",
        "--workers=0", *more,
    )  # fmt: skip


def test_a_photo_becomes_a_sample_of_its_caption_without_boxes(world: Path) -> None:
    ended = build(world)
    assert ended.code == 0, ended.stderr
    check(world / "out")
    records = records_of(world / "out")
    assert [record.key for record in records] == [f"cc_{number:09d}" for number in range(12)]
    for number, record in enumerate(records):
        assert record.regions == ()
        assert [(query.text, query.group) for query in record.queries] == [
            (f"a thing number {number}", f"train#L{number + 1}")
        ]
        assert record.image.file_name == f"0000{number % 3}/{number:09d}.jpg"
        assert record.image.size_hw == (48, 64)
    assert reject_counts(world / "out") == {("caption", "no-photo"): 2}
    assert {one.input_ref for one in rejects_of(world / "out")} == {"train#L13", "train#L14"}


@pytest.mark.parametrize("workers", [2])
def test_any_number_of_workers_writes_the_same_bytes(world: Path, workers: int) -> None:
    assert build(world, "--shard-bytes=3KB").code == 0
    assert len(manifest_of(world / "out").shards) > 3
    assert build(world, "--shard-bytes=3KB", f"--workers={workers}", out="again").code == 0
    assert files_of(world / "out") == files_of(world / "again")


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_interruption(build, world, monkeypatch, other="--seed=1")


def test_every_element_that_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    lines = [
        f"first\t{url(1)}", f"second  way\t{url(1)}", f"first\t{url(1)}", f" \t{url(2)}", "no address",
        f"broken\t{url(3)}", f"gone\t{url(4)}", f"of a second copy\t{url(5)}", f"same key\t{url(6)}",
    ]  # fmt: skip
    tars = {
        "0.tar": {
            "1.jpg": jpeg(1), "1.json": facts(1), "2.jpg": jpeg(2), "2.json": facts(2), "3.jpg": b"no photo",
            "3.json": facts(3), "5.jpg": jpeg(5), "5.json": facts(5), "7.jpg": jpeg(7), "7.json": facts(7),
            "8.json": facts(8), "9.jpg": jpeg(9),
        },
        "1.tar": {"5b.jpg": jpeg(5), "5b.json": facts(5), "5.jpg": jpeg(6), "5.json": facts(6)},
    }  # fmt: skip
    ended = build(web(tmp_path, "\n".join(lines), tars), "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    assert reject_counts(tmp_path / "out") == {
        ("caption", "duplicate-caption"): 1,
        ("caption", "empty-caption"): 1,
        ("caption", "unreadable-caption"): 1,
        ("caption", "unreadable-photo"): 1,
        ("caption", "no-photo"): 1,
        ("photo", "no-caption-left"): 1,
        ("photo", "unreadable-photo"): 1,
        ("photo", "no-caption"): 1,
        ("photo", "missing-photo"): 1,
        ("photo", "no-address"): 1,
        ("photo", "duplicate-address"): 1,
    }
    assert [[query.text for query in record.queries] for record in records_of(tmp_path / "out")] == [
        ["first", "second way"],
        ["same key"],
        ["of a second copy"],
    ]


def test_a_limit_takes_the_first_photos_and_counts_the_rest(world: Path) -> None:
    assert build(world, "--limit=5").code == 0
    check(world / "out")
    assert len(records_of(world / "out")) == 5
    assert reject_counts(world / "out")["photo", "beyond-limit"] == 7
    assert reject_counts(world / "out")["caption", "beyond-limit"] == 7


def test_a_dry_run_writes_nothing(world: Path) -> None:
    ended = build(world, "--dry-run", "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["captions_read"], plan["shards"]) == (12, 14, 1)
    assert not (world / "out").exists()


def test_wrong_input_is_told_in_one_line(world: Path, tmp_path: Path) -> None:
    (world / "empty.tsv").write_text("caption\turl\n")
    (world / "other.tsv").write_text(f"a thing\t{url(99)}\n")
    for args, message in (
        ([f"--tsv={world}/none.tsv", f"--images={world}/tars"], "none.tsv"),
        ([f"--tsv={world}/empty.tsv", f"--images={world}/tars"], "no line of it is a caption with an address"),
        ([f"--tsv={world}/other.tsv", f"--images={world}/tars"], "12 photos no-caption"),
        ([f"--tsv={world}/train.tsv", f"--images={world}/none.tar"], "none.tar"),
        ([f"--tsv={world}/train.tsv", f"--images={world}/train.tsv"], "train.tsv"),
        ([f"--images={world}/tars"], "give at least one --tsv"),
        ([f"--tsv={world}/train.tsv"], "give --images TARS"),
        ([f"--tsv={world}/train.tsv", f"--images={world}/tars", "--source=C C"], "--source 'C C'"),
    ):
        ended = run_cli("build", "captions", *args, f"--out={tmp_path}/never", "--workers=0")
        assert ended.code in (1, 2)
        assert len(ended.errors) == 1
        assert message in ended.errors[0]
        assert not (tmp_path / "never" / "manifest.json").exists()


def test_the_toy_worlds_captions_become_a_source_to_train_on(tmp_path: Path) -> None:
    write_toyworld(tmp_path / "toy", photos=80, seed=3, workers=0)
    out = tmp_path / "out"
    ended = run_cli(
        "build", "captions", f"--tsv={tmp_path}/toy/cc/train.tsv", f"--images={tmp_path}/toy/cc", f"--out={out}",
        "--workers=0",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    check(out)
    records = records_of(out)
    told = dict(line.split("\t")[::-1] for line in (tmp_path / "toy/cc/train.tsv").read_text().splitlines())
    assert 4 <= len(records) <= len(told)
    assert {query.text for record in records for query in record.queries} <= set(told.values())
    data = DataConfig(shortest_px=(64,), longest_px=96, workers=0)
    batches = TrainBatches({"weak": SourceConfig(paths=(str(out),), batch_size=2)}, data, word_tokenizer(), 32)
    for step in batches.epoch(0):
        assert step.weak is not None
        assert step.weak.targets.is_caption.all()


def test_photos_of_two_downloads_that_are_numbered_alike_are_different_photos(tmp_path: Path) -> None:
    lines = "".join(f"a thing number {number}\t{url(number)}\n" for number in range(4))
    tars = {
        "one.tar": {"000.jpg": jpeg(0), "000.json": facts(0), "001.jpg": jpeg(1), "001.json": facts(1)},
        "two.tar": {"000.jpg": jpeg(2), "000.json": facts(2), "002.jpg": jpeg(3), "002.json": facts(3)},
    }
    assert build(web(tmp_path, lines, tars)).code == 0
    check(tmp_path / "out")
    records = records_of(tmp_path / "out")
    assert sorted(record.queries[0].text for record in records) == [f"a thing number {number}" for number in range(4)]
    assert [record.key[:7] for record in records] == ["cc_000-", "cc_000-", "cc_001", "cc_002"]


def test_names_in_tars_may_begin_with_a_dot_and_lie_in_folders_with_dots(tmp_path: Path) -> None:
    lines = "".join(f"a thing number {number}\t{url(number)}\n" for number in range(3))
    long = "of many words " * 12
    members = {"./000.jpg": jpeg(0), "./000.json": facts(0), "v1.2/001.jpg": jpeg(1), "v1.2/001.json": facts(1)}
    members |= {f"{long}/002.jpg": jpeg(2), f"{long}/002.json": facts(2)}
    assert build(web(tmp_path, lines, {"one.tar": members})).code == 0
    check(tmp_path / "out")
    records = records_of(tmp_path / "out")
    assert [record.key[:17] for record in records] == ["cc_000", "cc_of%20many%20wo", "cc_v1%2E2%2F001"]
    assert {record.queries[0].text for record in records} == {f"a thing number {number}" for number in range(3)}


def test_a_caption_may_hold_an_address(tmp_path: Path) -> None:
    lines = f"{url(0)}\tsee http://dogs.example.org\nhttp://a.org is nice\t{url(1)}\n{url(2)}\t{url(3)}\n"
    tars = {
        "one.tar": {f"{n}.{ending}": data for n in range(3) for ending, data in (("jpg", jpeg(n)), ("json", facts(n)))}
    }
    assert build(web(tmp_path, lines, tars), "--max-error-rate=1").code == 0
    texts = [record.queries[0].text for record in records_of(tmp_path / "out")]
    assert texts == ["see http://dogs.example.org", "http://a.org is nice"]
    assert reject_counts(tmp_path / "out")["caption", "unreadable-caption"] == 1


def test_tars_may_be_named_by_braces(world: Path) -> None:
    assert build(world).code == 0
    args = (f"--images={world}/tars/{{00000..00002}}.tar", f"--tsv={world}/{{train,train}}.tsv")
    ended = run_cli("build", "captions", *args, f"--out={world}/braces", "--workers=0")
    assert ended.code == 0, ended.stderr
    assert [record.key for record in records_of(world / "braces")] == [
        record.key for record in records_of(world / "out")
    ]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["00000/000000000.jpg", "00000/000000000.json"], "img2dataset --output_format webdataset"),
        (["00000.parquet"], "img2dataset --output_format webdataset"),
        (["below/00000.tar"], "holds no tar, but folders below it do .*below/00000.tar"),
        ([], "holds no tar"),
    ],
)
def test_a_folder_without_tars_says_what_it_holds_instead(files: list[str], says: str, tmp_path: Path) -> None:
    web(tmp_path, f"a thing\t{url(0)}\n", {})
    for name in files:
        (tmp_path / "tars" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tars" / name).write_bytes(b"x")
    ended = build(tmp_path)
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert re.search(says, ended.errors[0]), ended.errors
