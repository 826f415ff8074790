"""``pseudo-label captions`` and ``photos``: every source through the command line, bad input, the same bytes."""

import json
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.data.sources.test_web_captions import write_tar
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import differing, files_of
from tests.pipelines.tiny import Ended, jpeg, manifest_of, records_of, reject_counts, run_cli
from xdetr_data.accounting import Tally

ROOT = Path(__file__).parents[3]
CAPTIONS = {"cam1/a.jpg": "A red ball near two dogs.", "cam2/a.jpg": "A cat on a table.", "b.png": "A blue box."}


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos, two of them called alike."""
    for number, name in enumerate(CAPTIONS):
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(number, format="PNG" if name.endswith("png") else "JPEG"))
    return tmp_path / "mine"


def label(kind: str, ckpt: Path, out: Path, *args: object) -> Ended:
    return run_cli(
        "pseudo-label", kind, *map(str, args), f"--ckpt={ckpt}", f"--out={out}", "--workers=0", "--score-threshold=-1"
    )


def texts(out: Path) -> dict[str, list[str]]:
    Tally.from_builtins(manifest_of(out).accounting).check()
    assert run_cli("validate", str(out), "--workers=0").code == 0
    return {one.image.file_name: [query.text for query in one.queries] for one in records_of(out)}


def table(path: Path, key: str, rows: list[tuple[str, str]]) -> Path:
    """A table in the format that its name says."""
    named = [{key: photo, "Caption": text, "other": 1} for photo, text in rows]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(named), path, row_group_size=1)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in named))
    else:
        sign = "\t" if path.suffix == ".tsv" else ","
        lines = [sign.join((key, "Caption", "other")), *(sign.join((*row, "1")) for row in rows)]
        path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl", "parquet"])
def test_a_table_names_photos_by_path(ending: str, photos: Path, ckpt: Path, tmp_path: Path) -> None:
    rows = [*CAPTIONS.items(), ("../etc/passwd.jpg", "A thing."), ("gone.jpg", "A thing."), ("b.png", " ")]
    file = table(tmp_path / f"said.{ending}", "image_path", rows)
    ended = label("photos", ckpt, tmp_path / "out", photos, f"--captions={file}", "--source=shop")
    assert ended.code in (0, 3), ended.stderr
    assert texts(tmp_path / "out") == {name: [text] for name, text in CAPTIONS.items()}
    assert all(record.key.startswith("shop_") for record in records_of(tmp_path / "out"))
    counts = reject_counts(tmp_path / "out")
    assert counts["caption", "unsafe-file-name"] == counts["caption", "missing-photo"] == 1
    assert counts["caption", "empty-caption"] == 1


def test_sidecars_are_text_or_json_and_what_is_alone_is_counted(photos: Path, ckpt: Path, tmp_path: Path) -> None:
    (photos / "cam1/a.txt").write_text(CAPTIONS["cam1/a.jpg"])
    (photos / "cam2/a.json").write_text(json.dumps({"caption": CAPTIONS["cam2/a.jpg"]}))
    (photos / "b.json").write_text('{"caption": 7}')
    (photos / "b.txt").write_bytes(b"caf\xe9")
    (photos / "alone.txt").write_text("Nobody.")
    (photos / "bare.jpg").write_bytes(jpeg(9))
    ended = label("photos", ckpt, tmp_path / "out", photos)
    assert ended.code == 0, ended.stderr
    assert texts(tmp_path / "out") == {name: [CAPTIONS[name]] for name in ("cam1/a.jpg", "cam2/a.jpg")}
    counts = {reason: count for (unit, reason), count in reject_counts(tmp_path / "out").items() if unit == "caption"}
    assert counts == {"unreadable-caption": 2, "no-photo": 1, "no-caption": 1}


def test_tars_bring_their_captions(ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    facts = json.dumps({"caption": "A blue box."}).encode()
    write_tar(
        tmp_path / "tars/00000.tar",
        {
            "0.jpg": jpeg(0),
            "0.txt": b"A red ball.",
            "1.jpg": jpeg(1),
            "1.json": facts,
            "2.jpg": jpeg(2),
            "3.txt": b"A.",
        },
    )
    write_tar(
        tmp_path / "tars/00001.tar", {"7.jpg": b"no photo", "7.txt": b"A cat.", "8.jpg": jpeg(8), "8.txt": b"\xff"}
    )
    ended = label("captions", ckpt, tmp_path / "out", f"--images={tmp_path}/tars", "--source=cc", "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    assert texts(tmp_path / "out") == {"00000/0.jpg": ["A red ball."], "00000/1.jpg": ["A blue box."]}
    counts = reject_counts(tmp_path / "out")
    assert counts["photo", "unreadable-photo"] == counts["caption", "unreadable-photo"] == 1
    assert counts["caption", "unreadable-caption"] == 1
    again = run_cli("rethreshold", str(tmp_path / "out"), f"--out={tmp_path}/again", "--method=multi", "--workers=0")
    assert again.code == 0, again.stderr
    fresh = label(
        "captions", ckpt, tmp_path / "fresh", f"--images={tmp_path}/tars", "--source=cc", "--method=multi",
        "--max-error-rate=1",
    )  # fmt: skip
    assert fresh.code == 0, fresh.stderr
    assert differing(files_of(tmp_path / "again"), files_of(tmp_path / "fresh")) == []


@pytest.mark.parametrize("ending", ["tsv", "parquet"])
def test_a_table_names_photos_of_tars_by_address(ending: str, ckpt: Path, tmp_path: Path) -> None:
    url = "https://photos.example.com/{}.jpg"
    members = {
        name: data
        for i in range(2)
        for name, data in ((f"{i}.jpg", jpeg(i)), (f"{i}.json", json.dumps({"url": url.format(i)}).encode()))
    }
    write_tar(tmp_path / "0.tar", members)
    file = table(tmp_path / f"said.{ending}", "url", [(url.format(1), "A red ball."), (url.format(5), "A dog.")])
    ended = label("captions", ckpt, tmp_path / "out", f"--images={tmp_path}/0.tar", f"--tsv={file}")
    assert ended.code in (0, 3), ended.stderr
    assert texts(tmp_path / "out") == {"0/1.jpg": ["A red ball."]}
    assert reject_counts(tmp_path / "out")["caption", "no-photo"] == 1


def test_cocos_captions_name_photos_by_their_images(photos: Path, ckpt: Path, tmp_path: Path) -> None:
    images = [{"id": i, "file_name": name} for i, name in enumerate(CAPTIONS)]
    said = [{"id": i, "image_id": i, "caption": text} for i, text in enumerate(CAPTIONS.values())]
    said += [{"id": 8, "image_id": 77, "caption": "A dog."}, {"id": 9, "image_id": 0, "caption": 3}]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": said}))
    ended = label("captions", ckpt, tmp_path / "out", f"--images={photos}", f"--tsv={tmp_path}/captions.json")
    assert ended.code == 0, ended.stderr
    assert texts(tmp_path / "out") == {name: [text] for name, text in CAPTIONS.items()}
    counts = reject_counts(tmp_path / "out")
    assert counts["caption", "caption-of-unknown-image"] == counts["caption", "unreadable-caption"] == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.csv", b"a,b\n1,2\n", "names no column caption"),
        ("x.csv", b"path,caption,caption\n", "more than one column 'caption'"),
        ("x.tsv", b"", "it is empty"),
        ("x.jsonl", b"[1]\n", "no row of it is a caption"),
        ("x.parquet", b"PAR1", "x.parquet: cannot be read"),
        ("x.json", b'{"annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}]}', "have no 'caption'"),
        ("gone.csv", None, "there is no such file"),
    ],
)
def test_a_file_of_another_format_is_one_line(
    name: str, data: bytes | None, said: str, photos: Path, ckpt: Path, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    ended = label("photos", ckpt, tmp_path / "out", photos, f"--captions={tmp_path / name}")
    assert (ended.code, len(ended.errors)) == (1, 1), ended.stderr
    assert said in ended.errors[0]


def test_wrong_use_is_one_line(photos: Path, ckpt: Path, tmp_path: Path) -> None:
    assert "as in 'xdetr-data pseudo-label photos DIR'" in label("photos", ckpt, tmp_path / "o").stderr
    assert label("photos", ckpt, tmp_path / "o", photos, "--captions=sidecars", "--captions=x.csv").code == 2
    assert "pseudo-label photos" in label("captions", ckpt, tmp_path / "o", f"--images={photos}").errors[0]
    nothing = label("photos", ckpt, tmp_path / "o", photos)
    assert nothing.code == 1
    assert "put name.txt beside name.jpg" in nothing.errors[0]


@pytest.mark.parametrize("page", ["README.md", "docs/pseudo_label.md"])
def test_the_five_lines_label_photos_as_they_stand(page: str, photos: Path, ckpt: Path, tmp_path: Path) -> None:
    for name, text in CAPTIONS.items():
        (photos / name).with_suffix(".txt").write_text(text)
    blocks = (ROOT / page).read_text().split("```")
    block = next(one for one in blocks if "photos DIR --ckpt" in one)
    lines = block.strip().splitlines()
    assert len(lines) == 5
    for line in lines:
        line = line.replace("photos DIR", f"photos {photos}").replace("IDEA-Research/grounding-dino-tiny", str(ckpt))
        words = shlex.split(line.replace(" labelled", f" {tmp_path}/labelled"))
        ended = run_cli(*words[1:])
        assert ended.code == 0, f"{line}: {ended.stderr}"
