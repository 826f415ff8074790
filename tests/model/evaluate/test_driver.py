"""The driver asks the network about every photo and hands the answers to the right measure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.toy_photos import draw_toy_photo
from xdetr_model.errors import TargetError
from xdetr_model.evaluate.boxes import TrueBoxes
from xdetr_model.evaluate.driver import Answers, LabelledPhoto, PhraseToFind, answer, evaluate, summarise
from xdetr_model.grounders.protocol import PhraseQuery
from xdetr_model.grounders.xdetr import XDetrGrounder
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.photos import PhotoTransform

TOKENIZER = word_tokenizer()
TRANSFORM = PhotoTransform(shortest_px=64, longest_px=96)
MODEL = tiny_model(TWO_STAGE)


def labelled(seed: int) -> LabelledPhoto:
    toy = draw_toy_photo(seed)
    boxes = np.array(toy.boxes_xyxy)
    phrases = tuple(
        PhraseToFind(query=PhraseQuery(text=toy.text, spans=(span,)), boxes_xyxy=boxes[i : i + 1], tag=f"kind{i % 2}")
        for i, span in enumerate(toy.phrases)
    )
    return LabelledPhoto(photo=toy.photo, boxes=TrueBoxes(boxes_xyxy=boxes), phrases=phrases)


def run(photos: list[LabelledPhoto], **options: Any) -> dict[str, float]:
    return evaluate(MODEL, TOKENIZER, TRANSFORM, photos, **options).scalars()


def as_truth(photo: LabelledPhoto) -> LabelledPhoto:
    """The network's own best answers as the truth."""
    grounder = XDetrGrounder(MODEL, TOKENIZER, TRANSFORM, device="cpu")
    encoded = grounder.encode_photos([grounder.prepare(photo.photo)])[0]
    best = grounder.ground([photo.photo], [[p.query for p in photo.phrases]], keep=1)[0]
    return replace(
        photo,
        boxes=TrueBoxes(boxes_xyxy=encoded.boxes_xyxy),
        phrases=tuple(replace(p, boxes_xyxy=c.boxes_xyxy) for p, c in zip(photo.phrases, best, strict=True)),
    )


def test_a_network_that_is_right_scores_one() -> None:
    scores = run([as_truth(labelled(seed)) for seed in range(3)])
    assert scores["boxes/ap"] == pytest.approx(1.0)
    assert {scores[f"phrases/{tag}/recall@1"] for tag in ("all", "kind0", "kind1")} == {1.0}


def test_scores_do_not_depend_on_the_batch_size() -> None:
    photos = [labelled(seed) for seed in range(5)]
    assert run(photos, batch_size=2) == pytest.approx(run(photos, batch_size=5))


def test_answers_of_two_processes_add_up_to_those_of_one() -> None:
    photos = [labelled(seed) for seed in range(4)]
    parts = [answer(MODEL, TOKENIZER, TRANSFORM, photos[r::2]) for r in range(2)]
    assert summarise(parts[0] + parts[1]).scalars() == pytest.approx(run(photos))


def test_photos_without_boxes_or_phrases_are_welcome() -> None:
    photo = labelled(0)
    assert evaluate(MODEL, TOKENIZER, TRANSFORM, [replace(photo, boxes=None)]).boxes is None
    assert evaluate(MODEL, TOKENIZER, TRANSFORM, [replace(photo, phrases=())]).phrases == {}
    empty = LabelledPhoto(photo=Image.new("RGB", (40, 30)), boxes=TrueBoxes(boxes_xyxy=np.zeros((0, 4))))
    assert run([empty]) == {}
    assert run([photo, empty])["boxes/photos"] == 2


def test_no_photo_at_all_is_said() -> None:
    with pytest.raises(TargetError, match="no photo to evaluate"):
        summarise(Answers())


def test_the_network_goes_on_training_afterwards_and_keeps_its_weights() -> None:
    model = tiny_model(TWO_STAGE).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, TOKENIZER, TRANSFORM, [labelled(0)], precision="bfloat16")
    assert model.training
    assert all(
        value.equal(before[name]) and value.dtype == before[name].dtype for name, value in model.state_dict().items()
    )
