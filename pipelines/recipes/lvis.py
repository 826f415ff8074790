"""``build lvis``: LVIS's class names as queries: the classes of a photo with their boxes, and those verified absent."""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

from pipelines import console
from pipelines.absences import read_absences
from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import BuildOptions, Exclude, ImageRoot, MetadataOnly, flag
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box, xywh_to_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusion, read_exclusions
from xdetr_data.sources.lvis import COLLECTION, LvisImage, LvisInstances, parse_annotations, parse_image
from xdetr_data.sources.lvis_classes import read_class_sets, read_classes
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.choose_subset import Subset, describe_subset, draw_subset
from xdetr_data.stages.exclude_images import ExclusionList
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.vocabulary import NamedClass, class_detail, find_class

GROUP = "build"
PLACE, SAMPLE = "place_annotations", "sample_absences"


class LvisOptions(BuildOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides the bytes of LVIS; ``vocabulary`` and ``kept`` are no flags: ``recipe`` reads them from the file."""

    annotations: Annotated[
        str, flag("lvis_v1_train.json (or v0.5, or val), plain or .gz.", metavar="FILE", is_place=True, is_needed=True)
    ] = ""
    image_root: ImageRoot = msgspec.field(default_factory=dict)
    fraction: Annotated[
        float | None,
        flag("Only this share of the photos, as 0.01, chosen by --seed, with every class that there is room for."),
    ] = None
    subset: Annotated[
        str,
        flag(
            "Only the photos that a file lists: MDETR's finetune_lvis1_train.json, COCO-like JSON, or ids.",
            metavar="FILE",
            is_place=True,
        ),
    ] = ""
    absent: Annotated[
        int | None, flag("At most N of the classes that are verified absent from a photo. [default: all]", metavar="N")
    ] = None
    exclude: Exclude = ()
    metadata_only: MetadataOnly = False
    vocabulary: tuple[NamedClass, ...] = ()
    kept: Subset | None = None

    def check(self) -> None:
        """Raises ConfigError for options that contradict each other."""
        if not self.annotations:
            raise ConfigError("no input: give --annotations lvis_v1_train.json")
        if not self.image_root and not self.metadata_only:
            raise ConfigError("no photos: give --image-root coco=DIR (above train2017 and val2017), or --metadata-only")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"--fraction {self.fraction} must be above 0 and at most 1")
        if self.fraction is not None and self.subset:
            raise ConfigError("--fraction and --subset both choose photos: give one of them")
        if self.absent is not None and self.absent < 0:
            raise ConfigError(f"--absent {self.absent} must be at least 0")
        super().check()


def recipe(options: LvisOptions) -> Recipe:
    """Turn LVIS's annotations (v1 or v0.5) and COCO's photos into training shards.

    Every class that is annotated on a photo is one query, its name as people say it, with all its boxes; every class
    that is verified absent is a query whose phrase names no box. Of all other classes nothing is known on that photo.
    All classes of the file are in the manifest.

    **Examples**

    `xdetr-data build lvis --annotations lvis_v1_train.json --image-root coco=coco --out shards/lvis`

    `xdetr-data build lvis --annotations lvis_v1_train.json --image-root coco=coco --fraction 0.01 --absent 8
    --out shards/lvis-1`

    `xdetr-data build lvis --annotations lvis_v1_val.json --image-root coco=coco --split val --out shards/lvis-val`
    """
    options.check()
    kept, others = _subset(options)
    return Recipe(
        name="build lvis",
        prefix=f"lvis-{options.split}",
        options=msgspec.structs.replace(options, vocabulary=read_classes(options.annotations), kept=kept),
        sources=[LvisInstances(path=options.annotations)],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=[*others, *read_exclusions(options.exclude)],
        build=build_photo,
        seconds={"annotation": 1 / 27_000},  # of one process, from docs/benchmarks/lvis.md
        nothing="the inputs hold no image",
        remedy="check --annotations, --subset, --exclude and --limit",
    )


def _subset(options: LvisOptions) -> tuple[Subset | None, list[ExclusionList]]:
    """What the manifest says of the photos that are kept, and the list of the others; or nothing where all are."""
    if options.fraction is None and not options.subset:
        return None, []
    classes_of = read_class_sets(options.annotations)
    if options.fraction is not None:
        listed = draw_subset(classes_of, share=options.fraction, seed=options.seed)
    else:
        listed = frozenset[str]().union(*read_exclusion(options.subset, COLLECTION).ids.values())
    kept = describe_subset(classes_of, listed)
    if kept.unknown:
        console.warn(f"{kept.unknown:,} of {len(listed):,} photos of {options.subset} are not in {options.annotations}")
    if kept.lost:
        ids = ", ".join(map(str, kept.lost[:10])) + ", …" * (len(kept.lost) > 10)
        console.warn(f"{len(kept.lost):,} classes are lost: none of the {kept.photos:,} photos has one (ids {ids})")
    return kept, [
        ExclusionList(
            path=options.subset or options.annotations,
            format="photos that are not in the subset",
            ids={COLLECTION: frozenset(classes_of) - listed},
        )
    ]


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: LvisOptions) -> Outcome:
    """A photo's record: a query for each class that is annotated or verified absent, ordered by class, absences last.

    A query is exhaustive unless the file says otherwise, or an annotation of the class may have been dropped. A photo
    of another size than stated has other boxes, too.
    """
    outcome = Outcome(key=photo.key)
    if photo.image.size_hw != photo.stated_hw:
        (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
        detail = f"the annotations say {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
        outcome.rejects = elements.rejected(photo.key, READ, "size-mismatch", detail)
        return outcome
    present, dropped = _present(photo, elements["annotation"], options, outcome)
    images = [one for element in elements["image"] if isinstance(one := parse_image(element.data), LvisImage)]
    unsure = {number for one in images for number in one.not_exhaustive}
    absent = read_absences(elements["absence"], options.vocabulary, {*present, *dropped, *unsure}, outcome)
    absent = _sample(absent, photo.key, options, outcome)
    if not present and not absent:
        outcome.reject("photo", READ, "no-class-left")
        for element in elements["image"]:
            outcome.reject("image", READ, "no-class-left", where=element.where)
        return outcome
    group, source = elements["image"][0].where, elements["image"][0].label
    boxed = {number: present[number] for number in sorted(present)} | dict.fromkeys(sorted(absent), ())
    queries = [_query(number, boxes, group, source, options) for number, boxes in boxed.items()]
    regions, merged = merge_regions(queries, min_iou=1.0)  # two classes of one object have boxes of their own
    outcome.record = GroundedImage(
        key=photo.key,
        image=photo.image,
        regions=regions,
        queries=tuple(
            msgspec.structs.replace(query, is_exhaustive=number not in unsure | dropped)
            for number, query in zip(boxed, merged, strict=True)
        ),
    )
    outcome.use("photo")
    outcome.use("image", len(elements["image"]))
    outcome.use("annotation", sum(map(len, present.values())))
    outcome.use("absence", len(absent))
    return outcome


def _present(
    photo: PhotoToBuild, elements: Sequence[Element], options: LvisOptions, outcome: Outcome
) -> tuple[dict[int, list[tuple[str, Box]]], set[int]]:
    """By class the id and box of each annotation, and the classes of which one may have been dropped."""
    present: dict[int, list[tuple[str, Box]]] = {}
    dropped: set[int] = set()
    annotations = parse_annotations([element.data for element in elements])
    for element, one in outcome.readable("annotation", elements, annotations):
        if find_class(options.vocabulary, one.category_id) is None:
            detail = f"category_id {one.category_id} is in no categories[]"
            outcome.reject("annotation", READ, "unknown-class", detail, where=element.where)
            continue
        box = check_box(one.bbox, is_crowd=False, size_hw=photo.image.size_hw, crowd="drop")
        if len(box) == 2:
            outcome.reject("annotation", PLACE, *box, where=element.where)
            dropped.add(one.category_id)
            continue
        outcome.note("clipped-boxes", xywh_to_xyxy(one.bbox) != box)
        present.setdefault(one.category_id, []).append((str(one.id), box))
    if any(one.reason == "unreadable-annotation" for one in outcome.rejects):
        dropped |= present.keys()  # it may be of any of them
    return present, dropped


def _sample(absent: dict[int, Element], key: str, options: LvisOptions, outcome: Outcome) -> dict[int, Element]:
    """At most ``--absent`` of the absences, as seed and photo draw them."""
    if options.absent is None or len(absent) <= options.absent:
        return absent

    def draw(number: int) -> bytes:
        return hashlib.blake2b(f"{options.seed} {key} {number}".encode(), digest_size=8).digest()

    drawn = sorted(absent, key=draw)
    for number in sorted(drawn[options.absent :]):
        outcome.reject("absence", SAMPLE, "beyond-absent", f"class {number}", where=absent[number].where)
    return {number: absent[number] for number in drawn[: options.absent]}


def _query(number: int, boxes: Sequence[tuple[str, Box]], group: str, source: str, options: LvisOptions) -> BoxedQuery:
    """A class as a query: its whole text names all boxes, or none where it is absent."""
    named = find_class(options.vocabulary, number)
    assert named is not None
    phrase = BoxedPhrase(
        spans=((0, len(named.text)),),
        boxes_xyxy=tuple(box for _, box in boxes),
        annotation_ids=tuple(annotation for annotation, _ in boxes),
        detail=class_detail(number),
    )
    return BoxedQuery(text=named.text, group=group, source=source, phrases=(phrase,))
