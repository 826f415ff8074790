"""Exclusion lists: one set of ids from any kind of list, compared by number; pickles load containers only."""

import json
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.exclusions import ExclusionList, read_exclusion


def listed(folder: Path, name: str, content: bytes, source: str | None = None) -> ExclusionList:
    (folder / name).write_bytes(content)
    return read_exclusion(str(folder / name), source)


def test_a_list_knows_how_many_photos_of_which_source_it_names(tmp_path: Path) -> None:
    found = listed(tmp_path, "ids.txt", b"coco_000000000007\nvg_2334951\nflickr_1000\n12\n# end\n")
    assert found.ids == {
        "any": frozenset({"12"}),
        "coco": frozenset({"7"}),
        "flickr": frozenset({"1000"}),
        "vg": frozenset({"2334951"}),
    }
    assert found.size == 4
    assert found.format == "id list"
    assert found.matches("coco", "7")
    assert not found.matches("vg", "7")
    assert found.matches("vg", "12")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", json.dumps({"images": [{"id": 7, "file_name": "COCO_val2014_000000000007.jpg"}]}), "COCO JSON"),
        ("a.json", json.dumps({"images": [{"id": 7, "file_name": "000000000007.jpg"}]}), "COCO JSON"),
        (
            "a.json",
            json.dumps({"images": [{"id": 7, "coco_url": "http://x.org/val2017/000000000007.jpg"}]}),
            "COCO JSON",
        ),
        ("a.json", json.dumps({"info": {}, "images": [{"id": 7}], "annotations": []}), "COCO JSON"),
        ("a.json", "[7]", "JSON id list"),
        ("a.json", '["COCO_train2014_000000000007.jpg"]', "JSON id list"),
        ("a.txt", "7", "id list"),
        ("a.txt", "0007\n", "id list"),
        ("a.txt", "train2017/000000000007.jpg\r\n", "id list"),
    ],
)
def test_names_of_2014_and_2017_and_numbers_mean_one_photo(name: str, content: str, kind: str, tmp_path: Path) -> None:
    found = listed(tmp_path, name, content.encode())
    assert found.format == kind
    assert found.matches("coco", "7")
    assert found.size == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_refer_pickle_of_any_protocol_names_coco_photos(protocol: int, tmp_path: Path) -> None:
    refs = [
        {"image_id": 7, "sentences": [{"raw": "the dög"}], "split": "val"},
        {"image_id": 8, "split": "testA"},
        {"image_id": 9, "split": "train"},
        {"image_id": 10},
    ]
    found = listed(tmp_path, "refs(unc).p", pickle.dumps(refs, protocol=protocol))
    assert found.format == "refer pickle, all but its train split"
    assert found.ids == {"coco": frozenset({"7", "8", "10"})}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [OrderedDict(), print, complex(1, 2), frozenset({1}), Path("x"), ValueError("x")])
def test_a_pickle_that_names_any_class_or_function_is_refused(value: object, protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps([{"image_id": 7, "split": "val", "x": value}], protocol=protocol)
    if isinstance(value, frozenset) and protocol >= 4:  # there it is a plain container
        assert listed(tmp_path, "refs.p", data).size == 1
        return
    with pytest.raises(InputError, match=r"refs\.p: is not a plain refer pickle \(it asks to run .*\); it was not run"):
        listed(tmp_path, "refs.p", data)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_pickle_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    with pytest.raises(InputError, match=r"refs\.p"):
        listed(folder, "refs.p", b"\x80\x02" + content)


@given(st.binary(max_size=60))
def test_no_bytes_make_a_list_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        found = listed(folder, "list", content)
    except InputError:
        return
    assert found.size > 0


def test_a_source_that_is_told_counts_for_every_id_of_the_list(tmp_path: Path) -> None:
    found = listed(tmp_path, "ids.txt", b"7\nCOCO_train2014_000000000008.jpg\n", "vg")
    assert found.ids == {"vg": frozenset({"7", "8"})}


def test_mdetr_images_say_their_own_source(tmp_path: Path) -> None:
    images = [
        {"id": 0, "file_name": "7.jpg", "data_source": "vg"},
        {"id": 1, "file_name": "8.jpg", "dataset_name": "flickr"},
        {"id": 2, "file_name": "COCO_train2014_000000000009.jpg"},
    ]
    found = listed(tmp_path, "a.json", json.dumps({"images": images, "annotations": []}).encode())
    assert found.ids == {"coco": frozenset({"9"}), "flickr": frozenset({"8"}), "vg": frozenset({"7"})}


@pytest.mark.parametrize("name", ["COCO_train2014_000000581857_3.jpg", "train2014/COCO_val2014_000000581857_17"])
def test_the_number_behind_a_name_of_refcocos_lists_is_no_photo(name: str, tmp_path: Path) -> None:
    for content in (f"{name}\n", json.dumps([name]), json.dumps({"images": [{"id": 3, "file_name": name}]})):
        found = listed(tmp_path, "names", content.encode())
        assert found.ids == {"coco": frozenset({"581857"})}


def test_a_name_of_cocos_without_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: 'COCO_train2014_x\.jpg' is no photo id"):
        listed(tmp_path, "names.txt", b"1\nCOCO_train2014_x.jpg\n")


def test_image_data_of_visual_genome_tells_copies_and_excludes_nothing_by_itself(tmp_path: Path) -> None:
    images = [{"image_id": 7, "coco_id": 9, "flickr_id": 1}, {"image_id": 8, "coco_id": None}, {"id": 5, "coco_id": 4}]
    found = listed(tmp_path, "image_data.json", json.dumps(images).encode())
    assert (found.ids, found.copies, found.size) == ({}, {"7": "9", "5": "4"}, 2)
    with pytest.raises(InputError, match="no image has a coco_id"):
        listed(tmp_path, "image_data.json", b'[{"image_id": 8, "coco_id": null}]')


def test_a_list_may_be_of_addresses(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/train2017/000000000007.jpg"
    assert listed(tmp_path, "urls.txt", f"{url}\n".encode()).matches("coco", "7")
    found = listed(tmp_path, "a.json", json.dumps({"images": [{"id": 1, "coco_url": f"{url}?s=640"}]}).encode())
    assert found.matches("coco", "7")


def test_a_json_file_of_names_that_are_none_of_cocos_counts_for_every_source(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "cam1/0001.jpg"}, {"id": 2, "file_name": "000000000009.jpg"}]
    found = listed(tmp_path, "shop_val.json", json.dumps({"images": images}).encode())
    assert found.ids == {"any": frozenset({"cam1/0001"}), "coco": frozenset({"9"})}
    assert found.matches("shop", "cam1/0001")
    assert not found.matches("shop", "cam2/0001")
    assert found.matches("coco", "1")


def test_names_of_one_image_that_mean_two_photos_leave_out_both(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "000000000003.jpg", "coco_url": "http://x.org/train2017/000000000009.jpg"}
    found = listed(tmp_path, "a.json", json.dumps({"images": [image]}).encode())
    assert found.ids == {"coco": frozenset({"3", "9"})}


def test_keys_of_this_project_name_photos_of_every_collection(tmp_path: Path) -> None:
    found = listed(tmp_path, "keys.txt", b"shop_cam1%2F0001\nopenimages_0000000000000009\n")
    assert found.matches("shop", "cam1/0001")
    assert found.matches("openimages", "0000000000000009")
    assert not found.matches("shop", "cam2/0001")
