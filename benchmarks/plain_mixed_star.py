"""What a user would write instead: ``json.load``, dictionaries, one process; the same records.

It uses the project's own pure functions for splitting and merging, so that only the way of working differs.
Prints the number of records and a hash over all of them in the order of their keys.
"""

import argparse
import hashlib
import json
from collections import defaultdict

from pipelines.mixed_star.photo import PACKING_IOU
from webdataset.writer import TarWriter

from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import xywh_to_xyxy
from xdetr_data.photos import photo_id, photo_key
from xdetr_data.record import GroundedImage, ImageRef
from xdetr_data.schema import to_json
from xdetr_data.spans import join_spans
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.form_queries import PlacedAnnotation, form_queries
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.stages.splitting.shared_boxes import hulls_of_overlapping
from xdetr_data.stages.splitting.split_paragraph import split_paragraph


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mdetr", required=True)
    parser.add_argument("--coco-instances", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    with open(options.mdetr) as file:
        mdetr = json.load(file)
    with open(options.coco_instances) as file:
        coco = json.load(file)
    by_paragraph = defaultdict(list)
    for annotation in mdetr["annotations"]:
        by_paragraph[annotation["image_id"]].append(annotation)
    by_photo = defaultdict(list)
    for paragraph in mdetr["images"]:
        key = photo_key(paragraph["data_source"], photo_id(paragraph["file_name"]))
        by_photo[key].append(paragraph)
    boxes = defaultdict(list)
    for box in coco["annotations"]:
        boxes[photo_key("coco", str(box["image_id"]))].append(box)
    digest = hashlib.sha256()
    with open(options.out, "wb") as sink, TarWriter(sink, encoder=False, mtime=0) as tar:
        for key in sorted(by_photo):
            data = to_json(_record(key, by_photo[key], by_paragraph, boxes[key]))
            digest.update(data)
            tar.write({"__key__": key, "json": data})
    print(json.dumps({"records": len(by_photo), "sha256": digest.hexdigest()}))


def _record(key: str, paragraphs: list, by_paragraph: dict, boxes: list) -> GroundedImage:
    first = paragraphs[0]
    size_hw = (first["height"], first["width"])
    queries = []
    for paragraph in paragraphs:
        caption = paragraph["caption"]
        spans, placed, boxes_xyxy = [], [], []
        for one in by_paragraph[paragraph["id"]]:
            joined = join_spans(one["tokens_positive"], caption)
            spans.append(joined)
            box = check_box(tuple(one["bbox"]), is_crowd=False, size_hw=size_hw, crowd="drop")
            if len(box) == 4:  # else the reason why it is none
                placed.append(PlacedAnnotation(id=str(one["id"]), box_xyxy=box, spans=joined))
                boxes_xyxy.append(xywh_to_xyxy(one["bbox"]))
        split = split_paragraph(
            caption,
            annotation_spans=spans,
            negative_spans=paragraph["tokens_negative"],
            together=hulls_of_overlapping([one.spans for one in placed], boxes_xyxy, PACKING_IOU),
        )
        group = f"final_mixed_train#{paragraph['id']}"
        queries += form_queries(caption, split.sentences, placed, group=group, source="final_mixed_train")[0]
    regions, merged = merge_regions(queries, min_iou=0.75)
    image = ImageRef(file_name=first["file_name"], source=first["data_source"], size_hw=size_hw)
    record = GroundedImage(key=key, image=image, regions=regions, queries=merged)
    loose = [
        LooseBox(
            box_xyxy=check_box(tuple(box["bbox"]), is_crowd=bool(box["iscrowd"]), size_hw=size_hw, crowd="drop"),
            is_crowd=bool(box["iscrowd"]),
            source="instances_train2014",
            annotation_id=str(box["id"]),
        )
        for box in boxes
    ]
    return merge_boxes(record, loose, dedupe_iou=0.7)[0]


if __name__ == "__main__":
    main()
