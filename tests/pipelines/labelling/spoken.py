"""A tiny spoken world made by hand, a grounder that knows its boxes, and a run of ``pseudo-label`` on it."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.engine.run import run_recipe
from pipelines.labelling.options import LabelOptions
from pipelines.recipes.locnar import LocnarOptions, recipe
from tests.pipelines import tiny
from xdetr_data.boxes import Box
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_data.spans import span_text
from xdetr_data.storage import Folder

FARM, ROOM = f"{0xABC:016x}", f"{0xDEF:016x}"
SIZES_HW = {FARM: (100, 200), ROOM: (120, 160)}  # a grounder sees no name: it tells photos by their sizes
LEFT, RIGHT, MIDDLE = (0.0, 10.0, 50.0, 90.0), (140.0, 10.0, 200.0, 90.0), (70.0, 20.0, 120.0, 80.0)
LEFT_AGAIN, RIGHT_AGAIN = (2.0, 10.0, 50.0, 90.0), (142.0, 10.0, 200.0, 90.0)
FAR_OFF = (60.0, 0.0, 130.0, 8.0)

Known = Mapping[tuple[int, int], Mapping[str, Sequence[tuple[Box, float]]]]

FOUND: Known = {
    SIZES_HW[FARM]: {
        "three dogs": [(LEFT, 0.9), (LEFT_AGAIN, 0.85), (RIGHT, 0.8), (MIDDLE, 0.7), (FAR_OFF, 0.6)],
        "a red ball": [(RIGHT, 0.6), (MIDDLE, 0.5)],
        "trees": [(LEFT, 0.5), (FAR_OFF, 0.3), (MIDDLE, 0.2)],
        "a kite": [],
    },
    SIZES_HW[ROOM]: {"a cat": [((10.0, 10.0, 60.0, 60.0), -0.2)], "a table": [((0.0, 60.0, 160.0, 120.0), 0.4)]},
}


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What a grounder answers."""

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    fit: str = "whole"


