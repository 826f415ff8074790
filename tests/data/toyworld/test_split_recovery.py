"""The paragraphs can be split back: the world is hard enough to need evidence, and holds the evidence it needs."""

import json
import re
from pathlib import Path

from xdetr_data.stages.splitting.split_paragraph import split_paragraph
from xdetr_data.toyworld.truth import PhotoTruth

FILE = "mdetr/final_mixed_train.json"


def test_at_least_99_percent_of_the_true_cuts_are_found_where_every_mark_finds_85_percent_of_paragraphs_at_most(
    world: Path, truths: list[PhotoTruth]
) -> None:
    data = json.loads((world / FILE).read_bytes())
    spans: dict[int, list[list[tuple[int, int]]]] = {}
    for annotation in data["annotations"]:
        found = [(begin, end) for begin, end in annotation["tokens_positive"]]
        spans.setdefault(annotation["image_id"], []).append(found)
    known = {text.id: text for photo in truths for text in photo.texts if text.file == FILE}
    true_cuts = hits = false_cuts = plain = 0
    for image in data["images"]:
        caption = image["caption"]
        split = split_paragraph(
            caption,
            annotation_spans=spans.get(image["id"], []),
            negative_spans=[(begin, end) for begin, end in image["tokens_negative"]],
        )
        true = {begin for begin, _ in known[str(image["id"])].sentences} - {0}
        cuts = {begin for begin, _ in split.sentences} - {0}
        true_cuts, hits, false_cuts = true_cuts + len(true), hits + len(true & cuts), false_cuts + len(cuts - true)
        plain += {mark.end() for mark in re.finditer(r"[.?] ", caption)} == true
    assert true_cuts > 400
    assert hits >= 0.99 * true_cuts
    assert false_cuts <= 0.01 * true_cuts
    assert plain <= 0.85 * len(data["images"])
