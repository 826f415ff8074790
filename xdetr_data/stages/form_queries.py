"""From a paragraph's sentences and its placed annotations to independent queries with their phrases."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box
from xdetr_data.spans import Span, contains, shift_spans


class PlacedAnnotation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An annotation whose box is on the photo and whose joined spans are in the caption."""

    id: str
    box_xyxy: Box
    spans: tuple[Span, ...]


def form_queries(
    caption: str, sentences: Sequence[Span], annotations: Iterable[PlacedAnnotation], *, group: str, source: str
) -> tuple[list[BoxedQuery], list[PlacedAnnotation]]:
    """One query for each sentence, its spans counted from the sentence's first character.

    Annotations with the same spans are one phrase with several boxes. Returns the queries, in the caption's order, and
    the annotations that no single sentence holds.
    """
    phrases: list[dict[tuple[Span, ...], list[PlacedAnnotation]]] = [{} for _ in sentences]
    homeless: list[PlacedAnnotation] = []
    begins = [begin for begin, _ in sentences]
    for annotation in annotations:
        index = bisect_right(begins, annotation.spans[0][0]) - 1
        if index >= 0 and contains(sentences[index], annotation.spans):
            phrases[index].setdefault(annotation.spans, []).append(annotation)
        else:
            homeless.append(annotation)
    queries = [
        BoxedQuery(
            text=caption[begin:end],
            group=group,
            source=source,
            phrases=tuple(
                BoxedPhrase(
                    spans=shift_spans(spans, -begin),
                    boxes_xyxy=tuple([one.box_xyxy for one in named]),
                    annotation_ids=tuple([one.id for one in named]),
                )
                for spans, named in sorted(phrases[index].items())
            ),
        )
        for index, (begin, end) in enumerate(sentences)
    ]
    return queries, homeless
