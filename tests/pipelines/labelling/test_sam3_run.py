"""A tiny SAM 3 labels narratives by the whole command, and its masks are in everything that is made of the labels."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.labelling.trail import read_grounded
from pipelines.qa.labels import _phrase_labels
from tests.model.grounders.test_hugging_face import grounder
from tests.pipelines.labelling.checkpoints import save_sam3
from tests.pipelines.labelling.spoken import World
from tests.pipelines.tiny import records_of, run_cli
from xdetr_data.manifest import read_manifest
from xdetr_data.masks import check_mask, decode_mask
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.record import GroundedImage
from xdetr_data.schema import from_json
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.storage import Folder
from xdetr_model import PhraseQuery


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("sam3")
    World().write(place)
    save_sam3(place / "sam3")
    label(place, "out")
    return place


def label(place: Path, out: str, *args: str) -> None:
    ended = run_cli(
        *("pseudo-label", "locnar", f"--ckpt={place}/sam3", f"--narratives={place}/told.jsonl"),
        *(f"--images={place}/photos", f"--out={place}/{out}", "--workers=0", "--keep-candidates=3", *args),
    )
    assert ended.code == 0, ended.stderr


def masked(records: list[GroundedImage]) -> list[tuple[GroundedImage, int]]:
    return [(one, i) for one in records for i, region in enumerate(one.regions) if region.mask]


def test_the_trail_holds_what_the_model_says(folder: Path) -> None:
    for photo in read_grounded(Folder(str(folder / "out")), 0):
        pixels = decode_photo(Path(photo.address.removeprefix("file:")).read_bytes())
        for query in photo.queries:
            phrases = [PhraseQuery(text=query.text, spans=one.spans) for one in query.phrases]
            for kept, said in zip(query.phrases, grounder("sam3").ground([pixels], [phrases], keep=3)[0], strict=True):
                assert [one.mask for one in kept.candidates] == list(said.masks)
                assert np.allclose([one.score for one in kept.candidates], said.scores, atol=1e-6)
                assert np.allclose([one.box_xyxy for one in kept.candidates], said.boxes_xyxy, atol=1e-3)


def test_masks_are_in_tar_and_parquet_and_valid(folder: Path) -> None:
    out = folder / "out"
    found = masked(records_of(out))
    assert len(found) >= 3
    for record, region in found:
        check_mask(record.regions[region].mask, record.image.size_hw)
    tar = Folder(str(out))
    in_tar = [sample.record for stem in stems(read_manifest(tar)) for sample in read_samples(tar, stem)]
    assert sorted(in_tar, key=lambda one: one.key) == records_of(out)
    assert run_cli("validate", str(out), "--workers=0").code == 0


def test_the_report_and_show_draw_them(folder: Path) -> None:
    found = masked(records_of(folder / "out"))
    assert run_cli("report", str(folder / "out"), f"--out={folder}/page.html").code == 0
    assert (folder / "page.html").read_text().count("<path class=") >= len(found)
    key = found[0][0].key
    pictures = []
    label(folder, "bare", "--masks=drop")
    for out in ("out", "bare"):
        assert run_cli("show", str(folder / out), key, f"--out={folder}/{out}.png").code == 0
        pictures.append((folder / f"{out}.png").read_bytes())
    assert pictures[0] != pictures[1]
    assert masked(records_of(folder / "bare")) == []


def test_fiftyone_gets_the_part_of_each_mask_in_its_box(folder: Path) -> None:
    stub = SimpleNamespace(Detection=dict, Classification=dict)
    record, region = masked(records_of(folder / "out"))[0]
    boxed, _ = _phrase_labels(stub, record)
    label: dict[str, Any] = next(one for one in boxed if one["place"].endswith(f"[{region}]"))
    x0, y0, x1, y1 = record.regions[region].box_xyxy
    whole = decode_mask(record.regions[region].mask, record.image.size_hw)
    assert np.array_equal(label["mask"], whole[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))])


def test_a_damaged_mask_is_named_by_validate(folder: Path) -> None:
    from xdetr_data.schema import to_json
    from xdetr_data.validation.labels import check_labels

    record, region = masked(records_of(folder / "out"))[0]
    data = to_json(record).replace(record.regions[region].mask.encode().replace(b"\\", b"\\\\"), b"zz")
    assert from_json(data) != record
    _, breaches = check_labels(data)
    assert {one.rule for one in breaches} == {"bad-mask"}
