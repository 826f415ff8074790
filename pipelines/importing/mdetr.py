"""``import --from mdetr``: paragraphs as they are, a query each; ``build-mixed-star`` is what splits packed ones."""

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.importing.files import files_of, photos_of
from pipelines.importing.phrases import Found
from pipelines.mdetr_paragraphs import by_paragraph, reject_orphans
from pipelines.recipe_options import ImportOptions
from xdetr_data.boxed import BoxedQuery
from xdetr_data.boxes import xywh_to_xyxy
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.mdetr import Mdetr
from xdetr_data.sources.mdetr_records import MdetrAnnotation, read_paragraph
from xdetr_data.sources.protocol import Problem
from xdetr_data.spans import check_spans, join_spans
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.merge_regions import merge_regions

PLACE = "place_annotations"


def recipe(options: ImportOptions) -> Recipe:
    """The recipe of MDETR's files."""
    return Recipe(
        name="import mdetr",
        prefix=f"mdetr-{options.split}",
        options=options,
        sources=[Mdetr(path=path) for path in files_of(options, ["final_*.json", "finetune_*.json"])],
        photos=photos_of(options),
        lists=read_exclusions(options.exclude),
        build=build_photo,
        seconds={},
        nothing="the inputs hold no paragraph",
        remedy="check the files, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: ImportOptions) -> Outcome:
    """A photo's record: each paragraph that speaks of a photo of this size is a query."""
    outcome = Outcome(key=photo.key)
    named = by_paragraph(elements["annotation"], outcome)
    queries: list[BoxedQuery] = []
    for element in elements["paragraph"]:
        paragraph = read_paragraph(element.data, photo.image.size_hw)
        if isinstance(paragraph, Problem):
            outcome.reject("paragraph", READ, *paragraph, where=element.where)
            continue
        found = Found([paragraph.caption])
        for source, annotation in named.pop((element.label, paragraph.id), []):
            _place(source, annotation, paragraph.caption, found, photo.image.size_hw, outcome)
        queries += found.queries(group=f"{element.label}#{paragraph.id}", source=element.label)
        outcome.use("paragraph")
    reject_orphans(named, outcome)
    if not queries:
        outcome.reject("photo", READ, "no-paragraph-left")
        return outcome
    regions, merged = merge_regions(queries, min_iou=1.0)
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    outcome.use("photo")
    return outcome


def _place(
    source: Element,
    annotation: MdetrAnnotation,
    caption: str,
    found: Found,
    size_hw: tuple[int, int],
    outcome: Outcome,
) -> None:
    """Adds an annotation to what is found of its paragraph, or to the rejects."""
    if (problem := check_spans(annotation.tokens_positive, caption)) is not None:
        outcome.reject("annotation", PLACE, "bad-span", problem, where=source.where)
        return
    box = check_box(annotation.bbox, is_crowd=bool(annotation.iscrowd), size_hw=size_hw, crowd="drop")
    if len(box) == 2:
        outcome.reject("annotation", PLACE, *box, where=source.where)
        return
    outcome.note("clipped-boxes", xywh_to_xyxy(annotation.bbox) != box)
    found.add((caption, join_spans(annotation.tokens_positive, caption)), [box], str(annotation.id))
    outcome.use("annotation")
