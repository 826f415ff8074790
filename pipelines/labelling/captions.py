"""What the recipes that label captions have in common: their options, and their step with a model."""

import re
from typing import Annotated, TypeVar

import msgspec

from pipelines.labelling.class_list import ClassPrompts, all_prompts, read_class_list, vocabulary
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.options import Ckpt, LabelOptions, ModelOptions, check_contrasts
from pipelines.labelling.step import GroundingStep
from pipelines.labelling.telling import CAPTIONS, Telling, prompting
from pipelines.machine import DescribeMachine
from pipelines.recipe_options import BuildOptions, Exclude, flag
from xdetr_data.box_order import check_named
from xdetr_data.errors import ConfigError
from xdetr_data.vocabulary import NamedClass

_COLLECTION = re.compile("[a-z0-9]{1,24}")


class GroundingOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of labelling, whatever tells of the photos."""

    ckpt: Ckpt = ()
    labels: LabelOptions = LabelOptions()
    model: ModelOptions = ModelOptions()
    exclude: Exclude = ()

    @property
    def has_classes(self) -> bool:
        """Whether classes are looked for instead of what is told."""
        return False

    @property
    def class_prompts(self) -> tuple[ClassPrompts, ...]:
        """The classes that are looked for instead of what is told, once they are read, or none."""
        return ()

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.ckpt:
            raise ConfigError("no model: give --ckpt DIR or a hub id (an X-DETR or zero-shot detection checkpoint)")
        check_named(self.labels.box_order, "--box-order", ["grounder"])
        self.model.check()
        check_contrasts(self.labels, self.model.contrasts, has_classes=self.has_classes)
        super().check()


class CaptionedOptions(GroundingOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of labelling captions, whatever brings them, or classes in their place.

    ``prompts`` and ``vocabulary`` are no flags: ``with_classes`` reads them from ``--classes``.
    """

    source: Annotated[str, flag("What the photos' collection is called in keys.")] = "photos"

    classes: Annotated[
        str,
        flag(
            "Look for these classes instead of captions: one name a line, or YAML with synonyms, negative prompts "
            "(not) and templates.",
            metavar="FILE",
            is_place=True,
        ),
    ] = ""
    prompts: tuple[ClassPrompts, ...] | msgspec.UnsetType = msgspec.UNSET
    vocabulary: tuple[NamedClass, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def has_classes(self) -> bool:
        """Whether classes are looked for instead of captions."""
        return bool(self.classes)

    @property
    def class_prompts(self) -> tuple[ClassPrompts, ...]:
        """The classes that are looked for instead of captions, once they are read, or none."""
        return () if self.prompts is msgspec.UNSET else self.prompts

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not _COLLECTION.fullmatch(self.source):
            raise ConfigError(f"--source {self.source!r} must be at most 24 small letters and digits, such as shop")
        if self.classes and self.model.contrasts:
            raise ConfigError("--contrasts are siblings of a caption's phrases; of classes say negative prompts (not)")
        if self.classes and self.labels.score_threshold is None:
            raise ConfigError(
                "--classes needs --score-threshold: without one every class is found on every photo; when in doubt "
                "give -1, look at the scores, and choose with 'xdetr-data rethreshold'"
            )
        super().check()


Captioned = TypeVar("Captioned", bound=CaptionedOptions)


def with_classes(options: Captioned) -> Captioned:
    """The options with the classes that ``--classes`` names, if it does."""
    if not options.classes:
        return options
    classes = read_class_list(options.classes)
    return msgspec.structs.replace(options, prompts=classes, vocabulary=vocabulary(classes))


def caption_step(
    options: GroundingOptions,
    load: LoadGrounder,
    machine: DescribeMachine,
    telling: Telling = CAPTIONS,
) -> GroundingStep:
    """The step that grounds the noun phrases of captions, or the prompts of classes, or what else is told."""
    classes = options.class_prompts
    return GroundingStep(
        ckpt=options.ckpt,
        model=options.model,
        labels=options.labels,
        telling=prompting(all_prompts(classes)) if classes else telling,
        load=load,
        machine=machine,
        classes=classes,
        exclude_like=options.exclude_like,
    )
