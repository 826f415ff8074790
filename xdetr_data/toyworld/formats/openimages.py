"""OpenImages: ``*-annotations-bbox.csv`` (V6 columns in train, with the four clicks) and the class descriptions."""

from __future__ import annotations

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.homes import Split
from xdetr_data.toyworld.photo import Sheet, ToyPhoto
from xdetr_data.toyworld.view import Seen

SPLIT_NAMES: dict[Split, str] = {"train": "train", "val": "validation", "test": "test"}
_COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
_CLICK_COLUMNS = "XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y"
HEADERS: dict[Split, str] = {
    "train": f"{_COLUMNS},{_CLICK_COLUMNS}\n",
    "val": f"{_COLUMNS}\n",
    "test": f"{_COLUMNS}\n",
}
CLASS_DESCRIPTIONS = "".join(f"{shape.open_images_id},{shape.name.capitalize()}\n" for shape in words.SHAPES)


def boxes_file(split: Split) -> str:
    """Path of a split's boxes."""
    return f"openimages/{SPLIT_NAMES[split]}-annotations-bbox.csv"


def write_openimages(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds a row for each box; a class that no human verified in this photo has none."""
    dice = photo.dice(Purpose.OPENIMAGES)
    split = photo.home.split
    for shape in sorted({seen.shape for seen in photo.view.objects}):
        if dice.chance(0.06):
            continue
        for seen in photo.view.objects:
            if seen.shape == shape:
                sheet.add_bytes(boxes_file(split), "lines", _row(photo, seen, dice, with_clicks=split == "train"))


def _row(photo: ToyPhoto, seen: Seen, dice: Dice, *, with_clicks: bool) -> bytes:
    width, height = photo.scene.width, photo.scene.height
    left, top, right, bottom = seen.box_xyxy
    by_clicks = dice.chance(0.92)
    flags = [int(seen.visible_share < 0.97), int(seen.is_cut), int(seen.is_crowd), 0, 0]
    if dice.chance(0.03):
        flags = [-1] * 5  # nobody was asked
    cells = [
        photo.home.photo_id, "xclick" if by_clicks else "activemil", words.SHAPE[seen.shape].open_images_id, "1",
        f"{left / width:.6f}", f"{right / width:.6f}", f"{top / height:.6f}", f"{bottom / height:.6f}",
        *(str(flag) for flag in flags),
    ]  # fmt: skip
    if with_clicks:
        clicks = [-1.0] * 8
        if by_clicks:  # the leftmost, topmost, rightmost and lowest point of the object
            x, y = dice.uniform(left, right), dice.uniform(top, bottom)
            clicks = [left / width, x / width, right / width, x / width]
            clicks += [y / height, top / height, y / height, bottom / height]
        cells += [f"{value:.6f}" for value in clicks]
    return ",".join(cells).encode()
