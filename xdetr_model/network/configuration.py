"""The configuration of X-DETR: a detector, a text encoder, the space they meet in, and every weight of the losses."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.models.deformable_detr.configuration_deformable_detr import DeformableDetrConfig

from xdetr_model.errors import ModelConfigError

ClassLoss = Literal["bce", "focal"]
Treatment = Literal["negative", "ignore"]
SentencePooling = Literal["first", "mean"]
BackboneNorm = Literal["frozen_batch", "group"]
AlignedLayers = Literal["last", "all"]

RESNET50_BACKBONE: dict[str, Any] = {"model_type": "resnet", "out_features": ["stage2", "stage3", "stage4"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionWeights:
    """What one matched or unmatched object costs; used for the loss and, with its own values, for the matching."""

    objectness: float = 1.0
    giou: float = 2.0
    l1: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentWeights:
    """Weights of the four contrastive losses (paper, eq. 4-7)."""

    o2t: float = 1.0
    t2o: float = 1.0
    i2c: float = 1.0
    c2i: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectnessLoss:
    """Binary cross-entropy, or its focal form (Lin et al. 2017, eq. 5) with ``alpha`` and ``gamma``."""

    kind: ClassLoss = "bce"
    alpha: float = 0.25
    gamma: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentRules:
    """What stands in the denominators of eq. 4-7. ``gather_words`` adds the other ranks' objects and tokens to those of
    eq. 4 and 5, ``gather_captions`` their photos and captions to those of eq. 6 and 7.

    ``layers``: eq. 4 and 5 hold for the last decoder layer's objects, or are summed over all layers' (as in MDETR).
    """

    temperature: float = 0.07
    layers: AlignedLayers = "last"
    textless_regions: Treatment = "ignore"
    unmatched_objects: Treatment = "negative"
    same_text: Treatment = "negative"
    gather_words: bool = False
    gather_captions: bool = False


@strict
class XDetrConfig(PreTrainedConfig):  # type: ignore[misc]
    """Configuration of :class:`xdetr_model.XDetrModel`.

    ``detector_config`` is a ``DeformableDetrConfig`` (ResNet backbone of transformers; no timm), ``text_config`` the
    configuration of any transformers text encoder. ``alignment_dim`` is the width of the space in which objects and
    tokens meet, ``frozen_backbone_stages`` counts the stem as the first (2 = stem and first stage, as DETR does).
    ``backbone_norm``: batch norms frozen as in DETR suit published weights; ``group`` is for training from scratch.
    ``mask_padding`` makes a photo's result independent of what it is padded with; False is the library's behaviour.
    Loss defaults are those of the X-DETR supplement. Raises ModelConfigError for values outside their range.
    """

    model_type = "xdetr"
    sub_configs_defaults = {  # noqa: RUF012 (the name and form that the library reads)
        "detector_config": SubConfigSpec(
            config_class=DeformableDetrConfig, init_kwargs={"backbone_config": RESNET50_BACKBONE}
        ),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="roberta"),
    }

    detector_config: dict[str, Any] | PreTrainedConfig | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    alignment_dim: int = 64
    temperature: float | int = 0.07
    sentence_pooling: str = "first"
    max_text_tokens: int = 256
    frozen_backbone_stages: int = 2
    backbone_norm: str = "frozen_batch"
    mask_padding: bool = True

    class_loss: str = "bce"
    focal_alpha: float | int = 0.25
    focal_gamma: float | int = 2.0
    objectness_weight: float | int = 1.0
    giou_weight: float | int = 2.0
    l1_weight: float | int = 5.0
    objectness_cost: float | int = 1.0
    giou_cost: float | int = 2.0
    l1_cost: float | int = 5.0
    o2t_weight: float | int = 1.0
    t2o_weight: float | int = 1.0
    i2c_weight: float | int = 1.0
    c2i_weight: float | int = 1.0
    aligned_layers: str = "last"
    textless_regions: str = "ignore"
    unmatched_objects: str = "negative"
    same_text: str = "negative"
    gather_words: bool = False
    gather_captions: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        if kwargs.pop("gather_negatives", False):  # what checkpoints of 0.1.0 call both together
            self.gather_words = self.gather_captions = True
        super().__post_init__(**kwargs)
        self._check_choices()
        self._check_ranges()

    def _check_choices(self) -> None:
        choices = {
            "class_loss": get_args(ClassLoss),
            "sentence_pooling": get_args(SentencePooling),
            "backbone_norm": get_args(BackboneNorm),
            "aligned_layers": get_args(AlignedLayers),
            "textless_regions": get_args(Treatment),
            "unmatched_objects": get_args(Treatment),
            "same_text": get_args(Treatment),
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ModelConfigError(f"{name}={value!r} is unknown: use one of {', '.join(allowed)}")

    def _check_ranges(self) -> None:
        for name in ("alignment_dim", "max_text_tokens", "temperature"):
            if getattr(self, name) <= 0:
                raise ModelConfigError(f"{name}={getattr(self, name)} must be positive")
        for name in _WEIGHTS:
            if getattr(self, name) < 0:
                raise ModelConfigError(f"{name}={getattr(self, name)} must not be negative: use 0 to switch it off")
        positions = text_positions(self.text_config)
        if positions is not None and self.max_text_tokens > positions:
            raise ModelConfigError(
                f"max_text_tokens={self.max_text_tokens} is more than the {positions} tokens that the text encoder has "
                "positions for: lower it (in a run file: model.config.max_text_tokens), or give another text encoder"
            )
        backbone = self.detector_config.backbone_config  # type: ignore[union-attr]
        if backbone.model_type != "resnet":
            raise ModelConfigError(
                f"detector_config.backbone_config is a {backbone.model_type!r}: only 'resnet' of transformers is "
                "supported, give backbone_config={'model_type': 'resnet', ...}"
            )
        if self.detector_config.position_embedding_type != "sine":  # type: ignore[union-attr]
            raise ModelConfigError("detector_config.position_embedding_type must be 'sine'")

    def detection_weights(self) -> DetectionWeights:
        """Weights of the detection losses (supplement: 1, 2, 5)."""
        return DetectionWeights(objectness=self.objectness_weight, giou=self.giou_weight, l1=self.l1_weight)

    def matching_costs(self) -> DetectionWeights:
        """Weights of the same terms in the cost of the matching."""
        return DetectionWeights(objectness=self.objectness_cost, giou=self.giou_cost, l1=self.l1_cost)

    def objectness_loss(self) -> ObjectnessLoss:
        """Which form of the classification loss."""
        kind: ClassLoss = "focal" if self.class_loss == "focal" else "bce"
        return ObjectnessLoss(kind=kind, alpha=self.focal_alpha, gamma=self.focal_gamma)

    def alignment_weights(self) -> AlignmentWeights:
        """Weights of eq. 4-7."""
        return AlignmentWeights(o2t=self.o2t_weight, t2o=self.t2o_weight, i2c=self.i2c_weight, c2i=self.c2i_weight)

    def alignment_rules(self) -> AlignmentRules:
        """What stands in the denominators of eq. 4-7."""
        return AlignmentRules(
            temperature=self.temperature,
            layers="all" if self.aligned_layers == "all" else "last",
            textless_regions=_treatment(self.textless_regions),
            unmatched_objects=_treatment(self.unmatched_objects),
            same_text=_treatment(self.same_text),
            gather_words=self.gather_words,
            gather_captions=self.gather_captions,
        )


_WEIGHTS = (
    "objectness_weight",
    "giou_weight",
    "l1_weight",
    "objectness_cost",
    "giou_cost",
    "l1_cost",
    "o2t_weight",
    "t2o_weight",
    "i2c_weight",
    "c2i_weight",
)


# their first positions stand for padding
_OFFSET_POSITIONS = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer", "xmod"}
)


def text_positions(config: Any) -> int | None:
    """How many tokens a text encoder of this configuration has a table of positions for; None where it has no table
    (rotary positions end nowhere)."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or any("rope" in key for key in config.to_dict()):
        return None
    offset = int(config.pad_token_id or 0) + 1 if config.model_type in _OFFSET_POSITIONS else 0
    return int(positions) - offset


def _treatment(value: str) -> Treatment:
    return "ignore" if value == "ignore" else "negative"