class KnowingGrounder:
    """Finds the boxes that it was told, and nothing else."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def prepare(self, photo: Image.Image) -> tuple[int, int]:
        return (photo.height, photo.width)

    def ground_prepared(self, photos: Sequence[Any], phrases: Sequence[Sequence[Any]], keep: int) -> list[Any]:
        return [
            [self._answer(size_hw, span_text(one.spans, one.text), keep) for one in group]
            for size_hw, group in zip(photos, phrases, strict=True)
        ]

    def _answer(self, size_hw: tuple[int, int], name: str, keep: int) -> Candidates:
        found = self._known[size_hw].get(name.lower(), ())[:keep]
        return Candidates(
            boxes_xyxy=np.array([box for box, _ in found], dtype=np.float64).reshape(-1, 4),
            scores=np.array([score for _, score in found], dtype=np.float32),
        )

    def forget(self) -> None:
        """Keeps nothing between calls."""

    def fingerprint(self) -> str:
        return "knows"


def load_knowing(name: str, *, device: str, precision: str, batch_size: int) -> KnowingGrounder:
    """In place of loading a checkpoint."""
    return KnowingGrounder(FOUND)


def jpeg(size_hw: tuple[int, int], seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    sink = io.BytesIO()
    small.resize((size_hw[1], size_hw[0])).save(sink, "JPEG")
    return sink.getvalue()


def narrative(image_id: str, caption: str, *, at: Mapping[str, Box] | None = None, **changes: Any) -> dict[str, Any]:
    """A line: every word takes a second, and while the words of ``at`` are said the mouse circles their box."""
    begins = [
        index for index, letter in enumerate(caption) if letter != " " and (not index or caption[index - 1] == " ")
    ]
    words = caption.split()
    timed = [{"utterance": word, "start_time": float(i), "end_time": i + 1.0} for i, word in enumerate(words)]
    trace = []
    for phrase, box in (at or {}).items():
        first = begins.index(caption.index(phrase))
        trace += _circles(box, SIZES_HW[image_id], first, first + len(phrase.split()))
    return {
        "dataset_id": "open_images_train",
        "image_id": image_id,
        "annotator_id": 7,
        "caption": caption,
        "timed_caption": timed,
        "traces": [sorted(trace, key=lambda point: point["t"])],
        "voice_recording": "x.ogg",
    } | changes


def _circles(box: Box, size_hw: tuple[int, int], begin_s: float, end_s: float) -> list[dict[str, float]]:
    x0, y0, x1, y1 = box
    times = np.linspace(begin_s, end_s, 40)
    angles = np.linspace(0, 4 * np.pi, 40)
    x = ((x0 + x1) / 2 + 0.48 * (x1 - x0) * np.cos(angles)) / size_hw[1]
    y = ((y0 + y1) / 2 + 0.48 * (y1 - y0) * np.sin(angles)) / size_hw[0]
    return [{"x": a, "y": b, "t": t} for a, b, t in zip(x.tolist(), y.tolist(), times.tolist(), strict=True)]


def row(image_id: str, box: Box, **flags: int) -> str:
    """A line of a box file."""
    height, width = SIZES_HW[image_id]
    x0, y0, x1, y1 = box
    values = [flags.get(name, 0) for name in ("occluded", "truncated", "group_of", "depiction", "inside")]
    place = [x0 / width, x1 / width, y0 / height, y1 / height]
    return ",".join(map(str, [image_id, "xclick", "/m/1", 1, *place, *values]))


HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
FARM_CAPTION = "There are three dogs. There is a red ball near trees. In this image there is a kite."
ROOM_CAPTION = "There is a cat on a table."


@dataclass
class World:
    """Two photos, a narrative and some boxes each. A test changes what it likes, and then writes the files."""

    lines: list[Any] = field(
        default_factory=lambda: [
            narrative(FARM, FARM_CAPTION, at={"three dogs.": RIGHT, "a red ball": MIDDLE}),
            narrative(ROOM, ROOM_CAPTION, traces=None, timed_caption=None),
        ]
    )
    rows: list[str] = field(
        default_factory=lambda: [
            HEADER,
            row(FARM, RIGHT_AGAIN),
            row(FARM, (0.0, 95.0, 20.0, 100.0)),
            row(ROOM, (0.0, 0.0, 160.0, 120.0), group_of=1),
        ]
    )
    photos: dict[str, bytes] = field(
        default_factory=lambda: {f"{name}.jpg": jpeg(size_hw) for name, size_hw in SIZES_HW.items()}
    )

    def write(self, folder: Path) -> None:
        lines = [tiny.to_json(one) if isinstance(one, dict) else one for one in self.lines]
        (folder / "told.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        (folder / "boxes.csv").write_text("".join(f"{line}\n" for line in self.rows))
        (folder / "photos").mkdir()
        for name, data in self.photos.items():
            (folder / "photos" / name).write_bytes(data)


def options_of(folder: Path, labels: LabelOptions | None = None, **changes: Any) -> LocnarOptions:
    """The options of a run on a world's files."""
    values: dict[str, Any] = {
        "ckpt": ("none",),
        "narratives": (str(folder / "told.jsonl"),),
        "boxes": (str(folder / "boxes.csv"),),
        "images": {"any": str(folder / "photos")},
        "labels": labels or LabelOptions(),
    }
    return LocnarOptions(**values | changes)


def labelled(folder: Path, *, out: str = "out", workers: int = 0, **options: Any) -> Manifest:
    """Labels a world with what ``KnowingGrounder`` knows; regions keep its boxes where no ``box_order`` is given."""
    made = recipe(options_of(folder, LabelOptions(**{"box_order": ("*",)} | options)), load=load_knowing)
    return run_recipe(made, Folder(str(folder / out)), workers=workers, existing="refuse")


def named_boxes(record: GroundedImage) -> dict[str, list[Box]]:
    """Phrase → its boxes, best first."""
    return {
        span_text(phrase.spans, query.text): [record.regions[i].box_xyxy for i in phrase.regions]
        for query in record.queries
        for phrase in query.phrases
    }


def files_of(out: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the times that a shard took."""
    files = tiny.files_of(out)
    for name, data in files.items():
        if name.endswith(".stats.json"):
            stats = json.loads(data)
            kept = {key: value for key, value in stats.items() if key not in ("photos_per_second", "waiting_share")}
            files[name] = json.dumps(kept).encode()
    return files


def differing(files: dict[str, bytes], others: dict[str, bytes]) -> list[str]:
    """Names of files that only one side has, or that differ."""
    return sorted(name for name in files.keys() | others.keys() if files.get(name) != others.get(name))
