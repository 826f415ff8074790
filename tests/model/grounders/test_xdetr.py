"""The X-DETR grounder: boxes in the photo's pixels, independent of batch, order, cache and company."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from tests.model.tiny import REFINED, TWO_STAGE, tiny_model
from xdetr_model import Candidates, PhraseQuery, XDetrGrounder, save_checkpoint
from xdetr_model.boxes import cxcywh_to_xyxy
from xdetr_model.checkpoints.directory import ModelCard
from xdetr_model.device import BatchRunner, dtype_of, is_out_of_memory, pick_device
from xdetr_model.errors import ModelConfigError, OutOfMemoryError
from xdetr_model.grounders import xdetr
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.photos import PhotoTransform

TRANSFORM = PhotoTransform(shortest_px=64, longest_px=112)
TEXT = "a red circle and a blue square near the tree"
CIRCLE = PhraseQuery(text=TEXT, spans=((0, 12),))
SQUARE = PhraseQuery(text=TEXT, spans=((17, 30),))


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def grounder(**options: Any) -> XDetrGrounder:
    return XDetrGrounder(tiny_model(TWO_STAGE), word_tokenizer(), TRANSFORM, device="cpu", **options)


PHOTOS = [photo(100, 60, 1), photo(60, 100, 2), photo(300, 90, 3), photo(64, 64, 4)]


def worst(a: Candidates, b: Candidates) -> float:
    assert a.boxes_xyxy.shape == b.boxes_xyxy.shape
    scale = max(1.0, float(a.boxes_xyxy.max()))
    return max(float(np.abs(a.boxes_xyxy - b.boxes_xyxy).max()) / scale, float(np.abs(a.scores - b.scores).max()))


def test_boxes_and_scores_are_those_of_the_model() -> None:
    model, tokenizer = tiny_model(TWO_STAGE), word_tokenizer()
    (found,) = grounder().ground([PHOTOS[0]], [[CIRCLE]], keep=100)
    batch = TRANSFORM.batch([TRANSFORM.prepare(PHOTOS[0])])
    with torch.no_grad():
        image = model.encode_image(TRANSFORM.normalise(batch.pixels, None, torch.float32))
        tokens = tokenizer(TEXT, return_tensors="pt")
        text = model.encode_text(tokens["input_ids"], tokens["attention_mask"])
    phrase = torch.nn.functional.normalize(text.tokens[0, 1:4].mean(0), dim=0)  # [CLS] a red circle
    scores = image.objects[0] @ phrase
    order = scores.argsort(descending=True)
    expected = (cxcywh_to_xyxy(image.boxes_cxcywh_norm[0]) * torch.tensor([100, 60, 100, 60])).clamp(
        torch.zeros(4), torch.tensor([100.0, 60, 100, 60])
    )
    assert np.allclose(found[0].scores, scores[order].numpy(), atol=1e-5)
    assert np.allclose(found[0].boxes_xyxy, expected[order].numpy(), atol=1e-3)
    assert found[0].boxes_xyxy.dtype == np.float64
    assert found[0].scores.dtype == np.float32
    assert found[0].fit == "whole"


def test_candidates_are_sorted_limited_and_inside_the_photo() -> None:
    for size, (candidates,) in zip(
        [(100, 60), (60, 100), (300, 90), (64, 64)], grounder().ground(PHOTOS, [[CIRCLE]] * 4, keep=5), strict=True
    ):
        assert len(candidates.scores) == 5
        assert np.all(np.diff(candidates.scores) <= 0)
        assert np.all(candidates.boxes_xyxy >= 0)
        assert np.all(candidates.boxes_xyxy <= [*size, *size])


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_photo_alone_and_in_a_padded_batch_gives_the_same(batch_size: int) -> None:
    together = grounder(batch_size=batch_size).ground(PHOTOS, [[CIRCLE, SQUARE]] * 4, keep=12)
    for index, one in enumerate(PHOTOS):
        (alone,) = grounder().ground([one], [[CIRCLE, SQUARE]], keep=12)
        for a, b in zip(alone, together[index], strict=True):
            assert worst(a, b) < 1e-4


def test_a_phrase_among_one_and_among_five_hundred_gives_the_same() -> None:
    crowd = [PhraseQuery(text=f"{'very ' * (i % 17)}big dog number {i}", spans=((0, 4 + i % 5),)) for i in range(500)]
    (alone,) = grounder().ground(PHOTOS[:1], [[CIRCLE]], keep=12)
    (among,) = grounder().ground(PHOTOS[:1], [[*crowd[:250], CIRCLE, *crowd[250:]]], keep=12)
    assert worst(alone[0], among[250]) < 1e-4


def test_nothing_to_do_gives_nothing() -> None:
    one = grounder()
    assert one.ground([], [], keep=3) == []
    assert one.ground(PHOTOS[:2], [[], []], keep=3) == [[], []]
    first, second = one.ground(PHOTOS[:2], [[], [CIRCLE]], keep=3)
    assert first == []
    assert len(second) == 1


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="2 photos but phrases for 1"):
        grounder().ground(PHOTOS[:2], [[CIRCLE]], keep=3)
    with pytest.raises(ValueError, match="keep=0 must be at least 1"):
        grounder().ground(PHOTOS[:1], [[CIRCLE]], keep=0)
    with pytest.raises(ModelConfigError, match="pooling='min' is unknown"):
        grounder(pooling="min")
    with pytest.raises(ModelConfigError, match="precision='int8' is unknown"):
        grounder(precision="int8")


def test_more_candidates_than_queries_gives_all_of_them() -> None:
    ((candidates,),) = grounder().ground(PHOTOS[:1], [[CIRCLE]], keep=1000)
    assert len(candidates.scores) == 12


def test_a_phrase_that_the_model_cannot_see_has_no_boxes_and_says_so() -> None:
    long = "dog " * 60 + "cat"
    queries = [
        PhraseQuery(text=long, spans=((240, 243),)),
        PhraseQuery(text=long, spans=((4, 243),)),
        PhraseQuery(text="a dog", spans=((1, 2),)),
    ]
    ((beyond, cut, between),) = grounder().ground(PHOTOS[:1], [queries], keep=3)
    assert (beyond.fit, len(beyond.scores)) == ("whole", 3)  # it was read in a window
    assert (cut.fit, len(cut.scores)) == ("cut", 3)
    assert (between.fit, between.boxes_xyxy.shape) == ("between_tokens", (0, 4))


def test_context_and_pooling_change_the_phrase() -> None:
    def scores(**options: Any) -> np.ndarray:
        return grounder(**options).ground(PHOTOS[:1], [[SQUARE]], keep=12)[0][0].scores

    values = [scores(), scores(context=False), scores(pooling="max")]
    assert len({tuple(np.round(v, 6)) for v in values}) == 3
    alone = grounder().ground(PHOTOS[:1], [[PhraseQuery(text="a blue square", spans=((0, 13),))]], keep=12)[0][0]
    assert np.allclose(values[1], alone.scores, atol=1e-6)


def test_max_is_the_best_token() -> None:
    singles = [PhraseQuery(text=TEXT, spans=(s,)) for s in ((0, 1), (2, 5), (6, 12))]
    one = grounder(pooling="max")
    photos = one.encode_photos([one.prepare(PHOTOS[0])])
    vectors = [v.vectors for v in one.encode_phrases(singles)]
    ((found,),) = one.ground(PHOTOS[:1], [[CIRCLE]], keep=12)
    best = np.max([photos[0].objects @ v[0] for v in vectors], axis=0)
    assert np.allclose(found.scores, np.sort(best)[::-1], atol=1e-6)


class CountingModel:
    """Counts the texts and photos that reach a model."""

    def __init__(self, model: Any):
        self.texts = self.photos = 0
        encode_text, encode_image = model.encode_text, model.encode_image

        def count_text(ids: torch.Tensor, mask: torch.Tensor) -> Any:
            self.texts += len(ids)
            return encode_text(ids, mask)

        def count_image(pixels: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
            self.photos += len(pixels)
            return encode_image(pixels, mask)

        model.encode_text, model.encode_image = count_text, count_image


def test_a_photo_and_a_text_are_encoded_once() -> None:
    one = grounder(cache_size=2)
    counted = CountingModel(one._model)
    one.ground(PHOTOS[:2], [[CIRCLE, SQUARE, CIRCLE], [SQUARE]], keep=3)
    assert (counted.texts, counted.photos) == (1, 2)
    one.ground(PHOTOS[:1], [[CIRCLE]], keep=3)
    assert (counted.texts, counted.photos) == (1, 3)
    one.ground(PHOTOS[:1], [[PhraseQuery(text="a tree", spans=((0, 6),))]], keep=3)
    one.ground(PHOTOS[:1], [[SQUARE]], keep=3)  # fell out of a cache of two
    assert counted.texts == 3


def test_photos_can_be_prepared_in_threads() -> None:
    one = grounder()
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(one.prepare, PHOTOS * 3))
    found = one.ground_prepared(prepared, [[CIRCLE]] * 12, keep=3)
    direct = one.ground(PHOTOS, [[CIRCLE]] * 4, keep=3)
    for index in range(12):
        assert worst(found[index][0], direct[index % 4][0]) < 1e-4


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_close(precision: Any) -> None:
    # learned queries: proposals that are picked by score change places when scores are rounded
    exact, half = (
        XDetrGrounder(tiny_model(REFINED), word_tokenizer(), TRANSFORM, device="cpu", precision=p)
        for p in ("float32", precision)
    )
    a = exact.encode_photos([exact.prepare(PHOTOS[0])])[0]
    b = half.encode_photos([half.prepare(PHOTOS[0])])[0]
    assert b.objects.dtype == np.float32
    assert np.median(np.abs(a.boxes_xyxy - b.boxes_xyxy)) < 5


def test_the_fingerprint_names_everything_that_changes_results(tmp_path: Path) -> None:
    processor = DeformableDetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 112})
    card = ModelCard(title="t", description="d")
    save_checkpoint(tmp_path, tiny_model(TWO_STAGE), word_tokenizer(), processor, card)
    own = grounder().fingerprint()
    assert own == XDetrGrounder.from_pretrained(tmp_path, device="cpu", batch_size=2).fingerprint()
    others = [grounder(pooling="max"), grounder(context=False), grounder(precision="bfloat16")]
    assert len({own, *(o.fingerprint() for o in others)}) == 4


class Device:
    """A function that runs out of memory above a number of items."""

    def __init__(self, limit: int, error: Exception):
        self.limit, self.error, self.calls = limit, error, [0]

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(len(items))
        if len(items) > self.limit:
            raise self.error
        return [2 * i for i in items]


def test_the_batch_is_halved_when_memory_runs_out_and_stays_so() -> None:
    runner = BatchRunner(8)
    device = Device(3, torch.OutOfMemoryError("CUDA out of memory"))
    assert runner.run(range(10), device) == [2 * i for i in range(10)]
    assert runner.batch_size == 2
    assert device.calls[1:] == [8, 4, 2, 2, 2, 2, 2]
    assert runner.run([], device) == []


def test_one_item_that_does_not_fit_is_an_error_and_other_errors_pass() -> None:
    with pytest.raises(OutOfMemoryError, match="too little memory for one item"):
        BatchRunner(4).run([1, 2], Device(0, RuntimeError("DefaultCPUAllocator: not enough memory: you tried")))
    with pytest.raises(RuntimeError, match="shapes"):
        BatchRunner(4).run([1], Device(0, RuntimeError("shapes do not match")))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_devices_and_types_by_name() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert dtype_of("bfloat16") is torch.bfloat16
    for device in ("nonsense", "cuda:9"):
        with pytest.raises(ModelConfigError, match="cannot be used here"):
            pick_device(device)
    with pytest.raises(ModelConfigError, match="batch_size=0"):
        BatchRunner(0)


def test_a_grounder_survives_memory_running_out() -> None:
    one = grounder(batch_size=4)
    encode = one._model.encode_image

    def short_of_memory(pixels: torch.Tensor, mask: torch.Tensor | None = None) -> Any:
        if len(pixels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(pixels, mask)

    expected = grounder().ground(PHOTOS, [[CIRCLE]] * 4, keep=3)
    one._model.encode_image = short_of_memory
    for (a,), (b,) in zip(one.ground(PHOTOS, [[CIRCLE]] * 4, keep=3), expected, strict=True):
        assert worst(a, b) < 1e-4


def test_a_compiled_tower_meets_few_shapes_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    compile_for_real = torch.compile

    def watched(encode: Any, **options: Any) -> Any:
        inner = compile_for_real(encode, backend="eager", **options)

        def encoded(pixels: torch.Tensor, mask: torch.Tensor | None) -> Any:
            shapes.append(tuple(pixels.shape))
            return inner(pixels, mask)

        return encoded

    monkeypatch.setattr(torch, "compile", watched)
    monkeypatch.setattr(xdetr, "SHAPE_STEP_PX", 32)
    rng = np.random.default_rng(0)
    photos = [photo(*rng.integers(30, 300, 2).tolist(), seed=seed) for seed in range(14)]
    phrases = [[CIRCLE, SQUARE]] * len(photos)
    plain, compiled = grounder(batch_size=4), grounder(batch_size=4, compiled=True)
    wanted, found = plain.ground(photos, phrases, 3), compiled.ground(photos, phrases, 3)
    assert {shape[0] for shape in shapes} == {4}, "a batch that is not full is filled"
    assert all(side % 32 == 0 for shape in shapes for side in shape[2:])
    assert len(found) == len(photos)
    for ours, theirs in zip(found, wanted, strict=True):
        assert [one.fit for one in ours] == [one.fit for one in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert abs(a.scores[0] - b.scores[0]) < 1e-3
    assert plain.fingerprint() != compiled.fingerprint()


@pytest.mark.slow
def test_inductor_compiles_the_tower() -> None:
    (found,), (wanted,) = (
        grounder(batch_size=1, compiled=compiled).ground([PHOTOS[3]], [[CIRCLE]], 1) for compiled in (True, False)
    )
    assert abs(found[0].scores[0] - wanted[0].scores[0]) < 1e-3
