"""``pseudo-label captions``: the noun phrases of web captions, or of COCO's, grounded by a model."""

from typing import Annotated

from pipelines.engine.recipe import Recipe
from pipelines.labelling.captions import CaptionedOptions, caption_step, with_classes
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.models import load_grounder
from pipelines.machine import DescribeMachine, this_machine
from pipelines.recipe_options import Files, flag
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.sources.caption_tables import AddressedCaptions, CaptionTable, is_table
from xdetr_data.sources.caption_tars import TarCaptions, TarPhotos, TarQuestions
from xdetr_data.sources.coco_captions import CocoCaptions
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.framing.lines import expand_inputs
from xdetr_data.sources.places import ANY_SOURCE, Containers, Places, Roots
from xdetr_data.sources.protocol import Problem, Source
from xdetr_data.sources.web_captions import WebTar, expand_tars, has_tars

GROUP = "pseudo-label"
NAME = "captions"


class LabelledCaptionsOptions(CaptionedOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of labelled captions, besides the content of the inputs and the checkpoint."""

    images: Annotated[
        Files,
        flag(
            "Tars as img2dataset leaves them, a folder of them, or a folder of photos. Repeatable.",
            metavar="TARS|DIR",
            is_place=True,
        ),
    ] = ()
    tsv: Annotated[
        Files,
        flag(
            "Captions by the photo's address or path: TSV, CSV, JSON lines, Parquet, or COCO's captions JSON. "
            "Repeatable. Without it those in the tars count.",
            metavar="FILE",
            is_place=True,
        ),
    ] = ()

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.images:
            raise ConfigError("no photos: give --images 'cc3m/*.tar', or --images DIR with --tsv FILE")
        if self.classes and self.tsv:
            raise ConfigError("--classes and --tsv both say what to look for: give one of them")
        super().check()


def recipe(
    options: LabelledCaptionsOptions, *, load: LoadGrounder = load_grounder, machine: DescribeMachine = this_machine
) -> Recipe:
    """Ground the noun phrases of captions in their photos with a checkpoint.

    Captions are in img2dataset's tars, or in tables that name photos by address (of tars) or path (of a folder), or in
    COCO's captions JSON. All candidates are kept for `xdetr-data rethreshold`.

    **Examples**

    `xdetr-data pseudo-label captions --ckpt IDEA-Research/grounding-dino-tiny --images 'cc3m/*.tar' --source cc
    --out shards/cc3m`

    `xdetr-data pseudo-label captions --ckpt RUN/model --images cc12m --tsv cc12m.tsv --source cc --out shards/cc12m`

    `xdetr-data pseudo-label captions --ckpt RUN/model --images train2017 --tsv captions_train2017.json --out coco`

    `xdetr-data pseudo-label captions --ckpt RUN/model --images 'cc3m/*.tar' --classes classes.yaml --method multi
    --score-threshold 0.3 --out shards/cc3m-classes`
    """
    options.check()
    options = with_classes(options)
    sources, places = _inputs(options)
    return Recipe(
        name="pseudo-label captions",
        prefix=f"captions-{options.split}",
        options=options,
        sources=sources,
        photos=places,
        lists=read_exclusions(options.exclude),
        model=caption_step(options, load, machine),
        nothing="the inputs hold no caption of a photo",
        remedy="do --images and --tsv belong together? check --exclude and --limit, too",
    )


def _inputs(options: LabelledCaptionsOptions) -> tuple[list[Source], Places]:
    """Where captions and photos are: both in tars, captions by address beside tars, or by path beside a folder."""
    tables = expand_inputs(options.tsv)
    if not has_tars(options.images):
        if options.classes:
            raise InputError(
                f"{options.images[0]}: holds no tar; say 'pseudo-label photos {options.images[0]} --classes'"
            )
        if not tables:
            raise InputError(
                f"{options.images[0]}: holds no tar; give img2dataset's tars, --tsv FILE with captions by path, or "
                "label a folder of photos with 'pseudo-label photos'"
            )
        roots = Roots(folders={ANY_SOURCE: options.images}, option="--images", inputs="captions", must_be_there=True)
        return [_by_path(path, options.source) for path in tables], roots
    tars = expand_tars(options.images)
    sources = [AddressedCaptions(path=one, collection=options.source) for one in tables if _has_addresses(one)]
    own = TarQuestions if options.classes else TarCaptions
    return (sources or [own(path=path) for path in tars]), Containers(
        containers=[WebTar(path=path) if tables else TarPhotos(path=path) for path in tars],
        source=options.source,
        what="tars",
        unlabelled=Problem("no-caption", "nothing gives it a caption"),
        twice=Problem("duplicate-address", "an earlier photo of the tars has the same address"),
    )


def _by_path(path: str, collection: str) -> Source:
    return CaptionTable(path=path, collection=collection) if is_table(path) else CocoCaptions(path=path)


def _has_addresses(path: str) -> bool:
    if not is_table(path):
        raise ConfigError(f"--tsv {path}: names photos by path, and --images are tars; give --images DIR of its photos")
    return True
