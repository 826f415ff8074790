"""``import --from odvg`` and ``--from grit``: captions as queries, classes of a line as a query each."""

from typing import Final

from pipelines.engine.outcome import READ, Outcome, PhotoToBuild
from pipelines.engine.recipe import Recipe
from pipelines.importing.files import collection_of, files_of, of_another_size, photos_of
from pipelines.importing.phrases import Found, Words
from pipelines.recipe_options import ImportOptions
from xdetr_data.boxed import BoxedQuery
from xdetr_data.boxes import Box
from xdetr_data.record import GroundedImage
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.exclusions import read_exclusions
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.grit import Grit
from xdetr_data.sources.odvg import Odvg
from xdetr_data.sources.region_lines import Region, RegionLines, SpilledLine, parse_region, parse_spilled
from xdetr_data.spans import check_spans, join_spans
from xdetr_data.stages.check_boxes import check_corners
from xdetr_data.stages.merge_regions import merge_regions

PLACE: Final = "place_regions"
_FILES: dict[str, tuple[type[RegionLines], tuple[str, ...]]] = {
    "odvg": (Odvg, ("*.jsonl", "annotations/*.jsonl")),
    "grit": (Grit, ("*.jsonl", "annotations/*.jsonl", "*.parquet")),
}


def recipe(options: ImportOptions) -> Recipe:
    """The recipe of ODVG's or GRIT's files."""
    source, patterns = _FILES[options.origin]
    return Recipe(
        name=f"import {options.origin}",
        prefix=f"{options.origin}-{options.split}",
        options=options,
        sources=[source(path=path, collection=collection_of(path, options)) for path in files_of(options, patterns)],
        photos=photos_of(options),
        lists=read_exclusions(options.exclude),
        build=build_photo,
        seconds={},
        nothing="the inputs name no photo",
        remedy="check the files, --exclude and --limit",
    )


def build_photo(photo: PhotoToBuild, elements: PhotoElements, options: ImportOptions) -> Outcome:
    """A photo's record: each caption of a line is a query, each class of a line of classes another."""
    outcome = Outcome(key=photo.key)
    if rejects := of_another_size(photo, elements):
        outcome.rejects = rejects
        return outcome
    regions: dict[tuple[str, int], list[tuple[Element, Region | Unreadable]]] = {}
    for element in elements["region"]:
        line, region = parse_region(element.data)
        regions.setdefault((element.label, line), []).append((element, region))
    queries: list[BoxedQuery] = []
    for element in elements["line"]:
        line = parse_spilled(element.data)
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
    said: SpilledLine,
    regions: list[tuple[Element, Region | Unreadable]],
    size_hw: tuple[int, int],
    outcome: Outcome,
) -> list[BoxedQuery]:
    """The queries of a line."""
    found = Found([] if said.caption is None else [said.caption])
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
        found.add(words, boxes, str(element.row))
        outcome.use("region")
    return found.queries(group=line.where, source=line.label)


def _words(region: Region, caption: str | None, outcome: Outcome) -> Words | str:
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


def _boxes(region: Region, size_hw: tuple[int, int]) -> list[Box] | tuple[str, str]:
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
