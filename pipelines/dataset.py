"""The life of an output folder: opened or resumed, filled shard by shard, and finished with its manifest."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from xdetr_data.errors import OutputError
from xdetr_data.manifest import MANIFEST, InputEntry, Manifest
from xdetr_data.storage import Folder

WORK = "_work"
RUN = f"{WORK}/run.json"

Existing = Literal["refuse", "resume", "overwrite"]


class RunMarker(msgspec.Struct, frozen=True, kw_only=True):
    """Written first: which configuration the folder's files belong to."""

    config_hash: str


def config_hash(config: Any, inputs: Sequence[InputEntry], plan_digest: str) -> str:
    """Hash of all that decides the bytes of a shard. Where the inputs lie does not count; what they hold does."""
    identity = [config, [(one.role, one.sha256) for one in inputs], plan_digest]
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()


def open_output(out: Folder, existing: Existing) -> None:
    """Makes sure that the folder may be written to; raises OutputError where something is in the way."""
    if existing == "overwrite":
        if out.exists() and out.names() and not (out.exists(MANIFEST) or out.exists(RUN)):
            raise OutputError(f"{out.url}: holds files that are no dataset of this tool; choose another --out")
        out.write(RUN, msgspec.json.encode(RunMarker(config_hash="being overwritten")))
        for name in [MANIFEST, *out.names(), RUN]:  # the claim goes last, so that a kill in between can be repeated
            if name != WORK:
                out.remove(name)
        out.remove(WORK)
    elif existing == "refuse" and out.exists() and out.names():
        state = (
            "a finished dataset" if out.exists(MANIFEST) else "an unfinished run" if out.exists(RUN) else "other files"
        )
        raise OutputError(f"{out.url}: holds {state}; say --resume or --overwrite, or choose another --out")


def claim_output(out: Folder, digest: str) -> None:
    """Marks the folder as this configuration's; raises OutputError where it is another's."""
    found = _claimed_by(out)
    if found is not None and found != digest:
        raise OutputError(
            f"{out.url}: was begun with another configuration or other inputs ({found[:12]}, now {digest[:12]}); "
            "repeat the first command, or say --overwrite"
        )
    if found is None and out.exists() and out.names():
        raise OutputError(f"{out.url}: holds files that are no dataset of this tool; choose another --out")
    out.write(RUN, msgspec.json.encode(RunMarker(config_hash=digest)))


def _claimed_by(out: Folder) -> str | None:
    if out.exists(MANIFEST):
        return msgspec.json.decode(out.read(MANIFEST), type=Manifest).config_hash
    if out.exists(RUN):
        return msgspec.json.decode(out.read(RUN), type=RunMarker).config_hash
    return None
