"""A tiny world in the inputs' formats, made by hand, and the command line run on it in this process."""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipelines.cli import main
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.record import GroundedImage, Rejected
from xdetr_data.schema import from_arrow
from xdetr_data.storage import Folder

WIDTH, HEIGHT = 64, 48
CAPTION = "a red ball. the blue box on a shelf."
MDETR, COCO = "final_mixed_train.json", "instances_train2014.json"


class Verbatim:
    """Text that stands in a JSON file as it is, such as ``NaN``, ``1e400`` or half a surrogate pair."""

    def __init__(self, text: str) -> None:
        self.text = text


def to_json(value: object) -> bytes:
    """JSON of a value that may hold ``Verbatim`` text and lone surrogates."""
    kept: list[str] = []

    def hold(one: object) -> str:
        assert isinstance(one, Verbatim)
        kept.append(one.text)
        return f"@verbatim{len(kept) - 1}@"

    text = json.dumps(value, default=hold)
    for number, one in enumerate(kept):
        text = text.replace(f'"@verbatim{number}@"', one)
    return text.encode()


def coco_name(photo: int) -> str:
    return f"COCO_train2014_{photo:012d}.jpg"


def paragraph(number: int, photo: int, **changes: Any) -> dict[str, Any]:
    """An element of ``images[]`` of a mixed file."""
    return {
        "file_name": coco_name(photo),
        "height": HEIGHT,
        "width": WIDTH,
        "id": number,
        "original_id": str(photo),
        "caption": CAPTION,
        "tokens_negative": [[0, 1], [25, 27]],
        "data_source": "coco",
        "dataset_name": "mixed",
    } | changes


def annotation(number: int, paragraph_id: int, **changes: Any) -> dict[str, Any]:
    """An element of ``annotations[]`` of a mixed file: the red ball."""
    return {
        "area": 1.0,
        "iscrowd": 0,
        "image_id": paragraph_id,
        "category_id": 1,
        "id": number,
        "bbox": [2.0, 3.0, 10.0, 12.0],
        "tokens_positive": [[2, 5], [6, 10]],
    } | changes


def shelf(number: int, paragraph_id: int, **changes: Any) -> dict[str, Any]:
    """An element of ``annotations[]`` of a mixed file: the blue box."""
    return annotation(
        number, paragraph_id, **{"bbox": [30.0, 20.0, 20.0, 16.0], "tokens_positive": [[16, 20], [21, 24]]} | changes
    )


def coco_box(number: int, photo: int, **changes: Any) -> dict[str, Any]:
    """An element of ``annotations[]`` of COCO's instances, that no phrase names."""
    return {
        "id": number,
        "image_id": photo,
        "category_id": 3,
        "iscrowd": 0,
        "area": 60.5,
        "bbox": [50.0, 1.0 + number % 7, 11.0, 5.5],
        "segmentation": [[50.0, 1.0, 61.0, 1.0, 61.0, 6.5]],
    } | changes


@cache
def jpeg(seed: int, *, width: int = WIDTH, height: int = HEIGHT, mode: str = "RGB", format: str = "JPEG") -> bytes:
    """A photo of smooth colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((width, height))
    sink = io.BytesIO()
    small.convert(mode).save(sink, format)
    return sink.getvalue()


@dataclass
class World:
    """Two photos in two paragraphs each, with two annotations a paragraph and two COCO boxes a photo.

    A test changes what it likes, and then writes the files.
    """

    images: list[Any] = field(default_factory=lambda: [paragraph(10 + i, 1 + i // 2) for i in range(4)])
    annotations: list[Any] = field(
        default_factory=lambda: [
            make(100 + 2 * i + which, 10 + i) for i in range(4) for which, make in enumerate((annotation, shelf))
        ]
    )
    boxes: list[Any] = field(default_factory=lambda: [coco_box(900 + i, 1 + i // 2) for i in range(4)])
    photos: dict[str, bytes] = field(default_factory=lambda: {coco_name(1): jpeg(1), coco_name(2): jpeg(2)})
    mdetr: bytes | None = None
    coco: bytes | None = None

    def mdetr_json(self) -> bytes:
        return to_json(
            {"info": [], "licenses": [], "images": self.images, "annotations": self.annotations, "categories": []}
        )

    def coco_json(self) -> bytes:
        photos = [{"id": 1 + i, "file_name": coco_name(1 + i), "height": HEIGHT, "width": WIDTH} for i in range(2)]
        return to_json({"info": {}, "images": photos, "annotations": self.boxes, "categories": [{"id": 3}]})

    def write(self, folder: Path) -> None:
        """Writes the inputs; ``mdetr`` and ``coco`` stand for the files where they are given."""
        (folder / MDETR).write_bytes(self.mdetr_json() if self.mdetr is None else self.mdetr)
        (folder / COCO).write_bytes(self.coco_json() if self.coco is None else self.coco)
        (folder / "photos").mkdir()
        for name, data in self.photos.items():
            (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "photos" / name).write_bytes(data)

    @property
    def counts(self) -> dict[str, int]:
        """How many elements of each unit the files hold."""
        return {"paragraph": len(self.images), "annotation": len(self.annotations), "box": len(self.boxes)}


def usual_args(folder: Path) -> list[str]:
    """The command on a world's files, in this process."""
    return [
        "build-mixed-star",
        f"--mdetr={folder / MDETR}",
        f"--coco-instances={folder / COCO}",
        f"--image-root=coco={folder / 'photos'}",
        f"--out={folder / 'out'}",
        "--workers=0",
    ]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong."""
        return [line for line in self.stderr.splitlines() if line.startswith("error:")]


def run_cli(*args: str) -> Ended:
    """Runs ``xdetr-data`` in this process; an exception that would show as a traceback fails the test."""
    return run_here(main, "xdetr-data", *args)


def run_here(command: Callable[[], object], *argv: str) -> Ended:
    """Runs a command line's entry point in this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, list(argv)
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code: Any = 0
            try:
                command()
            except SystemExit as ending:
                code = ending.code or 0
    finally:
        sys.argv = before
    return Ended(int(code), stdout.getvalue(), stderr.getvalue())


def manifest_of(out: Path | str) -> Manifest:
    return read_manifest(Folder(str(out)))


def records_of(out: Path) -> list[GroundedImage]:
    """All records of a dataset, ordered by key."""
    found = [one for file in sorted(out.glob("*.parquet")) for one in from_arrow(pq.read_table(file))]
    return sorted(found, key=lambda one: one.key)


def rejects_of(out: Path) -> list[Rejected]:
    """All rows of ``rejects/*.parquet``."""
    return [
        Rejected(**row)
        for file in sorted((out / "rejects").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


def reject_counts(out: Path) -> dict[tuple[str, str], int]:
    """(unit, reason) → how many, as the manifest tells."""
    counts: Counter[tuple[str, str]] = Counter()
    for unit, flows in manifest_of(out).accounting["units"].items():
        for reasons in flows["rejected"].values():
            for reason, count in reasons.items():
                counts[unit, reason] += count
    return dict(counts)


def named_annotations(records: Iterable[GroundedImage]) -> Iterator[str]:
    """Ids of all annotations that are part of some phrase."""
    for record in records:
        for query in record.queries:
            for phrase in query.phrases:
                yield from phrase.provenance.annotation_id.split(" ")


TIMES = ("seconds", "photos_per_second", "waiting_share")


def files_of(out: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, but for the time that a shard took."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name.endswith(".stats.json"):
                stats = json.loads(data)
                data = json.dumps({key: value for key, value in stats.items() if key not in TIMES}).encode()
            found[str(path.relative_to(out))] = data
    return found
