"""Fills a FiftyOne dataset from shards, or refreshes it: nothing twice, and nothing lost that a reviewer decided."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines import console
from pipelines.qa.decided import decided_keys
from pipelines.qa.labels import PHRASES, REGIONS, declare_fields, make_sample
from pipelines.qa.photos import viewable
from pipelines.qa.reading import Chosen, choose_keys, read_chosen
from pipelines.qa.views import save_views
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.storage import Folder

INFO = "xdetr"  # what a dataset of ours notes about itself in ``dataset.info``
LAYOUT = 1  # of the fields; raise it where they change
AT_A_TIME = 100
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What photos are imported into: the dataset, what is there (sha256 of the labels by key), and where photos lie.

    ``anew`` are keys whose labels are imported again though they did not change.
    """

    fo: Any
    dataset: Any
    split: str
    folder: Path
    present: dict[str, str]
    anew: set[str]

    def state(self, one: Chosen) -> str:
        """Whether the photo is to be ``added``, ``refreshed``, or left as it is: ``unchanged``."""
        before = self.present.get(one.record.key)
        if before is None:
            return "added"
        return "unchanged" if before == one.sha256 and one.record.key not in self.anew else "refreshed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a call of ``qa`` did: photos added, made anew, left as they were, removed, and kept though not chosen."""

    name: str
    photos: int
    added: int
    refreshed: int
    unchanged: int
    removed: int
    kept: int


def import_dataset(
    fo: Any,
    source: Folder,
    name: str,
    *,
    wanted: Callable[[GroundedImage], bool] | None,
    sample: int | None,
    seed: int,
    discard_review: bool,
) -> tuple[Any, Imported]:
    """The FiftyOne dataset, persistent under its name, holding what was chosen of ``source``.

    A photo whose labels are as they were imported is not touched. Raises ConfigError where the name belongs to another
    dataset, or where a decision would be lost.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"--name {name!r}: letters, digits, '_', '.' and '-' only, at most 100")
    manifest = check_photos(source)
    chosen = choose_keys(source, manifest, wanted=wanted, sample=sample, seed=seed)
    if not chosen:
        raise ConfigError(f"{source.url}: no photo fits --where" if wanted else f"{source.url}: holds no photo")
    dataset = _open(fo, name, source, manifest, discard_review=discard_review)
    present = dict(zip(*dataset.values(["key", "labels_sha256"]), strict=True))
    reviewed = decided_keys(dataset)
    decided = set() if discard_review else reviewed
    _check_decided(source, chosen, present, decided, name)
    target = _Target(
        fo=fo,
        dataset=dataset,
        split=manifest.split,
        folder=Path(fo.config.default_dataset_dir) / "xdetr" / name,
        present=present,
        anew=reviewed - decided,
    )
    keys = {key for many in chosen.values() for key in many}
    gone = present.keys() - keys
    _remove(dataset, gone - decided)
    with console.progress("importing photos", len(keys)) as advance:
        counts = _fill(target, read_chosen(source, chosen), advance)
    dataset.info = {INFO: _identity(source, manifest)}
    dataset.save()
    save_views(fo, dataset)
    done = Imported(
        name=name, photos=len(dataset.view()), removed=len(gone - decided), kept=len(gone & decided), **counts
    )
    return dataset, done


def check_photos(source: Folder) -> Manifest:
    """The manifest of a dataset that can be looked at; raises ConfigError where it has labels only."""
    manifest = read_manifest(source)
    if manifest.config.get("metadata_only") is True:
        raise ConfigError(
            f"{source.url}: holds labels without photos (--metadata-only); build it with photos to see it"
        )
    return manifest


def _identity(source: Folder, manifest: Manifest) -> dict[str, Any]:
    path = source.path("").rstrip("/")
    return {"layout": LAYOUT, "path": path, "config_hash": manifest.config_hash}


def _open(fo: Any, name: str, source: Folder, manifest: Manifest, *, discard_review: bool) -> Any:
    """The dataset of that name, made where there is none."""
    if not fo.dataset_exists(name):
        dataset = fo.Dataset(name, persistent=True)
        declare_fields(fo, dataset)
        dataset.info = {INFO: _identity(source, manifest)}
        scheme = fo.ColorScheme(color_by="value")
        dataset.app_config.color_scheme = scheme
        dataset.app_config.active_fields = fo.ActiveFields(exclude=False, paths=[PHRASES, REGIONS])
        dataset.save()
        return dataset
    dataset = fo.load_dataset(name)
    found = dataset.info.get(INFO)
    mine = _identity(source, manifest)
    if found is None or found["path"] != mine["path"] or found["layout"] != LAYOUT:
        what = "is no dataset of this tool" if found is None else f"shows {found['path']}"
        raise ConfigError(f"FiftyOne's dataset {name!r} {what}; choose another --name, or delete it in FiftyOne")
    if found["config_hash"] != mine["config_hash"] and not discard_review and (lost := decided_keys(dataset)):
        raise ConfigError(_loss(name, lost, f"{source.url} was made anew since"))
    return dataset


def _loss(name: str, keys: set[str], why: str) -> str:
    return (
        f"{name!r} holds decisions about {len(keys):,} photos (as {min(keys)}), and {why}; keep them with "
        f"'xdetr-data review export --dataset {name} --out review.parquet', then say "
        "--discard-review, or choose another --name"
    )


def _check_decided(
    source: Folder, chosen: dict[str, list[str]], present: dict[str, str], decided: set[str], name: str
) -> None:
    """Raises ConfigError where a photo with decisions has other labels now; before anything is changed."""
    few = {stem: [key for key in keys if key in decided] for stem, keys in chosen.items()}
    ones = read_chosen(source, {stem: keys for stem, keys in few.items() if keys})
    lost = {one.record.key for one in ones if present[one.record.key] != one.sha256}
    if lost:
        raise ConfigError(_loss(name, lost, "their labels are other ones now"))


def _fill(target: _Target, stream: Iterator[Chosen], advance: Callable[[int], None]) -> dict[str, int]:
    counts = {"added": 0, "refreshed": 0, "unchanged": 0}
    while batch := list(islice(stream, AT_A_TIME)):
        samples, stale = [], set()
        for one in batch:
            state = target.state(one)
            counts[state] += 1
            photo = _write_photo(target.folder, one)
            if state != "unchanged":
                samples.append(make_sample(target.fo, one, photo, target.split))
            if state == "refreshed":
                stale.add(one.record.key)
        _remove(target.dataset, stale)
        if samples:
            target.dataset.add_samples(samples, progress=False, expand_schema=False, validate=False)
        advance(len(batch))
    return counts


def _remove(dataset: Any, keys: set[str]) -> None:
    if keys:
        dataset.delete_samples(dataset.select_by("key", sorted(keys)))


def _write_photo(folder: Path, one: Chosen) -> Path:
    """The photo as a file that FiftyOne can serve; its name is safe, whatever the photo was called, and says of which
    bytes it is. Raises InputError where the photo does not decode."""
    image = one.record.image
    try:
        data = viewable(one.photo)
    except InputError as error:
        raise InputError(f"{one.record.key}: its photo does not decode ({error}); see 'xdetr-data validate'") from error
    path = folder / f"{one.record.key.replace('%', '=')}-{(image.sha256 or '')[:12]}.{one.suffix}"
    if not (path.is_file() and path.stat().st_size == len(data)):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        temporary.write_bytes(data)
        os.replace(temporary, path)
    return path
