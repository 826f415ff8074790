"""The life of an index's folder while a part is made: whose it is, what is in the way, and what a kill leaves."""

import msgspec

from pipelines.folder import OF_THE_RUN, OTHER_FILES, RUN, WORK, Existing, RunMarker
from pipelines.search.layout import INDEX, read_index
from xdetr_data.errors import OutputError
from xdetr_data.storage import Folder


def open_index_folder(out: Folder, existing: Existing, *, add: bool) -> None:
    """Makes sure that the folder may be written to; raises OutputError where something is in the way."""
    is_index, is_begun = out.exists(INDEX), out.exists(RUN)
    if not (is_index or is_begun) and set(out.names()) - {WORK}:
        raise OutputError(f"{out.url}: {OTHER_FILES}; choose another --out")
    if add and not is_index:
        raise OutputError(f"--add: {out.url} holds no finished index to add to; leave --add out")
    if existing == "refuse" and is_begun and not _is_settled(out):
        raise OutputError(f"{out.url}: holds an unfinished run; say --resume or --overwrite, or choose another --out")
    if existing == "refuse" and is_index and not add:
        raise OutputError(
            f"{out.url}: holds a finished index; say --add to add these photos to it, or --overwrite, or choose "
            "another --out"
        )


def claim_index(out: Folder, digest: str) -> None:
    """Marks the folder as this run's; raises OutputError where it was begun by another one."""
    found = None if _is_settled(out) else _claimed_by(out)
    if found not in (None, digest):
        raise OutputError(
            f"{out.url}: was begun with another model, other photos or options, or another version of this tool "
            f"({found[:12]}, now {digest[:12]}); repeat the first command, or say --overwrite"
        )
    out.write(RUN, msgspec.json.encode(RunMarker(config_hash=digest)))
    out.sweep()


def clear_index(out: Folder, *, add: bool) -> None:
    """Removes an earlier index, its list of parts first; with ``add`` only what no index counts.

    The claim stands first and goes last, so that a kill in between can be repeated.
    """
    out.write(RUN, msgspec.json.encode(RunMarker(config_hash="overwritten")))
    kept = {INDEX, WORK}
    if add:
        index = read_index(out)
        kept |= {one.name for one in index.parts} | ({index.removed.name} if index.removed else set())
    else:
        out.remove(INDEX)
    for name in set(out.names()) - kept:
        out.remove(name)
    out.remove(RUN)


def close_index(out: Folder) -> None:
    """Removes the claim."""
    for name in set(out.names(f"{WORK}/*")) - OF_THE_RUN:
        out.remove(name)


def _claimed_by(out: Folder) -> str | None:
    if not out.exists(RUN):
        return None
    try:
        return msgspec.json.decode(out.read(RUN), type=RunMarker).config_hash
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "unreadable"


def _is_settled(out: Folder) -> bool:
    """Whether the run that claimed the folder was killed after its part counted."""
    return out.exists(INDEX) and _claimed_by(out) in {one.config_hash for one in read_index(out).parts}
