"""Inputs of some thousand paragraphs with a little of everything that goes wrong, so that every file has rows."""

from functools import cache
from pathlib import Path

from tests.pipelines.tiny import COCO, MDETR, World, annotation, coco_box, coco_name, jpeg, paragraph, shelf, to_json

PHOTOS, PARAGRAPHS = 500, 6
EXCLUDED = "held_out.txt"


@cache
def middling() -> World:
    """500 photos in 3,000 paragraphs: some missing, some damaged, some excluded; some bad records of every kind."""
    world = World(images=[], annotations=[], boxes=[], photos={})
    for photo in range(1, PHOTOS + 1):
        if photo % 41:
            world.photos[coco_name(photo)] = jpeg(photo % 7) if photo % 83 else b"no photo"
        for _ in range(PARAGRAPHS):
            number = len(world.images)
            caption = f"a red ball. the blue box on a shelf. no. {number} is st. nick. is it red?"
            wrong = {"width": "wide"} if number % 101 == 0 else {"height": 49} if number % 103 == 0 else {}
            world.images.append(paragraph(number, photo, caption=caption, **wrong))
            first = 2 * number
            wrong = {"bbox": [1, 1, 0, 1]} if number % 37 == 0 else {"image_id": 10**7} if number % 53 == 0 else {}
            world.annotations.append(annotation(first, number, **wrong))
            world.annotations.append(shelf(first + 1, number, bbox=[30.0, 20.0, 20.0 + number % 3, 16.0]))
        world.boxes += [coco_box(3 * photo + i, photo if i else photo + PHOTOS // 2) for i in range(3)]
    return world


def write_middling(folder: Path) -> list[str]:
    """Writes the inputs; returns the arguments that build them in about a dozen shards, but for ``--out``."""
    world = middling()
    (folder / MDETR).write_bytes(to_json({"images": world.images, "annotations": world.annotations}))
    (folder / COCO).write_bytes(to_json({"annotations": world.boxes}))
    (folder / EXCLUDED).write_text("".join(f"{number}\n" for number in range(7, PHOTOS, 90)))
    (folder / "photos").mkdir()
    for name, data in world.photos.items():
        (folder / "photos" / name).write_bytes(data)
    return [
        "build-mixed-star",
        f"--mdetr={folder / MDETR}",
        f"--coco-instances={folder / COCO}",
        f"--image-root=coco={folder / 'photos'}",
        f"--exclude={folder / EXCLUDED}",
        "--shard-bytes=300kB",
        "--max-error-rate=1",
    ]
