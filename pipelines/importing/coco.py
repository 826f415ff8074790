"""``import --from coco``: each class of a photo is a query, with LVIS's fields also those that are verified absent.

Of a photo without ``neg_category_ids`` nothing says that all objects of a class are boxed, and no query promises it.
"""

from collections.abc import Sequence

import msgspec

from pipelines.absences import read_absences
from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.importing.files import files_of, of_another_size, photos_of, said_collection
from pipelines.recipe_options import ImportOptions
from xdetr_data.boxes import xywh_to_xyxy
from xdetr_data.errors import ConfigError, RecordError
from xdetr_data.masks import read_segmentation
from xdetr_data.record import GroundedImage, Phrase, Provenance, Query, Region
from xdetr_data.sources.coco_classes import CocoAnnotation, CocoClasses, CocoImage, parse_annotations, parse_image
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.lvis_classes import read_classes
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.vocabulary import class_detail, find_class

PLACE = "place_annotations"
_NOBODY = Provenance(source="")
_Objects = dict[int, list[Region]]  # by class, in file order


def recipe(options: ImportOptions) -> Recipe:
    """The recipe of a COCO file."""
    paths = files_of(options, ["instances*.json"])
    if len(paths) > 1:
        raise ConfigError(f"{len(paths)} files of COCO have classes of their own: import each by itself, as {paths[0]}")
    return Recipe(
        name="import coco",
        prefix=f"coco-{options.split}",
        options=msgspec.structs.replace(options, vocabulary=read_classes(paths[0], speak=str)),
        sources=[CocoClasses(path=paths[0], collection=said_collection(options))],
        photos=photos_of(options),
        lists=read_exclusions(options.exclude),
        build=build_photo,
        seconds={},
        nothing="the input holds no image",
        remedy="check the file, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: ImportOptions) -> Outcome:
    """A photo's record: its classes in the order of their first annotation, then those that are verified absent."""
    outcome = Outcome(key=photo.key)
    if rejects := of_another_size(photo, elements):
        outcome.rejects = rejects
        return outcome
    images = [one for element in elements["image"] if isinstance(one := parse_image(element.data), CocoImage)]
    objects, dropped = _objects(photo, elements["annotation"], options, outcome)
    unsure = dropped | {number for one in images for number in one.not_exhaustive}
    absent = read_absences(elements["absence"], options.vocabulary, objects.keys() | unsure, outcome)
    if not objects and not absent:
        outcome.reject("photo", READ, "no-class-left")
        for element in elements["image"]:
            outcome.reject("image", READ, "no-class-left", where=element.where)
        return outcome
    sure = objects.keys() - unsure if all(one.is_federated for one in images) else set[int]()
    regions: dict[Region, int] = {}  # by box, mask and whether it is a crowd; who made them is no difference
    first: list[Region] = []
    queries = []
    for number, found in (objects | {number: list[Region]() for number in absent}).items():
        own: dict[int, None] = {}
        for region in found:
            bare = msgspec.structs.replace(region, provenance=_NOBODY)
            if bare not in regions:
                regions[bare] = len(first)
                first.append(region)
            own[regions[bare]] = None
        queries.append(_query(number, tuple(own), number in absent or number in sure, elements["image"][0], options))
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=tuple(first), queries=tuple(queries))
    outcome.use("photo")
    outcome.use("image", len(elements["image"]))
    outcome.use("absence", len(absent))
    return outcome


def _objects(
    photo: PhotoToBuild, elements: Sequence[Element], options: ImportOptions, outcome: Outcome
) -> tuple[_Objects, set[int]]:
    """The regions by class, and the classes of which an annotation may have been dropped."""
    found: _Objects = {}
    dropped: set[int] = set()
    annotations = parse_annotations([element.data for element in elements])
    for element, one in outcome.readable("annotation", elements, annotations):
        if find_class(options.vocabulary, one.category_id) is None:
            detail = f"category_id {one.category_id} is in no categories[]"
            outcome.reject("annotation", READ, "unknown-class", detail, where=element.where)
            continue
        box = check_box(one.bbox, is_crowd=bool(one.iscrowd), size_hw=photo.image.size_hw, crowd="keep")
        if len(box) == 2:
            outcome.reject("annotation", PLACE, *box, where=element.where)
            dropped.add(one.category_id)
            continue
        outcome.note("clipped-boxes", xywh_to_xyxy(one.bbox) != box)
        region = Region(
            box_xyxy=box,
            is_crowd=bool(one.iscrowd),
            provenance=Provenance(source=element.label, annotation_id=str(one.id)),
            mask=_mask(one, photo.image.size_hw, outcome),
        )
        found.setdefault(one.category_id, []).append(region)
        outcome.use("annotation")
    if any(one.reason == "unreadable-annotation" for one in outcome.rejects):
        dropped |= found.keys()  # it may be of any of them
    return found, dropped


def _mask(annotation: CocoAnnotation, size_hw: tuple[int, int], outcome: Outcome) -> str | msgspec.UnsetType:
    """The annotation's mask; one that is none is counted, and the box stays."""
    try:
        found = read_segmentation(bytes(annotation.segmentation), size_hw)
    except RecordError:
        outcome.note("unreadable-masks")
        found = None
    return msgspec.UNSET if found is None else found


def _query(number: int, regions: tuple[int, ...], is_exhaustive: bool, image: Element, options: ImportOptions) -> Query:
    """A class as a query: its whole text names all its regions, or none where it is absent."""
    named = find_class(options.vocabulary, number)
    assert named is not None
    phrase = Phrase(
        spans=((0, len(named.text)),),
        regions=regions,
        provenance=Provenance(source=image.label, detail=class_detail(number)),
    )
    return Query(text=named.text, group=image.where, is_exhaustive=is_exhaustive, phrases=(phrase,))
