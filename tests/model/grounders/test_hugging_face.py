"""Any zero-shot detector of transformers answers as the library's own post-processing does, phrase by phrase."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    PreTrainedTokenizerFast,
    Sam3Config,
)
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil
from transformers.models.grounding_dino.processing_grounding_dino import GroundingDinoProcessor
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlv2.processing_owlv2 import Owlv2Processor
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil
from transformers.models.sam3.modeling_sam3 import Sam3Model

from xdetr_model import HfZeroShotGrounder, PhraseQuery
from xdetr_model.errors import CheckpointError, TargetError
from xdetr_model.grounders.sam3 import Sam3ImageProcessorPil
from xdetr_model.grounders.zero_shot import lower
from xdetr_model.network.tokenizer import word_tokenizer

TEXT = "A red circle and a blue square"
CIRCLE = PhraseQuery(text=TEXT, spans=((0, 12),))
SQUARE = PhraseQuery(text=TEXT, spans=((17, 30),))
TREE = PhraseQuery(text="the tree.", spans=((0, 8),))
SWIN: dict[str, Any] = {
    "model_type": "swin",
    "image_size": 64,
    "window_size": 4,
    "embed_dim": 16,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 2, 2],
    "out_features": ["stage2", "stage3", "stage4"],
}


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


PHOTOS = [photo(100, 60, 1), photo(60, 100, 2), photo(100, 60, 3)]


def randomised(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def clip_tokenizer(words: int = 77) -> PreTrainedTokenizerFast:
    """Whole words between start and end marks, padded with 0 as CLIP's."""
    names = ["!", "<s>", "</s>", "a", "red", "circle", "and", "blue", "square", "the", "tree", ".", ",", "dog"]
    tokenizer = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="dog"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="!", model_max_length=words)


CLIP_TEXT = {"vocab_size": 15, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip


def dino(kind: type, model_type: type) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    text = {"model_type": "bert", "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32}  # fmt: skip
    config = kind(
        backbone_config=dict(SWIN), text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        num_queries=20, max_text_len=32, num_feature_levels=4,
    )  # fmt: skip
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 112})
    return randomised(model_type(config)), tokenizer, processor


def grounding_dino() -> tuple[Any, Any, Any]:
    return dino(GroundingDinoConfig, GroundingDinoForObjectDetection)


def mm_grounding_dino() -> tuple[Any, Any, Any]:
    return dino(MMGroundingDinoConfig, MMGroundingDinoForObjectDetection)


def owl(config: type, model: type, processor: Any) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 64, "patch_size": 16}  # fmt: skip
    built = model(
        config(text_config=CLIP_TEXT | {"max_position_embeddings": 8}, vision_config=vision, projection_dim=16)
    )
    return randomised(built), clip_tokenizer(8), processor


def owlv2() -> tuple[Any, Any, Any]:
    return owl(Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil(size={"height": 64, "width": 64}))


def owlvit() -> tuple[Any, Any, Any]:
    return owl(OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessorPil(size={"height": 64, "width": 64}))


def omdet_turbo() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    config = OmDetTurboConfig(
        backbone_config=dict(SWIN), apply_layernorm_after_vision_backbone=False, image_size=64,
        encoder_in_channels=[32, 64, 128],
        text_config={"model_type": "clip_text_model", **CLIP_TEXT, "max_position_embeddings": 77, "projection_dim": 16},
        text_projection_in_dim=16, text_projection_out_dim=16, class_embed_dim=16, task_encoder_hidden_dim=16,
        encoder_hidden_dim=32, decoder_hidden_dim=32, vision_features_channels=[32, 32, 32],
        encoder_dim_feedforward=32, decoder_dim_feedforward=32, encoder_attention_heads=2, decoder_num_heads=2,
        decoder_num_layers=2, num_queries=20,
    )  # fmt: skip
    processor = DetrImageProcessorPil(size={"height": 64, "width": 64})
    return randomised(OmDetTurboForObjectDetection(config)), clip_tokenizer(), processor


