"""File names inside annotations: none leads out of its image root, and any name that is a file's is found."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.bad_input.corpus import Case, Rejects, check, each
from tests.pipelines.bad_input.values import NO_TEXT, NOT_JSON
from tests.pipelines.tiny import Verbatim, World, annotation, jpeg, paragraph, records_of, run_cli, usual_args

SECRET = jpeg(99)


def lost(reason: str) -> Rejects:
    return {("paragraph", reason): 1, ("annotation", "paragraph-rejected"): 1}


WITHOUT_PHOTO = {
    ("photo", "missing-photo"): 1,
    ("paragraph", "missing-photo"): 1,
    ("annotation", "missing-photo"): 1,
}


def naming(name: object) -> Callable[[World], None]:
    """One more paragraph, of a photo of that name, with one annotation."""

    def change(world: World) -> None:
        world.images.append(paragraph(14, 1, file_name=name))
        if name is NO_TEXT["missing"]:
            del world.images[-1]["file_name"]
        world.annotations.append(annotation(108, 14))

    return change


def case(kind: str, name: object, rejects: Rejects) -> Case:
    return Case(id=f"name-{kind}", change=naming(name), rejects=rejects)


NO_NAMES = [
    *(case(kind, value, lost("unreadable-paragraph")) for kind, value in NO_TEXT.items()),
    *(
        case(
            kind,
            value,
            {("paragraph", "unreadable-paragraph"): 1, ("annotation", "annotation-of-unknown-paragraph"): 1},
        )
        for kind, value in NOT_JSON.items()
    ),
]
UNSAFE = [
    case(kind, name, lost("unsafe-file-name"))
    for kind, name in {
        "empty": "",
        "slash": "/",
        "folder": "train2014/",
        "password-file": "../../etc/passwd",
        "absolute": "/etc/passwd",
        "absolute-photo": "/etc/x.jpg",
        "up-one": "../secret.jpg",
        "up-in-the-middle": "a/../../secret.jpg",
        "up-and-down": "photos/../photos/x.jpg",
        "up-alone": "..",
        "up-with-backslashes": "..\\..\\secret.jpg",
        "mixed-slashes": "a\\..\\../secret.jpg",
        "home": "~/secret.jpg",
        "home-of-root": "~root/secret.jpg",
        "drive": "C:\\secret.jpg",
        "drive-with-slashes": "C:/secret.jpg",
        "drive-relative": "C:secret.jpg",
        "share": "\\\\server\\share\\secret.jpg",
        "double-slash": "//server/secret.jpg",
        "file-address": "file:///etc/passwd",
        "web-address": "http://example.org/x.jpg",
        "bucket-address": "s3://bucket/x.jpg",
        "chain": "a::b.jpg",
        "nul": "\0",
        "nul-inside": "COCO_train2014_000000000001.jpg\0.png",
    }.items()
]
STRANGE = [
    case(kind, name, WITHOUT_PHOTO)
    for kind, name in {
        "of-no-file": "COCO_train2014_000000000777.jpg",
        "one-dot": ".",
        "three-dots": "...",
        "only-an-ending": ".jpg",
        "white-space": "  ",
        "line-break": "a\nb.jpg",
        "line-break-behind": "COCO_train2014_000000000001.jpg\n",
        "bell": "\x07.jpg",
        "percent-signs": "%2e%2e%2fsecret.jpg",
        "right-to-left": "\u202egpj.terces",
        "shell": "$(rm -rf .);`id`.jpg",
        "pattern": "*.jpg",
        "superscript-digit": "\u00b2.jpg",
        "arabic-digit-of-another-photo": "\u0661.jpg",
        "very-large-number": "9" * 60 + ".jpg",
        "just-beyond-64-bits": f"COCO_train2014_{2**63}.jpg",
        "other-type": "000000000003.gif",
    }.items()
] + [
    case(kind, name, lost("file-name-too-long"))
    for kind, name in {
        "of-300-characters": "x" * 300 + ".jpg",
        "of-a-million-characters": "x" * 10**6,
        "of-70-long-characters": "\U0001f388" * 70 + ".jpg",
    }.items()
]
FOUND = {
    "spaces": "a red ball.jpg",
    "dots": "a.b.c.jpg",
    "unicode": "Fußball_ボール.jpg",
    "capital-ending": "ball.JPG",
    "percent": "100%.jpg",
    "hash-and-question": "a#b?c.jpg",
    "brackets": "ball[1].jpg",
    "star": "ba*l.jpg",
    "quotes": "'ball'.jpg",
    "folders": "deep/er/ball.jpg",
    "leading-dash": "--out.jpg",
    "hidden": ".ball.jpg",
    "combining": "e\u0301.jpg",
    "arabic-digits": "\u0664\u0665.jpg",
    "superscript": "\u00b2.jpg",
    "newline": "a\nb.jpg",
}


@each([*NO_NAMES, *UNSAFE, *STRANGE])
def test_a_file_name_that_leads_nowhere_or_elsewhere_is_rejected_by_name(case: Case, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path.parent):
        (place / "secret.jpg").write_bytes(SECRET)
    check(case, tmp_path)
    assert all(SECRET not in file.read_bytes() for file in (tmp_path / "out").glob("*.tar"))


@pytest.mark.parametrize("kind", FOUND)
def test_a_strange_file_name_that_is_a_files_is_found(kind: str, tmp_path: Path) -> None:
    name = FOUND[kind]
    world = World()
    world.photos[name] = jpeg(5)
    naming(name)(world)
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 0, ended.stderr
    record = next(one for one in records_of(tmp_path / "out") if one.image.file_name == name)
    assert [query.text for query in record.queries] == ["a red ball.", "the blue box on a shelf."]
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        member = tar.extractfile(f"{record.key}.jpg")
        assert member is not None
        assert member.read() == jpeg(5)
        assert all(one.name.count(".") == 1 and "/" not in one.name for one in tar)


def test_one_photo_under_its_2014_and_2017_names_is_one_sample(tmp_path: Path) -> None:
    world = World()
    naming("train2017/000000000001.jpg")(world)
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 0, ended.stderr
    assert [len(record.queries) for record in records_of(tmp_path / "out")] == [6, 4]


def test_a_number_written_with_other_digits_is_another_photo_and_gets_no_coco_box(tmp_path: Path) -> None:
    world = World()
    world.photos["\u0661.jpg"] = jpeg(5)
    naming("\u0661.jpg")(world)
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 0, ended.stderr
    by_name = {record.image.file_name: record for record in records_of(tmp_path / "out")}
    assert len(by_name["\u0661.jpg"].regions) == 1
    assert len(by_name["COCO_train2014_000000000001.jpg"].regions) == 4


def test_a_name_with_half_a_surrogate_costs_only_its_paragraph(tmp_path: Path) -> None:
    world = World()
    world.images[1]["file_name"] = Verbatim(r'"COCO_\udc80.jpg"')
    world.write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
