"""``import --from odvg``: lines of grounding as queries, lines of detection as a query for each class."""

import re

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.recipe_options import ImportOptions
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.framing.files import Unreadable, locate
from xdetr_data.sources.odvg import Odvg, OdvgLine, OdvgRegion, parse_line, parse_region
from xdetr_data.sources.places import NoPhotos, Roots
from xdetr_data.sources.protocol import input_label
from xdetr_data.spans import Span, check_spans, join_spans
from xdetr_data.stages.check_boxes import check_corners
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.storage import Folder

GROUP = "import"
PLACE = "place_regions"
_COLLECTION = re.compile(r"[a-z0-9]{1,24}")


def recipe(options: ImportOptions) -> Recipe:
    """The recipe of ODVG's files."""
    return Recipe(
        name="import odvg",
        prefix=f"odvg-{options.split}",
        options=options,
        sources=[Odvg(path=path, collection=name) for path, name in _files(options)],
        photos=NoPhotos() if options.metadata_only else Roots(folders=options.image_root, option="--image-root"),
        lists=read_exclusions(options.exclude),
        build=build_photo,
        seconds={},
        nothing="the inputs name no photo",
        remedy="check the files, --exclude and --limit",
    )


def _files(options: ImportOptions) -> list[tuple[str, str]]:
    """The files with the collection of their photos; raises ConfigError where nothing says which it is."""
    found: list[tuple[str, str]] = []
    for path in options.inputs:
        fs, name = locate(path, or_folder=True)
        if not fs.isdir(name):
            found.append((path, options.source or _only_root(options)))
            continue
        names = [one for where in ("", "annotations/") for one in Folder(path).names(f"{where}*.jsonl")]
        if not names:
            raise InputError(f"{path}: holds no *.jsonl, nor does its folder annotations; check the address")
        found += [(f"{path.rstrip('/')}/{one}", options.source or input_label(one)) for one in names]
    for path, name in found:
        if not _COLLECTION.fullmatch(name):
            raise ConfigError(f"{path}: nothing says whose photos it is of: give --source NAME, as coco, vg or flickr")
    return found


def _only_root(options: ImportOptions) -> str:
    names = [name for name in options.image_root if name != "any"]
    return names[0] if len(names) == 1 else ""


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: ImportOptions) -> Outcome:
    """A photo's record: each line of grounding is a query, each class of a line of detection another."""
    outcome = Outcome(key=photo.key)
    if photo.image.size_hw != photo.stated_hw:
        (height, width), (stated_height, stated_width) = photo.image.size_hw, photo.stated_hw
        detail = f"a line says {stated_width}x{stated_height} pixels, the photo has {width}x{height}"
        outcome.rejects = elements.rejected(photo.key, READ, "size-mismatch", detail)
        return outcome
    regions: dict[tuple[str, int], list[tuple[Element, OdvgRegion | Unreadable]]] = {}
    for element in elements["region"]:
        line, region = parse_region(element.data)
        regions.setdefault((element.label, line), []).append((element, region))
    queries: list[BoxedQuery] = []
    for element in elements["line"]:
        line = parse_line(element.data)
        own = regions.get((element.label, line.id), [])
        if line.caption is not None and not line.caption.strip():
            outcome.reject("line", READ, "empty-caption", where=element.where)
            for region, _ in own:
                outcome.reject("region", READ, "line-rejected", where=region.where)
            continue
        made = _queries(element, line, own, photo.image.size_hw, outcome)
        if not made:
            outcome.reject("line", PLACE, "no-instance-left", where=element.where)
            continue
        outcome.use("line")
        queries += made
    if not queries:
        outcome.reject("photo", READ, "no-line-left")
        return outcome
    found, merged = merge_regions(queries, min_iou=1.0)
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=found, queries=merged)
    outcome.use("photo")
    return outcome


def _queries(
    line: Element,
    said: OdvgLine,
    regions: list[tuple[Element, OdvgRegion | Unreadable]],
    size_hw: tuple[int, int],
    outcome: Outcome,
) -> list[BoxedQuery]:
    """The queries of a line; regions of the same words are one phrase."""
    found: dict[tuple[str, tuple[Span, ...]], list[tuple[str, Box]]] = {}
    for element, region in regions:
        if isinstance(region, Unreadable):
            outcome.reject("region", READ, "unreadable-region", region.problem, where=element.where)
            continue
        words = _words(region, said.caption, outcome)
        if isinstance(words, str):
            outcome.reject("region", PLACE, "bad-span", words, where=element.where)
            continue
        boxes = _boxes(region, size_hw)
        if isinstance(boxes, tuple):
            outcome.reject("region", PLACE, *boxes, where=element.where)
            continue
        found.setdefault(words, []).extend((str(element.row), box) for box in boxes)
        outcome.use("region")
    phrases: dict[str, list[BoxedPhrase]] = {} if said.caption is None else {said.caption: []}
    for (text, spans), placed in found.items():
        phrases.setdefault(text, []).append(
            BoxedPhrase(
                spans=spans,
                boxes_xyxy=tuple(box for _, box in placed),
                annotation_ids=tuple(identity for identity, _ in placed),
            )
        )
    return [
        BoxedQuery(text=text, group=line.where, source=line.label, phrases=tuple(own)) for text, own in phrases.items()
    ]


def _words(region: OdvgRegion, caption: str | None, outcome: Outcome) -> tuple[str, tuple[Span, ...]] | str:
    """The text and the spans that a region is of, or why it is of none."""
    if caption is None:
        name = region.category or ""
        return (name, ((0, len(name)),)) if name.strip() else "an instance without a category"
    spans = region.tokens_positive
    if spans is None:  # Open-GroundingDino's: the words alone
        phrase = region.phrase or ""
        begin = caption.find(phrase) if phrase.strip() else -1
        if begin < 0:
            return f"no tokens_positive, and the caption does not hold phrase {phrase[:60]!r}"
        outcome.note("ambiguous-phrases", caption.count(phrase) > 1)
        spans = [[begin, begin + len(phrase)]]
    if (problem := check_spans(spans, caption)) is not None:
        return problem
    return caption, join_spans(spans, caption)


def _boxes(region: OdvgRegion, size_hw: tuple[int, int]) -> list[Box] | tuple[str, str]:
    """The boxes on the photo, or (reason, detail) of the first that is none."""
    given = region.bbox if region.bbox and isinstance(region.bbox[0], list) else [region.bbox]
    boxes: list[Box] = []
    for one in given:
        if not isinstance(one, list) or len(one) != 4:
            return "bad-box", f"bbox {one} is not [x0, y0, x1, y1]"
        x0, y0, x1, y1 = one
        box = check_corners((x0, y0, x1, y1), size_hw)
        if len(box) == 2:
            return box
        boxes.append(box)
    return boxes
