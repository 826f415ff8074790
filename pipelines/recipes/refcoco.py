"""``build refcoco``: RefCOCO, RefCOCO+ and RefCOCOg, each expression a query whose whole text names its box."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import BuildOptions, Exclude, Files, ImageRoot, MetadataOnly, flag
from xdetr_data.boxed import BoxedQuery, LooseBox, whole_query
from xdetr_data.boxes import xywh_to_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage
from xdetr_data.sources.coco import parse_box
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_evaluation, read_exclusions
from xdetr_data.sources.framing.json_records import text_id
from xdetr_data.sources.mdetr import Mdetr
from xdetr_data.sources.mdetr_records import MdetrAnnotation, MdetrParagraph, parse_annotations, read_paragraph
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.sources.protocol import Problem
from xdetr_data.sources.refer import ReferPickle, RefInstances
from xdetr_data.sources.refer_files import parse_expression
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.exclude_images import ExclusionList
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions

GROUP = "build"
SPLITS = ("train", "val", "testA", "testB", "test")
PLACE = "place_boxes"


class RefcocoOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of referring expressions. ``split`` chooses the references, too."""

    refs: Annotated[
        Files,
        flag(
            "A refer pickle, as 'refs(unc).p'; of several sets for all of them. Repeatable.",
            metavar="FILE",
            is_place=True,
        ),
    ] = ()
    mdetr: Annotated[
        Files, flag("MDETR's finetune_ref*.json of the same split. Repeatable.", metavar="FILE", is_place=True)
    ] = ()
    instances: Annotated[
        Files,
        flag(
            "Boxes and sizes: instances.json of every set, or COCO's instances_train2014.json. Repeatable.",
            metavar="FILE",
            is_place=True,
        ),
    ] = ()
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    boxes: Annotated[
        Literal["coco", "none"], flag("Add boxes that no expression names as class-agnostic regions, or none.")
    ] = "coco"
    exclude_eval: Annotated[bool, flag("Leave out every photo of a val or test split of any --refs file.")] = False
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.refs and not self.mdetr:
            raise ConfigError("no input: give at least one --refs FILE, as 'refs(unc).p', or --mdetr FILE")
        if self.refs and not self.instances:
            raise ConfigError("no boxes: give --instances instances.json (or COCO's instances_train2014.json)")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root coco=DIR (of train2014), or --metadata-only")
        if self.split not in SPLITS:
            raise ConfigError(f"--split {self.split!r} must be one of {', '.join(SPLITS)}: it chooses the references")
        if self.exclude_eval and self.split != "train":
            raise ConfigError(f"--exclude-eval leaves out every photo of --split {self.split}: give one of both")
        if self.exclude_eval and not self.refs:
            raise ConfigError("--exclude-eval reads --refs files: give them, or --exclude finetune_refcoco_val.json")
        super().check()


def recipe(options: RefcocoOptions) -> Recipe:
    """Turn RefCOCO, RefCOCO+ and RefCOCOg and COCO's photos into training shards.

    Every expression is a query whose whole text names its box; boxes that no expression names join as class-agnostic
    regions. Train on the three sets at once with `--exclude-eval`, for val and test photos of one are train photos of
    another; evaluate on one set and one `--split` at a time.

    **Examples**

    `xdetr-data build refcoco --refs "refcoco/refs(unc).p" --refs "refcoco+/refs(unc).p" --refs "refcocog/refs(umd).p"
    --instances instances_train2014.json --image-root coco=train2014 --exclude-eval --out shards/refcoco`

    `xdetr-data build refcoco --refs "refcoco/refs(unc).p" --instances refcoco/instances.json --split testA --boxes none
    --metadata-only --out labels`
    """
    options.check()
    return Recipe(
        name="build refcoco",
        prefix=f"refcoco-{options.split}",
        options=options,
        sources=[
            *(ReferPickle(path=path, split=options.split, instances=options.instances) for path in options.refs),
            *(Mdetr(path=path) for path in options.mdetr),
            *(RefInstances(path=path) for path in options.instances),
        ],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=_lists(options),
        build=build_photo,
        seconds={"expression": 1 / 20_000},  # of one process, with --metadata-only
        nothing="the inputs hold no expression of the split",
        remedy="check --refs, --mdetr, --split, --exclude and --limit",
    )