def sam3() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    small: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    config = Sam3Config(
        vision_config={
            "model_type": "sam3_vision_model",
            "backbone_config": {
                "model_type": "sam3_vit_model", "image_size": 56, "patch_size": 14, "num_hidden_layers": 2,
                "window_size": 2, "global_attn_indexes": [1], "pretrain_image_size": 56, **small,
            },
            "fpn_hidden_size": 16,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={"model_type": "clip_text_model", **CLIP_TEXT, "max_position_embeddings": 8, "projection_dim": 16},
        geometry_encoder_config={"num_layers": 1, **small},
        detr_encoder_config={"num_layers": 1, **small},
        detr_decoder_config={"num_layers": 1, "num_queries": 20, **small},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )  # fmt: skip
    return (
        randomised(Sam3Model(config)),
        clip_tokenizer(8),
        Sam3ImageProcessorPil(size={"height": 56, "width": 56}),
    )


FAMILIES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "grounding-dino": grounding_dino,
    "mm-grounding-dino": mm_grounding_dino,
    "owlv2": owlv2,
    "owlvit": owlvit,
    "omdet-turbo": omdet_turbo,
    "sam3": sam3,
}


def grounder(family: str, **options: Any) -> HfZeroShotGrounder:
    return HfZeroShotGrounder(*FAMILIES[family](), device="cpu", **options)


def sorted_rows(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    order = np.argsort(-scores, kind="stable")
    return np.concatenate([boxes[order], scores[order, None]], 1)


def as_rows(candidates: Any) -> np.ndarray:
    return np.concatenate([candidates.boxes_xyxy, candidates.scores[:, None]], 1)


def clipped(boxes: np.ndarray, one: Image.Image) -> np.ndarray:
    return boxes.clip(0, [one.width, one.height, one.width, one.height])


@pytest.mark.parametrize("family", ["grounding-dino", "mm-grounding-dino"])
@pytest.mark.parametrize("one", PHOTOS[:2], ids=["wide", "tall"])
def test_grounding_dino_equals_the_librarys_post_processing(family: str, one: Image.Image) -> None:
    model, tokenizer, processor = FAMILIES[family]()
    library = GroundingDinoProcessor(processor, tokenizer)
    inputs = library(images=one, text="a red circle and a blue square.", return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    ((found,),) = grounder(family).ground([one], [[PhraseQuery(text=TEXT, spans=((0, 30),))]], keep=100)
    # the library scores a box by its best token of the whole text, so leave it only the phrase's
    outputs.logits[..., [0, 8, *range(9, outputs.logits.shape[-1])]] = float("-inf")
    (expected,) = library.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], threshold=0.0, text_threshold=0.0, target_sizes=[(one.height, one.width)]
    )
    boxes = clipped(expected["boxes"].numpy(), one)
    assert np.allclose(as_rows(found), sorted_rows(boxes, expected["scores"].numpy()), atol=1e-3)


def test_a_phrase_scores_by_its_own_tokens() -> None:
    model, tokenizer, processor = grounding_dino()
    inputs = GroundingDinoProcessor(processor, tokenizer)(
        images=PHOTOS[0], text=f"{TEXT.lower()}.", return_tensors="pt"
    )
    with torch.no_grad():
        probability = model(**inputs).logits[0].sigmoid().numpy()
    for phrase, tokens in ((CIRCLE, [1, 2, 3]), (SQUARE, [5, 6, 7])):  # [CLS] a red circle and a blue square
        for pooling, expected in (("max", probability[:, tokens].max(1)), ("mean", probability[:, tokens].mean(1))):
            ((found,),) = grounder("grounding-dino", pooling=pooling).ground(PHOTOS[:1], [[phrase]], keep=100)
            assert np.allclose(found.scores, np.sort(expected)[::-1], atol=1e-5)


