"""Every loss equals the loop-by-loop reference, its gradients agree with finite differences, and no batch breaks it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.model.losses import slow_losses
from tests.model.tiny import TWO_STAGE, tiny_model
from xdetr_model.losses import criterion as criterion_module
from xdetr_model.losses.criterion import Criterion, Losses, objectness_loss, unclear
from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
from xdetr_model.network.configuration import AlignmentRules, ObjectnessLoss, XDetrConfig
from xdetr_model.network.model import XDetrOutput
from xdetr_model.network.proposals import Proposals
from xdetr_model.network.tokenizer import word_tokenizer

TOKENIZER = word_tokenizer()
CRITERION = Criterion.from_config(XDetrConfig())
Boxes = tuple[tuple[float, float, float, float], ...]


def query(text: str, *named: tuple[str, tuple[int, ...]], is_caption: bool = False) -> QueryTarget:
    phrases = tuple(
        PhraseTarget(spans_char=((text.index(words), text.index(words) + len(words)),), regions=regions)
        for words, regions in named
    )
    return QueryTarget(text=text, phrases=phrases, is_caption=is_caption)


A_DOG = (0.1, 0.1, 0.4, 0.5)
A_CAT = (0.5, 0.5, 0.9, 0.8)
A_TREE = (0.2, 0.6, 0.45, 0.95)
PHOTOS = [
    PhotoTarget(
        boxes_xyxy_norm=(A_DOG, A_CAT, A_TREE),
        queries=(
            query("a dog and a cat.", ("a dog", (0,)), ("a cat", (1,)), is_caption=True),
            query("the animals near", ("the animals", (0, 1))),
        ),
    ),
    PhotoTarget(boxes_xyxy_norm=(A_CAT,), queries=(query("a dog here.", ("a dog", (0,)), is_caption=True),)),
    PhotoTarget(boxes_xyxy_norm=(), queries=(query("an empty street.", is_caption=True),)),
    PhotoTarget(boxes_xyxy_norm=None, queries=(query("a man on a horse.", is_caption=True),)),
]


def collate(photos: list[PhotoTarget]) -> Targets:
    targets = collate_targets(photos, TOKENIZER, 48)
    return replace(targets, boxes_cxcywh_norm=targets.boxes_cxcywh_norm.double())


def random_output(
    targets: Targets, photos: int, queries: int = 4, layers: int = 2, with_proposals: bool = True, width: int = 8
) -> XDetrOutput:
    """Double-precision network output with gradients."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    def unit(*shape: int) -> Tensor:
        return nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

    boxes = torch.rand(layers, photos, queries, 4, generator=generator, dtype=torch.float64) * 0.3 + 0.2
    usable = torch.ones(photos, 6, dtype=torch.bool)
    usable[:, 5] = False
    proposals = Proposals(normal(photos, 6), (normal(photos, 6, 4)), usable) if with_proposals else None
    texts, length = targets.input_ids.shape
    return XDetrOutput(
        objectness_logits=normal(layers, photos, queries),
        boxes_cxcywh_norm=boxes.requires_grad_(),
        proposals=proposals,
        objects=unit(layers, photos, queries, width).requires_grad_(),
        image=unit(photos, width).requires_grad_(),
        tokens=unit(texts, length, width).requires_grad_(),
        sentence=unit(texts, width).requires_grad_(),
    )


def wanted_boxes(targets: Targets) -> list[list[list[float]]]:
    return [part.tolist() for part in targets.boxes_cxcywh_norm.split(list(targets.regions_per_photo))]


def assignments(output: XDetrOutput, targets: Targets, layer: int) -> list[dict[int, int]]:
    logits, boxes = output.objectness_logits[layer].tolist(), output.boxes_cxcywh_norm[layer].tolist()
    return [
        slow_losses.best_assignment(logits[b], boxes[b], wanted, slow_losses.Weights())
        for b, wanted in enumerate(wanted_boxes(targets))
    ]


def test_detection_losses_equal_the_reference_in_every_layer() -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS))
    losses = CRITERION(output, targets)
    for layer in range(2):
        assigned = assignments(output, targets, layer)
        keep = [b for b in range(len(PHOTOS)) if PHOTOS[b].boxes_xyxy_norm is not None]
        expected = slow_losses.detection(
            [output.objectness_logits[layer].tolist()[b] for b in keep],
            [output.boxes_cxcywh_norm[layer].tolist()[b] for b in keep],
            [wanted_boxes(targets)[b] for b in keep],
            [assigned[b] for b in keep],
        )
        found = (losses.layers.objectness[layer], losses.layers.giou[layer], losses.layers.l1[layer])
        assert [float(f.detach()) for f in found] == pytest.approx(expected, abs=1e-9)


