"""Every file of a world except photos and Flickr's one file a photo: its path, form and fixed parts."""

from __future__ import annotations

from collections import Counter

from xdetr_data.toyworld.formats import coco
from xdetr_data.toyworld.outputs import JsonFile, LinesFile, Output

_MDETR_HEAD: dict[str, object] = {"info": [], "licenses": []}
_COCO_HEAD: dict[str, object] = {
    "info": {"description": "Toy world in the form of COCO 2014", "version": "1.0", "year": 2014},
    "licenses": [{"url": "http://creativecommons.org/publicdomain/zero/1.0/", "id": 4, "name": "CC0"}],
}


def _mdetr(path: str, categories: list[object]) -> JsonFile:
    return JsonFile(path, ("images", "annotations"), _MDETR_HEAD, lambda _: {"categories": categories})


def _coco(path: str, categories: list[dict[str, object]]) -> JsonFile:
    return JsonFile(path, ("images", "annotations"), _COCO_HEAD, lambda _: {"categories": categories})


def outputs() -> list[Output]:
    """All files, in the order in which they are put together."""
    found: list[Output] = []
    for split in ("train", "val"):
        found.append(_mdetr(f"mdetr/final_mixed_{split}.json", []))
        found.append(_coco(f"coco/instances_{split}2014.json", coco.CATEGORIES))
        found.append(_coco(f"coco/captions_{split}2014.json", []))
    for split in ("train", "val", "test"):
        object_category = {"supercategory": "object", "id": 1, "name": "object"}
        found.append(_mdetr(f"mdetr/final_flickr_separateGT_{split}.json", [object_category]))
        found.append(LinesFile(f"flickr30k_entities/{split}.txt"))
        found.append(LinesFile(f"truth/{split}.jsonl"))
    found.append(LinesFile("flickr30k_entities/UNRELATED_CAPTIONS", b"# format: <imageID> <sentence number>\n"))
    return found


def unknown(counts: Counter[str]) -> set[str]:
    """Files that rows were written for and that are not in the catalogue: a mistake of ours."""
    return {name.split("#")[0] for name in counts} - {output.path for output in outputs()}
