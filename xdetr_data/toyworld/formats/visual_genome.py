"""``visual_genome/image_data.json``: which of Visual Genome's photos are COCO photos under another number."""

from __future__ import annotations

from xdetr_data.toyworld.photo import Sheet, ToyPhoto

IMAGE_DATA = "visual_genome/image_data.json"


def write_visual_genome(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds the photo's facts. As in life, half of the photos are COCO's, too: here, ones that the world leaves out."""
    number = int(photo.home.photo_id)
    sheet.add(IMAGE_DATA, "elements", {
        "width": photo.scene.width, "height": photo.scene.height, "image_id": number,
        "url": f"https://photos.example.com/VG_100K/{photo.home.file_name}",
        "coco_id": 140 + 7 * photo.index if photo.index % 2 else None, "flickr_id": None,
    })  # fmt: skip
