"""A run's folder: what it holds, who may begin in it, and files that are there whole or not at all.

run.yaml            the resolved run file
started.json        the datasets, and which state of them, the number of processes
.lock               held by the process that writes the run, as long as it lives
metrics.jsonl       a line for every logged step and every evaluation
events/             the same for TensorBoard
checkpoints/        step-00001000.pt …: to resume from
model/  best/       EMA model as a checkpoint directory: the last one, and the best on --val
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from safetensors import SafetensorError

from pipelines.train.runfile import RunFile, dump_run_file, read_run_file
from pipelines.train.say import in_one_line, say
from xdetr_data.errors import ConfigError, InputError, OutputError, shown
from xdetr_data.loading.shard_set import open_shards
from xdetr_data.manifest import MANIFEST
from xdetr_data.storage import Folder

RUN_FILE, STARTED, METRICS, EVENTS, CHECKPOINTS, MODEL, BEST, LOCK = (
    *("run.yaml", "started.json", "metrics.jsonl", "events", "checkpoints", "model", "best", ".lock"),
)
LOCK_PATIENCE_S = 15.0  # how long a process that is being ended may still hold the run


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset folder in the state that a run began with: ``identity`` is the sha256 of its manifest. ``photos`` and
    ``paragraphs`` are what it holds."""

    path: str
    identity: str
    photos: int
    paragraphs: int


_MAKE_ROOM = "make room, then --resume"
_TORCH_CANNOT_WRITE = re.compile(r"PytorchStreamWriter failed|inline_container|unexpected pos \d+ vs")

Sources = dict[str, tuple[Dataset, ...]]  # full, pseudo, weak and val, as far as given
Shares = dict[str, tuple[float, ...]]  # of the datasets of a source, where --mix states them


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was begun with, apart from its run file."""

    sources: Sources
    shares: Shares
    processes: int


def open_dataset(role: str, path: str) -> Dataset:
    """A finished dataset of this schema with photos; raises InputError for anything else.

    Where its manifest is of the first version, its paragraphs are counted, and one line says so.
    """
    folder = Folder(path)
    if not folder.exists():
        raise InputError(
            f"--{role} {path}: no such folder; give a dataset that xdetr-data has built (one that was moved since a "
            f"run began: --resume RUN --{role} where it is now)"
        )
    shards = open_shards(path, role)
    paragraphs = sum(shards.groups_per_shard)
    if not shards.states_groups and os.environ.get("RANK", "0") == "0":
        say(f"--{role} {path}: its manifest does not say how many paragraphs it has; its Parquet has {paragraphs:,}")
    identity = hashlib.sha256(folder.read(MANIFEST)).hexdigest()
    url = str(Path(folder.path("")).resolve()) if folder.is_local else path
    return Dataset(path=url, identity=identity, photos=shards.manifest.rows, paragraphs=paragraphs)


def begin(out: Path, run: RunFile, started: Started) -> None:
    """Claims an empty folder for a run; raises OutputError where it holds something."""
    check_free(out)
    write_whole(out / RUN_FILE, dump_run_file(run).encode())
    write_whole(out / STARTED, msgspec.json.format(msgspec.json.encode(_public(started))) + b"\n")


def _public(started: Started) -> Started:
    """Addresses without passwords: where one had any, ``--resume RUN --full ADDRESS`` gives it again."""
    replace = msgspec.structs.replace
    sources = {
        role: tuple(replace(one, path=shown(one.path)) for one in all_) for role, all_ in started.sources.items()
    }
    return replace(started, sources=sources)


def check_free(out: Path) -> None:
    """Raises OutputError where the folder holds something, or where none can be made."""
    above = next(one for one in (out.absolute(), *out.absolute().parents) if one.exists())
    if above != out.absolute() and not above.is_dir():
        raise OutputError(f"--out {out}: {above} is a file, so no folder can be in it; choose another")
    if not os.access(above, os.W_OK):
        raise OutputError(f"--out {out}: nothing may be written to {above}; choose another folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        remedy = f"go on with --resume {out}, or choose" if (out / STARTED).is_file() else "choose"
        raise OutputError(f"--out {out}: holds something already; {remedy} another folder")


def read_begun(out: Path) -> tuple[RunFile, Started]:
    """Run file and datasets of a run that was begun; raises InputError where there is none."""
    if not (out / STARTED).is_file():
        raise InputError(f"--resume {out}: holds no run (no {STARTED}); begin one with --run and --out")
    try:
        started = msgspec.json.decode((out / STARTED).read_bytes(), type=Started)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{out / STARTED}: cannot be read ({error}); begin the run again") from error
    return read_run_file(out / RUN_FILE), started


def local_folder(flag: str, address: str) -> Path:
    """The folder of a run, a path or ``file://``; raises ConfigError for an address elsewhere."""
    if "://" not in address:
        return Path(address)
    folder = Folder(address)
    if not folder.is_local:
        raise ConfigError(
            f"{flag} {address}: a run is written to a folder of this machine or one that is mounted here; give that, "
            "and copy the run there when it is done"
        )
    return Path(folder.path("").rstrip("/"))


