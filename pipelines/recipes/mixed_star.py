"""``build-mixed-star``: MDETR's paragraphs split back into independent sentences (*mixed\\**), COCO's boxes added."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from pipelines import console, recipe_options
from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.mdetr_paragraphs import Named, by_paragraph, reject_orphans
from pipelines.recipe_options import BuildOptions, CocoInstances, Exclude, Files, ImageRoot, MetadataOnly, flag
from xdetr_data.box_order import REST, check_named, check_order, with_files
from xdetr_data.boxed import BoxedQuery, LooseBox
from xdetr_data.boxes import Box, xywh_to_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage
from xdetr_data.schema import AMBIGUOUS_CUT_ARROW_SCHEMA
from xdetr_data.sources import coco
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.mdetr import Mdetr
from xdetr_data.sources.mdetr_records import MdetrAnnotation, MdetrParagraph, read_paragraph
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.sources.protocol import Problem, input_label
from xdetr_data.spans import Span, check_spans, join_spans
from xdetr_data.stages.check_boxes import CrowdPolicy, check_box
from xdetr_data.stages.form_queries import PlacedAnnotation, form_queries
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.stages.splitting.shared_boxes import hulls_of_overlapping
from xdetr_data.stages.splitting.split_paragraph import split_paragraph

GROUP = "build"
# In mixed, VG's boxes are loose and MDETR calls boxes the same from 0.5 to 0.75 on; in Flickr30k Entities one person
# boxed all five captions, so the same object has equal boxes and nearly equal ones are different chains.
DEFAULT_MERGE_IOU = {"coco": 0.75, "vg": 0.75, "flickr": 1.0}
PACKING_IOU = 0.5
CLIPPED = "clipped-boxes"
COCO = "coco"  # in an order of boxes: those of all instances files, whatever these are called
PLACE, SPLIT, BOXES = "place_annotations", "split_paragraph", "place_boxes"


class MixedStarOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of mixed*."""

    mdetr: Annotated[
        Files, flag("MDETR's, plain or .gz. Repeatable.", metavar="FILE", is_place=True, is_needed=True)
    ] = ()
    coco_instances: CocoInstances = ()
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    no_split: Annotated[bool, flag("Keep paragraphs whole: mixed instead of mixed*.")] = False
    boxes: Annotated[Literal["coco", "none"], flag("Add COCO's boxes as class-agnostic regions, or none.")] = "coco"
    dedupe_iou: Annotated[float, flag("A COCO box with this IoU with a named region is the same object.")] = 0.7
    box_order: Annotated[
        tuple[str, ...],
        flag(
            "Whose box an object keeps, first one wins: 'coco' (--coco-instances), pattern of a file's name, '*' (the "
            "rest); '*' alone: the phrase's. Repeatable.",
            metavar="SOURCE",
            default="coco *",
        ),
    ] = (COCO, REST)
    merge_iou: Annotated[
        dict[str, float],
        flag(
            "From which IoU on two queries' boxes are one object. Repeatable.",
            metavar="SOURCE=IOU",
            default="coco=0.75 vg=0.75 flickr=1",
        ),
    ] = msgspec.field(default_factory=dict)
    crowd: Annotated[CrowdPolicy, flag("What to do with iscrowd boxes.")] = "drop"
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False

    def min_iou(self, source: str) -> float:
        """From which IoU on two queries' boxes on a photo of this source are one object."""
        return (DEFAULT_MERGE_IOU | self.merge_iou).get(source, DEFAULT_MERGE_IOU["coco"])

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.mdetr:
            raise ConfigError("no input: give at least one --mdetr FILE")
        if self.boxes == "coco" and not self.coco_instances:
            raise ConfigError("--boxes coco needs --coco-instances FILE; for mixed* without boxes say --boxes none")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root SOURCE=DIR (coco, vg, flickr), or --metadata-only")
        recipe_options.check_iou("--dedupe-iou", self.dedupe_iou)
        check_order(self.box_order, "--box-order")
        for value in self.merge_iou.values():
            recipe_options.check_iou("--merge-iou", value)
        super().check()


