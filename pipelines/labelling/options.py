"""The options of labelling: which model, how it works, and how labels are chosen among its candidates."""

import math
import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from pipelines.recipe_options import check_iou, flag
from xdetr_data.box_order import REST, check_order
from xdetr_data.errors import ConfigError
from xdetr_data.stages.grounding.ground_phrases import SelectionRule

Ckpt = Annotated[
    tuple[str, ...],
    flag(
        "X-DETR or zero-shot detection checkpoint. Repeatable: several teachers write one trail, see --consensus.",
        metavar="[NAME=]DIR|HUB_ID",
        is_place=True,
        is_needed=True,
    ),
]


class LabelOptions(SelectionRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What chooses labels among the candidates, and merges them: all that ``rethreshold`` can change."""

    PANEL: ClassVar = "How labels are chosen (again with rethreshold, without the model)"

    attribute_margin: Annotated[
        float | None,
        flag(
            "A label of 'a red car' whose box fits a sibling ('a blue car') nearly as well, by less, is none.",
            default="any label stays",
        ),
    ] = None
    absent_below: Annotated[
        float | None,
        flag(
            "What was looked for, classes and siblings, and scores less everywhere, is absent; the bound for an error "
            "rate: xdetr-eval presence.",
            default="nothing is absent",
        ),
    ] = None
    consensus: Annotated[
        str,
        flag(
            "Of several --ckpt: boxes that one sees (any), that more than half see (majority), or those of one NAME.",
            metavar="any|majority|NAME",
            default="the first --ckpt",
        ),
    ] = ""
    merge_iou: Annotated[float, flag("From which IoU on labels of two sentences are one object.")] = 0.75
    dedupe_iou: Annotated[float, flag("A textless box with this IoU with a label is the same object.")] = 0.7
    box_order: Annotated[
        tuple[str, ...],
        flag(
            "Whose box an object keeps, first one wins: pattern of a file's name, 'grounder' (the model), '*' (the "
            "rest, who are people); '*' alone: the label's. Repeatable.",
            metavar="SOURCE",
            default="* grounder",
        ),
    ] = (REST, "grounder")

    def __post_init__(self) -> None:
        """Raises ConfigError for a number out of its range."""
        for name in ("merge_iou", "dedupe_iou"):
            check_iou(f"--{name.replace('_', '-')}", getattr(self, name))
        if self.attribute_margin is not None and not math.isfinite(self.attribute_margin):
            raise ConfigError(f"--attribute-margin {self.attribute_margin} must be a finite number")
        if self.absent_below is not None and not math.isfinite(self.absent_below):
            raise ConfigError(f"--absent-below {self.absent_below} must be a finite number")
        check_order(self.box_order, "--box-order")
        super().__post_init__()


def check_contrasts(labels: LabelOptions, contrasts: int, *, has_classes: bool) -> None:
    """Raises ConfigError where labels are to be chosen by siblings that were not asked for."""
    for option, value in (("--attribute-margin", labels.attribute_margin), ("--absent-below", labels.absent_below)):
        needs = option == "--attribute-margin" or not has_classes
        if value is not None and needs and not contrasts:
            raise ConfigError(f"{option} needs the scores of siblings: label with --contrasts 4")


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model grounds phrases, and how it works."""

    PANEL: ClassVar = "The model"

    keep_candidates: Annotated[int, flag("Candidates of a phrase that the audit trail keeps.")] = 10
    spacy_model: Annotated[str | None, flag("The language pipeline.", metavar="NAME", default="small English one")] = (
        None
    )
    device: Annotated[str, flag("auto, cpu, cuda.")] = "auto"
    precision: Annotated[Literal["float32", "bfloat16", "float16"], flag("Of the model.")] = "float32"
    batch_size: Annotated[int, flag("Photos at a time; halved where memory ends.")] = 8
    context: Annotated[
        Literal["sentence", "phrase"],
        flag("What a phrase is read in: its sentence, where the model can, or alone."),
    ] = "sentence"
    pooling: Annotated[
        Literal["own", "mean", "max"],
        flag(
            "How tokens make a phrase's score: mean, max, or as is the model's own (X-DETR mean, Grounding DINO max)."
        ),
    ] = "own"
    contrasts: Annotated[
        int,
        flag(
            "Of a phrase with an attribute ('a red car') ask for so many siblings, too ('a blue car' …), for "
            "--attribute-margin and --absent-below.",
            default="0: none",
        ),
    ] = 0
    masks: Annotated[
        Literal["keep", "drop"], flag("Of models that segment (SAM 3): the pixels of each box, or the box alone.")
    ] = "keep"
    compile: Annotated[
        bool,
        flag("X-DETR's image tower by torch.compile: slow to start, faster on a GPU; sides are padded to few sizes."),
    ] = False

    def asking(self) -> dict[str, Any]:
        """What the grounder is told beside what it does of itself."""
        told: dict[str, Any] = {} if self.context == "sentence" else {"context": False}
        told |= {} if self.pooling == "own" else {"pooling": self.pooling}
        told |= {} if not self.compile else {"compiled": True}
        return told if self.masks == "keep" else told | {"masks": False}

    def check(self) -> None:
        """Raises ConfigError for an option out of its range."""
        if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", self.device):
            raise ConfigError(f"--device {self.device!r} is unknown: give auto, cpu or cuda")
        if self.contrasts < 0:
            raise ConfigError(f"--contrasts {self.contrasts} must be at least 0")
        for option, value in (("--keep-candidates", self.keep_candidates), ("--batch-size", self.batch_size)):
            if value < 1:
                raise ConfigError(f"{option} {value} must be at least 1")
