"""``pseudo-label locnar``: the noun phrases of Localized Narratives grounded by a model, OpenImages' boxes added."""

import re
from typing import Annotated

import msgspec

from pipelines.engine.recipe import Recipe
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.models import load_grounder
from pipelines.labelling.options import Ckpt, LabelOptions, ModelOptions, check_contrasts
from pipelines.labelling.step import GroundingStep
from pipelines.machine import DescribeMachine, this_machine
from pipelines.recipe_options import BuildOptions, Exclude, Files, flag
from xdetr_data.box_order import check_named
from xdetr_data.errors import ConfigError
from xdetr_data.photos.ids import COLLECTIONS
from xdetr_data.sources.coco import CocoInstances
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.framing.lines import expand_inputs
from xdetr_data.sources.localized_narratives import LocalizedNarratives
from xdetr_data.sources.openimages import OpenImagesBoxes
from xdetr_data.sources.places import ANY_SOURCE, Folders, Roots
from xdetr_data.sources.protocol import Source, input_label
from xdetr_data.stages.place_openimages import FlagPolicy

GROUP = "pseudo-label"
_COLLECTION = re.compile("[a-z0-9]{1,24}")


class LocnarOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of pseudo-labels, besides the content of the inputs and the checkpoint."""

    ckpt: Ckpt = ()
    narratives: Annotated[
        Files, flag("Localized Narratives JSONL; wildcards. Repeatable.", metavar="FILE", is_place=True, is_needed=True)
    ] = ()
    images: Annotated[
        dict[str, Folders],
        flag(
            "Photos (of one source, or of a collection of your own). Repeatable.",
            metavar="[SOURCE=]DIR",
            is_place=True,
            bare=ANY_SOURCE,
        ),
    ] = msgspec.field(default_factory=dict)
    boxes: Annotated[
        Files, flag("OpenImages box CSV, or COCO instances JSON; wildcards. Repeatable.", metavar="FILE", is_place=True)
    ] = ()
    class_descriptions: Annotated[
        str | None,
        flag("OpenImages class names, kept with the boxes they are of.", metavar="FILE", is_place=True),
    ] = None
    labels: LabelOptions = LabelOptions()
    flags: FlagPolicy = FlagPolicy()
    model: ModelOptions = ModelOptions()
    exclude: Exclude = ()

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.ckpt:
            raise ConfigError("no model: give --ckpt DIR or a hub id (an X-DETR or zero-shot detection checkpoint)")
        if not self.narratives:
            raise ConfigError("no input: give at least one --narratives FILE")
        if not self.images:
            raise ConfigError("no photos: give --images DIR, or --images SOURCE=DIR for each source")
        for name in self.images:
            if not _COLLECTION.fullmatch(name):
                raise ConfigError(f"--images {name}=…: call a collection by at most 24 small letters and digits")
        if self.class_descriptions is not None and not self.boxes:
            raise ConfigError("--class-descriptions names the labels of boxes: give --boxes FILE too, or leave it out")
        self.model.check()
        check_contrasts(self.labels, self.model.contrasts, has_classes=False)
        super().check()


def recipe(
    options: LocnarOptions, *, load: LoadGrounder = load_grounder, machine: DescribeMachine = this_machine
) -> Recipe:
    """Ground the noun phrases of Localized Narratives in their photos with a checkpoint.

    OpenImages' and COCO's boxes join as class-agnostic regions. All candidates are kept, so that
    `xdetr-data rethreshold` makes a dataset with other thresholds without a GPU.

    **Examples**

    `xdetr-data pseudo-label locnar --ckpt checkpoints/xdetr-r101
    --narratives 'open_images_train_v6_localized_narratives-*.jsonl' --images openimages/train
    --boxes train-annotations-bbox.csv --gpus 8 --out shards/locnar`

    `xdetr-data pseudo-label locnar --ckpt IDEA-Research/grounding-dino-tiny --narratives val.jsonl --images val
    --method multi --trace filter --limit 100 --out trial`
    """
    options.check()
    given = expand_inputs(options.boxes)
    check_named(options.labels.box_order, "--box-order", ["grounder", *map(input_label, given)])
    own = tuple(sorted(set(options.images) - {ANY_SOURCE, *COLLECTIONS}, reverse=True))
    narratives = [LocalizedNarratives(path=path, own=own) for path in expand_inputs(options.narratives)]
    boxes = [_boxes(path) for path in given]
    described = options.class_descriptions
    return Recipe(
        name="pseudo-label locnar",
        prefix=f"locnar-{options.split}",
        options=options,
        sources=[*narratives, *boxes],
        photos=Roots(folders=options.images, option="--images", inputs="narratives", must_be_there=True),
        lists=read_exclusions(options.exclude),
        others=[] if described is None else [("class-descriptions", described)],
        model=GroundingStep(
            ckpt=options.ckpt,
            model=options.model,
            labels=options.labels,
            flags=options.flags,
            exclude_like=options.exclude_like,
            class_descriptions=described,
            load=load,
            machine=machine,
        ),
        nothing="the inputs hold no narrative",
        remedy="check --narratives, --images, --exclude and --limit",
    )


def _boxes(path: str) -> Source:
    """A file of boxes, of the format that its ending says."""
    is_json = path.lower().removesuffix(".gz").endswith(".json")
    return CocoInstances(path=path) if is_json else OpenImagesBoxes(path=path)