def recipe(options: MixedStarOptions) -> Recipe:
    """Turn MDETR's annotations, COCO's boxes and the photos into training shards of *mixed\\** + boxes.

    Every paragraph query is split back into its independent queries, one object becomes one region, and COCO's boxes
    join: as the region's where a phrase's box, often looser, is around the same object, as class-agnostic regions where
    no phrase names them. The manifest accounts for every input annotation.

    The three rungs of the paper's ablation: `--no-split --boxes none` (mixed), `--boxes none` (mixed\\*), and the
    default (mixed\\* + boxes).

    **Examples**

    `xdetr-data build-mixed-star --mdetr final_mixed_train.json --mdetr final_flickr_separateGT_train.json
    --coco-instances instances_train2014.json --image-root coco=coco/train2014 --image-root vg=vg/images
    --image-root flickr=flickr30k/images --exclude "refs(unc).p" --out shards/mixed-star`

    `xdetr-data build-mixed-star --mdetr final_mixed_train.json --boxes none --metadata-only --out labels --dry-run`
    """
    options.check()
    check_named(options.box_order, "--box-order", [COCO, *map(input_label, (*options.mdetr, *options.coco_instances))])
    if options.coco_instances and options.boxes == "none":
        console.say("--boxes none: the --coco-instances files are not read")
    instances = options.coco_instances if options.boxes == "coco" else ()
    return Recipe(
        name="build-mixed-star",
        prefix=f"{'mixed' if options.no_split else 'mixed-star'}-{options.split}",
        options=options,
        sources=[*(Mdetr(path=path) for path in options.mdetr), *(coco.CocoInstances(path=path) for path in instances)],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=read_exclusions(options.exclude),
        build=build_photo,
        tables={"ambiguous": AMBIGUOUS_CUT_ARROW_SCHEMA},
        seconds={"annotation": 1 / 12_000},  # of one process, from docs/benchmarks.md
        nothing="the inputs hold no paragraph",
        remedy="check --mdetr, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: MixedStarOptions) -> Outcome:
    """The whole recipe for one photo: read, place, split, merge.

    A photo without any readable paragraph is rejected with all its elements; its own size decides which paragraphs
    speak of it.
    """
    outcome = Outcome(key=photo.key)
    named = by_paragraph(elements["annotation"], outcome)
    queries: list[BoxedQuery] = []
    for element in elements["paragraph"]:
        queries += _paragraph_queries(photo.image.size_hw, element, named, options, outcome)
    reject_orphans(named, outcome)
    if not queries:
        outcome.reject("photo", READ, "no-paragraph-left")
        for element in elements["box"]:
            outcome.reject("box", READ, "no-paragraph-left", where=element.where)
        return outcome
    order = with_files(options.box_order, COCO, [element.label for element in elements["box"]])
    regions, merged = merge_regions(queries, min_iou=options.min_iou(photo.image.source), order=order)
    record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    loose = _loose_boxes(photo.image.size_hw, elements["box"], options, outcome)
    outcome.record, duplicates = merge_boxes(record, loose, dedupe_iou=options.dedupe_iou, order=order)
    outcome.rejects += duplicates
    outcome.use("photo")
    outcome.use("box", len(loose) - len(duplicates))
    return outcome


def _paragraph_queries(
    size_hw: tuple[int, int], element: Element, named: Named, options: MixedStarOptions, outcome: Outcome
) -> list[BoxedQuery]:
    """The independent queries of one paragraph; takes its annotations out of ``named``."""
    paragraph = read_paragraph(element.data, size_hw)
    if isinstance(paragraph, Problem):
        outcome.reject("paragraph", READ, *paragraph, where=element.where)
        return []
    placed: list[tuple[Element, PlacedAnnotation]] = []
    spans: list[tuple[Span, ...]] = []  # also of annotations whose box is bad: their words are evidence for the split
    boxes: list[Box] = []
    for source, annotation in named.pop((element.label, paragraph.id), []):
        place = _place(annotation, paragraph.caption, size_hw, options.crowd)
        if isinstance(place, PlacedAnnotation):
            placed.append((source, place))
            spans.append(place.spans)
            boxes.append(whole := xywh_to_xyxy(annotation.bbox))
            outcome.note(CLIPPED, whole != place.box_xyxy)
        else:
            outcome.reject("annotation", PLACE, *place, where=source.where)
            if place[0] != "bad-span":
                spans.append(join_spans(annotation.tokens_positive, paragraph.caption))
    group, sentences = f"{element.label}#{paragraph.id}", ((0, len(paragraph.caption)),)
    if paragraph.is_packed and not options.no_split:
        together = hulls_of_overlapping([one.spans for _, one in placed], boxes, PACKING_IOU)
        sentences = _split(paragraph, group, spans, together, outcome)
    queries, homeless = form_queries(
        paragraph.caption, sentences, [one for _, one in placed], group=group, source=element.label
    )
    for source, one in placed:
        if one in homeless:
            outcome.reject("annotation", SPLIT, "span-crosses-queries", f"spans {list(one.spans)}", where=source.where)
    outcome.use("paragraph")
    outcome.use("annotation", len(placed) - len(homeless))
    return queries


def _place(
    annotation: MdetrAnnotation, caption: str, size_hw: tuple[int, int], crowd: CrowdPolicy
) -> PlacedAnnotation | tuple[str, str]:
    """The annotation with its box on the photo and its words in the caption, or (reason, detail)."""
    if (problem := check_spans(annotation.tokens_positive, caption)) is not None:
        return "bad-span", problem
    box = check_box(annotation.bbox, is_crowd=bool(annotation.iscrowd), size_hw=size_hw, crowd=crowd)
    if len(box) == 2:
        return box
    spans = join_spans(annotation.tokens_positive, caption)
    return PlacedAnnotation(id=str(annotation.id), box_xyxy=box, spans=spans)


def _split(
    paragraph: MdetrParagraph, group: str, spans: list[tuple[Span, ...]], together: list[Span], outcome: Outcome
) -> tuple[Span, ...]:
    """The paragraph's sentences; ``together`` are spans that no boundary lies across."""
    caption = paragraph.caption
    split = split_paragraph(
        caption, annotation_spans=spans, negative_spans=paragraph.tokens_negative, together=together
    )
    ends = {end for _, end in split.sentences}
    for offset in split.ambiguous:
        outcome.note("ambiguous-cuts")
        about = {"key": outcome.key, "group": group, "offset": offset, "is_cut": offset in ends, "caption": caption}
        outcome.tables.setdefault("ambiguous", []).append(about)
    return split.sentences


def _loose_boxes(
    size_hw: tuple[int, int], elements: Sequence[Element], options: MixedStarOptions, outcome: Outcome
) -> list[LooseBox]:
    """COCO's boxes as values on the photo, in file order."""
    loose: list[LooseBox] = []
    boxes = [coco.parse_box(element.data) for element in elements]
    for element, box in outcome.readable("box", elements, boxes):
        where, is_crowd = element.where, bool(box.iscrowd)
        checked = check_box(box.bbox, is_crowd=is_crowd, size_hw=size_hw, crowd=options.crowd)
        if len(checked) == 2:
            outcome.reject("box", BOXES, *checked, where=where)
            continue
        outcome.note(CLIPPED, xywh_to_xyxy(box.bbox) != checked)
        source = {"source": element.label, "annotation_id": str(box.id), "input_ref": where}
        loose.append(LooseBox(box_xyxy=checked, is_crowd=is_crowd, **source))
    return loose
