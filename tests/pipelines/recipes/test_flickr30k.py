"""``build flickr30k``: captions, phrases and boxes of Flickr30k Entities, from a folder or a zip, all accounted for."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.data.sources.test_flickr30k import FIXTURES, an_object, as_mdetr, mdetr_captions, needs_fixtures, xml
from tests.pipelines.recipes.checks import check, check_interruption
from tests.pipelines.tiny import (
    HEIGHT,
    WIDTH,
    Ended,
    files_of,
    jpeg,
    manifest_of,
    records_of,
    reject_counts,
    rejects_of,
    run_cli,
)
from xdetr_data.boxes import Box
from xdetr_data.record import GroundedImage, Query
from xdetr_data.spans import Span
from xdetr_data.toyworld.world import write_toyworld

BALL, BOX, SHELF = (2, 3, 12, 15), (30, 20, 50, 36), (0, 30, 64, 48)
CAPTIONS = (
    "[/EN#1/other A red ball] and [/EN#2/other two boxes] in [/EN#4/scene a room] .",
    "[/EN#1/other The ball] is on [/EN#3/other a shelf] and [/EN#0/notvisual it] rolls .",
    "Nothing to see here .",
)
OBJECTS = (
    an_object([1], *BALL),
    an_object([2], *BOX),
    an_object([2, 5], *(one + 1 for one in BOX)),
    an_object([4], flags="<scene>1</scene><nobndbox>0</nobndbox>"),
    an_object([3], flags="<scene>0</scene><nobndbox>1</nobndbox>"),
)


def annotated(*objects: str, width: int = WIDTH) -> bytes:
    return xml(*objects, width=width, height=HEIGHT)


def write(folder: Path, photos: dict[int, tuple[Sequence[str] | None, bytes | None]], unrelated: str = "") -> Path:
    """The files of a tiny Flickr30k Entities, with its photos: captions and XML by photo, None where there is none."""
    for name in ("Sentences", "Annotations", "photos"):
        (folder / "entities" / name).mkdir(parents=True)
    for photo, (captions, annotations) in photos.items():
        if captions is not None:
            (folder / "entities" / "Sentences" / f"{photo}.txt").write_text("\n".join(captions) + "\n")
        if annotations is not None:
            (folder / "entities" / "Annotations" / f"{photo}.xml").write_bytes(annotations)
        (folder / "entities" / "photos" / f"{photo}.jpg").write_bytes(jpeg(photo))
    (folder / "entities" / "UNRELATED_CAPTIONS").write_text(f"# format: <imageID> <sentence number>\n{unrelated}")
    (folder / "train.txt").write_text("".join(f"{photo}\n" for photo in photos))
    return folder


def photos(count: int = 12) -> dict[int, tuple[Sequence[str] | None, bytes | None]]:
    return {n: ((*CAPTIONS, f"[/EN#1/other Ball number {n}] ."), annotated(*OBJECTS)) for n in range(1, count + 1)}


def build(folder: Path, *more: str, out: str = "out", entities: str = "entities", with_photos: bool = True) -> Ended:
    return run_cli(
        *("build", "flickr30k", f"--entities={folder / entities}", f"--ids={folder / 'train.txt'}"),
        f"--image-root=flickr={folder / 'entities' / 'photos'}" if with_photos else "--metadata-only",
        *(f"--out={folder / out}", "--workers=0", *more),
    )


def said(record: GroundedImage, query: Query) -> list[tuple[str, list[Box]]]:
    """Words and boxes of each phrase."""
    return [
        (" ".join(query.text[begin:end] for begin, end in one.spans), [record.regions[i].box_xyxy for i in one.regions])
        for one in query.phrases
    ]


def test_a_caption_is_a_query_and_a_phrase_has_all_boxes_of_its_chain(tmp_path: Path) -> None:
    ended = build(write(tmp_path, photos(1)))
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert (record.key, record.image.file_name, record.image.source) == ("flickr_1", "1.jpg", "flickr")
    assert [one.text for one in record.queries] == [
        "A red ball and two boxes in a room .", "The ball is on a shelf and it rolls .", "Nothing to see here .",
        "Ball number 1 .",
    ]  # fmt: skip
    assert [one.group for one in record.queries] == ["1#L1", "1#L2", "1#L3", "1#L4"]
    ball, first, second = BALL, BOX, tuple(one + 1 for one in BOX)
    assert [said(record, one) for one in record.queries] == [
        [("A red ball", [ball]), ("two boxes", [first, second]), ("a room", [])],
        [("The ball", [ball]), ("a shelf", [])],
        [],
        [("Ball number 1", [ball])],
    ]
    assert not any(one.is_exhaustive for one in record.queries)
    assert [one.provenance.detail for one in record.queries[0].phrases] == ["EN#1/other", "EN#2/other", "EN#4/scene"]
    assert [one.provenance.annotation_id for one in record.queries[0].phrases] == ["0", "1 2", ""]
    assert len(record.regions) == 3
    manifest = manifest_of(tmp_path / "out")
    assert manifest.accounting["units"] == {
        "box": {"in": 3, "out": 3, "rejected": {}},
        "caption": {"in": 4, "out": 4, "rejected": {}},
        "image": {"in": 1, "out": 1, "rejected": {}},
        "photo": {"in": 1, "out": 1, "rejected": {}},
    }
    assert manifest.accounting["notes"] == {
        "clipped-boxes": 0, "phrases-not-visual": 1, "phrases-without-box": 2,
        "doubtful-photos-without-five-captions": 1,
    }  # fmt: skip
    assert [(one.role, Path(one.path).name) for one in manifest.inputs] == [
        ("sentences", "Sentences"), ("annotations", "Annotations"), ("ids", "train.txt"),
        ("unrelated", "UNRELATED_CAPTIONS"),
    ]  # fmt: skip
    assert manifest.inputs[0].bytes == (tmp_path / "entities" / "Sentences" / "1.txt").stat().st_size
    assert (
        ended.stderr.count("warning: ") == ended.stderr.count("warning: 1 doubtful photos without five captions") == 1
    )


def test_every_element_that_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    made: dict[int, tuple[Sequence[str] | None, bytes | None]] = {
        1: (
            (*CAPTIONS[:2], "[/EN#1/other damaged", "[/EN#1/other Unrelated] ."),
            annotated(
                *OBJECTS, an_object([1], "x", 2, 3, 4), an_object([1], 64, 0, 70, 9), an_object([1], 5, 5, 5, 9),
                an_object([77], *SHELF), an_object([1], -9, 40, 12, 60),
            ),
        ),
        2: (None, annotated(*OBJECTS)),
        3: (CAPTIONS, None),
        4: (CAPTIONS, annotated(*OBJECTS, width=WIDTH + 1)),
        5: (CAPTIONS, annotated(*OBJECTS)),
        6: (("[/EN#1/other All of them] unrelated",), annotated(*OBJECTS)),
        7: (CAPTIONS, annotated(*OBJECTS)),
        8: (CAPTIONS, annotated(*OBJECTS)),
        9: (CAPTIONS, b"<annotation>"),
    }  # fmt: skip
    write(tmp_path, made, "1 4\n6 1\n")
    (tmp_path / "entities" / "photos" / "5.jpg").unlink()
    (tmp_path / "ids.txt").write_text("7\n")
    ended = build(tmp_path, "--max-error-rate=1", f"--exclude=flickr={tmp_path / 'ids.txt'}", "--limit=4")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert [one.text for one in record.queries] == [
        "A red ball and two boxes in a room .", "The ball is on a shelf and it rolls ."
    ]  # fmt: skip
    assert said(record, record.queries[1])[0] == ("The ball", [BALL, (0, 40, 12, 48)])
    assert reject_counts(tmp_path / "out") == {
        ("photo", "size-mismatch"): 1,
        ("photo", "missing-photo"): 1,
        ("photo", "no-caption-left"): 1,
        ("photo", "excluded"): 1,
        ("photo", "beyond-limit"): 1,
        ("image", "not-in-sentences"): 1,
        ("image", "not-in-annotations"): 1,
        ("image", "unreadable-annotations"): 1,
        ("image", "size-mismatch"): 1,
        ("image", "missing-photo"): 1,
        ("image", "no-caption-left"): 1,
        ("image", "excluded"): 1,
        ("image", "beyond-limit"): 1,
        ("caption", "unreadable-caption"): 1,
        ("caption", "unrelated-caption"): 2,
        ("caption", "image-rejected"): 6,
        ("caption", "size-mismatch"): 3,
        ("caption", "missing-photo"): 3,
        ("caption", "excluded"): 3,
        ("caption", "beyond-limit"): 3,
        ("box", "unreadable-box"): 1,
        ("box", "box-outside-photo"): 1,
        ("box", "degenerate-box"): 1,
        ("box", "no-phrase-names-it"): 4,
        ("box", "image-rejected"): 3,
        ("box", "size-mismatch"): 3,
        ("box", "missing-photo"): 3,
        ("box", "excluded"): 3,
        ("box", "beyond-limit"): 3,
    }
    assert manifest_of(tmp_path / "out").accounting["notes"]["clipped-boxes"] == 1
    details = {(one.unit, one.reason): (one.input_ref, one.detail) for one in rejects_of(tmp_path / "out")}
    where, detail = details["caption", "unreadable-caption"]
    assert (where, detail[:6]) == ("flickr30k_entities#captions[2]", "1#L3: ")
    assert details["photo", "size-mismatch"][1] == "its XML says 65x48 pixels, the photo has 64x48"


@pytest.mark.parametrize("below", ["", "flickr30k_entities/"])
def test_a_zip_makes_the_same_shards_as_the_folder(below: str, tmp_path: Path) -> None:
    write(tmp_path, photos())
    assert build(tmp_path, "--shard-bytes=3KB").code == 0
    assert len(manifest_of(tmp_path / "out").shards) > 3
    with zipfile.ZipFile(tmp_path / "annotations.zip", "w") as archive:
        for path in sorted((tmp_path / "entities").glob("[AS]*/*")):
            archive.write(path, below + str(path.relative_to(tmp_path / "entities")))
    beside = build(tmp_path, entities="annotations.zip", out="packed")
    assert beside.code == 1
    assert "UNRELATED_CAPTIONS: there is no such file" in beside.errors[0]
    (tmp_path / "UNRELATED_CAPTIONS").write_bytes((tmp_path / "entities" / "UNRELATED_CAPTIONS").read_bytes())
    assert build(tmp_path, "--shard-bytes=3KB", "--overwrite", entities="annotations.zip", out="packed").code == 0
    plain, packed = files_of(tmp_path / "out"), files_of(tmp_path / "packed")
    assert plain.keys() == packed.keys()
    differ = [name for name in plain if plain[name] != packed[name]]
    assert all(name in ("README.md", "manifest.json") or name.endswith(".stats.json") for name in differ), differ
    assert [one.role for one in manifest_of(tmp_path / "packed").inputs] == ["sentences", "ids", "unrelated"]


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, photos())
    assert build(tmp_path, "--shard-bytes=3KB").code == 0
    assert len(manifest_of(tmp_path / "out").shards) > 3
    assert build(tmp_path, "--shard-bytes=3KB", "--workers=2", out="again").code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, photos())
    check_interruption(build, tmp_path, monkeypatch, other="--metadata-only")


def test_another_file_in_the_folder_is_another_configuration(tmp_path: Path) -> None:
    write(tmp_path, photos(2))
    assert build(tmp_path).code == 0
    (tmp_path / "entities" / "photos" / "9.jpg").write_bytes(b"beside what is read")
    assert build(tmp_path, "--resume").code == 0
    (tmp_path / "entities" / "Annotations" / "9.xml").write_bytes(annotated())
    assert "another configuration" in build(tmp_path, "--resume").errors[0]


def test_metadata_only_makes_the_same_labels_without_photos(tmp_path: Path) -> None:
    write(tmp_path, photos(3))
    assert build(tmp_path).code == 0
    assert build(tmp_path, out="labels", with_photos=False).code == 0
    check(tmp_path / "labels")
    assert [(one.key, one.regions, one.queries) for one in records_of(tmp_path / "labels")] == [
        (one.key, one.regions, one.queries) for one in records_of(tmp_path / "out")
    ]


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    ended = build(write(tmp_path, photos()), "--dry-run", "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["captions_read"], plan["boxes_read"], plan["shards"]) == (12, 48, 36, 1)
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, photos(2))
    given = {
        "entities": tmp_path / "entities",
        "ids": tmp_path / "train.txt",
        "image-root": f"flickr={tmp_path}/entities/photos",
    }
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    (tmp_path / "UNRELATED_CAPTIONS").write_text("")
    for changes, message in (
        ({"entities": None}, "give --entities DIR"),
        ({"ids": None}, "give --ids train.txt"),
        ({"image-root": None}, "give --image-root flickr=DIR"),
        ({"image-root": f"coco={tmp_path}"}, "give --image-root flickr=DIR"),
        ({"entities": tmp_path}, "Sentences: there is no such file"),
        ({"entities": tmp_path / "bad.zip"}, "fetch it again"),
        ({"ids": tmp_path / "empty.txt"}, "names no photo"),
        ({"ids": tmp_path / "entities" / "Sentences" / "1.txt"}, "is no photo of Flickr30k"),
        ({"ids": tmp_path / "none.txt"}, "none.txt"),
    ):
        args = [f"--{name}={value}" for name, value in (given | changes).items() if value is not None]
        ended = run_cli("build", "flickr30k", *args, f"--out={tmp_path}/never", "--workers=0")
        assert ended.code in (1, 2), message
        assert len(ended.errors) == 1
        assert message in ended.errors[0]
        assert not (tmp_path / "never" / "manifest.json").exists()


Named = list[tuple[Span, list[Box]]]


def named(out: Path) -> dict[tuple[str, str], Named]:
    """Photo and text → the phrases that have a box; a merged box is the hull of a phrase's regions."""
    return {
        (record.key, query.text): sorted(
            (phrase.spans[0], sorted(record.regions[i].box_xyxy for i in phrase.regions))
            for phrase in query.phrases
            if phrase.regions
        )
        for record in records_of(out)
        for query in record.queries
    }


