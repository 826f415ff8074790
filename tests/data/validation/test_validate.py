"""A dataset is damaged in one way at a time, and the violation that is named is the one that was made."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.tiny_dataset import KEYS, PREFIX, SHARDS, TinyDataset, build, jpeg, run_here, sample
from tests.strategies import grounded_images
from xdetr_data.errors import InputError
from xdetr_data.record import GroundedImage
from xdetr_data.schema import SAMPLE_ARROW_SCHEMA, from_json, to_json
from xdetr_data.shards import tar_stream
from xdetr_data.validation import labels
from xdetr_data.validation.dataset import Report, load_manifest, validate_dataset
from xdetr_data.validation.labels import check_labels, first_difference
from xdetr_data.validation.violation import MAX_CHARS, Violation, violation

Damage = Callable[[TinyDataset], Any]
TAR, PARQUET, STATS = f"{PREFIX}-000000.tar", f"{PREFIX}-000000.parquet", f"{PREFIX}-000000.stats.json"
MANIFEST, REJECTS = "manifest.json", "rejects/000000.parquet"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tiny") / "dataset").path


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> TinyDataset:
    shutil.copytree(original, tmp_path / "dataset")
    return TinyDataset(tmp_path / "dataset")


def check(dataset: TinyDataset) -> Report:
    manifest = load_manifest(dataset.folder)
    if isinstance(manifest, Violation):
        return Report(rows=0, photos=0, shards=0, violations=[manifest])
    return validate_dataset(dataset.folder, manifest, run_here, lambda _: None)


def named(report: Report) -> set[tuple[str, str]]:
    return {(one.file, one.rule) for one in report.violations}


def flip(path: Path, place: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= bit
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def photo_place(dataset: TinyDataset) -> int:
    with tarfile.open(dataset.file(".tar")) as tar:
        return next(one.offset_data for one in tar if one.name.endswith(".jpg"))


def replaced_bytes(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


RAW: dict[str, tuple[Damage, set[tuple[str, str]]]] = {
    "a flipped byte in a photo": (
        lambda d: flip(d.file(".tar"), photo_place(d) + 900),
        {(TAR, "file-checksum"), (TAR, "photo-checksum")},
    ),
    "a changed digit in labels": (
        lambda d: replaced_bytes(d.file(".tar"), b"10.5", b"11.5"),
        {(TAR, "file-checksum"), (PARQUET, "row-differs")},
    ),
    "a flipped byte in a tar header": (
        lambda d: flip(d.file(".tar"), 3),
        {(TAR, "tar-damaged"), (TAR, "file-checksum")},
    ),
    "a tar cut inside a member": (
        lambda d: cut(d.file(".tar"), photo_place(d) + 100),
        {(TAR, "tar-damaged"), (TAR, "file-size")},
    ),
    "a tar cut between members": (
        lambda d: cut(d.file(".tar"), photo_place(d) - 512),
        {(TAR, "tar-damaged"), (TAR, "file-size")},
    ),
    "a tar cut inside a header": (
        lambda d: cut(d.file(".tar"), 100),
        {(TAR, "tar-damaged"), (TAR, "file-size")},
    ),
    "an empty tar": (lambda d: cut(d.file(".tar"), 0), {(TAR, "tar-damaged"), (TAR, "file-size")}),
    "a text in place of a tar": (
        lambda d: d.file(".tar").write_text("not a tar\n" * 100),
        {(TAR, "tar-damaged"), (TAR, "file-size")},
    ),
    "data behind the end of a tar": (
        lambda d: d.file(".tar").write_bytes(d.file(".tar").read_bytes() + b"x" * 512),
        {(TAR, "tar-damaged"), (TAR, "file-size")},
    ),
    "zeros behind the end of a tar": (
        lambda d: d.file(".tar").write_bytes(d.file(".tar").read_bytes() + bytes(10240)),
        {(TAR, "file-size")},
    ),
    "a missing tar": (lambda d: d.file(".tar").unlink(), {(TAR, "file-missing")}),
    "a folder in place of a tar": (
        lambda d: (d.file(".tar").unlink(), d.file(".tar").mkdir()),
        {(TAR, "tar-damaged"), (TAR, "file-unreadable")},
    ),
    "a cut Parquet file": (
        lambda d: cut(d.file(".parquet"), 600),
        {(PARQUET, "parquet-unreadable"), (PARQUET, "file-size")},
    ),
    "an empty Parquet file": (
        lambda d: cut(d.file(".parquet"), 0),
        {(PARQUET, "parquet-unreadable"), (PARQUET, "file-size")},
    ),
    "a missing Parquet file": (lambda d: d.file(".parquet").unlink(), {(PARQUET, "file-missing")}),
    "two shards' tars swapped": (
        lambda d: (
            d.file(".tar").rename(d.path / "x"),
            d.file(".tar", 1).rename(d.file(".tar")),
            (d.path / "x").rename(d.file(".tar", 1)),
        ),
        {
            (file.replace("00.", f"0{shard}."), rule)
            for shard in range(SHARDS)
            for file, rule in [
                (TAR, "file-size"),
                (TAR, "wrong-shard"),
                (PARQUET, "row-missing"),
                (PARQUET, "row-extra"),
                (TAR, "row-count"),
            ]
        },
    ),
    "missing rejects": (lambda d: (d.path / REJECTS).unlink(), {(REJECTS, "file-missing")}),
    "cut rejects": (
        lambda d: cut(d.path / REJECTS, 50),
        {(REJECTS, "file-size"), (REJECTS, "rejects-unreadable")},
    ),
    "a missing done-marker": (lambda d: d.file(".stats.json").unlink(), {(STATS, "stats-missing")}),
    "a garbled done-marker": (lambda d: d.file(".stats.json").write_text("{"), {(STATS, "stats-unreadable")}),
    "a done-marker of another shard": (
        lambda d: shutil.copy(d.file(".stats.json", 1), d.file(".stats.json")),
        {(STATS, "stats-differ")},
    ),
    "a done-marker of another configuration": (
        lambda d: replaced_bytes(d.file(".stats.json"), b"c0ffee", b"decaff"),
        {(STATS, "stats-differ")},
    ),
    "a stray tar": (
        lambda d: shutil.copy(d.file(".tar"), d.path / "tiny-train-000009.tar"),
        {("tiny-train-000009.tar", "stray-file")},
    ),
    "a stray file of rejects": (
        lambda d: shutil.copy(d.path / REJECTS, d.path / "rejects" / "000009.parquet"),
        {("rejects/000009.parquet", "stray-file")},
    ),
    "a stray pickle": (lambda d: (d.path / "x.pkl").write_bytes(b""), {("x.pkl", "stray-file")}),
    "the scratch of an unfinished build": (
        lambda d: ((d.path / "_work").mkdir(), (d.path / "_work" / "run.json").write_text("{}")),
        {("_work", "stray-file")},
    ),
    "no manifest": (lambda d: (d.path / MANIFEST).unlink(), {(MANIFEST, "manifest-missing")}),
    "a cut manifest": (lambda d: cut(d.path / MANIFEST, 200), {(MANIFEST, "manifest-unreadable")}),
    "a binary manifest": (
        lambda d: (d.path / MANIFEST).write_bytes(bytes(range(256))),
        {(MANIFEST, "manifest-unreadable")},
    ),
    "a manifest that nests too deep": (
        lambda d: (d.path / MANIFEST).write_text("[" * 100_000),
        {(MANIFEST, "manifest-unreadable")},
    ),
    "a manifest that is a list": (lambda d: d.edit_manifest(lambda m: [m]), {(MANIFEST, "manifest-unreadable")}),
    "a manifest without shards": (
        lambda d: d.edit_manifest(lambda m: m.pop("shards") and None),
        {(MANIFEST, "manifest-unreadable")},
    ),
    "a manifest of another schema": (
        lambda d: d.edit_manifest(lambda m: m.update(schema=2)),
        {(MANIFEST, "manifest-schema")},
    ),
    "a manifest with a wrong checksum": (
        lambda d: (d.edit_manifest(lambda m: m["shards"][0]["files"][0].update(sha256="0")), d.write_done_markers()),
        {(TAR, "file-checksum")},
    ),
    "a manifest with a wrong size": (
        lambda d: (d.edit_manifest(lambda m: m["shards"][0]["files"][0].update(bytes=7)), d.write_done_markers()),
        {(TAR, "file-size")},
    ),
    "a manifest that leads elsewhere": (
        lambda d: d.edit_manifest(lambda m: m["rejects"][0].update(name="../../etc/passwd")),
        {(MANIFEST, "manifest-unsafe")},
    ),
    "a prefix that leads elsewhere": (
        lambda d: d.edit_manifest(lambda m: m.update(prefix="../x")),
        {(MANIFEST, "manifest-unsafe")},
    ),
    "a negative seed": (lambda d: d.edit_manifest(lambda m: m.update(seed=-1)), {(MANIFEST, "manifest-unsafe")}),
    "rows that do not add up": (
        lambda d: d.edit_manifest(lambda m: m.update(rows=9)),
        {(MANIFEST, "manifest-contradiction"), (MANIFEST, "accounting-unbalanced")},
    ),
    "shards that are not numbered": (
        lambda d: d.edit_manifest(lambda m: m["shards"].reverse()),
        {(MANIFEST, "manifest-contradiction")},
    ),
    "a file that is named twice": (
        lambda d: d.edit_manifest(lambda m: m["rejects"].append(m["rejects"][0])),
        {(MANIFEST, "manifest-contradiction")},
    ),
    "a shard without a tar in the manifest": (
        lambda d: (d.edit_manifest(lambda m: m["shards"][0]["files"].pop(0) and None), d.write_done_markers()),
        {(MANIFEST, "manifest-contradiction"), (TAR, "stray-file")},
    ),
    "an accounting that loses photos": (
        lambda d: d.edit_manifest(lambda m: m["accounting"]["units"]["photo"].update({"in": 9})),
        {(MANIFEST, "accounting-unbalanced")},
    ),
    "an accounting of other rows": (
        lambda d: d.edit_manifest(lambda m: m["accounting"]["units"]["photo"].update({"in": 9, "out": 9})),
        {(MANIFEST, "accounting-unbalanced")},
    ),
    "an accounting of another shape": (
        lambda d: d.edit_manifest(lambda m: m.update(accounting={"units": {"photo": 5}})),
        {(MANIFEST, "accounting-unreadable"), (MANIFEST, "rejects-differ")},
    ),
    "rejects that were not counted": (
        lambda d: d.edit_manifest(lambda m: m["accounting"]["units"].pop("box") and None),
        {(MANIFEST, "rejects-differ")},
    ),
}


@pytest.mark.parametrize("name", RAW)
def test_damage_to_files_is_named(name: str, dataset: TinyDataset) -> None:
    damage, expected = RAW[name]
    damage(dataset)
    assert named(check(dataset)) == expected


def first(d: TinyDataset, suffix: str) -> str:
    return f"{d.keys()[0]}.{suffix}"


def with_member(d: TinyDataset, member: tuple[str, bytes] | tarfile.TarInfo) -> None:
    members: list[tuple[str, bytes] | tarfile.TarInfo] = [*d.members()]
    d.write_members([*members[:2], member, *members[2:]])


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def with_photo(d: TinyDataset, data: bytes) -> None:
    d.replace(first(d, "jpg"), data)


def huge_header() -> bytes:
    """A PNG whose header promises 300 megapixels."""
    sink = io.BytesIO()
    Image.new("1", (20_000, 15_000)).save(sink, "PNG")
    return sink.getvalue()


def stolen_sample(d: TinyDataset) -> None:
    """A sample of the second shard, also in the first one, with its row."""
    members = d.members()
    stolen = [one for one in d.members(1) if one[0].startswith(d.keys(1)[0])]
    d.write_members(sorted([*members, *stolen]))
    row = json.loads(dict(stolen)[f"{d.keys(1)[0]}.json"])
    d.edit_rows(lambda rows: sorted([*rows, row], key=lambda one: one["key"]))


def other_columns(d: TinyDataset) -> None:
    fields = [field for field in SAMPLE_ARROW_SCHEMA if field.name != "queries"]
    d.edit_rows(lambda rows: [{**row} for row in rows], pa.schema(fields))


def region(index: int, **changes: Any) -> Damage:
    return lambda d: d.edit_json(lambda s: s["regions"][index].update(changes))


def phrase(**changes: Any) -> Damage:
    return lambda d: d.edit_json(lambda s: s["queries"][0]["phrases"][0].update(changes))


CONTENTS: dict[str, tuple[Damage, set[tuple[str, str]]]] = {
    "samples in another order": (
        lambda d: d.write_members([*d.members()[2:], *d.members()[:2]]),
        {(TAR, "key-order")},
    ),
    "a sample twice in a row": (
        lambda d: d.write_members([*d.members()[:2], *d.members()]),
        {(TAR, "member-twice")},
    ),
    "a sample twice": (
        lambda d: d.write_members([*d.members(), *d.members()[:2]]),
        {(TAR, "key-twice"), (TAR, "key-order"), (TAR, "row-count")},
    ),
    "a sample in two shards": (
        stolen_sample,
        {(TAR, "wrong-shard"), (TAR, "row-count"), (PARQUET, "row-count"), (f"{PREFIX}-000001.tar", "key-twice")},
    ),
    "a sample too few": (
        lambda d: d.write_members(d.members()[2:]),
        {(TAR, "row-count"), (PARQUET, "row-extra")},
    ),
    "a pickle as a member": (
        lambda d: with_member(d, (first(d, "pkl"), b"cos\nsystem\n")),
        {(TAR, "member-extra")},
    ),
    "a pickle under its own key": (lambda d: with_member(d, ("x.pkl", b"")), {(TAR, "member-extra")}),
    "a symbolic link": (
        lambda d: with_member(d, special(first(d, "png"), tarfile.SYMTYPE, "/etc/passwd")),
        {(TAR, "member-type")},
    ),
    "a hard link": (
        lambda d: with_member(d, special(first(d, "png"), tarfile.LNKTYPE, first(d, "jpg"))),
        {(TAR, "member-type")},
    ),
    "a folder as a member": (lambda d: with_member(d, special("sub", tarfile.DIRTYPE)), {(TAR, "member-type")}),
    "a sparse member": (
        lambda d: with_member(d, special(first(d, "png"), tarfile.GNUTYPE_SPARSE)),
        {(TAR, "member-type")},
    ),
    "a member that leads elsewhere": (lambda d: with_member(d, ("../x.json", b"{}")), {(TAR, "member-name")}),
    "a member with an absolute name": (lambda d: with_member(d, ("/etc/x.json", b"{}")), {(TAR, "member-name")}),
    "a member in a folder": (lambda d: with_member(d, ("sub/x.json", b"{}")), {(TAR, "member-name")}),
    "a member without a key": (lambda d: with_member(d, (".json", b"{}")), {(TAR, "member-name")}),
    "a member whose name is no UTF-8": (
        lambda d: with_member(d, ("\udcff\udcfe.json", b"{}")),
        {(TAR, "member-name")},
    ),
    "a second photo": (lambda d: with_member(d, (first(d, "png"), b"x")), {(TAR, "member-extra")}),
    "no labels": (
        lambda d: d.write_members([one for one in d.members() if one[0] != first(d, "json")]),
        {(TAR, "json-missing")},
    ),
    "no photo": (
        lambda d: d.write_members([one for one in d.members() if one[0] != first(d, "jpg")]),
        {(TAR, "photo-missing")},
    ),
    "labels that are no JSON": (lambda d: d.replace(first(d, "json"), b"{"), {(TAR, "json-unreadable")}),
    "labels that are no UTF-8": (lambda d: d.replace(first(d, "json"), b'{"key":"\xff"}'), {(TAR, "json-unreadable")}),
    "labels that nest too deep": (
        lambda d: d.replace(first(d, "json"), b"[" * 100_000),
        {(TAR, "json-unreadable")},
    ),
    "labels that are a list": (lambda d: d.replace(first(d, "json"), b"[]"), {(TAR, "json-schema")}),
    "a field too many": (lambda d: d.edit_json(lambda s: s.update(colour="red")), {(TAR, "json-schema")}),
    "a field too few": (lambda d: d.edit_json(lambda s: s.pop("queries") and None), {(TAR, "json-schema")}),
    "another schema number": (lambda d: d.edit_json(lambda s: s.update(schema=2)), {(TAR, "json-schema")}),
    "a text as a number": (lambda d: d.edit_json(lambda s: s["image"].update(width="32")), {(TAR, "json-schema")}),
    "a photo of no width": (lambda d: d.edit_json(lambda s: s["image"].update(width=0)), {(TAR, "json-schema")}),
    "a box of three numbers": (region(0, box_xyxy=[1, 2, 3]), {(TAR, "json-schema")}),
    "a box outside the photo": (region(0, box_xyxy=[1, 2, 33, 20]), {(TAR, "box-outside-photo")}),
    "a box with negative coordinates": (region(0, box_xyxy=[-1, 2, 3, 20]), {(TAR, "box-outside-photo")}),
    "a box without area": (region(0, box_xyxy=[5, 5, 5, 9]), {(TAR, "bad-box")}),
    "a span outside the text": (phrase(spans=[[2, 16]]), {(TAR, "span-outside-text")}),
    "a span of astronomic size": (phrase(spans=[[2, 2**62]]), {(TAR, "span-outside-text")}),
    "an empty span": (phrase(spans=[[2, 2]]), {(TAR, "bad-phrase")}),
    "spans that overlap": (phrase(spans=[[2, 6], [5, 9]]), {(TAR, "bad-phrase")}),
    "a phrase without spans": (phrase(spans=[]), {(TAR, "bad-phrase")}),
    "a region that is not there": (phrase(regions=[2]), {(TAR, "region-index")}),
    "a negative region": (phrase(regions=[-1]), {(TAR, "region-index")}),
    "a region named twice": (phrase(regions=[0, 0]), {(TAR, "bad-phrase")}),
    "labels of another key": (
        lambda d: d.edit_json(lambda s: s.update(key="other")),
        {(TAR, "key-differs"), (PARQUET, "row-differs")},
    ),
    "labels that differ from their row": (
        lambda d: d.edit_json(lambda s: s["queries"][0].update(text="a red cat runs.")),
        {(PARQUET, "row-differs")},
    ),
    "a photo of another sample": (lambda d: with_photo(d, jpeg(99)), {(TAR, "photo-checksum")}),
    "a cut photo": (lambda d: with_photo(d, jpeg(1)[:-200]), {(TAR, "unreadable-photo")}),
    "a text in place of a photo": (lambda d: with_photo(d, b"<html>not found</html>"), {(TAR, "unreadable-photo")}),
    "an empty photo": (lambda d: with_photo(d, b""), {(TAR, "unreadable-photo")}),
    "a photo of 300 megapixels": (lambda d: with_photo(d, huge_header()), {(TAR, "photo-too-large")}),
    "a photo of another size": (
        lambda d: with_photo(d, jpeg(1, (32, 24))),
        {(TAR, "photo-size"), (TAR, "photo-checksum")},
    ),
    "a PNG called jpg": (
        lambda d: with_photo(d, jpeg(1, file_format="PNG")),
        {(TAR, "photo-type"), (TAR, "photo-checksum")},
    ),
    "a photo without a stated sha256": (
        lambda d: d.edit_json(lambda s: s["image"].update(sha256=None)),
        {(TAR, "photo-unexpected"), (PARQUET, "row-differs")},
    ),
    "another stated sha256": (
        lambda d: d.edit_json(lambda s: s["image"].update(sha256="0" * 64)),
        {(TAR, "photo-checksum"), (PARQUET, "row-differs")},
    ),
    "a row too few": (
        lambda d: d.edit_rows(lambda rows: rows[1:]),
        {(PARQUET, "row-missing"), (PARQUET, "row-count")},
    ),
    "a row twice": (
        lambda d: d.edit_rows(lambda rows: [rows[0], *rows]),
        {(PARQUET, "key-twice"), (PARQUET, "row-count")},
    ),
    "a row too many": (
        lambda d: d.edit_rows(lambda rows: [*rows, {**rows[0], "key": "zzz"}]),
        {(PARQUET, "row-extra"), (PARQUET, "row-count")},
    ),
    "a row that differs": (
        lambda d: d.edit_rows(lambda rows: rows[0]["regions"][0].update(is_crowd=True)),
        {(PARQUET, "row-differs")},
    ),
    "a row with a hole": (
        lambda d: d.edit_rows(lambda rows: rows[0]["image"].update(width=None)),
        {(PARQUET, "row-differs")},
    ),
    "rows in another order": (lambda d: d.edit_rows(lambda rows: rows[::-1]), {(PARQUET, "key-order")}),
    "other columns": (other_columns, {(PARQUET, "parquet-schema")}),
    "another number of rows in the manifest": (
        lambda d: d.edit_manifest(lambda m: [one.update(rows=5 - 2 * one["shard"]) for one in m["shards"]] and m),
        {(file.replace("00.", f"0{shard}."), "row-count") for shard in range(SHARDS) for file in (TAR, PARQUET)},
    ),
    "photos in a dataset of labels": (
        lambda d: d.edit_rows(lambda rows: rows[0]["image"].update(sha256=None)),
        {(PARQUET, "row-differs")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENTS)
def test_damage_to_contents_is_named_though_all_checksums_fit(name: str, dataset: TinyDataset) -> None:
    damage, expected = CONTENTS[name]
    damage(dataset)
    dataset.forge()
    report = check(dataset)
    assert named(report) == expected
    assert all(one.what for one in report.violations)


def test_at_least_a_hundred_kinds_of_damage_are_told_apart() -> None:
    assert len(RAW) + len(CONTENTS) >= 100


def test_an_intact_dataset_is_valid(dataset: TinyDataset) -> None:
    report = check(dataset)
    assert report == Report(rows=len(KEYS), photos=len(KEYS), shards=SHARDS, violations=[])


def test_labels_without_photos_are_valid_where_the_build_was_metadata_only(tmp_path: Path) -> None:
    report = check(build(tmp_path, metadata_only=True))
    assert (report.rows, report.photos, report.violations) == (len(KEYS), 0, [])


def test_another_seed_puts_keys_into_other_shards(dataset: TinyDataset) -> None:
    dataset.edit_manifest(lambda m: m.update(seed=4))
    assert {rule for _, rule in named(check(dataset))} == {"wrong-shard"}


def test_an_oversized_member_is_not_kept_in_memory(dataset: TinyDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with_member(dataset, (first(dataset, "png"), bytes(50_000)))
    dataset.forge()
    monkeypatch.setattr(tar_stream, "MAX_MEMBER_BYTES", 40_000)
    report = check(dataset)
    assert named(report) == {(TAR, "member-type")}
    assert "has 50000 bytes, more than 40000" in report.violations[0].what


def test_every_violation_is_listed_not_only_the_first(dataset: TinyDataset) -> None:
    def break_much(sample: Any) -> None:
        sample["regions"][0]["box_xyxy"] = [0, 0, 99, 99]
        sample["regions"][1]["box_xyxy"] = [3, 3, 3, 3]
        sample["queries"][0]["phrases"][0]["spans"] = [[0, 99]]
        sample["queries"][0]["phrases"][0]["regions"] = [7]

    dataset.edit_json(break_much)
    dataset.edit_json(lambda s: s.update(colour="red"), shard=1)
    dataset.forge()
    rules = [(one.key, one.rule) for one in check(dataset).violations]
    one, other = dataset.keys(0)[0], dataset.keys(1)[0]
    expected = {(one, rule) for rule in ("box-outside-photo", "bad-box", "span-outside-text", "region-index")}
    assert set(rules) == {*expected, (other, "json-schema")}


def test_a_violation_names_place_and_remedy(dataset: TinyDataset) -> None:
    region(0, box_xyxy=[1, 2, 33, 20])(dataset)
    dataset.forge()
    (found,) = check(dataset).violations
    assert str(found) == (
        f"{TAR}: {dataset.keys()[0]}: box-outside-photo: {dataset.keys()[0]}.json: regions[0]: box_xyxy (1.0, 2.0, "
        "33.0, 20.0) leaves the photo of 32x24 pixels; build again with --overwrite"
    )


def test_contents_of_a_file_that_was_damaged_later_are_mended_by_copying(dataset: TinyDataset) -> None:
    flip(dataset.file(".tar"), photo_place(dataset) + 900)
    assert all("copy the file again" in one.remedy for one in check(dataset).violations)


def test_a_folder_that_does_not_exist_is_an_error_not_a_violation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_manifest(TinyDataset(tmp_path / "nothing").folder)


def test_other_peoples_files_beside_the_dataset_are_left_alone(dataset: TinyDataset) -> None:
    (dataset.path / "README.md").write_text("notes")
    (dataset.path / "statistics.json").write_text("{}")
    assert check(dataset).violations == []


def test_violations_of_hostile_names_cannot_control_a_terminal() -> None:
    found = violation("a\x1b[31m.tar", "rule", "line\none\x07" + "x" * 5000, key="\u202ekey")
    assert str(found).isprintable()
    assert len(found.what) <= MAX_CHARS + 1


def test_nonsense_in_any_shard_file_is_found_and_never_a_crash(dataset: TinyDataset) -> None:
    files = [dataset.file(".tar"), dataset.file(".parquet"), dataset.path / REJECTS]
    intact = {path: path.read_bytes() for path in files}

    @given(st.sampled_from(files), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=600))
    @settings(max_examples=80)
    def overwrite_somewhere(path: Path, share: float, junk: bytes) -> None:
        data = intact[path]
        place = int(share * len(data))
        damaged = data[:place] + junk + data[place + len(junk) :]
        if damaged != data:
            path.write_bytes(damaged)
            assert check(dataset).violations
            path.write_bytes(data)

    overwrite_somewhere()


def test_nonsense_in_manifest_or_done_marker_is_never_a_crash(dataset: TinyDataset) -> None:
    files = [dataset.path / MANIFEST, dataset.file(".stats.json")]
    intact = {path: path.read_bytes() for path in files}

    @given(st.sampled_from(files), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8))
    @settings(max_examples=80)
    def overwrite_somewhere(path: Path, share: float, junk: bytes) -> None:
        data = intact[path]
        place = int(share * len(data))
        path.write_bytes(data[:place] + junk + data[place + len(junk) :])
        check(dataset)
        path.write_bytes(data)

    overwrite_somewhere()


@given(grounded_images())
def test_labels_as_written_pass_without_the_slow_library(record: GroundedImage) -> None:
    assert check_labels(to_json(record)) == (record, [])


@given(grounded_images())
@settings(max_examples=30)
def test_labels_written_by_other_tools_pass_too(record: GroundedImage) -> None:
    data = json.dumps(json.loads(to_json(record)), indent=2, sort_keys=True).encode()
    assert check_labels(data) == (record, [])


def test_only_labels_that_another_tool_wrote_are_shown_to_the_slow_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_schema_breaches", lambda raw: [labels.Breach("json-schema", raw["key"])])
    data = to_json(sample(KEYS[0]).record)
    assert check_labels(data) == (sample(KEYS[0]).record, [])
    assert check_labels(data + b" ") == (None, [labels.Breach("json-schema", KEYS[0])])


@given(grounded_images(), st.data())
def test_labels_pass_only_if_they_decode(record: GroundedImage, data: st.DataObject) -> None:
    encoded = bytearray(to_json(record))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    found, breaches = check_labels(bytes(encoded))
    # a mask is looked at after the record is read: it may be of another size than its photo
    assert bool(breaches) == (found is None or any(one.rule == "bad-mask" for one in breaches))
    if found is not None:
        assert found == from_json(bytes(encoded))


def test_the_first_difference_says_where() -> None:
    one = {"a": [1, {"b": 2.0}], "c": None}
    assert first_difference(one, {"a": [1, {"b": 2.0}], "c": None}) == ""
    assert first_difference(one, {"a": [1, {"b": 3.0}], "c": None}) == "$.a[1].b: 2.0 / 3.0"
    assert first_difference(one, {"a": [1], "c": None}) == "$.a: 2 / 1 items"
    assert first_difference(one, {"a": [1, {"b": 2.0}]}) == "$.c: only in the one"
    assert first_difference({"a": 1}, {"a": 1.0}) == "$.a: 1 / 1.0"


def test_the_tiny_dataset_is_what_its_tests_assume() -> None:
    assert sample(KEYS[0]).photo is not None
    assert sample(KEYS[0], photo=False).record.image.sha256 is None


def exchanged(text: str) -> str:
    """An index in which two samples stand in each other's line."""
    head, first, second, *rest = text.splitlines(keepends=True)
    return "".join([head, second, first, *rest])


