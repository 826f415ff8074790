"""Each label lies on the photo that its author meant, or the run says that it could not tell: never on another one."""

import hashlib
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pipelines.tiny import coco_box, coco_name, records_of, rejects_of, run_cli

SIZES_HW = ((12, 16), (12, 17))
FOLDERS = ("", "a", "b", "a/b", "train2014", "panoptic_train2017", "VG_100K", "d.ots")
STEMS = {
    "coco": (coco_name(1)[:-4], "000000000001", "000000000002", "1", "thing"),
    "vg": ("1", "2", "0001", "thing"),
    "shop": ("0001", "1", "a", "thing"),
}
ENDINGS = (".jpg", ".jpeg", ".JPG", ".png", ".webp")
FORMATS = {".png": "PNG", ".webp": "WEBP"}


def picture(number: int, ending: str, size_hw: tuple[int, int]) -> bytes:
    sink = io.BytesIO()
    shade = (number * 37 % 256, number * 91 % 256, number * 151 % 256)
    Image.new("RGB", size_hw[::-1], shade).save(sink, FORMATS.get(ending, "JPEG"))
    return sink.getvalue() + b"%d" % number  # no two are the same bytes


@dataclass(frozen=True)
class Tree:
    """Files of one source by their paths below the root, their sizes, folders that are links to others, lost files."""

    source: str
    files: Mapping[str, bytes]
    sizes_hw: Mapping[str, tuple[int, int]]
    links: Mapping[str, str]
    lost: frozenset[str]

    def write(self, root: Path) -> None:
        root.mkdir()
        for path, data in self.files.items():
            if path in self.lost:
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        for link, target in self.links.items():
            if target and (root / target).is_dir() and not (root / link).exists():
                (root / link).symlink_to(root / target)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    source = draw(st.sampled_from(sorted(STEMS)))
    path = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(STEMS[source]), st.sampled_from(ENDINGS))
    paths = draw(st.lists(path, min_size=1, max_size=8, unique=True))
    files, sizes = {}, {}
    copied = draw(st.booleans())
    for number, (folder, stem, ending) in enumerate(paths, 1):
        name = f"{folder}/{stem}{ending}".lstrip("/")
        sizes[name] = draw(st.sampled_from(SIZES_HW))
        files[name] = picture(1 if copied and number == 2 else number, ending, sizes[name])
    links = draw(st.dictionaries(st.sampled_from(["link", "zlink"]), st.sampled_from(FOLDERS), max_size=2))
    lost = {path for path in files if source == "shop" and "/" in path and draw(st.integers(0, 3)) == 0}
    return Tree(source, files, sizes, links, frozenset(lost))


@st.composite
def told(draw: st.DrawFn, tree: Tree) -> list[tuple[str, str]]:
    """(what the annotation calls the photo, the file that its author meant), by the ways in which people name them.

    A base name alone means any file of that name, but none that is lost: then it would mean the wrong one. Nor does it
    mean a file in Visual Genome's folder to somebody who speaks of COCO (docs/photos.md): that one is told by its path.
    """
    meant = draw(st.lists(st.sampled_from(sorted(tree.files)), min_size=1, max_size=4))
    names = []
    for path in meant:
        how = draw(st.sampled_from(["path", "backslashes", "base name", "from here"]))
        is_vg_of_coco = tree.source == "coco" and path.startswith("VG_100K/")
        how = "path" if path in tree.lost or (is_vg_of_coco and how == "base name") else how
        name = {"path": path, "backslashes": path.replace("/", "\\"), "from here": f"./{path}"}.get(how)
        names.append((name or path.rsplit("/", 1)[-1], path))
    return names


def paragraphs(tree: Tree, names: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "file_name": name,
            "height": tree.sizes_hw[path][0],
            "width": tree.sizes_hw[path][1],
            "caption": f"means {path}",
            "data_source": tree.source,
            "tokens_negative": [],
        }
        for number, (name, path) in enumerate(names)
    ]


