"""Every file of a world except photos and Flickr's one file a photo: its path, form and fixed parts."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial

from xdetr_data.toyworld.formats import coco, lvis, narratives, openimages, refcoco, visual_genome, web
from xdetr_data.toyworld.homes import CC_SHARD_PHOTOS, Split
from xdetr_data.toyworld.outputs import BlockFile, JsonFile, LinesFile, ListFile, Output

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_MDETR_HEAD: dict[str, object] = {"info": [], "licenses": []}
_MDETR_CATEGORIES: list[dict[str, object]] = [{"supercategory": "object", "id": 1, "name": "object"}]
_COCO_HEAD: dict[str, object] = {
    "info": {"description": "Toy world in the form of COCO 2014", "version": "1.0", "year": 2014},
    "licenses": [{"url": "http://creativecommons.org/publicdomain/zero/1.0/", "id": 4, "name": "CC0"}],
}


@cache
def outputs(photos: int) -> tuple[Output, ...]:
    """All files of a world of this many photos, in the order in which they are put together."""
    tars = -(-photos // CC_SHARD_PHOTOS)
    return (
        *_mdetr_files(),
        *_coco_files(),
        ListFile(visual_genome.IMAGE_DATA),
        *(LinesFile(openimages.boxes_file(split), openimages.HEADERS[split].encode()) for split in _SPLITS),
        LinesFile("openimages/class-descriptions-boxable.csv", openimages.CLASS_DESCRIPTIONS.encode()),
        *(LinesFile(f"locnar/{name}") for name in narratives.TRAIN_FILES),
        *(LinesFile(f"locnar/{name}") for name, _ in narratives.FILES.values()),
        *_refcoco_files(),
        *(LinesFile(f"flickr30k_entities/{split}.txt") for split in _SPLITS),
        LinesFile("flickr30k_entities/UNRELATED_CAPTIONS", b"# format: <imageID> <sentence number>\n"),
        LinesFile(web.TSV),
        *(BlockFile(web.tar_file(shard), b"", web.TAR_END) for shard in range(tars)),
        *(LinesFile(f"truth/{split}.jsonl") for split in _SPLITS),
    )


def _mdetr_files() -> list[Output]:
    mixed = [_json(f"mdetr/final_mixed_{split}.json", _MDETR_HEAD, []) for split in ("train", "val")]
    flickr = [_json(f"mdetr/final_flickr_separateGT_{split}.json", _MDETR_HEAD, _MDETR_CATEGORIES) for split in _SPLITS]
    refcoco_ = [
        _json(f"mdetr/finetune_refcoco_{split}.json", _MDETR_HEAD, coco.CATEGORIES) for split in refcoco.MDETR_SPLITS
    ]
    return [*mixed, *flickr, *refcoco_]


def _coco_files() -> list[Output]:
    found: list[Output] = []
    for split in ("train", "val"):
        found.append(_json(f"coco/instances_{split}2014.json", _COCO_HEAD, coco.CATEGORIES))
        found.append(JsonFile(f"coco/captions_{split}2014.json", ("images", "annotations"), _COCO_HEAD, None))
        for version in lvis.VERSIONS:
            categories = partial(lvis.categories_json, version, split)
            found.append(JsonFile(version.file(split), ("images", "annotations"), _COCO_HEAD, categories))
    return found


def _refcoco_files() -> list[Output]:
    found: list[Output] = []
    for ref_set in refcoco.REF_SETS:
        names = [ref_set.refs_file, *([ref_set.google_file] if ref_set.google else [])]
        found += [BlockFile(name, refcoco.PICKLE_START, refcoco.PICKLE_END) for name in names]
        found.append(_json(ref_set.instances_file, _COCO_HEAD, coco.CATEGORIES))
    return found


def _json(path: str, head: dict[str, object], categories: list[dict[str, object]]) -> JsonFile:
    def fixed(_: Counter[str]) -> list[dict[str, object]]:
        return categories

    return JsonFile(path, ("images", "annotations"), head, fixed)
