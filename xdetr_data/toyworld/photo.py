"""One photo of the world, ready for the format writers, and the sheet on which they write."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec

from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.homes import Home, home_of
from xdetr_data.toyworld.render import Rendered, render
from xdetr_data.toyworld.scene import Scene, sample_scene
from xdetr_data.toyworld.truth import ObjectTruth, PhotoTruth, TextTruth
from xdetr_data.toyworld.view import IntBox, View

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ToyPhoto:
    """A drawn photo with its names and what speakers see."""

    seed: int
    index: int
    home: Home
    scene: Scene
    rendered: Rendered
    view: View

    def dice(self, purpose: Purpose) -> Dice:
        """The stream of this photo for one purpose."""
        return Dice(self.seed, self.index, purpose)


def toy_photo(seed: int, index: int) -> ToyPhoto:
    """Draws photo ``index`` of world ``seed``; depends on nothing else."""
    scene = sample_scene(seed, index)
    rendered = render(scene, seed, index)
    return ToyPhoto(seed, index, home_of(index), scene, rendered, View.of(scene, rendered))


class Sheet:
    """What the writers put down for a run of photos: rows by (file, section), whole small files, counts, truth."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()
        self.texts: list[TextTruth] = []

    def add(self, file: str, section: str, row: object) -> None:
        """One JSON value of a section of a file."""
        self.add_bytes(file, section, _ENCODER.encode(row))

    def add_bytes(self, file: str, section: str, row: bytes) -> None:
        """One row of a section of a file, encoded already."""
        self.rows.setdefault((file, section), []).append(row)
        self.counts[f"{file}#{section}"] += 1

    def close_photo(self, photo: ToyPhoto) -> None:
        """Writes down the photo's truth, with the texts that the writers told of it."""
        objects = tuple(
            ObjectTruth(**{name: getattr(seen, name) for name in seen.__struct_fields__}, held_out=seen.is_held_out)
            for seen in photo.view.objects
        )
        home = photo.home
        truth = PhotoTruth(
            key=home.key, photo=photo.index, collection=home.collection, split=home.split, photo_id=home.photo_id,
            file_name=home.file_name, height=photo.scene.height, width=photo.scene.width,
            objects=objects, texts=tuple(self.texts),
        )  # fmt: skip
        self.add(f"truth/{home.split}.jsonl", "lines", truth)
        self.texts = []


def box_xywh(box_xyxy: IntBox) -> list[float]:
    """[left, top, width, height] in pixels."""
    left, top, right, bottom = box_xyxy
    return [float(left), float(top), float(right - left), float(bottom - top)]