def test_the_toy_worlds_own_files_say_what_its_mdetr_file_says_but_for_unrelated_captions(tmp_path: Path) -> None:
    toy = tmp_path / "toy"
    write_toyworld(toy, photos=400, seed=11, workers=0)
    entities = toy / "flickr30k_entities"
    ended = run_cli(
        "build", "flickr30k", f"--entities={entities}", f"--ids={entities / 'train.txt'}",
        f"--image-root=flickr={toy / 'photos/flickr'}", f"--out={tmp_path / 'ours'}", "--workers=0",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    check(tmp_path / "ours")
    ended = run_cli(
        "build-mixed-star", f"--mdetr={toy / 'mdetr/final_flickr_separateGT_train.json'}", "--boxes=none",
        "--metadata-only", f"--out={tmp_path / 'mdetrs'}", "--workers=0",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    ours, theirs = named(tmp_path / "ours"), named(tmp_path / "mdetrs")
    listed = {tuple(line.split()) for line in (entities / "UNRELATED_CAPTIONS").read_text().splitlines()[1:]}
    train = {(photo, number) for photo, number in listed if photo in (entities / "train.txt").read_text().split()}
    assert reject_counts(tmp_path / "ours")["caption", "unrelated-caption"] == len(train) > 0
    assert len(theirs) - len(ours) <= len(train)
    assert all(ours[key] == theirs[key] for key in ours)
    assert len(ours) > 100


@needs_fixtures
def test_the_built_real_captions_are_those_of_mdetrs_own_conversion(tmp_path: Path) -> None:
    entities = FIXTURES / "flickr30k_entities"
    ended = run_cli(
        "build", "flickr30k", f"--entities={entities}", f"--ids={entities / 'train.txt'}", "--metadata-only",
        f"--out={tmp_path / 'out'}", "--workers=0",
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    assert reject_counts(tmp_path / "out") == {}
    theirs = mdetr_captions()
    for record in records_of(tmp_path / "out"):
        for query in record.queries:
            photo, _, line = query.group.rpartition("#L")
            caption, boxes, has_box = theirs.pop((photo, int(line)))
            assert record.key == f"flickr_{photo}"
            assert (query.text, [one.spans[0] for one in query.phrases if one.regions]) == (caption, has_box)
            named = [(record.regions[region].box_xyxy, one.spans[0]) for one in query.phrases for region in one.regions]
            assert as_mdetr(named) == boxes, query.group
    assert not theirs


def test_files_that_were_cut_and_can_still_be_read_are_told_of(tmp_path: Path) -> None:
    five = (*CAPTIONS, "[/EN#1/other Ball] .", "A room .")
    whole = write(tmp_path / "whole", {1: (five, annotated(*OBJECTS))})
    assert "doubtful" not in build(whole).stderr
    cut = write(tmp_path / "cut", {1: (five[:3], annotated(*OBJECTS)), 2: (five, annotated(*OBJECTS[:-1]))})
    ended = build(cut)
    assert ended.code == 0
    assert "warning: 1 doubtful photos without five captions; was a file cut?" in ended.stderr
    assert "warning: 1 doubtful photos whose captions name what their xml lacks" in ended.stderr
    assert len(records_of(cut / "out")) == 2
