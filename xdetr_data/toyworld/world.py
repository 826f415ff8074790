"""Writes a world: photos and annotation files, chunk by chunk, in as many processes as are given."""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from xdetr_data.errors import ConfigError, OutputError
from xdetr_data.toyworld.catalogue import outputs
from xdetr_data.toyworld.formats.coco import write_coco
from xdetr_data.toyworld.formats.flickr import write_flickr
from xdetr_data.toyworld.formats.lvis import write_lvis
from xdetr_data.toyworld.formats.mixed import write_mixed
from xdetr_data.toyworld.formats.narratives import write_narratives
from xdetr_data.toyworld.formats.openimages import write_openimages
from xdetr_data.toyworld.formats.refcoco import write_refcoco
from xdetr_data.toyworld.formats.visual_genome import write_visual_genome
from xdetr_data.toyworld.formats.web import write_web
from xdetr_data.toyworld.homes import Collection
from xdetr_data.toyworld.photo import Sheet, ToyPhoto, toy_photo

CHUNK_PHOTOS = 50
MARKER = "toyworld.json"

WRITERS: dict[Collection, tuple[Callable[[ToyPhoto, Sheet], None], ...]] = {
    "coco": (write_mixed, write_coco, write_narratives, write_refcoco, write_lvis),
    "vg": (write_mixed, write_visual_genome),
    "flickr": (write_flickr, write_narratives),
    "openimages": (write_openimages, write_narratives),
    "cc": (write_web,),
}


PHOTO_FOLDERS = ("coco", "vg", "flickr", "openimages")  # cc's photos are in its tars


class WorldSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: also the content of ``toyworld.json``, which is there only when the world is complete."""

    photos: int
    seed: int
    photos_by_collection: dict[str, int]
    rows: dict[str, int]


class _Chunk(NamedTuple):
    folder: Path
    seed: int
    first: int
    stop: int
    photos: int  # of the world

    @property
    def spill(self) -> Path:
        return self.folder / ".spill" / f"{self.first:09d}"


def write_toyworld(
    out: Path | str,
    *,
    photos: int,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> WorldSummary:
    """Draws a world of ``photos`` photos into the folder ``out``; the same bytes whatever the number of workers.

    Args:
        out: must not hold anything yet, unless ``overwrite``; it appears when the world is complete.
        photos: a photo is the same in every world of the same seed that is large enough to have it.
        seed: of the world.
        workers: processes; 0 and 1 stay in this one.
        overwrite: replace a toy world that is there; anything else is never touched.
        progress: told the number of photos drawn since it was last told.

    Raises:
        ConfigError: for a number of photos or workers that makes no sense.
        OutputError: where ``out`` is taken or cannot be written.
    """
    if photos < 1 or workers < 0 or seed < 0:
        raise ConfigError(f"photos must be at least 1, workers and seed at least 0; got {photos}, {workers}, {seed}")
    target = Path(out)
    _check_free(target, overwrite)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        counts = _draw(partial, photos, seed, workers, progress or (lambda _: None))
        summary = _summary(photos, seed, counts)
        (partial / MARKER).write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error})") from error
    return summary


def _check_free(target: Path, overwrite: bool) -> None:
    """Raises OutputError where the folder holds something that may not be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MARKER).is_file():
        raise OutputError(f"{target}: holds something that is no toy world; choose another folder or empty it yourself")
    if not overwrite:
        raise OutputError(f"{target}: there is a toy world already; choose another folder or give --overwrite")


def _draw(folder: Path, photos: int, seed: int, workers: int, progress: Callable[[int], None]) -> Counter[str]:
    for collection in PHOTO_FOLDERS:
        (folder / "photos" / collection).mkdir(parents=True)
    starts = range(0, photos, CHUNK_PHOTOS)
    chunks = [_Chunk(folder, seed, first, min(first + CHUNK_PHOTOS, photos), photos) for first in starts]
    counts: Counter[str] = Counter()
    for chunk, found in zip(chunks, _each_chunk(chunks, workers), strict=True):
        counts.update(found)
        progress(chunk.stop - chunk.first)
    unknown = {name.split("#")[0] for name in counts if "#" in name} - {output.path for output in outputs(photos)}
    assert not unknown, f"not in the catalogue: {unknown}"
    _merge(folder, chunks, counts)
    shutil.rmtree(folder / ".spill")
    return counts


def _each_chunk(chunks: list[_Chunk], workers: int) -> Iterator[Counter[str]]:
    if workers <= 1:
        yield from map(write_chunk, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(write_chunk, chunks)


def write_chunk(chunk: _Chunk) -> Counter[str]:
    """Draws the photos of one chunk, writes them, and spills the rows of all other files."""
    sheet = Sheet()
    for index in range(chunk.first, chunk.stop):
        photo = toy_photo(chunk.seed, index)
        collection = photo.home.collection
        if collection in PHOTO_FOLDERS:
            (chunk.folder / "photos" / collection / photo.home.file_name).write_bytes(photo.rendered.jpeg)
        for write in WRITERS[collection]:
            write(photo, sheet)
        sheet.close_photo(photo)
        sheet.counts[collection] += 1
    for name, data in sheet.files.items():
        path = chunk.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    chunk.spill.mkdir(parents=True)
    for number, output in enumerate(outputs(chunk.photos)):
        for section in output.sections:
            rows = sheet.rows.get((output.path, section))
            if rows:
                (chunk.spill / f"{number}.{section}").write_bytes(output.separator.join(rows))
    return sheet.counts


def _merge(folder: Path, chunks: list[_Chunk], counts: Counter[str]) -> None:
    for number, output in enumerate(outputs(chunks[0].photos)):
        path = folder / output.path
        path.parent.mkdir(parents=True, exist_ok=True)
        spills = [[chunk.spill / f"{number}.{section}" for chunk in chunks] for section in output.sections]
        with path.open("wb") as stream:
            output.merge(stream, spills, counts)


def _summary(photos: int, seed: int, counts: Counter[str]) -> WorldSummary:
    return WorldSummary(
        photos=photos,
        seed=seed,
        photos_by_collection={name: counts[name] for name in WRITERS},
        rows={name: count for name, count in sorted(counts.items()) if "#" in name},
    )
