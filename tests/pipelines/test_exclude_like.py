"""``fingerprints`` and ``--exclude-like``: copies of evaluation photos under other names stay out, accounted for."""

import builtins
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageOps

from benchmarks.look_alikes import encoded
from pipelines.recipes.lvis import LvisOptions
from tests.data.sources.test_web_captions import write_tar
from tests.data.test_look_alikes import drawn
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.tiny import Ended, files_of, manifest_of, records_of, rejects_of, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError
from xdetr_data.photos.fingerprint import BYTES, KEPT
from xdetr_data.photos.look_alikes import Fingerprinted, write_fingerprints


@pytest.fixture
def val(tmp_path: Path) -> Path:
    folder = tmp_path / "val"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(encoded(drawn(number)))
    return folder


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """A photo of its own, and two copies."""
    small = drawn(1).resize((200, 150))
    members = {"0.jpg": encoded(drawn(50)), "1.jpg": encoded(small, 40), "2.jpg": encoded(ImageOps.mirror(drawn(2)))}
    folder = tmp_path / "tars"
    folder.mkdir()
    about = {f"{n}.json": json.dumps({"url": f"https://photos.example.com/{n}.jpg"}).encode() for n in range(3)}
    write_tar(folder / "00000.tar", dict(sorted((members | about).items())))
    lines = (f"A red ball.\thttps://photos.example.com/{n}.jpg\n" for n in range(3))
    (folder / "told.tsv").write_text("".join(lines))
    return folder


def build(tars: Path, out: Path, *args: object) -> Ended:
    flags = [f"--images={tars}/*.tar", f"--tsv={tars}/told.tsv", f"--out={out}", "--workers=0"]
    return run_cli("build", "captions", *flags, *map(str, args))


def alike(out: Path) -> Mapping[str, str]:
    return {one.key: one.detail for one in rejects_of(out) if one.reason == "look-alike" and one.unit == "photo"}


@pytest.mark.parametrize("key", [None, "a"])
def test_fingerprints_that_would_leave_nothing_out_are_refused(key: str | None, tars: Path, tmp_path: Path) -> None:
    photo = Fingerprinted(key, bytes(KEPT * BYTES) if key is None else None)  # type: ignore[arg-type]
    write_fingerprints(str(tmp_path / "none.parquet"), [photo])
    ended = build(tars, tmp_path / "out", f"--exclude-like={tmp_path}/none.parquet")
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert "make it again with 'xdetr-data fingerprints'" in ended.errors[0]
    assert build(tars, tmp_path / "out", "--exclude-like=").code in (1, 2)


def test_copies_under_other_names_stay_out(val: Path, tars: Path, tmp_path: Path) -> None:
    ended = run_cli("fingerprints", str(val), "--workers=0", "--json")
    assert ended.code == 0, ended.stderr
    path = tmp_path / "val.fingerprints.parquet"
    assert json.loads(ended.stdout) == {"out": str(path), "photos": 3, "unreadable": 0}
    ended = build(tars, tmp_path / "out", "--exclude-like", val)
    assert ended.code == 0, ended.stderr  # what is left out is not lost to an error
    [kept] = records_of(tmp_path / "out")
    assert kept.image.file_name.endswith("0.jpg")
    assert len(alike(tmp_path / "out")) == 2
    assert any("from 1.jpg of" in detail for detail in alike(tmp_path / "out").values())
    assert any("from 2.jpg of" in detail for detail in alike(tmp_path / "out").values())
    manifest = manifest_of(tmp_path / "out")
    Tally.from_builtins(manifest.accounting).check()
    assert manifest.accounting["units"]["photo"]["rejected"]["exclude_look_alikes"] == {"look-alike": 2}
    assert [(one.role, one.path) for one in manifest.inputs if one.role == "exclude-like"] == [
        ("exclude-like", str(path))
    ]
    assert run_cli("validate", str(tmp_path / "out"), "--workers=0").code == 0
    assert build(tars, tmp_path / "again", f"--exclude-like={path}").code == 0
    without = {name: data for name, data in files_of(tmp_path / "again").items() if name.endswith((".tar", ".parquet"))}
    assert without.items() <= files_of(tmp_path / "out").items()


def test_a_dataset_has_fingerprints_too(val: Path, tars: Path, tmp_path: Path) -> None:
    assert build(tars, tmp_path / "known").code == 0
    assert run_cli("fingerprints", str(tmp_path / "known"), "--workers=0").code == 0
    assert run_cli("validate", str(tmp_path / "known"), "--workers=0").code == 0  # they stand beside it
    ended = build(tars, tmp_path / "out", f"--exclude-like={tmp_path / 'known'}")
    assert ended.code == 0, ended.stderr
    assert records_of(tmp_path / "out") == []
    assert len(alike(tmp_path / "out")) == 3


def test_labelled_photos_are_looked_at_as_well(val: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "own.jpg").write_bytes(encoded(drawn(60)))
    (mine / "copy.jpg").write_bytes(encoded(drawn(0).convert("L"), 50))
    for name in ("own", "copy"):
        (mine / f"{name}.txt").write_text("A red ball.")
    assert run_cli("fingerprints", str(val), "--workers=0").code == 0
    ckpt = save_toy(tmp_path / "toy")
    flags = [f"--ckpt={ckpt}", f"--exclude-like={val}", f"--out={tmp_path / 'out'}", "--workers=0"]
    ended = run_cli("pseudo-label", "photos", str(mine), *flags)
    assert ended.code == 0, ended.stderr
    assert [one.image.file_name for one in records_of(tmp_path / "out")] == ["own.jpg"]
    assert len(alike(tmp_path / "out")) == 1


def test_what_cannot_be_done_is_one_line(
    val: Path, tars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(ended: Ended) -> str:
        assert ended.code in (1, 2)
        [line] = ended.errors
        return line

    assert "make it with 'xdetr-data fingerprints" in error(build(tars, tmp_path / "out", f"--exclude-like={val}"))
    with pytest.raises(ConfigError, match="--metadata-only has none"):
        LvisOptions(annotations="x.json", metadata_only=True, exclude_like=(str(val),)).check()
    assert "no such dataset or folder" in error(run_cli("fingerprints", str(tmp_path / "gone"), "--workers=0"))
    (tmp_path / "empty").mkdir()
    assert "holds no photo" in error(run_cli("fingerprints", str(tmp_path / "empty"), "--workers=0"))
    assert "must end in .parquet" in error(run_cli("fingerprints", str(val), "--out=x.txt", "--workers=0"))
    (val / "broken.jpg").write_bytes(b"no photo")
    ended = run_cli("fingerprints", str(val), "--workers=0")
    assert ended.code == 0
    assert "1 photos cannot be read and have none; first broken.jpg" in ended.stderr
    assert "say --overwrite" in error(run_cli("fingerprints", str(val), "--workers=0"))
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "imagehash":
            raise ModuleNotFoundError("No module named 'imagehash'", name="imagehash")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'xdetr-data[alike]'" in error(build(tars, tmp_path / "out", f"--exclude-like={val}"))
