"""A world depends on its seed and nothing else, appears whole or not at all, and needs little memory."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.toyworld.conftest import PHOTOS
from xdetr_data.errors import ConfigError, OutputError
from xdetr_data.toyworld.homes import home_of
from xdetr_data.toyworld.photo import toy_photo
from xdetr_data.toyworld.truth import PhotoTruth
from xdetr_data.toyworld.world import CHUNK_PHOTOS, write_chunk, write_toyworld

SMALL = 120


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "world"
    assert SMALL > 2 * CHUNK_PHOTOS
    write_toyworld(out, photos=SMALL, seed=0, workers=2)
    return out


def test_the_number_of_workers_changes_no_byte(small_world: Path, tmp_path: Path) -> None:
    write_toyworld(tmp_path / "again", photos=SMALL, seed=0, workers=1)
    assert digests(small_world) == digests(tmp_path / "again")


def test_a_photo_is_the_same_in_a_small_and_in_a_large_world(small_world: Path, world: Path) -> None:
    counted = {"toyworld.json", "cc/00000.tar"}  # tell how many there are, or hold all of them
    for path in (path for path in small_world.rglob("*") if path.is_file()):
        name = str(path.relative_to(small_world))
        if name.startswith(("photos/", "flickr30k_entities/Sentences", "flickr30k_entities/Annotations")):
            assert path.read_bytes() == (world / name).read_bytes()
        elif path.suffix == ".json" and name not in counted:
            small, large = json.loads(path.read_bytes()), json.loads((world / name).read_bytes())
            for section in [slice(None)] if isinstance(small, list) else ["images", "annotations"]:
                assert small[section] == large[section][: len(small[section])], name
        elif path.suffix in (".jsonl", ".csv", ".tsv", ".txt"):
            lines = path.read_bytes().splitlines()
            assert lines == (world / name).read_bytes().splitlines()[: len(lines)], name
    assert toy_photo(0, 17).rendered.jpeg == toy_photo(0, 17).rendered.jpeg != toy_photo(1, 17).rendered.jpeg


def test_every_photo_is_there_once_with_its_file(world: Path, truths: list[PhotoTruth]) -> None:
    assert [truth.photo for truth in truths] == list(range(PHOTOS))
    for truth in truths:
        if truth.collection != "cc":
            assert (world / "photos" / truth.collection / truth.file_name).is_file()
    drawn = list((world / "photos").rglob("*.jpg"))
    assert len(drawn) == sum(truth.collection != "cc" for truth in truths)


def test_every_collection_and_split_is_in_a_world_of_forty() -> None:
    homes = [home_of(index) for index in range(40)]
    assert {(home.collection, home.split) for home in homes} >= {
        ("coco", "train"), ("coco", "val"), ("vg", "train"), ("vg", "val"), ("flickr", "train"), ("flickr", "val"),
        ("flickr", "test"), ("openimages", "train"), ("openimages", "val"), ("openimages", "test"), ("cc", "train"),
    }  # fmt: skip
    many = [home_of(index) for index in range(5000)]
    assert len({home.key for home in many}) == len({home.file_name for home in many}) == 5000
    assert home_of(17).key == "openimages_" + home_of(17).photo_id or home_of(17).collection != "openimages"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_anything_else_in_it_is_never_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(OutputError, match="no toy world"):
        write_toyworld(tmp_path, photos=1, overwrite=overwrite)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_world_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    out = tmp_path / "world"
    write_toyworld(out, photos=2)
    with pytest.raises(OutputError, match="--overwrite"):
        write_toyworld(out, photos=1)
    write_toyworld(out, photos=1, overwrite=True)
    assert json.loads((out / "toyworld.json").read_bytes())["photos"] == 1
    assert sorted(tmp_path.iterdir()) == [out]


def test_a_world_that_fails_midway_leaves_nothing_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(chunk: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xdetr_data.toyworld.world.write_chunk", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_toyworld(tmp_path / "world", photos=3)
    assert not (tmp_path / "world").exists()
    monkeypatch.setattr("xdetr_data.toyworld.world.write_chunk", write_chunk)
    assert write_toyworld(tmp_path / "world", photos=3).photos == 3


@pytest.mark.parametrize(("photos", "seed", "workers"), [(0, 0, 1), (1, -1, 1), (1, 0, -1)])
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, photos: int, seed: int, workers: int) -> None:
    with pytest.raises(ConfigError):
        write_toyworld(tmp_path / "world", photos=photos, seed=seed, workers=workers)


def test_memory_does_not_grow_with_the_world(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from xdetr_data.toyworld.world import write_toyworld\n"
        "write_toyworld(sys.argv[1], photos=int(sys.argv[2]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks_kib = [
        int(subprocess.check_output([sys.executable, "-c", code, str(tmp_path / str(photos)), str(photos)]))
        for photos in (100, 400)
    ]
    assert peaks_kib[1] - peaks_kib[0] < 8 * 1024  # the larger world has 9 MB more of files, without photos
