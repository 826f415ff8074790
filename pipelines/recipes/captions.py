"""``build captions``: web photos with captions (Conceptual Captions), the weakly annotated source of the training."""

import re
from typing import Annotated

from pipelines.engine.outcome import Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import BuildOptions, Files, flag
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage, Query
from xdetr_data.sources.elements import PhotoElements
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.lines import expand_inputs
from xdetr_data.sources.places import Containers
from xdetr_data.sources.protocol import Problem
from xdetr_data.sources.web_captions import WebCaptions, WebTar, expand_tars, parse_line

GROUP = "build"
READ_CAPTION = "read_caption"

_SOURCE = re.compile(r"[a-z0-9]{1,24}")


class CaptionsOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of captions."""

    tsv: Annotated[
        Files,
        flag(
            "Lines of caption, tab, address, plain or .gz. Repeatable; may hold wildcards.",
            metavar="FILE",
            is_place=True,
            is_needed=True,
        ),
    ] = ()
    images: Annotated[
        Files,
        flag(
            "A folder of tars as img2dataset leaves them, or tars. Repeatable.",
            metavar="TARS",
            is_place=True,
            is_needed=True,
        ),
    ] = ()
    source: Annotated[str, flag("What the photos' collection is called in keys.")] = "cc"

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.tsv:
            raise ConfigError("no captions: give at least one --tsv FILE (lines of caption, tab, address)")
        if not self.images:
            raise ConfigError("no photos: give --images TARS (a folder of tars, or files as 'cc3m/*.tar')")
        if not _SOURCE.fullmatch(self.source):
            raise ConfigError(f"--source {self.source!r} must be at most 24 small letters and digits, such as cc")
        super().check()


def recipe(options: CaptionsOptions) -> Recipe:
    """Turn web photos with captions (Conceptual Captions) into shards: the weakly annotated source of the training.

    Captions and photos are joined by the photo's address. Captions of dead links, and photos without a caption, are
    counted as rejects.

    **Examples**

    `xdetr-data build captions --tsv Train_GCC-training.tsv --images cc3m/ --out shards/cc3m`

    `xdetr-data build captions --tsv cc12m.tsv --images 'cc12m/*.tar' --out shards/cc12m --limit 1000 --dry-run`
    """
    options.check()
    return Recipe(
        name="build captions",
        prefix=f"captions-{options.split}",
        options=options,
        sources=[WebCaptions(path=path) for path in expand_inputs(options.tsv)],
        photos=Containers(
            containers=[WebTar(path=path) for path in expand_tars(options.images)],
            source=options.source,
            what="tars",
            unlabelled=Problem("no-caption", "no line of the TSVs has its address"),
            twice=Problem("duplicate-address", "an earlier photo of the tars has the same address"),
        ),
        build=build_photo,
        seconds={},
        nothing="the tars hold no photo",
        remedy="do --tsv and --images belong together?",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: CaptionsOptions) -> Outcome:
    """A photo's record: each different caption of it is a query of its own."""
    outcome = Outcome(key=photo.key)
    queries: dict[str, Query] = {}
    for element in elements["caption"]:
        parsed = parse_line(element.data)
        assert not isinstance(parsed, Unreadable), "the partition keeps unreadable lines out of the spills"
        if not parsed.text:
            outcome.reject("caption", READ_CAPTION, "empty-caption", where=element.where)
        elif parsed.text in queries:
            outcome.reject("caption", READ_CAPTION, "duplicate-caption", where=element.where)
        else:
            queries[parsed.text] = Query(text=parsed.text, group=element.where)
    if not queries:
        outcome.reject("photo", READ_CAPTION, "no-caption-left")
        return outcome
    outcome.record = GroundedImage(key=photo.key, image=photo.image, queries=tuple(queries.values()))
    outcome.use("photo")
    outcome.use("caption", len(queries))
    return outcome
