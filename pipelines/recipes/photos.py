"""``pseudo-label photos``: photos of anybody's own, with captions beside them, labelled by a model."""

from typing import Annotated

from pipelines.engine.recipe import Recipe
from pipelines.labelling.captions import CaptionedOptions, caption_step, with_classes
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.models import load_grounder
from pipelines.machine import DescribeMachine, this_machine
from pipelines.recipe_options import Files, flag
from xdetr_data.errors import ConfigError
from xdetr_data.sources.caption_tables import CaptionTable, is_table
from xdetr_data.sources.coco_captions import CocoCaptions
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.framing.lines import expand_inputs
from xdetr_data.sources.photo_folder import BarePhotos, PhotoFolder
from xdetr_data.sources.places import ANY_SOURCE, Roots
from xdetr_data.sources.protocol import Source

GROUP = "pseudo-label"
SIDECARS = "sidecars"


class PhotosOptions(CaptionedOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of labelled photos, besides the content of the inputs and the checkpoint."""

    photos: Annotated[
        Files,
        flag("A folder of photos, or its fsspec address. Repeatable.", metavar="DIR", is_place=True, is_argument=True),
    ] = ()
    captions: Annotated[
        Files,
        flag(
            "A table of path and caption (TSV, CSV, JSON lines, Parquet) or COCO's captions JSON, repeatable; or "
            "'sidecars': name.txt or name.json beside each photo.",
            metavar="FILE|sidecars",
            default=SIDECARS,
            is_place=True,
        ),
    ] = ()

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.photos:
            raise ConfigError("no photos: give a folder, as in 'xdetr-data pseudo-label photos DIR'")
        if SIDECARS in self.captions and len(self.captions) > 1:
            raise ConfigError("--captions: sidecars or files, not both; label them apart")
        if self.classes and self.captions:
            raise ConfigError("--classes and --captions both say what to look for: give one of them")
        super().check()


def recipe(
    options: PhotosOptions, *, load: LoadGrounder = load_grounder, machine: DescribeMachine = this_machine
) -> Recipe:
    """Ground the noun phrases of captions in photos of your own with a checkpoint.

    A photo's caption stands beside it (`name.txt`, or `name.json` with a `caption`), or in a table; with `--classes`
    class names are looked for instead. All candidates are kept for `xdetr-data rethreshold`.

    **Examples**

    `xdetr-data pseudo-label photos holiday --ckpt IDEA-Research/grounding-dino-tiny --out shards/holiday`

    `xdetr-data pseudo-label photos shop --captions shop.csv --source shop --ckpt RUN/model --out shards/shop`

    `xdetr-data pseudo-label photos street --classes classes.yaml --method multi --score-threshold 0.3
    --ckpt IDEA-Research/grounding-dino-tiny --out shards/street`
    """
    options.check()
    options = with_classes(options)
    return Recipe(
        name="pseudo-label photos",
        prefix=f"photos-{options.split}",
        options=options,
        sources=_sources(options),
        photos=Roots(
            folders={ANY_SOURCE: options.photos},
            option="--photos",
            inputs="the photos' lists" if options.classes else "captions",
            must_be_there=True,
        ),
        lists=read_exclusions(options.exclude),
        model=caption_step(options, load, machine),
        nothing="the inputs hold no photo" if options.classes else "the inputs hold no caption of a photo",
        remedy="check --captions, --exclude and --limit",
    )


def _sources(options: PhotosOptions) -> list[Source]:
    collection = options.source
    if options.classes:
        return [BarePhotos(path=path.rstrip("/"), collection=collection) for path in options.photos]
    if options.captions in ((), (SIDECARS,)):
        return [PhotoFolder(path=path.rstrip("/"), collection=collection) for path in options.photos]
    return [
        CaptionTable(path=path, collection=collection) if is_table(path) else CocoCaptions(path=path)
        for path in expand_inputs(options.captions)
    ]
