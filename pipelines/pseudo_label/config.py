"""The options of ``pseudo-label locnar`` as one checked value."""

import hashlib
import re
from typing import Literal

import msgspec

from pipelines.build import BuildConfig
from pipelines.pseudo_label.label import LabelRule
from xdetr_data.errors import ConfigError
from xdetr_data.stages.grounding.ground_phrases import Method, SelectionRule, TraceMode
from xdetr_data.stages.place_openimages import FlagPolicy

NAME = "locnar"


class LabelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What chooses labels among the candidates: all that ``rethreshold`` can change."""

    method: Method = "paper"
    trace: TraceMode = "off"
    score_threshold: float = 0.0
    max_plural: int = 10
    relative_threshold: float = 0.5
    nms_iou: float = 0.5
    min_agreement: float = 0.1
    trace_weight: float = 0.5
    merge_iou: float = 0.75
    dedupe_iou: float = 0.7

    def rule(self) -> LabelRule:
        """The options as a rule; raises ConfigError for a number out of its range."""
        for name in ("merge_iou", "dedupe_iou"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)} must be above 0 and at most 1")
        return LabelRule(
            selection=SelectionRule(
                method=self.method,
                trace=self.trace,
                score_threshold=self.score_threshold,
                max_plural=self.max_plural,
                relative_threshold=self.relative_threshold,
                nms_iou=self.nms_iou,
                min_agreement=self.min_agreement,
                trace_weight=self.trace_weight,
            ),
            merge_iou=self.merge_iou,
            dedupe_iou=self.dedupe_iou,
        )


class PseudoLabelConfig(BuildConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of the output, besides the content of the inputs and the checkpoint."""

    ckpt: str
    narratives: tuple[str, ...]
    images: dict[str, str]
    boxes: tuple[str, ...] = ()
    class_descriptions: str | None = None
    exclude: tuple[str, ...] = ()
    labels: LabelOptions = LabelOptions()
    flags: FlagPolicy = FlagPolicy()
    keep_candidates: int = 10
    spacy_model: str | None = None
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 8

    @property
    def prefix(self) -> str:
        """What the names of the shards begin with."""
        return f"{NAME}-{self.split}"

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        self.labels.rule()
        if not self.ckpt:
            raise ConfigError("no model: give --ckpt DIR or a hub id (an X-DETR or zero-shot detection checkpoint)")
        if not self.narratives:
            raise ConfigError("no input: give at least one --narratives FILE")
        if not self.images:
            raise ConfigError("no photos: give --images DIR, or --images SOURCE=DIR for each source")
        if self.class_descriptions is not None and not self.boxes:
            raise ConfigError("--class-descriptions names the labels of boxes: give --boxes FILE too, or leave it out")
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", self.device):
            raise ConfigError(f"--device {self.device!r} is unknown: give auto, cpu or cuda")
        for option, value in (("--keep-candidates", self.keep_candidates), ("--batch-size", self.batch_size)):
            if value < 1:
                raise ConfigError(f"{option} {value} must be at least 1")
        self.check_build()


def label_digest(ground_digest: str, labels: LabelOptions) -> str:
    """Hash of a dataset: of what was grounded, and of how labels were chosen from it."""
    return hashlib.sha256(msgspec.json.encode([ground_digest, labels], order="deterministic")).hexdigest()
