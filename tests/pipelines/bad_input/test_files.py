"""Input files that cannot be used: one line that names the file, and exit code 1."""

import gzip
import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.bad_input.corpus import Case, check, each
from tests.pipelines.tiny import COCO, MDETR, World, jpeg, paragraph, records_of, run_cli, usual_args

Damage = Callable[[bytes], bytes]


def _array(data: bytes, name: str) -> int:
    """Where the elements of a top-level array begin."""
    return data.index(b'"%s": [' % name.encode()) + len(name) + 5


def _in(name: str, insert: bytes) -> Damage:
    def damage(data: bytes) -> bytes:
        at = _array(data, name)
        return data[:at] + insert + data[at:]

    return damage


def _swap(old: bytes, new: bytes, count: int = 1) -> Damage:
    def damage(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, count)

    return damage


def _cut(*, share: float = 1.0, less: int = 0) -> Damage:
    return lambda data: data[: int(len(data) * share) - less]


def _cut_behind(mark: bytes, more: int = 0) -> Damage:
    return lambda data: data[: data.index(mark) + len(mark) + more]


def _without(name: str) -> Damage:
    return lambda data: json.dumps({key: value for key, value in json.loads(data).items() if key != name}).encode()


def _with(name: str, value: object) -> Damage:
    return lambda data: json.dumps(json.loads(data) | {name: value}).encode()


