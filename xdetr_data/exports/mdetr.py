"""MDETR's annotation JSON: a paragraph for each query, an annotation for each region that a phrase names.

A paragraph is an element of ``images``; its ``data_source`` is the photo's collection, as in the released mixed file,
and it is called ``dataset_name: "sentences"``: one independent sentence that nothing splits. ``tokens_positive_eval``
are the spans of all phrases, and ``original_img_id`` with ``sentence_id`` say which sentence of which photo it is, as
MDETR's Flickr evaluator reads them. Boxes are ``[x, y, w, h]`` in pixels (``exports.coco``).
Source: ashkamath/mdetr, ``datasets/coco.py``, ``datasets/flickr.py`` and ``datasets/mixed.py``.
"""

from collections.abc import Iterator
from typing import Any

from xdetr_data.boxes import exact_xyxy_to_xywh
from xdetr_data.record import GroundedImage, Query
from xdetr_data.sources.mdetr_records import SENTENCES


def paragraph(record: GroundedImage, number: int, paragraph_id: int) -> dict[str, Any]:
    """The element of ``images`` of a projected record's query of this number."""
    query = record.queries[number]
    height, width = record.image.size_hw
    photo = record.key.partition("/")[2] or record.key
    return {
        "file_name": record.image.file_name,
        "height": height,
        "width": width,
        "id": paragraph_id,
        "original_id": photo,
        "original_img_id": photo,
        "sentence_id": number,
        "caption": query.text,
        "tokens_negative": [],
        "tokens_positive_eval": [phrase.spans for phrase in query.phrases],
        "data_source": record.image.source,
        "dataset_name": SENTENCES,
    }


def annotations(record: GroundedImage, query: Query, paragraph_id: int, first_id: int) -> Iterator[dict[str, Any]]:
    """The elements of ``annotations`` of a query of a projected record; all are of MDETR's one category."""
    found = [(phrase.spans, record.regions[index]) for phrase in query.phrases for index in phrase.regions]
    for number, (spans, region) in enumerate(found, first_id):
        box = exact_xyxy_to_xywh(region.box_xyxy)
        yield {
            "area": box[2] * box[3],
            "iscrowd": int(region.is_crowd),
            "image_id": paragraph_id,
            "category_id": 1,
            "id": number,
            "bbox": box,
            "tokens_positive": spans,
        }
