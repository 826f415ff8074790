"""``build visual-genome``: Visual Genome's region descriptions, each a query of its own whose one box is its region."""

from typing import Annotated

import msgspec

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import BuildOptions, Exclude, ImageRoot, MetadataOnly, check_iou, flag
from xdetr_data.boxed import BoxedQuery, whole_query
from xdetr_data.boxes import xywh_to_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.sources.visual_genome import RegionDescriptions, VgRegion, parse_regions
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.merge_regions import merge_regions

GROUP = "build"
PLACE = "place_regions"


class VisualGenomeOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of region descriptions."""

    regions: Annotated[
        str, flag("region_descriptions.json, plain or .gz.", metavar="FILE", is_place=True, is_needed=True)
    ] = ""
    image_data: Annotated[
        str, flag("image_data.json, plain or .gz: the photos' sizes.", metavar="FILE", is_place=True, is_needed=True)
    ] = ""
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    merge_iou: Annotated[float, flag("From which IoU on two regions are one object; 1: equal boxes only.")] = 0.75
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.regions:
            raise ConfigError("no input: give --regions region_descriptions.json")
        if not self.image_data:
            raise ConfigError("no sizes of the photos: give --image-data image_data.json")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root vg=DIR (above VG_100K and VG_100K_2), or --metadata-only")
        check_iou("--merge-iou", self.merge_iou)
        super().check()


def recipe(options: VisualGenomeOptions) -> Recipe:
    """Turn Visual Genome's region descriptions and photos into training shards.

    Every region is a query whose whole text names its box. Regions of nearly the same box are one object, as they are
    for the same photos in *mixed\\**: then several queries name it.

    **Examples**

    `xdetr-data build visual-genome --regions region_descriptions.json --image-data image_data.json
    --image-root vg=VG --out shards/vg`

    `xdetr-data build visual-genome --regions region_descriptions.json.gz --image-data image_data.json.gz
    --metadata-only --out labels --limit 1000`
    """
    options.check()
    return Recipe(
        name="build visual-genome",
        prefix=f"visual-genome-{options.split}",
        options=options,
        sources=[RegionDescriptions(path=options.regions, image_data=options.image_data)],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=read_exclusions(options.exclude),
        others=[("image-data", options.image_data)],
        build=build_photo,
        seconds={"region": 1 / 40_000},  # of one process, with --metadata-only
        nothing="the inputs hold no image",
        remedy="check --regions, --image-data, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: VisualGenomeOptions) -> Outcome:
    """A photo's record: each usable region is a query. A photo of another size than stated has other boxes, too."""
    outcome = Outcome(key=photo.key)
    if photo.image.size_hw != photo.stated_hw:
        (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
        detail = f"image data says {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
        outcome.rejects = elements.rejected(photo.key, READ, "size-mismatch", detail)
        return outcome
    queries: list[BoxedQuery] = []
    regions = parse_regions([element.data for element in elements["region"]])
    for element, region in outcome.readable("region", elements["region"], regions):
        query = _query(element, region, photo, outcome)
        queries += [] if query is None else [query]
    if not queries:
        outcome.reject("photo", READ, "no-region-left")
        for element in elements["image"]:
            outcome.reject("image", READ, "no-region-left", where=element.where)
        return outcome
    found, merged = merge_regions(queries, min_iou=options.merge_iou)
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=found, queries=merged)
    outcome.use("photo")
    outcome.use("image", len(elements["image"]))
    outcome.use("region", len(queries))
    return outcome


def _query(element: Element, region: VgRegion, photo: PhotoToBuild, outcome: Outcome) -> BoxedQuery | None:
    """The region's phrase as a query with its box, or None, and then the outcome says why."""
    text = region.text
    if region.key != photo.key:
        detail = f"its image_id is {region.image_id}"
        outcome.reject("region", READ, "wrong-image-id", detail, where=element.where)
        return None
    if not text:
        outcome.reject("region", READ, "empty-phrase", where=element.where)
        return None
    box_xywh = (region.x, region.y, region.width, region.height)
    box = check_box(box_xywh, is_crowd=False, size_hw=photo.image.size_hw, crowd="drop")
    if len(box) == 2:
        outcome.reject("region", PLACE, *box, where=element.where)
        return None
    outcome.note("clipped-boxes", xywh_to_xyxy(box_xywh) != box)
    return whole_query(text, box, group=element.where, source=element.label, annotation_id=str(region.id))
