"""``review apply`` makes a new dataset beside the old one: only what was decided differs, whoever works and when."""

import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.pipelines.qa.shown import HASH, PREFIX, SEED, key_of, record, write_shown
from tests.pipelines.tiny import Ended, files_of, manifest_of, records_of, reject_counts, rejects_of, run_cli
from xdetr_data.manifest import write_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.reviewing.decisions import Action, Decision, Reviewed, write_decisions
from xdetr_data.schema import to_json
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.storage import Folder

PHOTOS, SHARDS = 24, 4


def labels_sha256(one: GroundedImage) -> str:
    return hashlib.sha256(to_json(one)).hexdigest()


def decide(number: int, action: Action = "reject", place: Sequence[int | None] = (0, 0, 0), **more: Any) -> Decision:
    query, phrase, region = place
    return Decision(
        key=key_of(number),
        sample_sha256=labels_sha256(record(number)),
        query=query,
        phrase=phrase,
        region=region,
        action=action,
        text="red ball",
        **more,
    )


def shard_of(number: int) -> int:
    return shard_of_key(key_of(number), seed=SEED, shards=SHARDS)


IN_ONE_SHARD = [number for number in range(PHOTOS) if shard_of(number) == shard_of(0)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_shown(tmp_path / "out", PHOTOS, SHARDS)


def review(out: Path, decisions: Sequence[Decision], *args: str, config_hash: str = HASH, to: str = "new") -> Ended:
    write_decisions(
        Folder(str(out.parent)), "review.parquet", Reviewed(name="shown", config_hash=config_hash), decisions
    )
    return run_cli(
        "review", "apply", str(out), f"--review={out.parent / 'review.parquet'}", f"--out={out.parent / to}",
        *(args or ["--workers=0"]),
    )  # fmt: skip


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def valid(out: Path) -> bool:
    return run_cli("validate", str(out), "--workers=0").code == 0


def test_without_decisions_every_shard_is_byte_for_byte_the_parent_s(out: Path) -> None:
    before = files_of(out)
    assert review(out, []).code == 0
    after = files_of(out.parent / "new")
    shards = [name for name in before if name.endswith((".tar", ".parquet", ".idx"))]
    assert len(shards) == 4 * SHARDS
    assert {name: after[name] == before[name] for name in shards} == dict.fromkeys(shards, True)
    assert valid(out.parent / "new")
    assert files_of(out) == before


def test_only_the_sample_that_something_was_decided_about_changes(out: Path) -> None:
    number = IN_ONE_SHARD[1]
    before = files_of(out)
    assert review(out, [decide(number)]).code == 0
    assert files_of(out) == before
    new = out.parent / "new"
    after = files_of(new)
    home = f"{PREFIX}-{shard_of(number):06d}"
    others = [
        name for name in before if name.endswith((".tar", ".parquet")) and home not in name and "rejects" not in name
    ]
    assert len(others) == 2 * (SHARDS - 1)
    assert [name for name in others if after[name] != before[name]] == []
    old_members, new_members = members(out / f"{home}.tar"), members(new / f"{home}.tar")
    assert list(old_members) == list(new_members)
    assert [name for name in old_members if old_members[name] != new_members[name]] == [f"{key_of(number)}.json"]
    changed = [one for one, was in zip(records_of(new), records_of(out), strict=True) if one != was]
    assert [one.key for one in changed] == [key_of(number)]
    assert valid(new)


def test_the_manifest_names_the_machines_that_labelled(out: Path) -> None:
    machines = [{"cpu_capability": "AVX2", "torch": "2"}]
    write_manifest(Folder(str(out)), replace(manifest_of(out), machines=machines))
    assert review(out, [decide(0)]).code == 0
    assert manifest_of(out.parent / "new").machines == machines


def test_the_manifest_names_both_parents_and_the_account_balances(out: Path) -> None:
    ended = review(
        out, [decide(0), decide(1, "wrong-box"), decide(2, "edit-label", label="nowhere")], "--workers=0", "--json"
    )
    assert ended.code == 0
    manifest = manifest_of(out.parent / "new")
    named = {one.role: one for one in manifest.inputs}
    assert named["dataset"].path == str(out / "manifest.json")
    assert named["review"].bytes == (out.parent / "review.parquet").stat().st_size
    assert manifest.config["parent"]["config_hash"] == HASH
    assert manifest.recipe == "review apply"
    assert (manifest.prefix, manifest.seed, manifest.rows) == (PREFIX, SEED, PHOTOS)
    units = json.loads(ended.stdout)["accounting"]["units"]
    assert {unit: (flow["in"], flow["out"]) for unit, flow in units.items()} == {
        "photo": (PHOTOS, PHOTOS),
        "decision": (3, 2),
        "label": (100, 98),
        "phrase": (96, 95),
        "box": (96, 96),
    }
    assert reject_counts(out.parent / "new") == {
        ("decision", "label-not-in-query"): 1,
        ("label", "reject"): 1,
        ("label", "wrong-box"): 1,
        ("phrase", "reject"): 1,
    }
    (refused,) = (one for one in rejects_of(out.parent / "new") if one.unit == "decision")
    assert (refused.key, refused.input_ref) == (key_of(2), "queries[0].phrases[0].regions[0]")
    assert "'nowhere' does not occur in 'A red ball and two blue boxes.'" in refused.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": "nobody"}, "no-such-sample"),
        ({"sample_sha256": "0" * 64}, "sample-changed"),
        ({"region": 2}, "no-such-label"),
    ],
)
def test_a_decision_that_matches_nothing_is_a_reject(change: dict[str, Any], reason: str, out: Path) -> None:
    assert review(out, [replace(decide(0), **change)]).code == 0
    assert reject_counts(out.parent / "new") == {("decision", reason): 1}
    for path in sorted(out.glob("*.tar")):
        assert path.read_bytes() == (out.parent / "new" / path.name).read_bytes()
    assert valid(out.parent / "new")