def build(folder: Path, source: str, images: list[dict[str, Any]], *args: str) -> None:
    (folder / "m.json").write_text(json.dumps({"images": images, "annotations": []}))
    ended = run_cli(
        *("build-mixed-star", f"--mdetr={folder / 'm.json'}", f"--image-root={source}={folder / 'root'}"),
        *(f"--out={folder / 'out'}", "--workers=0", "--max-error-rate=1", "--no-split", *(args or ("--boxes=none",))),
    )
    assert ended.code == 0, ended.stderr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_label_lies_on_the_photo_that_its_author_meant_or_is_a_reject(data: st.DataObject) -> None:
    tree = data.draw(trees())
    names = data.draw(told(tree))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tree.write(folder / "root")
        build(folder, tree.source, paragraphs(tree, names))
        labelled = 0
        for record in records_of(folder / "out"):
            for query in record.queries:
                path = query.text.removeprefix("means ")
                assert path not in tree.lost
                meant = tree.files[path]
                assert record.image.sha256 == hashlib.sha256(meant).hexdigest(), (record.image, query.text)
                labelled += 1
        lost = [one for one in rejects_of(folder / "out") if one.unit == "paragraph"]
        merged = len(names) - len(lost) - labelled  # the same words of the same photo are one query
        assert 0 <= merged <= len(names) - len(set(names))
        assert all(one.reason in ("missing-photo", "ambiguous-photo", "size-mismatch") for one in lost)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(1, 5)), st.integers(0, 3), st.sampled_from([0, 1, 2, 3, 4, 9]), st.booleans())
def test_one_wrong_id_among_the_images_of_an_instances_file_moves_no_box(
    numbers: list[int], victim: int, wrong: int, is_text: bool
) -> None:
    images = [{"id": number, "file_name": coco_name(10 + at)} for at, number in enumerate(numbers)]
    boxes = [coco_box(100 + at, number, bbox=[at + 1, 1, 2, 2]) for at, number in enumerate(numbers)]
    images[victim] = images[victim] | {"id": str(wrong) if is_text else wrong}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "root").mkdir()
        for at in range(4):
            (folder / "root" / coco_name(10 + at)).write_bytes(picture(at, ".jpg", SIZES_HW[0]))
        (folder / "i.json").write_text(json.dumps({"images": images, "annotations": boxes}))
        paragraphs_ = [
            {
                "id": at,
                "file_name": coco_name(10 + at),
                "height": 12,
                "width": 16,
                "caption": "x",
                "data_source": "coco",
            }
            for at in range(4)
        ]
        build(folder, "coco", paragraphs_, f"--coco-instances={folder / 'i.json'}")
        for record in records_of(folder / "out"):
            for region in record.regions:
                assert record.image.file_name == coco_name(10 + int(region.box_xyxy[0]) - 1)


@pytest.mark.parametrize("first", [True, False])
def test_what_hangs_on_an_id_that_two_photos_paragraphs_have_is_a_reject(first: bool, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for at in (1, 2):
        (tmp_path / "root" / f"{at}.jpg").write_bytes(picture(at, ".jpg", SIZES_HW[0]))
    images = [
        {"id": 7, "file_name": f"{at}.jpg", "height": 12, "width": 16, "caption": f"thing {at}", "data_source": "vg"}
        for at in ((1, 2) if first else (2, 1))
    ]
    boxes = [{"id": 1, "image_id": 7, "bbox": [1, 1, 5, 5], "tokens_positive": [[0, 5]]}]
    (tmp_path / "m.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    ended = run_cli(
        *("build-mixed-star", f"--mdetr={tmp_path / 'm.json'}", f"--image-root=vg={tmp_path / 'root'}"),
        *(f"--out={tmp_path / 'out'}", "--workers=0", "--boxes=none", "--max-error-rate=1"),
    )
    assert ended.code == 0, ended.stderr
    assert all(not record.regions for record in records_of(tmp_path / "out"))
    assert {(one.unit, one.reason) for one in rejects_of(tmp_path / "out")} == {
        ("paragraph", "duplicate-paragraph-id"),
        ("annotation", "paragraph-rejected"),
    }


@pytest.mark.parametrize("has_own", [True, False])
def test_a_number_in_visual_genomes_folder_is_no_photo_of_coco(has_own: bool, tmp_path: Path) -> None:
    own, other = "train2014/000000000001.jpg", "VG_100K/1.jpg"
    files = {path: picture(number, ".jpg", (12, 16)) for number, path in enumerate((own, other), 1)}
    kept = files if has_own else {other: files[other]}
    tree = Tree("coco", kept, dict.fromkeys(files, (12, 16)), {}, frozenset())
    tree.write(tmp_path / "root")
    build(tmp_path, "coco", paragraphs(tree, [(coco_name(1), own)]))
    found = [record.image.sha256 for record in records_of(tmp_path / "out")]
    assert found == ([hashlib.sha256(files[own]).hexdigest()] if has_own else [])
    lost = [(one.unit, one.reason) for one in rejects_of(tmp_path / "out") if one.unit == "paragraph"]
    assert lost == ([] if has_own else [("paragraph", "missing-photo")])