@pytest.mark.parametrize("one", PHOTOS[:2], ids=["wide", "tall"])
def test_owlv2_equals_the_librarys_post_processing(one: Image.Image) -> None:
    model, tokenizer, processor = owlv2()
    library = Owlv2Processor(processor, tokenizer)
    (found,) = grounder("owlv2").ground([one], [[CIRCLE, SQUARE]], keep=100)
    for candidates, text in zip(found, ("a red circle", "a blue square"), strict=True):
        inputs = library(text=[[text]], images=one, return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        (expected,) = library.post_process_grounded_object_detection(
            outputs, threshold=0.0, target_sizes=torch.tensor([[one.height, one.width]])
        )
        boxes = clipped(expected["boxes"].numpy(), one)
        assert np.allclose(as_rows(candidates), sorted_rows(boxes, expected["scores"].numpy()), atol=1e-3)


@pytest.mark.parametrize("one", PHOTOS[:2], ids=["wide", "tall"])
def test_owlvit_equals_calling_the_model(one: Image.Image) -> None:
    model, tokenizer, processor = owlvit()
    tokens = tokenizer(["a red circle"], padding="max_length", return_tensors="pt")
    pixels = processor(images=one, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        outputs = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=pixels)
    (expected,) = processor.post_process_object_detection(
        outputs, threshold=0.0, target_sizes=torch.tensor([[one.height, one.width]])
    )
    ((found,),) = grounder("owlvit").ground([one], [[CIRCLE]], keep=100)
    boxes = clipped(expected["boxes"].numpy(), one)
    assert np.allclose(as_rows(found), sorted_rows(boxes, expected["scores"].numpy()), atol=1e-3)


def test_omdet_turbo_equals_calling_the_model() -> None:
    model, tokenizer, processor = omdet_turbo()
    one = PHOTOS[0]
    names = tokenizer(["a red circle", "a blue square"], padding="max_length", max_length=77, return_tensors="pt")
    task = tokenizer(["Detect a red circle, a blue square."], padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        outputs = model(
            pixel_values=processor(images=one, return_tensors="pt")["pixel_values"],
            classes_input_ids=names["input_ids"],
            classes_attention_mask=names["attention_mask"],
            tasks_input_ids=task["input_ids"],
            tasks_attention_mask=task["attention_mask"],
            classes_structure=torch.tensor([2]),
        )
    (found,) = grounder("omdet-turbo").ground([one], [[CIRCLE, SQUARE]], keep=100)
    centre, side = outputs.decoder_coord_logits[0].numpy()[:, :2], outputs.decoder_coord_logits[0].numpy()[:, 2:]
    boxes = clipped(np.concatenate([centre - side / 2, centre + side / 2], 1) * [100, 60, 100, 60], one)
    for index, candidates in enumerate(found):
        scores = outputs.decoder_class_logits[0, :, index].sigmoid().numpy()
        assert np.allclose(as_rows(candidates), sorted_rows(boxes, scores), atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_company_and_batch_size_change_nothing(family: str) -> None:
    phrases = [[CIRCLE, TREE, SQUARE], [SQUARE], [CIRCLE, CIRCLE]]
    together = grounder(family, batch_size=3).ground(PHOTOS, phrases, keep=7)
    for index, one in enumerate(PHOTOS):
        alone = grounder(family, batch_size=1).ground([one], [phrases[index]], keep=7)[0]
        for a, b in zip(alone, together[index], strict=True):
            assert len(a.scores) == 7
            assert np.allclose(as_rows(a), as_rows(b), atol=1e-3)
            assert np.all(as_rows(a)[:, :4] >= 0)
            assert np.all(as_rows(a)[:, [0, 2]] <= one.width)
            assert np.all(as_rows(a)[:, [1, 3]] <= one.height)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_to_do_gives_nothing(family: str) -> None:
    one = grounder(family)
    assert one.ground([], [], keep=1) == []
    assert one.ground(PHOTOS[:1], [[]], keep=1) == [[]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_detector_loads_from_its_directory(family: str, tmp_path: Path) -> None:
    for part in FAMILIES[family]():
        part.save_pretrained(tmp_path)
    loaded = HfZeroShotGrounder.from_pretrained(tmp_path, device="cpu")
    expected = grounder(family)
    assert loaded.fingerprint() == expected.fingerprint()
    a, b = (g.ground(PHOTOS[:1], [[CIRCLE]], keep=5)[0][0] for g in (loaded, expected))
    assert np.array_equal(as_rows(a), as_rows(b))


def test_a_detector_that_lacks_weights_is_refused_and_never_completed_at_random(tmp_path: Path) -> None:
    for part in FAMILIES["grounding-dino"]():
        part.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "decoder" not in name}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"{len(weights) - len(kept)} weights are missing"):
        HfZeroShotGrounder.from_pretrained(tmp_path, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spans", [(), ((0, 0),), ((5, 3),), ((500, 600),), ((-3, -1),)])
def test_a_phrase_without_characters_of_its_text_is_refused(family: str, spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(TargetError, match="are not of the 12 characters"):
        grounder(family).ground([photo(40, 30)], [[PhraseQuery(text="a red circle", spans=spans)]], keep=1)


def test_context_can_be_left_out() -> None:
    alone = PhraseQuery(text="a blue square", spans=((0, 13),))
    in_context = {f: grounder(f).ground(PHOTOS[:1], [[CIRCLE, SQUARE]], keep=5)[0][1] for f in FAMILIES}
    for family in ("grounding-dino", "omdet-turbo"):
        one = grounder(family, context=False)
        a, b = one.ground(PHOTOS[:1], [[SQUARE, alone]], keep=5)[0]
        assert np.allclose(as_rows(a), as_rows(b), atol=1e-5)
        assert not np.allclose(a.scores, in_context[family].scores, atol=1e-5)


def test_phrases_beyond_the_text_limit_are_read_in_a_window_and_longer_ones_are_said_to_be_cut() -> None:
    long = "dog " * 40 + "cat"
    ((beyond, cut),) = grounder("grounding-dino").ground(
        PHOTOS[:1], [[PhraseQuery(text=long, spans=((160, 163),)), PhraseQuery(text=long, spans=((4, 163),))]], keep=2
    )
    assert (beyond.fit, len(beyond.scores)) == ("whole", 2)
    assert (cut.fit, len(cut.scores)) == ("cut", 2)
    longer = PhraseQuery(text="dog " * 80, spans=((0, 319),))
    for family in ("owlv2", "omdet-turbo", "sam3"):
        ((whole, cut),) = grounder(family).ground(PHOTOS[:1], [[CIRCLE, longer]], keep=2)
        assert (whole.fit, cut.fit) == ("whole", "cut")


def test_a_model_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    BertModel(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is no zero-shot detector that loads") as caught:
        HfZeroShotGrounder.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="holds no config"):
        HfZeroShotGrounder.from_pretrained(tmp_path.parent)


def test_lower_case_keeps_every_character_in_its_place() -> None:
    assert lower("İstanbul ÀB") == "İstanbul àb"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_below_float32_coordinates_are_on_no_grid_and_close(family: str, precision: str) -> None:
    one = photo(1000, 600, 1)
    exact, narrow = (
        grounder(family, precision=kind).ground([one], [[CIRCLE]], keep=100)[0][0] for kind in ("float32", precision)
    )
    low, high = narrow.boxes_xyxy[:, :2] / [1000, 600], narrow.boxes_xyxy[:, 2:] / [1000, 600]
    centres = ((low + high) / 2)[(low > 0) & (high < 1)]  # of what the photo's edge does not cut
    off_grid = np.abs(centres * 256 - np.round(centres * 256))
    assert len(centres)
    assert np.median(off_grid) > 0.01  # with weights of bfloat16 most are on it
    nearest = np.abs(narrow.boxes_xyxy[:, None] - exact.boxes_xyxy[None]).max(-1).min(1)
    assert np.median(nearest) < 1000 / 512
