"""``build flickr30k``: Flickr30k Entities' captions from its own files, each a query with the boxes of its phrases."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import BuildOptions, Exclude, ImageRoot, MetadataOnly, flag
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box, xyxy_to_xywh
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.flickr30k import Flickr30k
from xdetr_data.sources.flickr30k_files import NOT_VISUAL, FlickrCaption, parse_box, parse_caption
from xdetr_data.sources.framing.lines import LINES
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.sources.protocol import place_of
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.merge_regions import merge_regions

GROUP = "build"
PLACE = "place_boxes"


class Flickr30kOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of Flickr30k Entities."""

    entities: Annotated[
        str,
        flag(
            "The folder above Sentences and Annotations, or annotations.zip.",
            metavar="DIR|ZIP",
            is_place=True,
            is_needed=True,
        ),
    ] = ""
    ids: Annotated[
        str, flag("The split's photos, one a line: train.txt.", metavar="FILE", is_place=True, is_needed=True)
    ] = ""
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.entities:
            raise ConfigError("no input: give --entities DIR (above Sentences and Annotations), or the zip")
        if not self.ids:
            raise ConfigError("no split: give --ids train.txt (or val.txt, test.txt) of Flickr30k Entities")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root flickr=DIR, or --metadata-only")
        super().check()


def recipe(options: Flickr30kOptions) -> Recipe:
    """Turn Flickr30k Entities and its photos into training shards.

    Every caption is a query, every marked phrase a phrase with all boxes of its chain; a phrase of a scene, or whose
    object nobody boxed, has none. Captions that the dataset itself lists as being about other photos are left out.

    **Examples**

    `xdetr-data build flickr30k --entities flickr30k_entities --ids flickr30k_entities/train.txt
    --image-root flickr=flickr30k-images --out shards/flickr30k`

    `xdetr-data build flickr30k --entities annotations.zip --ids val.txt --split val --metadata-only --out labels`
    """
    options.check()
    source = Flickr30k.of(options.entities, options.ids)
    return Recipe(
        name="build flickr30k",
        prefix=f"flickr30k-{options.split}",
        options=options,
        sources=[source],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=read_exclusions(options.exclude)
        or None,  # none are needed: the split says which photos may be trained on
        others=source.others,
        build=build_photo,
        seconds={"caption": 1 / 8_000},  # of one process, with --metadata-only
        nothing="the split names no photo",
        remedy="check --entities, --ids, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: Flickr30kOptions) -> Outcome:
    """A photo's record: each usable caption is a query. A photo of another size than stated has other boxes, too."""
    outcome = Outcome(key=photo.key)
    if photo.image.size_hw != photo.stated_hw:
        (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
        detail = f"its XML says {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
        outcome.rejects = elements.rejected(photo.key, READ, "size-mismatch", detail)
        return outcome
    for element in elements["image"]:
        for doubt in element.data.decode().split():
            outcome.note(doubt)
    boxes = _place_boxes(photo, elements["box"], outcome)
    queries: list[BoxedQuery] = []
    captions = [parse_caption(element.data) for element in elements["caption"]]
    for element, caption in outcome.readable("caption", elements["caption"], captions):
        query = _query(element, caption, boxes, outcome)
        queries += [] if query is None else [query]
    named = {one for query in queries for phrase in query.phrases for one in phrase.annotation_ids}
    for box in boxes:
        if box.id not in named:
            outcome.reject("box", PLACE, "no-phrase-names-it", f"chains {' '.join(box.chains)}", where=box.where)
    if not queries:
        outcome.reject("photo", READ, "no-caption-left")
        for element in elements["image"]:
            outcome.reject("image", READ, "no-caption-left", where=element.where)
        return outcome
    regions, merged = merge_regions(queries, min_iou=1.0)  # one person boxed all captions: equal boxes are one object
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    outcome.use("photo")
    outcome.use("image", len(elements["image"]))
    outcome.use("caption", len(queries))
    outcome.use("box", len(named))
    return outcome


class _Placed(NamedTuple):
    """A box on the photo: its id, the chains that it is of, and where it stands in the input."""

    id: str
    chains: tuple[str, ...]
    box_xyxy: Box
    where: str


def _place_boxes(photo: PhotoToBuild, elements: Sequence[Element], outcome: Outcome) -> list[_Placed]:
    """The boxes that can be an object, in the order of the file."""
    placed = []
    for element, found in outcome.readable("box", elements, [parse_box(one.data) for one in elements]):
        box = check_box(xyxy_to_xywh(found.box_xyxy), is_crowd=False, size_hw=photo.image.size_hw, crowd="drop")
        if len(box) == 2:
            outcome.reject("box", PLACE, *box, where=element.where)
            continue
        outcome.note("clipped-boxes", found.box_xyxy != box)
        placed.append(_Placed(str(found.id), found.chains, box, element.where))
    return placed


def _query(element: Element, caption: FlickrCaption, boxes: Sequence[_Placed], outcome: Outcome) -> BoxedQuery | None:
    """The caption's text with the boxes of each phrase, or None, and then the outcome says why."""
    group = place_of(caption.photo, LINES, caption.id - 1)  # what an editor shows of Sentences/<photo>.txt
    read = caption.read()
    if isinstance(read, str):
        outcome.reject("caption", READ, "unreadable-caption", f"{group}: {read}", where=element.where)
        return None
    text, marked = read
    visual = [one for one in marked if one.chain != NOT_VISUAL]
    outcome.note("phrases-not-visual", len(marked) - len(visual))
    phrases = []
    for one in visual:
        chain = [box for box in boxes if one.chain in box.chains]
        outcome.note("phrases-without-box", not chain)
        phrases.append(
            BoxedPhrase(
                spans=(one.span,),
                boxes_xyxy=tuple(box.box_xyxy for box in chain),
                annotation_ids=tuple(box.id for box in chain),
                detail=f"EN#{one.chain}/{one.types}",
            )
        )
    return BoxedQuery(text=text, group=group, source=element.label, phrases=tuple(phrases))
