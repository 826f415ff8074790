"""``pseudo-label dataset``: phrases of a finished dataset that have no box, labelled by a model."""

from typing import Annotated

import msgspec

from pipelines.engine.recipe import Recipe
from pipelines.labelling.captions import GroundingOptions, caption_step
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.models import load_grounder
from pipelines.labelling.telling import RECORDS
from pipelines.machine import DescribeMachine, this_machine
from pipelines.recipe_options import flag
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import MANIFEST, read_manifest
from xdetr_data.shards.reader import stems
from xdetr_data.sources.dataset_records import ShardPhotos, ShardRecords
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.places import Containers
from xdetr_data.sources.protocol import Problem
from xdetr_data.storage import Folder
from xdetr_data.vocabulary import NamedClass, has_vocabulary, vocabulary_of

GROUP = "pseudo-label"


class DatasetOptions(GroundingOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of a dataset with more labels; ``vocabulary`` is no flag: ``recipe`` reads it."""

    dataset: Annotated[
        str,
        flag(
            "A finished dataset of this tool with photos.",
            metavar="DATASET",
            is_place=True,
            is_argument=True,
            is_needed=True,
        ),
    ] = ""
    vocabulary: tuple[NamedClass, ...] | msgspec.UnsetType = msgspec.UNSET

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.dataset:
            raise ConfigError("no dataset: give one, as in 'xdetr-data pseudo-label dataset OUT'")
        super().check()


def recipe(
    options: DatasetOptions, *, load: LoadGrounder = load_grounder, machine: DescribeMachine = this_machine
) -> Recipe:
    """Give the phrases of a finished dataset that have no box their boxes, with a checkpoint.

    Phrases without a region are grounded, but for verified absences; of a query without any phrase, such as a web
    caption, its noun phrases are. All labels of the dataset stay as they are; a box that overlaps one of them is the
    same object (`--merge-iou`). The result is a dataset of its own, and `xdetr-data rethreshold` chooses its new labels
    again.

    **Examples**

    `xdetr-data pseudo-label dataset shards/cc3m --ckpt IDEA-Research/grounding-dino-tiny --out shards/cc3m-labelled`

    `xdetr-data pseudo-label dataset shards/flickr --ckpt RUN/model --method multi --out shards/flickr-full`
    """
    options.check()
    folder = Folder(options.dataset)
    manifest = read_manifest(folder)
    if manifest.config.get("metadata_only") is True:
        raise InputError(f"{folder.url}: has labels and no photos to look at; build it without --metadata-only")
    if has_vocabulary(manifest):
        options = msgspec.structs.replace(options, vocabulary=vocabulary_of(manifest))
    names = stems(manifest)
    return Recipe(
        name="pseudo-label dataset",
        prefix=f"dataset-{options.split}",
        options=options,
        sources=[ShardRecords(path=folder.path(f"{stem}.parquet")) for stem in names],
        photos=Containers(
            containers=[ShardPhotos(path=folder.path(f"{stem}.tar")) for stem in names],
            source="",
            what="tars",
            unlabelled=Problem("no-record", "no record of the dataset is of this key"),
            twice=Problem("duplicate-key", "an earlier photo of the dataset has the same key"),
        ),
        lists=read_exclusions(options.exclude),
        model=caption_step(options, load, machine, telling=RECORDS),
        others=[("manifest", folder.path(MANIFEST))],
        nothing="the dataset holds no sample",
        remedy="check --exclude and --limit",
    )
