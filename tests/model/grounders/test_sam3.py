"""SAM 3 answers as the library does when it is called directly: boxes, presence, masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hotcoco import mask as run_lengths
from safetensors.torch import load_file, save_file
from transformers import Sam3VideoConfig

from tests.model.grounders.test_hugging_face import CIRCLE, PHOTOS, SQUARE, TEXT, TREE, grounder, photo, sam3
from xdetr_model import HfZeroShotGrounder, PhraseQuery
from xdetr_model.errors import CheckpointError

ONE = PHOTOS[0]


def called_directly(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in pixels, scores and masks of all predictions, best first: what the library's post-processing computes
    (its module needs torchvision to be imported)."""
    model, tokenizer, processor = sam3()
    prompt = tokenizer([text], padding="max_length", max_length=8, return_tensors="pt")
    with torch.no_grad():
        output = model(
            pixel_values=processor(images=ONE, return_tensors="pt")["pixel_values"],
            input_ids=prompt["input_ids"],
            attention_mask=prompt["attention_mask"],
        )
    scores = (output.pred_logits.sigmoid() * output.presence_logits.sigmoid())[0]
    boxes = output.pred_boxes[0] * torch.tensor([ONE.width, ONE.height, ONE.width, ONE.height])
    masks = torch.nn.functional.interpolate(
        output.pred_masks.sigmoid(), size=(ONE.height, ONE.width), mode="bilinear", align_corners=False
    )[0]
    order = torch.argsort(-scores, stable=True)
    limit = [ONE.width, ONE.height] * 2
    return boxes[order].numpy().clip(0, limit), scores[order].numpy(), (masks[order] > 0.5).numpy()


def decoded(counts: str | None) -> np.ndarray:
    if counts is None:
        return np.zeros((ONE.height, ONE.width), np.uint8)
    return run_lengths.decode({"size": [ONE.height, ONE.width], "counts": counts})


def test_phrases_on_kept_features_equal_calling_the_model_for_each() -> None:
    found = grounder("sam3").ground([ONE], [[CIRCLE, SQUARE]], keep=20)[0]
    for candidates, text in zip(found, ("A red circle", "a blue square"), strict=True):
        boxes, scores, masks = called_directly(text)
        assert np.allclose(candidates.scores, scores, atol=1e-5)
        assert np.allclose(candidates.boxes_xyxy, boxes, atol=1e-3)
        ours = np.stack([decoded(one) for one in candidates.masks])
        assert (ours != masks).mean() < 1e-3
        assert 0 < masks.mean() < 1


def test_more_phrases_than_one_pass_takes_change_nothing() -> None:
    many = [PhraseQuery(text=TEXT, spans=((0, 2 + i % 10),)) for i in range(19)] + [CIRCLE]
    together = grounder("sam3").ground(PHOTOS[:2], [many, [SQUARE]], keep=3)
    for phrase, found in zip(many, together[0], strict=True):
        ((alone,),) = grounder("sam3").ground([ONE], [[phrase]], keep=3)
        assert np.allclose(alone.scores, found.scores, atol=1e-5)
        assert np.allclose(alone.boxes_xyxy, found.boxes_xyxy, atol=1e-3)
    assert len(together[1][0].masks) == 3


def test_the_photo_is_encoded_once_for_all_phrases(monkeypatch: pytest.MonkeyPatch) -> None:
    one = grounder("sam3")
    calls: list[int] = []
    encoder = one._adapter._d.model.vision_encoder
    inner = encoder.forward

    def counted(pixel_values: Any, **kwargs: Any) -> Any:
        calls.append(len(pixel_values))
        return inner(pixel_values, **kwargs)

    monkeypatch.setattr(encoder, "forward", counted)
    one.ground(PHOTOS, [[CIRCLE, SQUARE, TREE] * 5, [CIRCLE], []], keep=2)
    assert calls == [2]


def test_masks_can_be_left_out_and_the_fingerprint_says_so() -> None:
    without = grounder("sam3", masks=False)
    ((found,),) = without.ground([ONE], [[CIRCLE]], keep=2)
    assert found.masks == ()
    assert without.fingerprint() != grounder("sam3").fingerprint()


def saved_as_video(folder: Path) -> Path:
    """The layout of the published checkpoint: the detector inside a video model, beside a tracker."""
    model, tokenizer, processor = sam3()
    Sam3VideoConfig(detector_config=model.config.to_dict()).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = {f"detector_model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    weights["tracker_model.no_memory"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_the_published_video_checkpoint_gives_its_detector(tmp_path: Path) -> None:
    loaded = HfZeroShotGrounder.from_pretrained(saved_as_video(tmp_path), device="cpu")
    a, b = (one.ground([ONE], [[CIRCLE]], keep=5)[0][0] for one in (loaded, grounder("sam3")))
    assert np.array_equal(a.scores, b.scores)
    assert a.masks == b.masks


def test_a_video_checkpoint_without_its_detector_is_refused(tmp_path: Path) -> None:
    saved_as_video(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({"tracker_model.no_memory": weights["tracker_model.no_memory"]}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="weights are missing"):
        HfZeroShotGrounder.from_pretrained(tmp_path, device="cpu")


def test_without_a_file_of_the_image_processor_the_models_own_size_counts(tmp_path: Path) -> None:
    model, tokenizer, _ = sam3()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = HfZeroShotGrounder.from_pretrained(tmp_path, device="cpu")
    assert loaded.prepare(photo(300, 100)).input_hw == (56, 56)
