"""All losses of the X-DETR supplement, in float32 whatever the network ran in.

| name here | paper |
|---|---|
| ``objectness`` | L_cls: object or not, binary cross-entropy |
| ``giou``, ``l1`` | L_box on matched predictions, every decoder layer and the encoder's proposals |
| ``o2t``, ``t2o`` | eq. 4, 5: object → its tokens among all tokens, token → its objects among all objects |
| ``i2c``, ``c2i`` | eq. 6, 7: photo ↔ caption |

Legend: L layers, B photos, Q predictions, R boxes, N texts, T tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xdetr_model.boxes import cxcywh_to_xyxy, giou_xyxy
from xdetr_model.losses.contrast import Contrast, Pairs, Side, contrast
from xdetr_model.losses.federated import Known
from xdetr_model.losses.gather import mean_count
from xdetr_model.losses.matcher import Matches, match_layers
from xdetr_model.losses.targets import TargetCounts, Targets
from xdetr_model.network.configuration import (
    AlignmentRules,
    AlignmentWeights,
    DetectionWeights,
    ObjectnessLoss,
    XDetrConfig,
)
from xdetr_model.network.model import XDetrOutput

MOSTLY = 0.5  # of a predicted box within a crowd's: from then on it may be one of the crowd


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTerms:
    """Unweighted sums over matched (objectness: all) predictions, divided by the number of boxes; each ``[L]``."""

    objectness: Tensor
    giou: Tensor
    l1: Tensor

    def weighted(self, weights: DetectionWeights) -> Tensor:
        """Sum over terms and layers."""
        return (weights.objectness * self.objectness + weights.giou * self.giou + weights.l1 * self.l1).sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCounts:
    """What entered the losses on this rank, beside what the targets left out."""

    targets: TargetCounts
    regions_matched: int
    regions_unmatched: int
    objects_aligned: int
    tokens_aligned: int
    images_aligned: int
    captions_aligned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """``total`` to call backward on, its unweighted parts, and the counts. ``o2t`` and ``t2o`` are ``[L]``, or ``[1]``
    where the last layer alone is aligned."""

    total: Tensor
    layers: DetectionTerms
    proposals: DetectionTerms | None
    o2t: Tensor
    t2o: Tensor
    i2c: Tensor
    c2i: Tensor
    counts: LossCounts

    def scalars(self) -> dict[str, float]:
        """Plain numbers for a log; of the last layer where there are several."""
        parts = {"total": self.total, "o2t": self.o2t[-1], "t2o": self.t2o[-1], "i2c": self.i2c, "c2i": self.c2i}
        terms = {"": self.layers} | ({"proposal_": self.proposals} if self.proposals else {})
        for prefix, term in terms.items():
            parts |= {f"{prefix}{name}": getattr(term, name)[-1] for name in ("objectness", "giou", "l1")}
        return {name: float(value.detach()) for name, value in parts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """The sum of all losses with the given weights; call it with the network's output and the targets.

    Under torch.distributed every rank must call it equally often, and DDP's mean of the gradients is then that of
    the joint batch. Raises NonFiniteError when a prediction is not finite.
    """

    detection: DetectionWeights
    costs: DetectionWeights
    objectness: ObjectnessLoss
    alignment: AlignmentWeights
    rules: AlignmentRules

    @classmethod
    def from_config(cls, config: XDetrConfig) -> "Criterion":
        """The losses that a configuration describes."""
        return cls(
            detection=config.detection_weights(),
            costs=config.matching_costs(),
            objectness=config.objectness_loss(),
            alignment=config.alignment_weights(),
            rules=config.alignment_rules(),
        )

    def __call__(self, output: XDetrOutput, targets: Targets) -> Losses:
        """All losses of a batch."""
        with torch.autocast(output.objects.device.type, enabled=False):
            return self._losses(output, targets)

    def _losses(self, output: XDetrOutput, targets: Targets) -> Losses:
        count = mean_count(torch.tensor(len(targets.boxes_cxcywh_norm), device=output.objects.device))
        matches = self._match(output.objectness_logits, output.boxes_cxcywh_norm, targets)
        layers = self._detection(output.objectness_logits, output.boxes_cxcywh_norm, None, matches, targets, count)
        proposals = self._proposals(output, targets, count)
        first = 0 if self.rules.layers == "all" else len(matches) - 1
        words = [
            self._align_words(objects, boxes, output.tokens, targets, match)
            for objects, boxes, match in zip(
                output.objects[first:], output.boxes_cxcywh_norm[first:], matches[first:], strict=True
            )
        ]
        o2t, t2o = torch.stack([w.left_to_right for w in words]), torch.stack([w.right_to_left for w in words])
        captions = self._align_captions(output, targets)
        weights = self.alignment
        total = layers.weighted(self.detection)
        if proposals is not None:
            total = total + proposals.weighted(self.detection)
        total = total + weights.o2t * o2t.sum() + weights.t2o * t2o.sum()
        total = total + weights.i2c * captions.left_to_right + weights.c2i * captions.right_to_left
        matched = matches[-1].region.numel()
        return Losses(
            total=total,
            layers=layers,
            proposals=proposals,
            o2t=o2t,
            t2o=t2o,
            i2c=captions.left_to_right,
            c2i=captions.right_to_left,
            counts=LossCounts(
                targets=targets.counts,
                regions_matched=matched,
                regions_unmatched=len(targets.boxes_cxcywh_norm) - matched,
                objects_aligned=words[-1].left_rows,
                tokens_aligned=words[-1].right_rows,
                images_aligned=captions.left_rows,
                captions_aligned=captions.right_rows,
            ),
        )

    def _match(self, logits_LBQ: Tensor, boxes_LBQ4: Tensor, targets: Targets) -> list[Matches]:
        return match_layers(
            logits_LBQ, boxes_LBQ4, targets.boxes_cxcywh_norm, targets.regions_per_photo, self.costs, self.objectness
        )

    def _detection(
        self,
        logits_LBQ: Tensor,
        boxes_LBQ4: Tensor,
        usable_BQ: Tensor | None,
        matches: list[Matches],
        targets: Targets,
        count: Tensor,
    ) -> DetectionTerms:
        counted = targets.is_annotated[:, None].expand(logits_LBQ.shape[1:])
        counted = counted if usable_BQ is None else counted & usable_BQ
        terms = [
            _layer_terms(
                logits, boxes, match, targets.boxes_cxcywh_norm, counted & ~unclear(boxes, targets), self.objectness
            )
            for logits, boxes, match in zip(logits_LBQ, boxes_LBQ4, matches, strict=True)
        ]
        columns = [torch.stack(column) / count.to(logits_LBQ.dtype) for column in zip(*terms, strict=True)]
        return DetectionTerms(objectness=columns[0], giou=columns[1], l1=columns[2])

    def _proposals(self, output: XDetrOutput, targets: Targets, count: Tensor) -> DetectionTerms | None:
        if output.proposals is None:
            return None
        usable = output.proposals.is_usable
        # an unusable place proposes an infinite box: far from every target, and never in the sum
        logits = output.proposals.objectness_logits.masked_fill(~usable, -1e4)
        boxes = output.proposals.box_logits_cxcywh.masked_fill(~usable[..., None], 1e4).sigmoid()
        matches = self._match(logits[None], boxes[None], targets)
        return self._detection(logits[None], boxes[None], usable, matches, targets, count)

    def _align_words(
        self, objects_BQd: Tensor, boxes_BQ4: Tensor, tokens_NTd: Tensor, targets: Targets, matches: Matches
    ) -> Contrast:
        batch, queries, _ = objects_BQd.shape
        objects, tokens = objects_BQd.flatten(0, 1), tokens_NTd.flatten(0, 1)
        photo_of_object = torch.arange(batch, device=objects.device).repeat_interleave(queries)
        pairs = _word_pairs(matches, targets, queries)
        is_column = self._objects_in_denominator(matches, pairs, targets, batch, queries)
        if len(targets.ignored_photo):  # what names an object of a crowd may be right
            is_matched = torch.zeros_like(is_column).index_fill(0, matches.photo * queries + matches.prediction, True)
            is_column = is_column & (is_matched | ~unclear(boxes_BQ4, targets).flatten())
        photo_of_token = targets.query_photo.repeat_interleave(targets.input_ids.shape[1])
        text_of_token = targets.caption_text.repeat_interleave(targets.input_ids.shape[1])
        is_token = targets.is_word.flatten() & targets.is_annotated[photo_of_token]
        return contrast(
            Side(objects[is_column], photo_of_object[is_column]),
            Side(tokens[is_token], photo_of_token[is_token], text_of_token[is_token]),
            Pairs(_renumber(is_column)[pairs.left], _renumber(is_token)[pairs.right], pairs.text),
            Known(targets.federated_photo, targets.known_photo, targets.known_text),
            self.rules.temperature,
            self.rules.same_text == "ignore",
            self.rules.gather_words,
        )

    def _objects_in_denominator(
        self, matches: Matches, pairs: Pairs, targets: Targets, batch: int, queries: int
    ) -> Tensor:
        """``[B * Q]`` bool; objects with a phrase always, the others as the rules say."""
        flat = matches.photo * queries + matches.prediction
        kept = targets.is_annotated.repeat_interleave(queries)
        if self.rules.unmatched_objects == "ignore":
            is_matched = torch.zeros(batch * queries, dtype=torch.bool, device=flat.device)
            is_matched[flat] = True
            kept = kept & is_matched
        if self.rules.textless_regions == "ignore":
            is_textless = torch.zeros(batch * queries, dtype=torch.bool, device=flat.device)
            is_textless[flat] = True
            is_textless[pairs.left] = False
            kept = kept & ~is_textless
        return kept

    def _align_captions(self, output: XDetrOutput, targets: Targets) -> Contrast:
        sentences = targets.is_caption
        photo = targets.query_photo[sentences]
        images, left = torch.unique(photo, return_inverse=True)
        right = torch.arange(photo.numel(), device=photo.device)
        return contrast(
            Side(output.image[images], images),
            Side(output.sentence[sentences], photo),
            Pairs(left, right, targets.caption_text[sentences]),
            None,
            self.rules.temperature,
            self.rules.same_text == "ignore",
            self.rules.gather_captions,
        )


def objectness_loss(logits: Tensor, is_object: Tensor, form: ObjectnessLoss) -> Tensor:
    """Elementwise loss of the statement "this is an object"."""
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(logits, is_object.to(logits.dtype), reduction="none")
    if form.kind == "bce":
        return cross_entropy
    probability = logits.sigmoid()
    missed = torch.where(is_object, 1 - probability, probability)
    weight = torch.where(is_object, form.alpha, 1 - form.alpha).to(logits.dtype)
    return weight * missed**form.gamma * cross_entropy


@torch.no_grad()
def unclear(boxes_cxcywh_BQ4: Tensor, targets: Targets) -> Tensor:
    """``[B, Q]`` True where at least ``MOSTLY`` of a predicted box lies in an ignored one of its photo."""
    batch, queries = boxes_cxcywh_BQ4.shape[:2]
    found = torch.zeros(batch, queries, dtype=torch.bool, device=boxes_cxcywh_BQ4.device)
    if not len(targets.ignored_photo):
        return found
    boxes_IQ4 = cxcywh_to_xyxy(boxes_cxcywh_BQ4)[targets.ignored_photo]
    crowds_I14 = targets.ignored_xyxy_norm.to(boxes_IQ4.dtype)[:, None]
    sides = torch.minimum(boxes_IQ4[..., 2:], crowds_I14[..., 2:]) - torch.maximum(
        boxes_IQ4[..., :2], crowds_I14[..., :2]
    )
    inside = sides.clamp(min=0).prod(-1)
    area = (boxes_IQ4[..., 2:] - boxes_IQ4[..., :2]).prod(-1)
    is_inside_IQ = inside >= MOSTLY * area
    return found.index_put((targets.ignored_photo,), is_inside_IQ, accumulate=True)


def _layer_terms(
    logits_BQ: Tensor,
    boxes_BQ4: Tensor,
    matches: Matches,
    targets_R4: Tensor,
    counted_BQ: Tensor,
    form: ObjectnessLoss,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of objectness, 1 - GIoU and L1 over a batch; matched predictions count in any case."""
    is_object = torch.zeros_like(logits_BQ, dtype=torch.bool)
    is_object[matches.photo, matches.prediction] = True
    objectness = objectness_loss(logits_BQ, is_object, form).masked_fill(~(counted_BQ | is_object), 0).sum()
    predicted = boxes_BQ4[matches.photo, matches.prediction]
    wanted = targets_R4[matches.region].to(predicted.dtype)
    giou = (1 - giou_xyxy(cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(wanted))).sum()
    return objectness, giou, (predicted - wanted).abs().sum()


def _word_pairs(matches: Matches, targets: Targets, queries: int) -> Pairs:
    """Object (flat over the batch) ↔ token (flat over the texts) ↔ phrase, for matched regions."""
    object_of_region = torch.full((len(targets.boxes_cxcywh_norm),), -1, device=matches.region.device)
    object_of_region[matches.region] = matches.photo * queries + matches.prediction
    left = object_of_region[targets.positive_region]
    found = left >= 0
    return Pairs(left[found], targets.positive_token[found], targets.positive_text[found])


def _renumber(kept: Tensor) -> Tensor:
    """New index of each kept element."""
    return kept.long().cumsum(0) - 1