def one_less(text: str) -> str:
    """An index without its last sample."""
    head, *lines = text.splitlines(keepends=True)
    return "".join([head.replace(str(len(lines)), str(len(lines) - 1)), *lines[:-1]])


@pytest.mark.parametrize(
    ("damage", "rule", "what"),
    [
        (lambda text: text.replace("jpg 512 ", "jpg 1024 ", 1), "index-differs", "says {'jpg': (1024, "),
        (exchanged, "index-differs", f"is not in {TAR}'s order"),
        (one_less, "index-differs", "lists 5 samples"),
        (lambda text: text[:-5], "index-unreadable", "does not name the members of one sample"),
        (lambda text: "", "index-unreadable", "is no index"),
    ],
)
def test_an_index_that_does_not_lead_to_its_members_is_named(
    damage: Callable[[str], str], rule: str, what: str, dataset: TinyDataset
) -> None:
    index = dataset.file(".idx")
    index.write_text(damage(index.read_text()))
    dataset.forge(indices=False)
    (found,) = check(dataset).violations
    assert (found.file, found.rule) == (index.name, rule)
    assert what in found.what


def test_an_index_that_was_changed_after_the_build_is_to_be_copied_again(dataset: TinyDataset) -> None:
    index = dataset.file(".idx")
    index.write_text(exchanged(index.read_text()))
    found = check(dataset).violations
    assert {(one.file, one.rule) for one in found} == {(index.name, "file-checksum"), (index.name, "index-differs")}
    assert all("copy the file again" in one.remedy for one in found)


def test_a_dataset_without_indices_is_valid_and_an_index_of_nobody_is_a_stray(dataset: TinyDataset) -> None:
    def without(manifest: Any) -> None:
        for shard in manifest["shards"]:
            shard["files"] = [one for one in shard["files"] if not one["name"].endswith(".idx")]

    dataset.edit_manifest(without)
    dataset.write_done_markers()
    assert named(check(dataset)) == {(dataset.file(".idx", shard).name, "stray-file") for shard in range(SHARDS)}
    for shard in range(SHARDS):
        dataset.file(".idx", shard).unlink()
    assert check(dataset).violations == []
