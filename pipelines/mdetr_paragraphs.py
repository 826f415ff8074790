"""MDETR's annotations by the paragraph that they hang on, for the recipes that read its files."""

from collections.abc import Sequence

from pipelines.engine.outcome import READ, Outcome
from xdetr_data.sources.elements import Element
from xdetr_data.sources.mdetr_records import MdetrAnnotation, parse_annotations

Named = dict[tuple[str, int], list[tuple[Element, MdetrAnnotation]]]  # (input, paragraph id) → in file order


def by_paragraph(elements: Sequence[Element], outcome: Outcome) -> Named:
    """The annotations that can be read; the others are rejected."""
    named: Named = {}
    annotations = parse_annotations([element.data for element in elements])
    for element, annotation in outcome.readable("annotation", elements, annotations):
        named.setdefault((element.label, annotation.paragraph_id), []).append((element, annotation))
    return named


def reject_orphans(named: Named, outcome: Outcome) -> None:
    """Rejects what is left once every paragraph took its own."""
    for orphans in named.values():
        for element, _ in orphans:
            outcome.reject("annotation", READ, "paragraph-rejected", where=element.where)