def test_proposals_are_trained_where_they_are_usable() -> None:
    targets = collate(PHOTOS[:2])
    output = random_output(targets, 2)
    assert output.proposals is not None
    losses = CRITERION(output, targets)
    logits = output.proposals.objectness_logits[:, :5].tolist()
    boxes = output.proposals.box_logits_cxcywh[:, :5].sigmoid().tolist()
    assigned = [
        slow_losses.best_assignment(logits[b], boxes[b], wanted, slow_losses.Weights())
        for b, wanted in enumerate(wanted_boxes(targets))
    ]
    expected = slow_losses.detection(logits, boxes, wanted_boxes(targets), assigned)
    assert losses.proposals is not None
    found = (losses.proposals.objectness, losses.proposals.giou, losses.proposals.l1)
    assert [float(f[0].detach()) for f in found] == pytest.approx(expected, abs=1e-9)


def slow_words(
    output: XDetrOutput,
    targets: Targets,
    *,
    layer: int = 1,
    textless: bool = False,
    unmatched: bool = True,
    same_text: bool = True,
) -> tuple[float, float]:
    """Eq. 4 and 5 from the photos, not from the collated targets' index lists."""
    assigned = assignments(output, targets, layer)
    tokens: list[tuple[int, int, int]] = [  # (photo, query row, token)
        (int(targets.query_photo[n]), n, t)
        for n in range(targets.input_ids.shape[0])
        for t in range(targets.input_ids.shape[1])
        if bool(targets.is_word[n, t]) and PHOTOS[int(targets.query_photo[n])].boxes_xyxy_norm is not None
    ]
    named = {}  # (photo, region) -> {(query row, token): phrase words}
    row = 0
    for b, photo in enumerate(PHOTOS):
        for q in photo.queries:
            offsets = TOKENIZER(q.text, return_offsets_mapping=True)["offset_mapping"]
            for phrase in q.phrases:
                ((begin, end),) = phrase.spans_char
                for t, (first, last) in enumerate(offsets):
                    if last > first and first < end and last > begin:
                        for region in phrase.regions:
                            named.setdefault((b, region), {})[(row, t)] = q.text[begin:end]
            row += 1
    objects, object_words = [], []
    for b, photo in enumerate(PHOTOS):
        if photo.boxes_xyxy_norm is None:
            continue
        for q in range(output.objects.shape[2]):
            region = assigned[b].get(q)
            if region is None and not unmatched:
                continue
            if region is not None and (b, region) not in named and not textless:
                continue
            objects.append((b, q))
            object_words.append({} if region is None else named.get((b, region), {}))
    vectors_o = [output.objects[layer, b, q].tolist() for b, q in objects]
    vectors_t = [output.tokens[n, t].tolist() for _, n, t in tokens]
    positives = {
        i: {j for j, (_, n, t) in enumerate(tokens) if (n, t) in words} for i, words in enumerate(object_words)
    }
    backward = {j: {i for i in positives if j in positives[i]} for j in range(len(tokens))}
    if same_text:
        return (
            slow_losses.info_nce(vectors_o, vectors_t, positives, 0.07),
            slow_losses.info_nce(vectors_t, vectors_o, backward, 0.07),
        )
    phrases_of_token: dict[int, set[str]] = {}
    for words in object_words:
        for j, (_, n, t) in enumerate(tokens):
            if (n, t) in words:
                phrases_of_token.setdefault(j, set()).add(words[(n, t)])

    def one_way(rows: list[Any], cols: list[Any], pos: dict[int, set[int]], row_is_object: bool) -> float:
        losses = []
        for i in [i for i in pos if pos[i]]:

            def skipped(k: int, i: int = i) -> bool:
                o, t = (i, k) if row_is_object else (k, i)
                shared = set(object_words[o].values()) & phrases_of_token.get(t, set())
                return bool(shared) and objects[o][0] != tokens[t][0] and k not in pos[i]

            seen = [k for k in range(len(cols)) if not skipped(k)]
            relabel = {k: new for new, k in enumerate(seen)}
            losses.append(
                slow_losses.info_nce([rows[i]], [cols[k] for k in seen], {0: {relabel[k] for k in pos[i]}}, 0.07)
            )
        return sum(losses) / len(losses)

    return one_way(vectors_o, vectors_t, positives, True), one_way(vectors_t, vectors_o, backward, False)


