"""A picture of some photos with their numbered objects, and below each what its files say of which number."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from xdetr_data.toyworld.formats.web import tar_file
from xdetr_data.toyworld.homes import CC_SHARD_PHOTOS
from xdetr_data.toyworld.truth import PhotoTruth, TextTruth, read_truth

_CELL_WIDTH, _PHOTO_HEIGHT, _TEXT_HEIGHT, _MARGIN = 380, 270, 190, 10
_LINE_HEIGHT, _FONT_SIZE, _TEXTS = 15, 12, 4
_PALETTE = (
    "#c0392b",
    "#2471a3",
    "#1e8449",
    "#8e44ad",
    "#b9770e",
    "#148f77",
    "#d81b60",
    "#5d4037",
    "#3949ab",
    "#558b2f",
)


def draw_contact_sheet(world: Path, *, photos: int = 12, columns: int = 4, first: int = 0) -> Image.Image:
    """Draws `photos` photos of a written world, beginning with photo `first`, in rows of `columns`."""
    drawable = (truth for truth in _photos_in_order(world, first) if load_photo(world, truth) is not None)
    truths = list(islice(drawable, photos))
    rows = -(-len(truths) // columns)
    height = _PHOTO_HEIGHT + _TEXT_HEIGHT
    sheet = Image.new("RGB", (columns * _CELL_WIDTH, rows * height), "white")
    for number, truth in enumerate(truths):
        sheet.paste(_cell(world, truth), (number % columns * _CELL_WIDTH, number // columns * height))
    return sheet


def load_photo(world: Path, truth: PhotoTruth) -> Image.Image | None:
    """The photo itself, out of its folder or its tar; None for the dead link of a caption."""
    if truth.collection != "cc":
        return Image.open(world / "photos" / truth.collection / truth.file_name)
    with tarfile.open(world / tar_file(truth.photo // CC_SHARD_PHOTOS)) as tar:
        if truth.file_name not in tar.getnames():
            return None
        member = tar.extractfile(truth.file_name)
        assert member is not None
        return Image.open(io.BytesIO(member.read()))


def _photos_in_order(world: Path, first: int) -> Iterator[PhotoTruth]:
    found = [truth for path in sorted((world / "truth").glob("*.jsonl")) for truth in read_truth(path)]
    yield from sorted((truth for truth in found if truth.photo >= first), key=lambda truth: truth.photo)


def _cell(world: Path, truth: PhotoTruth) -> Image.Image:
    cell = Image.new("RGB", (_CELL_WIDTH, _PHOTO_HEIGHT + _TEXT_HEIGHT), "white")
    draw = ImageDraw.Draw(cell)
    font = ImageFont.load_default(_FONT_SIZE)
    photo = load_photo(world, truth)
    if photo is not None:  # the caption of a dead link has none
        room = (_CELL_WIDTH - 2 * _MARGIN, _PHOTO_HEIGHT - 2 * _MARGIN)
        scale = min(room[0] / truth.width, room[1] / truth.height)
        size = (round(truth.width * scale), round(truth.height * scale))
        cell.paste(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS), (_MARGIN, _MARGIN))
        _draw_boxes(draw, truth, scale, font)
    y = _PHOTO_HEIGHT
    title = f"{truth.key} · {truth.split}"
    draw.text((_MARGIN, y), title, fill="black", font=font)
    for text in _telling_texts(truth):
        y = _draw_text(draw, text, y + _LINE_HEIGHT + 2, font)
    return cell


def _draw_boxes(
    draw: ImageDraw.ImageDraw, truth: PhotoTruth, scale: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> None:
    for number, seen in enumerate(truth.objects):
        left, top, right, bottom = (side * scale + _MARGIN for side in seen.box_xyxy)
        colour = _PALETTE[number % len(_PALETTE)]
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        draw.rectangle((left, top, left + 8 * len(str(number)) + 2, top + 13), fill=colour)
        draw.text((left + 2, top), str(number), fill="white", font=font)


def _telling_texts(truth: PhotoTruth) -> list[TextTruth]:
    """Texts of different files first, then more of the same."""
    first = {text.file: text for text in reversed(truth.texts)}
    rest = [text for text in truth.texts if text not in first.values()]
    return [*first.values(), *rest][:_TEXTS]


def _draw_text(
    draw: ImageDraw.ImageDraw, text: TextTruth, y: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> int:
    """Writes a text word by word, wrapped; named words have their object's colour and, at their end, its numbers."""
    x = float(_MARGIN)
    position = 0
    for word in text.text.split(" "):
        phrase = next((each for each in text.phrases if each.span[0] <= position < each.span[1]), None)
        ends = phrase is not None and position + len(word) >= phrase.span[1]
        label = f"{word}[{','.join(map(str, phrase.objects))}]" if phrase and ends else word
        width = draw.textlength(label + " ", font=font)
        if x + width > _CELL_WIDTH - _MARGIN:
            x, y = float(_MARGIN), y + _LINE_HEIGHT
        colour = _PALETTE[phrase.objects[0] % len(_PALETTE)] if phrase else "#222222"
        draw.text((x, y), label, fill=colour, font=font)
        x += width
        position += len(word) + 1
    return y
