"""Reads what a report shows: counts of whole datasets, and the few samples that are drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from msgspec.structs import replace

from pipelines.drawing.lines import printable
from pipelines.report.photos import PhotoBook
from pipelines.report.scan import LabelAt, LabelScan, Ranks, keys_of, scan_labels
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.photos.photo import BadPhoto
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import Found, find, read_photo_of
from xdetr_data.statistics.collect import Statistics, collect_statistics
from xdetr_data.storage import Folder

NO_PHOTO = "labels without photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A dataset of the report with all that is counted of it."""

    name: str
    folder: Folder
    manifest: Manifest
    tally: Tally
    statistics: Statistics
    scan: LabelScan


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A sample to draw. ``photo`` names a copy in the photo book, None for a blank canvas, and ``note`` says why.

    ``label`` is the label that the shot is of; its record then holds nothing else.
    """

    side: int
    record: GroundedImage
    photo: str | None
    note: str
    label: LabelAt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Rows of samples; a row holds one photo as each of ``sides`` labels it."""

    sides: tuple[int, ...]
    rows: tuple[tuple[Shot, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report shows. ``shared`` is how many photos all datasets hold, None where there is one dataset."""

    seed: int
    samples: int
    sides: tuple[Side, ...]
    shared: int | None
    galleries: tuple[Gallery, ...]
    lowest: tuple[tuple[Shot, ...], ...]
    photos: PhotoBook


def open_datasets(addresses: Sequence[str]) -> list[tuple[Folder, Manifest]]:
    """The datasets' manifests; raises InputError where one is no finished dataset."""
    folders = [Folder(address) for address in addresses]
    return [(folder, read_manifest(folder)) for folder in folders]


def side_names(addresses: Sequence[str]) -> list[str]:
    """What the datasets are called in the report: the last part of each address, or all of it where two end alike."""
    short = [address.rstrip("/").rpartition("/")[2] or address for address in addresses]
    return [printable(name) for name in (short if len(set(short)) == len(short) else addresses)]


def collect_side(
    name: str, folder: Folder, manifest: Manifest, *, seed: int, samples: int, advance: Callable[[int], None]
) -> Side:
    """Counts a dataset from its labels, a few thousand rows at a time; ``advance`` is told rows, twice over."""
    try:
        tally = Tally.from_builtins(manifest.accounting)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder.url}: the accounting of its manifest is not what a build writes ({error}); copy it again"
        ) from error
    return Side(
        name=name,
        folder=folder,
        manifest=manifest,
        tally=tally,
        statistics=collect_statistics(folder, manifest, advance),
        scan=scan_labels(folder, manifest, seed=seed, lowest=samples, advance=advance),
    )


def collect_report(sides: Sequence[Side], *, seed: int, samples: int) -> Report:
    """Draws the samples and reads them.

    Photos that all datasets hold are shown side by side; where there is none, every dataset has a gallery of its own.
    """
    photos = PhotoBook()
    everyone = tuple(range(len(sides)))
    common: Ranks = reduce(np.intersect1d, (side.scan.ranks for side in sides))
    together = [everyone] if len(common) else [(number,) for number in everyone]
    galleries = []
    for group in together:
        first = sides[group[0]]
        ranks = common if len(common) else first.scan.ranks
        keys = keys_of(first.folder, first.manifest, ranks[:samples], seed)
        galleries.append(Gallery(sides=group, rows=tuple(_row(sides, group, key, photos) for key in keys)))
    return Report(
        seed=seed,
        samples=samples,
        sides=tuple(sides),
        shared=len(common) if len(sides) > 1 else None,
        galleries=tuple(galleries),
        lowest=tuple(
            tuple(_label_shot(sides, number, at, photos) for at in side.scan.lowest)
            for number, side in enumerate(sides)
        ),
        photos=photos,
    )


def _row(sides: Sequence[Side], group: Sequence[int], key: str, photos: PhotoBook) -> tuple[Shot, ...]:
    """The same photo of several datasets; one without photos borrows the picture of another."""
    shots = [_shot(sides, number, key, photos) for number in group]
    lender = next((shot for shot in shots if shot.photo is not None), None)
    if lender is None:
        return tuple(shots)
    note = f"{NO_PHOTO}; drawn on the one of {sides[lender.side].name}"
    return tuple(
        Shot(side=shot.side, record=shot.record, photo=lender.photo, note=note)
        if shot.note == NO_PHOTO and shot.record.image.size_hw == lender.record.image.size_hw
        else shot
        for shot in shots
    )


def _shot(sides: Sequence[Side], number: int, key: str, photos: PhotoBook) -> Shot:
    folder = sides[number].folder
    found = find(folder, sides[number].manifest, key)
    if found is None:
        raise InputError(f"{folder.url}: has no sample {key!r} though its labels name it; see 'xdetr-data validate'")
    photo, note = _photo(folder, found, photos)
    return Shot(side=number, record=found.record, photo=photo, note=note)


def _photo(folder: Folder, found: Found, photos: PhotoBook) -> tuple[str | None, str]:
    photo = read_photo_of(folder, found)
    if photo is None:
        return None, NO_PHOTO
    name = photos.add(photo.data, found.record.key)
    return (None, f"photo not shown: {name.reason}") if isinstance(name, BadPhoto) else (name, "")


def _label_shot(sides: Sequence[Side], number: int, at: LabelAt, photos: PhotoBook) -> Shot:
    """A sample with nothing on it but one label."""
    shot = _shot(sides, number, at.key, photos)
    query = shot.record.queries[at.query]
    phrase = query.phrases[at.phrase]
    regions = tuple(shot.record.regions[index] for index in phrase.regions)
    alone = replace(query, phrases=(replace(phrase, regions=tuple(range(len(regions)))),))
    record = replace(shot.record, regions=regions, queries=(alone,))
    return Shot(side=number, record=record, photo=shot.photo, note=shot.note, label=at)