def _zip(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(MDETR, data)
    return sink.getvalue()


def _tar(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo(MDETR)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


# What can happen to the annotation files of either format: kind → (damage, what the line says).
EITHER: dict[str, tuple[Damage, str]] = {
    "empty": (lambda _: b"", "is empty"),
    "white-space-only": (lambda _: b" \r\n\t" * 9, "is empty"),
    "one-brace": (lambda _: b"{", "truncated"),
    "truncated-by-one-byte": (_cut(less=1), "truncated"),
    "truncated-by-three-bytes": (_cut(less=3), "truncated"),
    "truncated-in-a-key": (_cut_behind(b'"annotat'), "truncated"),
    "truncated-behind-a-colon": (_cut_behind(b'"annotations":'), "truncated"),
    "truncated-behind-a-bracket": (_cut_behind(b'"annotations": ['), "truncated"),
    "truncated-behind-a-comma": (_cut_behind(b"}, {"), "truncated"),
    "truncated-in-a-number": (_cut_behind(b'"width": ', 1), "truncated"),
    "truncated-in-a-text": (_cut_behind(b'"file_name": "COCO'), "truncated"),
    "no-json": (lambda _: b"COCO annotations, see http://cocodataset.org\n", "expected one JSON object"),
    "html": (lambda _: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "expected one JSON object"),
    "xml": (lambda _: b"<?xml version='1.0'?><annotation/>", "expected one JSON object"),
    "csv": (lambda _: b"ImageID,Source,LabelName\n1,2,3\n", "expected one JSON object"),
    "python-repr": (lambda data: repr(json.loads(data)).encode(), "not JSON"),
    "json-array": (lambda data: b"[" + data + b"]", "expected one JSON object"),
    "json-text": (lambda _: b'"images"', "expected one JSON object"),
    "json-number": (lambda _: b"17", "expected one JSON object"),
    "json-null": (lambda _: b"null", "expected one JSON object"),
    "json-lines": (lambda data: data + b"\n" + data, "text follows"),
    "trailing-garbage": (lambda data: data + b"\x00\x00", "text follows"),
    "trailing-brace": (lambda data: data + b"}", "text follows"),
    "empty-object": (lambda _: b"{}", "has no 'images'.*annotations|has no 'annotations'"),
    "no-annotations": (_without("annotations"), "has no 'annotations'"),
    "annotations-null": (_with("annotations", None), "'annotations'.*must be an array"),
    "annotations-object": (_with("annotations", {"0": {}}), "'annotations'.*must be an array"),
    "annotations-text": (_with("annotations", "none"), "'annotations'.*must be an array"),
    "annotations-number": (_with("annotations", 7), "'annotations'.*must be an array"),
    "annotations-twice": (_swap(b'"categories"', b'"annotations"'), "'annotations' occurs twice"),
    "key-without-quotes": (_swap(b'"annotations"', b"annotations"), "not JSON"),
    "key-a-number": (_swap(b'"annotations"', b"5"), "key"),
    "key-misspelt": (_swap(b'"annotations"', b'"anotations"'), "has no 'annotations'"),
    "key-in-capitals": (_swap(b'"annotations"', b'"Annotations"'), "has no 'annotations'"),
    "colon-missing": (_swap(b'"annotations":', b'"annotations"'), "expected ':'"),
    "comma-between-keys-missing": (_swap(b', "annotations"', b' "annotations"'), "expected ','"),
    "comma-between-elements-missing": (_swap(b"}, {", b"} {"), "expected"),
    "comma-twice": (_swap(b"}, {", b"},, {"), "not JSON"),
    "comma-before-the-end": (_swap(b'"categories"', b'"last": [1,], "categories"'), "not JSON"),
    "bracket-for-brace": (_swap(b"}, {", b"], {"), "not JSON|expected"),
    "single-quotes": (_swap(b'"annotations"', b"'annotations'"), "not JSON"),
    "comment": (_in("annotations", b"/* boxes */"), "not JSON"),
    "undefined": (_in("annotations", b"undefined, "), "not JSON"),
    "line-break-in-a-text": (_in("annotations", b'{"a": "b\nc"}, '), "not JSON"),
    "bad-escape": (_in("annotations", b'{"a": "\\x41"}, '), "not JSON"),
    "number-with-leading-zero": (_in("annotations", b'{"a": 007}, '), "not JSON"),
    "very-deep-element": (_in("annotations", b"[" * 200_000 + b"]" * 200_000 + b", "), "nested too deeply"),
    "very-deep-info": (_swap(b'"info": ', b'"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b', "info": '), "nested"),
    "utf-16": (lambda data: data.decode().encode("utf-16"), "expected one JSON object"),
    "utf-16-without-mark": (lambda data: data.decode().encode("utf-16-le"), "not JSON"),
    "utf-32": (lambda data: data.decode().encode("utf-32"), "expected one JSON object"),
    "zeros": (lambda data: bytes(len(data)), "expected one JSON object"),
    "zeros-in-the-middle": (lambda data: data[: len(data) // 2] + bytes(20) + data[len(data) // 2 + 20 :], "not JSON"),
    "photo": (lambda _: jpeg(1), "expected one JSON object"),
    "gzip-under-a-plain-name": (gzip.compress, "expected one JSON object"),
    "zip": (_zip, "expected one JSON object"),
    "tar": (_tar, "not JSON|expected one JSON object"),
    "pointer-of-git-lfs": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "expected one JSON",
    ),
}
MDETR_ONLY: dict[str, tuple[Damage, str]] = {
    "no-images": (_without("images"), "has no 'images'"),
    "images-object": (_with("images", {}), "'images'.*must be an array"),
    "images-null": (_with("images", None), "'images'.*must be an array"),
    "images-twice": (_swap(b'"licenses"', b'"images"'), "'images' occurs twice"),
    "no-paragraphs": (_with("images", []), "no photo is left .*the inputs hold no paragraph"),
    "no-paragraph-readable": (_with("images", [None, 1, "x"]), "no photo is left .*3 paragraphs unreadable"),
    "coco-instances-instead": (lambda _: World().coco_json(), "--coco-instances"),
    "coco-captions-instead": (
        lambda _: json.dumps(
            {"images": [{"id": 1, "file_name": "x.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a"}]}
        ).encode(),
        "--coco-instances",
    ),
}
COCO_ONLY: dict[str, tuple[Damage, str]] = {
    "mdetr-instead": (lambda _: World().mdetr_json(), "--mdetr"),
    "captions-instead": (
        lambda _: json.dumps({"annotations": [{"id": 1, "image_id": 1, "caption": "a ball"}]}).encode(),
        "bbox",
    ),
    "panoptic-instead": (
        lambda _: json.dumps({"annotations": [{"image_id": 1, "segments_info": [], "file_name": "1.png"}]}).encode(),
        "bbox",
    ),
}


def _damaged(role: str, kind: str, damage: Damage, says: str) -> Case:
    name = MDETR if role == "mdetr" else COCO

    def change(world: World) -> None:
        setattr(world, role, damage(world.mdetr_json() if role == "mdetr" else world.coco_json()))

    return Case(id=f"{role}-{kind}", change=change, error=f"{name}.*({says})" if "no photo" not in says else says)


CONTENT = [
    *(_damaged("mdetr", kind, *how) for kind, how in (EITHER | MDETR_ONLY).items()),
    *(_damaged("coco", kind, *how) for kind, how in (EITHER | COCO_ONLY).items()),
]


def _as_gzip(name: str, damage: Damage) -> Callable[[Path], None]:
    def afterwards(folder: Path) -> None:
        (folder / f"{name}.gz").write_bytes(damage((folder / name).read_bytes()))

    return afterwards


def _flip(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data, mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


GZIP = [
    Case(
        id=f"gzip-{kind}",
        afterwards=_as_gzip(MDETR, damage),
        args=(f"--mdetr=FOLDER/{MDETR}.gz",),
        error=rf"{MDETR}\.gz.*({says})",
    )
    for kind, (damage, says) in {
        "plain-text-under-a-gzip-name": (lambda data: data, "cannot be read"),
        "empty": (lambda _: b"", "is empty"),
        "header-only": (lambda data: gzip.compress(data)[:10], "cannot be read"),
        "half": (lambda data: gzip.compress(data)[: len(gzip.compress(data)) // 2], "cannot be read"),
        "without-its-checksum": (lambda data: gzip.compress(data)[:-8], "cannot be read"),
        "wrong-checksum": (lambda data: gzip.compress(data)[:-8] + b"\1\2\3\4" + gzip.compress(data)[-4:], "cannot be"),
        "damaged": (_flip, "cannot be read|not JSON|text follows|expected"),
        "of-nothing": (lambda _: gzip.compress(b""), "is empty"),
        "of-half-a-file": (lambda data: gzip.compress(data[: len(data) // 2]), "truncated"),
        "twice": (lambda data: gzip.compress(gzip.compress(data)), "expected one JSON object"),
        "garbage-behind": (lambda data: gzip.compress(data) + b"garbage", "cannot be read"),
    }.items()
]


@each(CONTENT)
def test_a_file_with_bad_content_is_refused_in_one_line_that_names_it(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@each(GZIP)
def test_a_damaged_gzip_file_is_refused_in_one_line_that_names_it(case: Case, tmp_path: Path) -> None:
    world = World()
    world.write(tmp_path)
    case.afterwards(tmp_path)
    (tmp_path / MDETR).unlink()
    ended = run_cli(*[arg.replace(MDETR, f"{MDETR}.gz") for arg in usual_args(tmp_path)])
    assert ended.code == 1
    assert len(ended.errors) == 1, ended.stderr
    assert f"{MDETR}.gz" in ended.errors[0]
    assert re.search(case.error or "", ended.errors[0]), ended.errors[0]


@pytest.mark.parametrize("share", range(1, 40))
@pytest.mark.parametrize("role", ["mdetr", "coco"])
def test_a_file_cut_anywhere_is_called_truncated(role: str, share: int, tmp_path: Path) -> None:
    check(_damaged(role, f"cut-{share}", _cut(share=share / 40), "truncated"), tmp_path)


def _instead(name: str, make: Callable[[Path], None]) -> Callable[[Path], None]:
    def afterwards(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return afterwards


PLACES = [
    one
    for name in (MDETR, COCO)
    for one in [
        Case(id=f"{name}-missing", afterwards=_instead(name, lambda _: None), error=f"{name}.*no such file"),
        Case(id=f"{name}-a-folder", afterwards=_instead(name, Path.mkdir), error=f"{name}.*"),
        Case(id=f"{name}-a-pipe", afterwards=_instead(name, os.mkfifo), error=f"{name}.*"),
        Case(
            id=f"{name}-a-link-to-nothing",
            afterwards=_instead(name, lambda path: path.symlink_to(path.parent / "gone")),
            error=f"{name}.*no such file",
        ),
    ]
] + [
    Case(id=f"address-{kind}", args=(f"--mdetr={address}",), error=says)
    for kind, (address, says) in {
        "unknown-protocol": ("s4://bucket/x.json", "s4"),
        "folder-missing": ("FOLDER/no/such/x.json", "no such file"),
        "root": ("/", "/: "),
        "parent": ("FOLDER/..", "no file"),
        "only-white-space": ("FOLDER/ ", "no such file"),
        "very-long": ("FOLDER/" + "x" * 5000 + ".json", "x.json: "),
        "stars": ("FOLDER/*.json", "no such file"),
        "memory-without-file": ("memory://nowhere/x.json", "no such file"),
        "bad-chain": ("zip://a::FOLDER/x.json", "zip://a"),
    }.items()
]


@each(PLACES)
def test_an_address_without_a_file_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused_in_one_line(tmp_path: Path) -> None:
    check(Case(id="", afterwards=lambda folder: (folder / MDETR).chmod(0), error=f"{MDETR}.*Permission"), tmp_path)


def test_annotations_may_stand_before_images(tmp_path: Path) -> None:
    def change(world: World) -> None:
        document = json.loads(world.mdetr_json())
        world.mdetr = json.dumps({key: document[key] for key in reversed(document)}).encode()

    check(Case(id="", change=change), tmp_path)


def test_damaged_utf8_in_one_text_costs_only_its_paragraph(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.images[1]["caption"] = "@a red ball"
        world.mdetr = world.mdetr_json().replace(b"@", b"\xff\xfe")

    check(
        Case(
            id="",
            change=change,
            rejects={("paragraph", "unreadable-paragraph"): 1, ("annotation", "paragraph-rejected"): 2},
        ),
        tmp_path,
    )


def test_damaged_utf8_in_a_key_that_nobody_reads_costs_nothing(tmp_path: Path) -> None:
    def change(world: World) -> None:
        world.mdetr = world.mdetr_json().replace(b'"licenses"', b'"\xff\xfe"')

    check(Case(id="", change=change), tmp_path)


def test_input_names_with_glob_signs_mean_the_file_itself(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / MDETR).rename(tmp_path / "final[1]*?.json")
    other = World(images=[paragraph(10, 1)])
    (tmp_path / "final1.json").write_bytes(other.mdetr_json())
    ended = run_cli(*[arg.replace(MDETR, "final[1]*?.json") for arg in usual_args(tmp_path)])
    assert ended.code == 0, ended.stderr
    assert sum(len(record.queries) for record in records_of(tmp_path / "out")) == 8
