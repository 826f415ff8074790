"""One photo of a mixed* build: from the elements of its paragraphs, annotations and boxes to one record."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.mixed_star.config import MixedStarConfig
from pipelines.outcome import Outcome
from xdetr_data.boxed import BoxedQuery, LooseBox
from xdetr_data.boxes import Box, xywh_to_xyxy
from xdetr_data.record import GroundedImage, ImageRef, Rejected
from xdetr_data.sources import coco
from xdetr_data.sources.framing.json_stream import Unreadable
from xdetr_data.sources.mdetr import MdetrAnnotation, MdetrParagraph, parse_annotations, parse_paragraph
from xdetr_data.spans import Span, check_spans, join_spans
from xdetr_data.stages.check_boxes import check_box
from xdetr_data.stages.form_queries import PlacedAnnotation, form_queries
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.stages.splitting.shared_boxes import hulls_of_overlapping
from xdetr_data.stages.splitting.split_paragraph import split_paragraph

PACKING_IOU = 0.5
CLIPPED = "clipped-boxes"
READ, PLACE, SPLIT, BOXES = "read_elements", "place_annotations", "split_paragraph", "place_boxes"


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an input file as it stands there."""

    label: str
    array: str
    row: int
    data: bytes

    @property
    def where(self) -> str:
        """What a reject calls it: ``final_mixed_train#annotations[12]``."""
        return f"{self.label}#{self.array}[{self.row}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoElements:
    """All that the inputs say of one photo, each in the order of files and rows."""

    paragraphs: list[Element] = field(default_factory=list)
    annotations: list[Element] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)

    def rejected(self, key: str, stage: str, reason: str, detail: str) -> list[Rejected]:
        """Rejects of the photo and with it of all its elements, for the photo's own reason."""
        return [Rejected(key=key, unit="photo", stage=stage, reason=reason, detail=detail)] + [
            Rejected(key=key, unit=unit, stage=stage, reason=reason, input_ref=element.where)
            for unit, elements in (
                ("paragraph", self.paragraphs),
                ("annotation", self.annotations),
                ("box", self.boxes),
            )
            for element in elements
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbiguousCut:
    """A possible boundary that the evidence neither proves nor excludes; ``is_cut`` says how it was decided."""

    key: str
    group: str
    offset: int
    is_cut: bool
    caption: str


@dataclass(slots=True, kw_only=True)
class MixedOutcome(Outcome):
    """The outcome of a photo with the cuts that no evidence decides."""

    ambiguous: list[AmbiguousCut] = field(default_factory=list)


def build_photo(key: str, image: ImageRef, inputs: PhotoElements, config: MixedStarConfig) -> MixedOutcome:
    """The whole recipe for one photo: read, place, split, merge.

    A photo without any readable paragraph is rejected with all its elements; its own size decides which paragraphs
    speak of it.
    """
    outcome = MixedOutcome()
    annotations = _by_paragraph(key, inputs.annotations, outcome)
    queries: list[BoxedQuery] = []
    for element in inputs.paragraphs:
        queries += _paragraph_queries(key, image.size_hw, element, annotations, config, outcome)
    for orphans in annotations.values():
        for element, _ in orphans:
            outcome.rejects.append(_reject(key, "annotation", element, READ, "paragraph-rejected"))
    if not queries:
        problem = Rejected(key=key, unit="photo", stage=READ, reason="no-paragraph-left")
        boxes = [_reject(key, "box", element, READ, "no-paragraph-left") for element in inputs.boxes]
        outcome.rejects += [problem, *boxes]
        return outcome
    regions, merged = merge_regions(queries, min_iou=config.min_iou(image.source))
    record = GroundedImage(key=key, image=image, regions=regions, queries=merged)
    loose = _loose_boxes(key, image.size_hw, inputs.boxes, config, outcome)
    outcome.record, duplicates = merge_boxes(record, loose, dedupe_iou=config.dedupe_iou)
    outcome.rejects += duplicates
    outcome.use("photo")
    outcome.use("box", len(loose) - len(duplicates))
    return outcome


def _reject(key: str, unit: str, element: Element, stage: str, reason: str, detail: str = "") -> Rejected:
    return Rejected(key=key, unit=unit, stage=stage, reason=reason, detail=detail, input_ref=element.where)


_Named = dict[tuple[str, int], list[tuple[Element, MdetrAnnotation]]]


def _by_paragraph(key: str, elements: Sequence[Element], outcome: MixedOutcome) -> _Named:
    """(input, paragraph id) → its annotations in file order."""
    named: _Named = {}
    seen: set[tuple[str, int | str]] = set()
    for element, annotation in zip(elements, parse_annotations([one.data for one in elements]), strict=True):
        if isinstance(annotation, Unreadable):
            problem = _reject(key, "annotation", element, READ, "unreadable-annotation", annotation.problem)
            outcome.rejects.append(problem)
        elif (element.label, annotation.id) in seen:
            problem = _reject(key, "annotation", element, READ, "duplicate-annotation-id", f"id {annotation.id}")
            outcome.rejects.append(problem)
        else:
            seen.add((element.label, annotation.id))
            named.setdefault((element.label, annotation.image_id), []).append((element, annotation))
    return named


def _paragraph_queries(
    key: str, size_hw: tuple[int, int], element: Element, named: _Named, config: MixedStarConfig, outcome: MixedOutcome
) -> list[BoxedQuery]:
    """The independent queries of one paragraph; takes its annotations out of ``named``."""
    paragraph = parse_paragraph(element.data)
    problem = _paragraph_problem(paragraph, size_hw)
    if problem is not None or isinstance(paragraph, Unreadable):
        outcome.rejects.append(_reject(key, "paragraph", element, READ, *(problem or ("unreadable-paragraph", ""))))
        return []
    placed: list[tuple[Element, PlacedAnnotation]] = []
    spans: list[tuple[Span, ...]] = []  # also of annotations whose box is bad: their words are evidence for the split
    boxes: list[Box] = []
    for source, annotation in named.pop((element.label, paragraph.id), []):
        place = _place(annotation, paragraph.caption, size_hw, config)
        if isinstance(place, PlacedAnnotation):
            placed.append((source, place))
            spans.append(place.spans)
            boxes.append(xywh_to_xyxy(annotation.bbox))
            outcome.note(CLIPPED, place.is_clipped)
        else:
            outcome.rejects.append(_reject(key, "annotation", source, PLACE, *place))
            if place[0] != "bad-span":
                spans.append(join_spans(annotation.tokens_positive, paragraph.caption))
    group = f"{element.label}#{paragraph.id}"
    together = hulls_of_overlapping([one.spans for _, one in placed], boxes, PACKING_IOU)
    sentences = _sentences(key, group, paragraph, (spans, together), config, outcome)
    queries, homeless = form_queries(
        paragraph.caption, sentences, [one for _, one in placed], group=group, source=element.label
    )
    for source, one in placed:
        if one in homeless:
            detail = f"spans {list(one.spans)}"
            outcome.rejects.append(_reject(key, "annotation", source, SPLIT, "span-crosses-queries", detail))
    outcome.use("paragraph")
    outcome.use("annotation", len(placed) - len(homeless))
    return queries


def _paragraph_problem(paragraph: MdetrParagraph | Unreadable, size_hw: tuple[int, int]) -> tuple[str, str] | None:
    if isinstance(paragraph, Unreadable):
        return "unreadable-paragraph", paragraph.problem
    if not paragraph.caption.strip():
        return "empty-caption", "the caption holds no words"
    if (paragraph.height, paragraph.width) != size_hw:
        stated, actual = f"{paragraph.width}x{paragraph.height}", f"{size_hw[1]}x{size_hw[0]}"
        return "size-mismatch", f"says {stated} pixels, the photo has {actual}"
    return None


def _place(
    annotation: MdetrAnnotation, caption: str, size_hw: tuple[int, int], config: MixedStarConfig
) -> PlacedAnnotation | tuple[str, str]:
    """The annotation with its box on the photo and its words in the caption, or (reason, detail)."""
    if (problem := check_spans(annotation.tokens_positive, caption)) is not None:
        return "bad-span", problem
    box = check_box(annotation.bbox, is_crowd=bool(annotation.iscrowd), size_hw=size_hw, crowd=config.crowd)
    if len(box) == 2:
        return box
    return PlacedAnnotation(
        id=str(annotation.id),
        box_xyxy=box,
        is_clipped=_is_clipped(annotation.bbox, box),
        spans=join_spans(annotation.tokens_positive, caption),
    )


def _is_clipped(box_xywh: Box, box_xyxy: Box) -> bool:
    x, y, w, h = box_xywh
    return (x, y, x + w, y + h) != box_xyxy


def _sentences(
    key: str,
    group: str,
    paragraph: MdetrParagraph,
    evidence: tuple[list[tuple[Span, ...]], list[Span]],
    config: MixedStarConfig,
    outcome: MixedOutcome,
) -> tuple[Span, ...]:
    """The paragraph's queries; ``evidence`` is the annotations' spans and those that no boundary lies across."""
    caption = paragraph.caption
    if not (config.split_paragraphs and paragraph.is_packed):
        return ((0, len(caption)),)
    spans, together = evidence
    split = split_paragraph(
        caption, annotation_spans=spans, negative_spans=paragraph.tokens_negative, together=together
    )
    if split.ambiguous:
        ends = {end for _, end in split.sentences}
        outcome.note("ambiguous-cuts", len(split.ambiguous))
        outcome.ambiguous += [
            AmbiguousCut(key=key, group=group, offset=offset, is_cut=offset in ends, caption=caption)
            for offset in split.ambiguous
        ]
    return split.sentences


def _loose_boxes(
    key: str, size_hw: tuple[int, int], elements: Sequence[Element], config: MixedStarConfig, outcome: MixedOutcome
) -> list[LooseBox]:
    """COCO's boxes as values on the photo, in file order."""
    loose: list[LooseBox] = []
    seen: set[tuple[str, int | str]] = set()
    for element in elements:
        box = coco.parse_box(element.data)
        if isinstance(box, Unreadable):
            outcome.rejects.append(_reject(key, "box", element, READ, "unreadable-box", box.problem))
            continue
        if (element.label, box.id) in seen:
            outcome.rejects.append(_reject(key, "box", element, READ, "duplicate-annotation-id", f"id {box.id}"))
            continue
        seen.add((element.label, box.id))
        checked = check_box(box.bbox, is_crowd=bool(box.iscrowd), size_hw=size_hw, crowd=config.crowd)
        if len(checked) == 2:
            outcome.rejects.append(_reject(key, "box", element, BOXES, *checked))
            continue
        outcome.note(CLIPPED, _is_clipped(box.bbox, checked))
        loose.append(
            LooseBox(
                box_xyxy=checked,
                is_crowd=bool(box.iscrowd),
                source=element.label,
                annotation_id=str(box.id),
                input_ref=element.where,
            )
        )
    return loose