def hold(out: Path) -> IO[bytes]:
    """Holds a run as long as the file is open and this process lives; raises OutputError where another one does.

    The lock is the system's (POSIX): it ends with its process, however that ends, and holds on NFS, too.
    """
    handle = (out / LOCK).open("ab")
    limit = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() < limit:
                time.sleep(0.2)
                continue
            handle.close()
            raise OutputError(
                f"{out}: another process trains this run; let it finish or stop it, then --resume"
            ) from error
        return handle


def is_held(out: Path) -> bool:
    """Whether a process, here or elsewhere on the shared disk, trains the run now."""
    try:
        with (out / LOCK).open("r+b") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except (BlockingIOError, PermissionError):
        return True
    return False


def holds_run(out: Path) -> bool:
    """Whether a run was begun in the folder."""
    return (out / STARTED).is_file()


def check_same_run(out: Path, run: RunFile, sources: Sources, shares: Shares) -> None:
    """Raises OutputError where the folder holds a run of another run file or of other datasets."""
    held, started = read_begun(out)
    same_sets = _identities(started.sources) == _identities(sources) and started.shares == shares
    if dump_run_file(held) != dump_run_file(run) or not same_sets:
        what = "datasets" if same_sets is False else "values"
        raise OutputError(
            f"--out {out}: holds a run with other {what}, so --go-on cannot go on with it; choose another folder, or "
            f"--resume {out} for that run"
        )


def with_moved(started: Started, moved: Mapping[str, Sequence[str]]) -> Started:
    """What the run began with, its datasets where they are now: each is known by its manifest's sha256, not by name.

    Raises InputError for one that the run did not begin with.
    """
    sources = dict(started.sources)
    for role, paths in moved.items():
        for path in paths:
            found = open_dataset(role, path)
            places = [number for number, one in enumerate(sources.get(role, ())) if one.identity == found.identity]
            if not places:
                raise InputError(
                    f"--{role} {path}: is no dataset that the run began with (its manifest has another sha256); give "
                    "the one that was moved, or begin a new run"
                )
            known = list(sources[role])
            for number in places:
                known[number] = found
            sources[role] = tuple(known)
    return msgspec.structs.replace(started, sources=sources)


def _identities(sources: Sources) -> dict[str, list[str]]:
    return {role: [one.identity for one in datasets] for role, datasets in sources.items()}


def check_unchanged(started: Started) -> None:
    """Raises InputError where a dataset is no longer what the run began with."""
    for role, dataset in [(role, one) for role, datasets in started.sources.items() for one in datasets]:
        if open_dataset(role, dataset.path).identity != dataset.identity:
            raise InputError(
                f"--{role} {dataset.path}: was built anew since the run began, so the run cannot go on as it was; "
                "begin a new one"
            )


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all, also after a power cut."""
    with_temporary(path, lambda temporary: temporary.write_bytes(data))


def with_temporary(path: Path, write: Callable[[Path], Any]) -> None:
    """Lets ``write`` fill a temporary name beside ``path`` with a file or a folder, then gives it its own name.

    A folder that is there already is moved away first, as no system replaces one by another in one act: a kill just
    then leaves neither. Raises OutputError where the disk is full, which torch and safetensors say in their own words.
    """
    temporary = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        for file in [temporary, *temporary.rglob("*")] if temporary.is_dir() else [temporary]:
            _sync(file)
        if temporary.is_dir() and path.exists():
            old = path.with_name(f".{path.name}.tmp-old-{uuid.uuid4().hex[:8]}")
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {_MAKE_ROOM}") from error
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, SafetensorError) or _TORCH_CANNOT_WRITE.search(str(error)):
            raise OutputError(f"{path}: cannot be written ({in_one_line(error)[:120]}); {_MAKE_ROOM}") from error
        raise


def sweep(out: Path) -> None:
    """Removes what killed processes left half written."""
    for pattern in (".*.tmp-*", f"{CHECKPOINTS}/.*.tmp-*"):
        for path in out.glob(pattern):
            _remove(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
