"""The life of an output folder: opened or resumed, filled shard by shard, and finished with its manifest."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from pipelines import console
from pipelines.dataset_card import dataset_card
from xdetr_data.errors import ConfigError, InputError, OutputError
from xdetr_data.manifest import MANIFEST, InputEntry, Manifest, read_manifest, tool_version, write_manifest
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.storage import FileEntry, Folder

WORK = "_work"
RUN = f"{WORK}/run.json"
LOCK = f"{WORK}/lock.json"
STATUS, LOG = f"{WORK}/status.json", f"{WORK}/log.txt"  # what the run says of itself
OF_THE_RUN = frozenset({LOCK, STATUS, LOG})
CARD = "README.md"

OTHER_FILES = "holds files that are no dataset of this tool"

Existing = Literal["refuse", "resume", "overwrite"]


class RunMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Written first: which configuration the folder's files belong to."""

    config_hash: str


def config_hash(config: Any, inputs: Sequence[InputEntry], plan_digest: str) -> str:
    """Hash of all that decides the bytes of a shard, this tool's version among it.

    Where the inputs lie does not count; what they hold does.
    """
    identity = [SCHEMA_VERSION, tool_version(), config, [(one.role, one.sha256) for one in inputs], plan_digest]
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()


def choice_hash(base_digest: str, chosen_by: Any) -> str:
    """Hash of a dataset whose labels are chosen from a trail: of the trail, and of the options that choose."""
    return hashlib.sha256(msgspec.json.encode([base_digest, chosen_by], order="deterministic")).hexdigest()


def open_output(out: Folder, existing: Existing) -> None:
    """Makes sure that the folder may be written to; raises OutputError where something is in the way."""
    found = _content(out)
    if found == OTHER_FILES:
        raise OutputError(f"{out.url}: {OTHER_FILES}; choose another --out")
    if existing == "refuse" and found is not None:
        raise OutputError(f"{out.url}: {found}; say --resume or --overwrite, or choose another --out")


def _content(out: Folder) -> str | None:
    """What the folder holds, or None; what a run leaves that was killed before its claim stood is nothing."""
    if _manifest(out) is not None:
        return "holds a finished dataset"
    if out.exists(RUN):
        return "holds an unfinished run"
    if any(name != WORK for name in out.names()) or set(out.names(f"{WORK}/*")) - OF_THE_RUN:
        return OTHER_FILES
    return None


def _clear(out: Folder) -> None:
    """Removes an earlier dataset; the claim stands first and goes last, so that a kill in between can be repeated."""
    _claim(out, "overwritten")
    for name in [MANIFEST, *(name for name in out.names() if name != WORK)]:
        out.remove(name)
    _clear_work(out)


def claim_output(out: Folder, digest: str, existing: Existing) -> Manifest | None:
    """Marks the folder as this configuration's, or returns the manifest where its dataset is finished already.

    Call it when all that can be wrong with the inputs is known: an earlier dataset is removed here, where so wanted.
    Raises OutputError where it is another configuration's. A finished dataset of which files are gone is unfinished.
    """
    if existing == "overwrite":
        _clear(out)
    manifest = _manifest(out)
    found = _claimed_by(out) if manifest is None else manifest.config_hash
    if found is not None and found != digest:
        raise OutputError(
            f"{out.url}: was begun with another configuration, other inputs or another version of this tool "
            f"({found[:12]}, now {digest[:12]});"
            " repeat the first command, or say --overwrite"
        )
    if manifest is not None:
        files = [file for shard in [*manifest.shards, *manifest.trail] for file in shard.files] + manifest.rejects
        if has_files(out, files):
            console.say(f"{out.url}: already complete, nothing to do")
            close_output(out)
            return manifest
        console.warn(f"{out.url}: files of the finished dataset are missing or cut short; they are made again")
        out.remove(MANIFEST)
    _claim(out, digest)
    out.sweep()
    return None


def finish_output(out: Folder, manifest: Manifest) -> None:
    """Writes the dataset's card and its manifest: the dataset is complete."""
    out.write(CARD, dataset_card(manifest).encode())
    write_manifest(out, manifest)
    close_output(out)


def close_output(out: Folder) -> None:
    """Removes what a run needed for itself, the claim and the lock last."""
    _clear_work(out)
    out.remove(WORK)


def _clear_work(out: Folder) -> None:
    for name in set(out.names(f"{WORK}/*")) - {RUN} - OF_THE_RUN:
        out.remove(name)
    out.sweep()
    out.remove(RUN)


def check_not_itself(dataset: Folder, out: Folder) -> None:
    """Raises ConfigError where a dataset that another is made from would be its own output."""
    if _address(dataset) == _address(out):
        raise ConfigError(f"--out {out.url} is the dataset itself; choose another folder")


def _address(folder: Folder) -> str:
    """Where a folder really is, whatever links and dots lead there."""
    path = folder.path("").rstrip("/")
    return os.path.realpath(path) if folder.is_local else path


def copy_file(dataset: Folder, out: Folder, name: str, sha256: str | None) -> None:
    """Copies a file of a finished dataset; raises InputError where it is not the one with that sha256, if given."""
    with dataset.open(name) as source, out.writing(name) as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
        if sha256 not in (None, sink.sha256):
            raise InputError(f"{dataset.path(name)}: is damaged; see 'xdetr-data validate {dataset.url}'")


def has_files(out: Folder, files: Iterable[FileEntry]) -> bool:
    """Whether every file is there with its size; its content is for ``validate`` to check."""
    return all(out.size(file.name) == file.bytes for file in files)


def _claim(out: Folder, digest: str) -> None:
    out.write(RUN, msgspec.json.encode(RunMarker(config_hash=digest)))


def _claimed_by(out: Folder) -> str | None:
    """Whose the unfinished run is; of a damaged claim, nobody's."""
    if not out.exists(RUN):
        return None
    try:
        return msgspec.json.decode(out.read(RUN), type=RunMarker).config_hash
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "unreadable"


def _manifest(out: Folder) -> Manifest | None:
    """The manifest, if there is one of this tool; another program's is one of the other files."""
    if not out.exists(MANIFEST):
        return None
    try:
        return read_manifest(out)
    except InputError:
        return None