def _lists(options: RefcocoOptions) -> list[ExclusionList] | None:
    """The photos to leave out, each list once; None where none is needed, since the split is there to evaluate on."""
    lists = read_exclusions(options.exclude)
    known = {one.path for one in lists}
    refs = [path for path in options.refs if options.exclude_eval and path not in known]
    lists += [read_evaluation(path, options.instances) for path in refs]
    return lists if lists or options.split == "train" else None


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: RefcocoOptions) -> Outcome:
    """A photo's record: each usable expression is a query. A photo of another size than stated has other boxes, too."""
    outcome = Outcome(key=photo.key)
    if photo.image.size_hw != photo.stated_hw:
        (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
        detail = f"the instances say {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
        outcome.rejects = elements.rejected(photo.key, READ, "size-mismatch", detail)
        return outcome
    boxes = _place_boxes(photo.image.size_hw, elements["box"], outcome)
    queries = _refer_queries(elements, boxes, outcome)
    named = {query.phrases[0].annotation_ids[0] for query in queries}
    queries += _mdetr_queries(photo.image.size_hw, elements, outcome)
    loose = [box for box in boxes.values() if isinstance(box, LooseBox) and box.annotation_id not in named]
    if options.boxes == "none" or not queries:
        for box in loose:
            outcome.reject("box", PLACE, "no-expression-names-it", where=box.input_ref)
        loose = []
    if not queries:
        outcome.reject("photo", READ, "no-expression-left")
        return outcome
    regions, merged = merge_regions(queries, min_iou=1.0)  # a file's boxes are different objects unless they are equal
    record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    outcome.record, duplicates = merge_boxes(record, loose, dedupe_iou=1.0)
    outcome.rejects += duplicates
    outcome.use("photo")
    outcome.use("box", len(named) + len(loose) - len(duplicates))
    return outcome


def _refer_queries(
    elements: PhotoElements, boxes: Mapping[str, LooseBox | Problem], outcome: Outcome
) -> list[BoxedQuery]:
    """A query for each usable expression of a refer pickle; what two files say of one box in the same words is one."""
    queries: list[BoxedQuery] = []
    kept: set[tuple[str, int]] = set()  # input and row of each reference that has a query
    said: dict[tuple[int, str], str] = {}  # what was said of which box → the input that said it first
    expressions = [parse_expression(element.data) for element in elements["expression"]]
    for element, one in outcome.readable("expression", elements["expression"], expressions):
        box = boxes.get(str(one.ann_id)) or Problem("no-such-box", f"no box of this photo has id {one.ann_id}")
        if not one.text:
            box = Problem("empty-sentence", "it has no words")
        elif (first := said.setdefault((one.ann_id, one.text), element.label)) != element.label:
            box = Problem("said-in-an-earlier-file", f"{first} says the same of this box")
        if isinstance(box, Problem):
            detail = f"sent_id {one.id} of ref_id {one.ref_id}: {box.detail}"
            outcome.reject("expression", READ, box.reason, detail, where=element.where)
            continue
        about = {"group": f"{element.label}#{one.ref_id}", "source": element.label, "detail": f"sent_id {one.id}"}
        queries.append(whole_query(one.text, box.box_xyxy, annotation_id=box.annotation_id, **about))
        kept.add((element.label, one.ref))
    for element in elements["reference"]:
        if (element.label, element.row) not in kept:
            outcome.reject("reference", READ, "no-expression-left", where=element.where)
    if queries:
        outcome.use("reference", len(kept))
        outcome.use("expression", len(queries))
    return queries


def _mdetr_queries(size_hw: tuple[int, int], elements: PhotoElements, outcome: Outcome) -> list[BoxedQuery]:
    """A query for each usable paragraph of MDETR's, which here is one expression with one annotation."""
    named: dict[tuple[str, int], list[tuple[Element, MdetrAnnotation]]] = {}
    annotations = parse_annotations([element.data for element in elements["annotation"]])
    for element, annotation in outcome.readable("annotation", elements["annotation"], annotations):
        named.setdefault((element.label, annotation.paragraph_id), []).append((element, annotation))
    queries: list[BoxedQuery] = []
    for element in elements["paragraph"]:
        paragraph = read_paragraph(element.data, size_hw)
        found = [] if isinstance(paragraph, Problem) else named.pop((element.label, paragraph.id), [])
        made = _mdetr_query(element.label, paragraph, [one for _, one in found], size_hw)
        if isinstance(made, Problem):
            outcome.reject("paragraph", READ, *made, where=element.where)
            for each, _ in found:
                outcome.reject("annotation", READ, "paragraph-rejected", where=each.where)
            continue
        queries.append(made)
    for each, _ in (one for found in named.values() for one in found):  # their paragraph is a reject
        outcome.reject("annotation", READ, "paragraph-rejected", where=each.where)
    if queries:
        outcome.use("paragraph", len(queries))
        outcome.use("annotation", len(queries))
    return queries


def _mdetr_query(
    label: str,
    paragraph: MdetrParagraph | Problem,
    annotations: Sequence[MdetrAnnotation],
    size_hw: tuple[int, int],
) -> BoxedQuery | Problem:
    if isinstance(paragraph, Problem):
        return paragraph
    if len(annotations) != 1:
        return Problem("not-one-annotation", f"an expression has one box, this paragraph {len(annotations)}")
    one = annotations[0]
    box = check_box(one.bbox, is_crowd=bool(one.iscrowd), size_hw=size_hw, crowd="drop")
    if len(box) == 2:
        return Problem(*box)
    text = " ".join(paragraph.caption.split())
    return whole_query(text, box, group=f"{label}#{paragraph.id}", source=label, annotation_id=str(one.id))


def _place_boxes(
    size_hw: tuple[int, int], elements: Sequence[Element], outcome: Outcome
) -> dict[str, LooseBox | Problem]:
    """Annotation id → the box on the photo, or why it can be no object; of an id that several files have the first."""
    boxes: dict[str, LooseBox | Problem] = {}
    for element, one in outcome.readable("box", elements, [parse_box(each.data) for each in elements]):
        if (identity := text_id(one.id)) in boxes:
            outcome.reject("box", READ, "box-of-an-earlier-file", f"id {one.id}", where=element.where)
            continue
        box = check_box(one.bbox, is_crowd=bool(one.iscrowd), size_hw=size_hw, crowd="drop")
        if len(box) == 2:
            boxes[identity] = Problem(*box)
            outcome.reject("box", PLACE, *box, where=element.where)
            continue
        outcome.note("clipped-boxes", xywh_to_xyxy(one.bbox) != box)
        source = {"source": element.label, "annotation_id": str(one.id), "input_ref": element.where}
        boxes[identity] = LooseBox(box_xyxy=box, is_crowd=False, **source)
    return boxes
