"""From others' regions to queries: regions of the same words of the same text are one phrase."""

from collections.abc import Sequence

from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box
from xdetr_data.spans import Span

Words = tuple[str, tuple[Span, ...]]  # a text, and which of its characters


class Found:
    """What is found for a line or paragraph: boxes by the words that name them, in the order in which words are met."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """``texts`` are queries even where no box is found."""
        self._boxes: dict[str, dict[tuple[Span, ...], list[tuple[str, Box]]]] = {text: {} for text in texts}

    def add(self, words: Words, boxes: Sequence[Box], annotation_id: str) -> None:
        """Boxes that these words name."""
        text, spans = words
        own = self._boxes.setdefault(text, {}).setdefault(spans, [])
        own.extend((annotation_id, box) for box in boxes)

    def queries(self, *, group: str, source: str) -> list[BoxedQuery]:
        """A query for each text."""
        return [
            BoxedQuery(
                text=text,
                group=group,
                source=source,
                phrases=tuple(
                    BoxedPhrase(
                        spans=spans,
                        boxes_xyxy=tuple(box for _, box in boxes),
                        annotation_ids=tuple(identity for identity, _ in boxes),
                    )
                    for spans, boxes in phrases.items()
                ),
            )
            for text, phrases in self._boxes.items()
        ]
