"""Bad input of ``pseudo-label photos`` and ``captions``: named rejects that spare the rest, or one line."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests.data.sources.test_web_captions import write_tar
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.tiny import Ended, jpeg, manifest_of, records_of, reject_counts, run_cli
from xdetr_data.accounting import Tally

GOOD = {"good.jpg": jpeg(0), "good.txt": b"A red ball."}

# Files beside the good ones, and the rejects that they must give.
SIDECARS: dict[str, tuple[dict[str, bytes], dict[tuple[str, str], int]]] = {
    "truncated-photo": (
        {"a.jpg": jpeg(1)[:60], "a.txt": b"A dog."},
        {("photo", "unreadable-photo"): 1, ("caption", "unreadable-photo"): 1},
    ),
    "empty-photo": (
        {"a.jpg": b"", "a.txt": b"A dog."},
        {("photo", "unreadable-photo"): 1, ("caption", "unreadable-photo"): 1},
    ),
    "caption-of-blanks": (
        {"a.jpg": jpeg(1), "a.txt": b" \n"},
        {("photo", "no-caption-left"): 1, ("caption", "empty-caption"): 1},
    ),
    "caption-too-long": (
        {"a.jpg": jpeg(1), "a.txt": b"dog " * 20_000},
        {("photo", "no-caption-left"): 1, ("caption", "caption-too-long"): 1},
    ),
    "json-cut-off": ({"a.jpg": jpeg(1), "a.json": b'{"caption": "A d'}, {("caption", "unreadable-caption"): 1}),
    "json-without-caption": ({"a.jpg": jpeg(1), "a.json": b"{}"}, {("caption", "unreadable-caption"): 1}),
    "not-utf-8": ({"a.jpg": jpeg(1), "a.txt": b"\xff\xfe"}, {("caption", "unreadable-caption"): 1}),
}


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_toy(tmp_path_factory.mktemp("toy"))


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def label(kind: str, ckpt: Path, out: Path, *args: str) -> Ended:
    usual = ("--workers=0", "--max-error-rate=1", "--score-threshold=-1")
    return run_cli("pseudo-label", kind, *args, f"--ckpt={ckpt}", f"--out={out}", *usual)


@pytest.mark.parametrize("kind", SIDECARS)
def test_a_bad_file_of_a_folder_is_a_reject_and_spares_the_rest(kind: str, ckpt: Path, tmp_path: Path) -> None:
    bad, wanted = SIDECARS[kind]
    ended = label("photos", ckpt, tmp_path / "out", str(write(tmp_path / "mine", GOOD | bad)))
    assert ended.code in (0, 3), ended.stderr
    Tally.from_builtins(manifest_of(tmp_path / "out").accounting).check()
    assert [one.image.file_name for one in records_of(tmp_path / "out")] == ["good.jpg"]
    assert wanted.items() <= reject_counts(tmp_path / "out").items()


@pytest.mark.parametrize("data", [b"", jpeg(1)[:60]])
def test_a_bad_photo_is_a_reject_when_classes_are_looked_for(data: bytes, ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("ball\n")
    mine = write(tmp_path / "mine", {"good.jpg": jpeg(0), "a.jpg": data})
    ended = label("photos", ckpt, tmp_path / "out", str(mine), f"--classes={tmp_path}/c.txt")
    assert ended.code in (0, 3), ended.stderr
    Tally.from_builtins(manifest_of(tmp_path / "out").accounting).check()
    assert [one.image.file_name for one in records_of(tmp_path / "out")] == ["good.jpg"]
    assert reject_counts(tmp_path / "out")["photo", "unreadable-photo"] == 1


@pytest.mark.parametrize("data", [b"[ball", b"ball: 7", b"# none\n", b"\xff\n"])
def test_a_bad_list_of_classes_is_one_line(data: bytes, ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(data)
    mine = write(tmp_path / "mine", GOOD)
    ended = label("photos", ckpt, tmp_path / "out", str(mine), f"--classes={tmp_path}/c.yaml")
    assert (ended.code in (1, 2), len(ended.errors)) == (True, 1), ended.stderr
    assert "c.yaml" in ended.errors[0]
    assert not (tmp_path / "out").exists()


def test_bad_members_of_a_tar_are_rejects(ckpt: Path, tmp_path: Path) -> None:
    bad = {"a.jpg": b"", "a.txt": b"A dog.", "b.txt": b"A cat.", "c.jpg": jpeg(2), "c.json": json.dumps([1]).encode()}
    tar = write_tar(tmp_path / "0.tar", GOOD | bad)
    ended = label("captions", ckpt, tmp_path / "out", f"--images={tar}")
    assert ended.code in (0, 3), ended.stderr
    Tally.from_builtins(manifest_of(tmp_path / "out").accounting).check()
    assert [one.image.file_name for one in records_of(tmp_path / "out")] == ["0/good.jpg"]
    counts = reject_counts(tmp_path / "out")
    assert counts["caption", "unreadable-photo"] == counts["caption", "unreadable-caption"] == 1


@pytest.mark.parametrize("data", [b"", b"no tar at all"])
def test_what_is_no_tar_is_one_line(data: bytes, ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(data)
    ended = label("captions", ckpt, tmp_path / "out", f"--images={tmp_path}/0.tar")
    assert (ended.code, len(ended.errors)) == (1, 1), ended.stderr
    assert "0.tar" in ended.errors[0]
