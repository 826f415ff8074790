"""Conversations with boxes, as models that talk about photos are trained on: Qwen-VL's and ShareGPT's JSON lines.

The user asks for the objects of a sentence, the answer names each phrase with all its boxes. Qwen-VL has whole
thousandths of the photo's sides in ``<ref>…</ref><box>(x0,y0),(x1,y1)</box>`` (QwenLM/Qwen-VL, README); ShareGPT's
style has shares with three decimals in brackets, as LLaVA and Shikra read them.
"""

from collections.abc import Sequence
from typing import Any, Literal

from xdetr_data.boxes import Box, normalise_xyxy, scale_xyxy
from xdetr_data.record import GroundedImage, Query
from xdetr_data.spans import span_text

Style = Literal["qwen", "sharegpt"]
ASK = "Locate the objects of this sentence: "


def rounded_qwen(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The box that whole thousandths give back."""
    x0, y0, x1, y1 = _thousandths(normalise_xyxy(box_xyxy, size_hw))
    return scale_xyxy((x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000), size_hw)


def rounded_sharegpt(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The box that shares with three decimals give back."""
    x0, y0, x1, y1 = (round(side, 3) for side in normalise_xyxy(box_xyxy, size_hw))
    return scale_xyxy((x0, y0, x1, y1), size_hw)


def conversations(record: GroundedImage, style: Style) -> list[dict[str, Any]]:
    """A conversation for each query of a projected record that has a box; its number among them ends its id."""
    boxed = [query for query in record.queries if any(phrase.regions for phrase in query.phrases)]
    return [_conversation(record, query, number, style) for number, query in enumerate(boxed)]


def _conversation(record: GroundedImage, query: Query, number: int, style: Style) -> dict[str, Any]:
    answers = []
    for phrase in query.phrases:
        boxes = [normalise_xyxy(record.regions[index].box_xyxy, record.image.size_hw) for index in phrase.regions]
        if boxes:
            words = span_text(phrase.spans, query.text)
            answers.append(_in_qwen(words, boxes) if style == "qwen" else _in_brackets(words, boxes))
    image = record.image.file_name
    asked = f"Picture 1: <img>{image}</img>\n{ASK}" if style == "qwen" else f"<image>\n{ASK}"
    return {
        "id": f"{record.key}-{number}",
        "image": image,
        "conversations": [
            {"from": "user" if style == "qwen" else "human", "value": f"{asked}{query.text}"},
            {"from": "assistant" if style == "qwen" else "gpt", "value": "\n".join(answers)},
        ],
    }


def _in_qwen(words: str, boxes: Sequence[Box]) -> str:
    found = map(_thousandths, boxes)
    return f"<ref>{words}</ref>" + "".join(f"<box>({a},{b}),({c},{d})</box>" for a, b, c, d in found)


def _thousandths(box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (min(999, round(1000 * side)) for side in box)
    return x0, y0, x1, y1


def _in_brackets(words: str, boxes: Sequence[Box]) -> str:
    return f"{words}: " + ";".join(f"[{', '.join(f'{side:.3f}' for side in box)}]" for box in boxes)