def test_decisions_about_another_dataset_are_refused(out: Path) -> None:
    ended = review(out, [decide(0)], config_hash="6" * 64)
    assert ended.code != 0
    (line,) = ended.errors
    assert "holds decisions about another dataset ('shown', configuration 666666666666)" in line
    assert not (out.parent / "new").exists()


def test_the_same_bytes_whatever_the_number_of_workers(out: Path) -> None:
    decisions = [decide(number) for number in range(0, PHOTOS, 3)]
    assert review(out, decisions).code == 0
    assert review(out, decisions, "--workers=2", to="two").code == 0
    assert files_of(out.parent / "new") == files_of(out.parent / "two")


def test_a_run_that_stopped_goes_on_where_it_was(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.review import recipe

    decisions = [decide(number) for number in range(PHOTOS)]
    build, calls = recipe.review_shard, []

    def stops(context: Any, shard: int) -> Any:
        calls.append(shard)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return build(context, shard)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "review_shard", stops)
        assert review(out, decisions).code == 130
    assert not (out.parent / "new" / "manifest.json").exists()
    assert "is done" not in review(out, decisions).stderr
    assert "holds an unfinished run" in review(out, decisions).errors[0]
    ended = review(out, decisions, "--workers=0", "--resume")
    assert "2 of 4 shards are done already" in ended.stderr
    assert review(out, decisions, to="fresh").code == 0
    assert files_of(out.parent / "new") == files_of(out.parent / "fresh")
    assert "already complete" in review(out, decisions, "--workers=0", "--resume").stderr
    assert "another configuration" in review(out, decisions[1:], "--workers=0", "--resume").errors[0]


def test_a_review_of_a_review_is_a_dataset_like_any_other(out: Path) -> None:
    assert review(out, [decide(0)]).code == 0
    first = out.parent / "new"
    one = next(one for one in records_of(first) if one.key == key_of(0))
    again = replace(decide(0, place=(1, 0, 0)), sample_sha256=labels_sha256(one))
    write_decisions(
        Folder(str(out.parent)), "2.parquet", Reviewed(name="x", config_hash=manifest_of(first).config_hash), [again]
    )
    args = [f"--review={out.parent / '2.parquet'}", f"--out={out.parent / 'third'}", "--workers=0"]
    assert run_cli("review", "apply", str(first), *args).code == 0
    assert [one.role for one in manifest_of(out.parent / "third").inputs] == ["dataset", "review"] * 2
    assert valid(out.parent / "third")


def test_a_photo_that_is_not_the_labelled_one_ends_the_run(out: Path) -> None:
    home = out / f"{PREFIX}-{shard_of(0):06d}.tar"
    data = bytearray(home.read_bytes())
    data[data.index(b"\xff\xd8\xff") + 60] ^= 1
    home.write_bytes(bytes(data))
    assert "its photo in the tar is not the one that was labelled" in review(out, [decide(0)]).errors[0]
    other = next(number for number in range(PHOTOS) if shard_of(number) != shard_of(0))
    assert "is damaged" in review(out, [decide(other)], to="other").errors[0]


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_what_is_no_review_is_told(content: bytes, out: Path) -> None:
    (out.parent / "review.parquet").write_bytes(content)
    args = [f"--review={out.parent / 'review.parquet'}", f"--out={out.parent / 'new'}", "--workers=0"]
    assert "is no Parquet file" in run_cli("review", "apply", str(out), *args).errors[0]
    args[0] = f"--review={next(out.glob('*.parquet'))}"
    assert "is no file of review decisions" in run_cli("review", "apply", str(out), *args).errors[0]
    args[0] = f"--review={out.parent / 'nothing.parquet'}"
    assert "cannot be read" in run_cli("review", "apply", str(out), *args).errors[0]
    args[1] = f"--out={out}"
    (out.parent / "review.parquet").write_bytes(b"")
    assert "is the dataset itself" in run_cli("review", "apply", str(out), *args).errors[0]
