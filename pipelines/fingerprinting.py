"""Fingerprints of all photos of a dataset, or of a folder: shards, or some hundred files, are a task."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pipelines import console
from pipelines.execution import Executor
from xdetr_data.addresses.trees import list_tree, open_address, tree_of
from xdetr_data.errors import InputError
from xdetr_data.manifest import MANIFEST, read_manifest
from xdetr_data.photos.fingerprint import kept_fingerprints
from xdetr_data.photos.ids import ending_of
from xdetr_data.photos.look_alikes import Fingerprinted, is_folder_of
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.storage import Folder

_FILES_AT_A_TIME = 256


class _Shard(NamedTuple):
    number: int
    stem: str


class _Files(NamedTuple):
    number: int
    paths: tuple[str, ...]


def fingerprints(address: str, run: Executor) -> list[Fingerprinted]:
    """Of every photo, in the order of the shards or names; a photo that cannot be read has none, and says why.

    Raises InputError where there is no such folder, or nothing in it is a photo.
    """
    folder = is_folder_of(address)
    if folder.exists(MANIFEST):
        shards = [_Shard(number, stem) for number, stem in enumerate(stems(read_manifest(folder)))]
        return _all(run, _of_shard, folder, shards, address)
    listed = list_tree(address)
    paths = [path for path, _ in listed[1] if ending_of(path)] if listed else []
    parts = [tuple(paths[at : at + _FILES_AT_A_TIME]) for at in range(0, len(paths), _FILES_AT_A_TIME)]
    return _all(run, _of_files, address, [_Files(number, part) for number, part in enumerate(parts)], address)


def _all(
    run: Executor,
    task: Callable[[Any, Any], tuple[int, list[Fingerprinted]]],
    context: Any,
    tasks: Sequence[_Shard] | Sequence[_Files],
    address: str,
) -> list[Fingerprinted]:
    found: dict[int, list[Fingerprinted]] = {}
    with console.progress("taking fingerprints", len(tasks)) as advance:
        for number, photos in run(task, context, tasks):
            found[number] = photos
            advance(1)
    photos = [one for number in sorted(found) for one in found[number]]
    if not photos:
        raise InputError(f"{address}: holds no photo; give a dataset with photos, or a folder of them")
    return photos


def _of_shard(folder: Folder, task: _Shard) -> tuple[int, list[Fingerprinted]]:
    def photos() -> Iterator[Fingerprinted]:
        for sample in read_samples(folder, task.stem):
            if sample.photo is None:
                raise InputError(f"{folder.url}: has no photos; build it without --metadata-only")
            yield _of_photo(sample.record.key, sample.photo.data)

    return task.number, list(photos())


def _of_files(root: str, task: _Files) -> tuple[int, list[Fingerprinted]]:
    tree, found = tree_of(root), []
    for path in task.paths:
        try:
            with open_address(tree.address(path)) as stream:
                data = stream.read()
        except InputError as error:
            found.append(Fingerprinted(path, None, str(error)))
            continue
        found.append(_of_photo(path, data))
    return task.number, found


def _of_photo(key: str, data: bytes) -> Fingerprinted:
    try:
        return Fingerprinted(key, kept_fingerprints(data).tobytes())
    except InputError as error:
        return Fingerprinted(key, None, str(error))