@pytest.mark.parametrize("textless", ["ignore", "negative"])
@pytest.mark.parametrize("unmatched", ["negative", "ignore"])
@pytest.mark.parametrize("same_text", ["negative", "ignore"])
def test_word_alignment_equals_the_reference(textless: Any, unmatched: Any, same_text: Any) -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS), with_proposals=False)
    rules = AlignmentRules(textless_regions=textless, unmatched_objects=unmatched, same_text=same_text)
    losses = replace(CRITERION, rules=rules)(output, targets)
    expected = slow_words(
        output, targets, textless=textless == "negative", unmatched=unmatched == "negative",
        same_text=same_text == "negative",
    )  # fmt: skip
    assert losses.o2t.tolist() == pytest.approx([expected[0]], abs=1e-9)
    assert losses.t2o.tolist() == pytest.approx([expected[1]], abs=1e-9)


def test_all_layers_can_be_aligned() -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS), with_proposals=False)
    losses = replace(CRITERION, rules=AlignmentRules(layers="all"))(output, targets)
    expected = [slow_words(output, targets, layer=layer) for layer in range(2)]
    assert losses.o2t.tolist() == pytest.approx([e[0] for e in expected], abs=1e-9)
    assert losses.t2o.tolist() == pytest.approx([e[1] for e in expected], abs=1e-9)
    last = CRITERION(output, targets)
    assert float((losses.total - last.total).detach()) == pytest.approx(sum(expected[0]), abs=1e-9)


def test_the_choices_of_the_denominator_matter_here() -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS), with_proposals=False)
    values = set()
    for rules in (
        AlignmentRules(),
        AlignmentRules(textless_regions="negative"),
        AlignmentRules(unmatched_objects="ignore"),
        AlignmentRules(same_text="ignore"),
    ):
        values.add(round(float(replace(CRITERION, rules=rules)(output, targets).t2o[-1].detach()), 9))
    assert len(values) == 4


def test_caption_alignment_equals_the_reference() -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS), with_proposals=False)
    losses = CRITERION(output, targets)
    captions = [n for n in range(targets.input_ids.shape[0]) if bool(targets.is_caption[n])]
    sentences = [output.sentence[n].tolist() for n in captions]
    positives = {b: {j for j, n in enumerate(captions) if int(targets.query_photo[n]) == b} for b in range(4)}
    backward = {j: {b for b in positives if j in positives[b]} for j in range(len(captions))}
    images = output.image.tolist()
    assert float(losses.i2c.detach()) == pytest.approx(
        slow_losses.info_nce(images, sentences, positives, 0.07), abs=1e-9
    )
    assert float(losses.c2i.detach()) == pytest.approx(
        slow_losses.info_nce(sentences, images, backward, 0.07), abs=1e-9
    )


def test_the_total_is_the_weighted_sum() -> None:
    targets = collate(PHOTOS)
    output = random_output(targets, len(PHOTOS))
    config = XDetrConfig(objectness_weight=1.5, giou_weight=0.5, l1_weight=3.0, o2t_weight=0.1, i2c_weight=0.0)
    losses = Criterion.from_config(config)(output, targets)
    assert losses.proposals is not None
    expected = 0.1 * losses.o2t.sum() + losses.t2o.sum() + losses.c2i
    for terms in (losses.layers, losses.proposals):
        expected = expected + 1.5 * terms.objectness.sum() + 0.5 * terms.giou.sum() + 3.0 * terms.l1.sum()
    assert torch.allclose(losses.total, expected, atol=1e-12)


@pytest.mark.parametrize("same_text", ["negative", "ignore"])
@pytest.mark.parametrize("kind", ["bce", "focal"])
def test_gradients_agree_with_finite_differences(same_text: Any, kind: Any) -> None:
    photos = [
        PhotoTarget(boxes_xyxy_norm=(box,), queries=(query("a dog", ("a dog", (0,)), is_caption=True),))
        for box in (A_DOG, A_CAT)
    ]
    targets = collate(photos)
    output = random_output(targets, 2, queries=2, layers=1, width=3)
    assert output.proposals is not None
    criterion = replace(
        CRITERION, rules=AlignmentRules(same_text=same_text, temperature=0.5), objectness=ObjectnessLoss(kind=kind)
    )

    def total(*leaves: Tensor) -> Tensor:
        logits, boxes, scores, coordinates, objects, image, tokens, sentence = leaves
        assert output.proposals is not None
        proposals = Proposals(scores, coordinates, output.proposals.is_usable)
        return criterion(XDetrOutput(logits, boxes, proposals, objects, image, tokens, sentence), targets).total

    leaves = (
        output.objectness_logits, output.boxes_cxcywh_norm, output.proposals.objectness_logits,
        output.proposals.box_logits_cxcywh, output.objects, output.image, output.tokens, output.sentence,
    )  # fmt: skip
    assert torch.autograd.gradcheck(total, leaves, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_focal_equals_its_definition() -> None:
    for logit in (-3.0, 0.0, 2.0):
        for is_object in (True, False):
            found = objectness_loss(
                torch.tensor([logit], dtype=torch.float64), torch.tensor([is_object]), ObjectnessLoss(kind="focal")
            )
            assert float(found) == pytest.approx(slow_losses.focal(logit, is_object, 0.25, 2.0), abs=1e-12)


def all_terms(losses: Losses) -> dict[str, float]:
    return losses.scalars()


EMPTY = PhotoTarget(boxes_xyxy_norm=(), queries=())
CASES = {
    "no photo has regions": [EMPTY, PhotoTarget(boxes_xyxy_norm=(), queries=(query("nothing here."),))],
    "no photo has phrases": [PhotoTarget(boxes_xyxy_norm=(A_DOG,)), PhotoTarget(boxes_xyxy_norm=(A_CAT,))],
    "neither": [EMPTY, EMPTY],
    "only captions": [PHOTOS[3], PHOTOS[3]],
    "one photo": [PHOTOS[0]],
    "more boxes than predictions": [
        PhotoTarget(boxes_xyxy_norm=(A_DOG, A_CAT, A_TREE) * 3, queries=(query("a dog.", ("a dog", (0, 8))),))
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_batch_gives_finite_losses_and_gradients_everywhere(case: str) -> None:
    photos = CASES[case]
    targets = collate(photos)
    output = random_output(targets, len(photos))
    losses = CRITERION(output, targets)
    assert all(torch.isfinite(torch.tensor(v)) for v in all_terms(losses).values())
    losses.total.backward()
    for leaf in (output.objectness_logits, output.boxes_cxcywh_norm, output.objects, output.image):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
    if case == "neither":
        assert float(losses.o2t[0].detach()) == float(losses.i2c.detach()) == 0.0


def test_an_unannotated_photo_is_no_negative_for_detection() -> None:
    targets = collate([PHOTOS[3]])
    output = random_output(targets, 1)
    assert float(CRITERION(output, targets).layers.objectness.sum().detach()) == 0.0
    empty = collate([PhotoTarget(boxes_xyxy_norm=(), queries=PHOTOS[3].queries)])
    assert float(CRITERION(output, empty).layers.objectness.sum().detach()) > 0.0


def test_counts_say_what_was_trained_and_what_was_not() -> None:
    photo = CASES["more boxes than predictions"][0]
    targets = collate([photo])
    counts = CRITERION(random_output(targets, 1), targets).counts
    assert (counts.regions_matched, counts.regions_unmatched) == (4, 5)
    assert counts.targets.regions == 9


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_into_the_losses(dtype: torch.dtype) -> None:
    targets = collate_targets(PHOTOS, TOKENIZER, 48)
    output = random_output(targets, len(PHOTOS))
    single = XDetrOutput(
        *(v if v is None or isinstance(v, Proposals) else v.detach().float() for v in output)  # type: ignore[arg-type]
    )._replace(proposals=None)
    outside = CRITERION(single, targets).total
    with torch.autocast("cpu", dtype=dtype):
        inside = CRITERION(single, targets).total
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_a_step_under_bfloat16_autocast_gives_close_and_finite_gradients() -> None:
    model = tiny_model(TWO_STAGE).train()
    pixels = torch.randn(len(PHOTOS), 3, 64, 96)
    targets = collate_targets(PHOTOS, TOKENIZER, 48)
    criterion = Criterion.from_config(model.config)
    exact = criterion(model(pixels, None, targets.input_ids, targets.attention_mask), targets).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(pixels, None, targets.input_ids, targets.attention_mask)
        rough = criterion(output, targets).total
    assert output.boxes_cxcywh_norm.dtype == output.objects.dtype == torch.float32
    assert float(rough.detach()) == pytest.approx(float(exact.detach()), rel=0.05)
    rough.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("photos", [PHOTOS, [EMPTY, EMPTY]], ids=["full", "empty"])
def test_every_parameter_gets_a_gradient_even_from_an_empty_batch(photos: list[PhotoTarget]) -> None:
    model = tiny_model(TWO_STAGE).train()
    targets = collate_targets(photos, TOKENIZER, 48)
    output = model(torch.randn(len(photos), 3, 64, 64), None, targets.input_ids, targets.attention_mask)
    Criterion.from_config(model.config)(output, targets).total.backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


CROWD = (0.5, 0.0, 1.0, 1.0)


def crowded(crowds: Boxes) -> Targets:
    """A dog on the left, and what is on the right was not told apart."""
    return collate([
        PhotoTarget(boxes_xyxy_norm=(A_DOG,), queries=(query("a dog", ("a dog", (0,))),), ignored_xyxy_norm=crowds),
        PhotoTarget(boxes_xyxy_norm=(A_DOG,), queries=(query("a dog", ("a dog", (0,))),)),
    ])  # fmt: skip


def found(*boxes_cxcywh: Boxes) -> Tensor:
    return torch.tensor([boxes_cxcywh, boxes_cxcywh], dtype=torch.float64)


LEFT, RIGHT, ASTRIDE, MOSTLY_LEFT = (
    (0.25, 0.3, 0.3, 0.4), (0.8, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), (0.45, 0.5, 0.2, 0.2),
)  # fmt: skip


def test_what_lies_for_its_larger_part_in_a_crowd_of_its_photo_is_unclear() -> None:
    boxes = found(LEFT, RIGHT, ASTRIDE, MOSTLY_LEFT)
    assert unclear(boxes, crowded((CROWD,))).tolist() == [[False, True, True, False], [False] * 4]
    assert not unclear(boxes, crowded(())).any()
    both = unclear(boxes, crowded((CROWD, (0.0, 0.0, 0.5, 1.0))))
    assert both.tolist() == [[True, True, True, True], [False] * 4]


def losses_of(crowds: Boxes, scores: float) -> dict[str, float]:
    """One layer; the object on the left is found, one on the right has the objectness ``scores``."""
    targets = crowded(crowds)
    output = random_output(targets, photos=2, queries=2, layers=1, with_proposals=False)
    logits = torch.tensor([[[3.0, scores], [3.0, -3.0]]], dtype=torch.float64)
    return CRITERION(
        output._replace(objectness_logits=logits, boxes_cxcywh_norm=found(LEFT, RIGHT)[None]), targets
    ).scalars()


def test_an_object_found_in_a_crowd_is_no_background_and_no_negative() -> None:
    plain, ignored = losses_of((), 4.0), losses_of((CROWD,), 4.0)
    as_background = float(nn.functional.softplus(torch.tensor(4.0))) / 2  # divided by the number of boxes
    assert plain["objectness"] - ignored["objectness"] == pytest.approx(as_background)
    assert losses_of((CROWD,), -2.0)["objectness"] == pytest.approx(ignored["objectness"])
    assert ignored["t2o"] < plain["t2o"]
    assert ignored["o2t"] == pytest.approx(plain["o2t"])


def test_an_object_that_is_matched_in_a_crowd_counts() -> None:
    everywhere = losses_of(((0.0, 0.0, 1.0, 1.0),), 4.0)
    assert everywhere["objectness"] == pytest.approx(losses_of((CROWD,), 4.0)["objectness"])


def test_words_and_captions_are_gathered_each_by_its_own_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    real, gathered = criterion_module.contrast, []

    def noting(*values: Any) -> Any:
        gathered.append(values[-1])
        return real(*values)

    monkeypatch.setattr(criterion_module, "contrast", noting)
    targets = collate(PHOTOS)
    output = random_output(targets, photos=len(PHOTOS))
    for words, captions in ((True, False), (False, True)):
        config = XDetrConfig(gather_words=words, gather_captions=captions)
        Criterion.from_config(config)(output, targets)
        assert gathered == [words, captions]
        gathered.clear()


def test_a_configuration_that_names_both_gatherings_together_is_read() -> None:
    both = XDetrConfig.from_dict({**XDetrConfig().to_dict(), "gather_negatives": True})
    assert (both.gather_words, both.gather_captions) == (True, True)
    assert not XDetrConfig.from_dict({**XDetrConfig().to_dict(), "gather_negatives": False}).gather_words
    assert "gather_negatives" not in both.to_dict()
