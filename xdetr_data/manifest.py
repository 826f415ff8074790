"""The manifest of a dataset: written last, so that a dataset is complete only where it is present.

It holds no times, so that the same inputs, configuration and seed give the same manifest.
"""

from importlib import metadata
from typing import Any

import msgspec

from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError, XdetrDataError, shown
from xdetr_data.storage import FileEntry, Folder

MANIFEST = "manifest.json"
MANIFEST_VERSION = 2  # 2: shards say how many groups they have


class InputEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An input file: what it was for, where it was, its bytes and sha256 as stored.

    Of a file of a public dataset also that dataset's name, where it is described, and its licence.
    """

    role: str
    path: str
    bytes: int
    sha256: str
    dataset: str | None = None
    homepage: str | None = None
    licence: str | None = None


class ExclusionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the excluded-photo ledger: a list, how many ids it holds, how many photos of which source it hit.

    ``looked_for`` is how many of its ids were looked for in which source.
    """

    path: str
    format: str
    ids: int
    hits: dict[str, int]
    looked_for: dict[str, int] = {}


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A shard: its number of samples and its files. ``groups``: the paragraphs of all its samples, as
    ``shards.groups`` counts them; None in a trail, and in datasets of manifest version 1."""

    shard: int
    rows: int
    files: list[FileEntry]
    groups: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the dataset was made from, how, and what became of every input element.

    ``trail`` are the shards of the audit trail that labels were chosen from, where a model gave candidates;
    ``trail_prefix`` is what their names begin with; ``machines`` are the kinds of machine (processor, device, versions
    of libraries) that the model worked on, which decide the last bits of its scores. ``warnings`` are of inputs that
    contributed nothing. ``layers``, of a dataset that grew: how many shards were made at a time, in order.
    ``schema`` is the version of the samples' layout, ``manifest_version`` that of this file, which
    :func:`write_manifest` sets.
    """

    schema: int
    recipe: str
    tool_version: str
    prefix: str
    split: str
    seed: int
    config: dict[str, Any]
    config_hash: str
    inputs: list[InputEntry]
    exclusions: list[ExclusionEntry]
    accounting: dict[str, Any]
    rows: int
    shards: list[ShardEntry]
    rejects: list[FileEntry]
    trail_prefix: str = ""
    trail: list[ShardEntry] = []
    machines: list[dict[str, str]] = []
    warnings: list[str] = []
    layers: list[int] | msgspec.UnsetType = msgspec.UNSET
    manifest_version: int = 1

    @property
    def shard_layers(self) -> tuple[int, ...]:
        """How many shards were made at a time: a photo is in one of the shards that its hash names among these."""
        return (len(self.shards),) if self.layers is msgspec.UNSET else tuple(self.layers)


def tool_version() -> str:
    """Version of this tool."""
    return metadata.version("xdetr-data")


def write_manifest(folder: Folder, manifest: Manifest) -> None:
    """Writes the manifest in this tool's version, addresses without their secrets: the dataset is complete."""
    manifest = msgspec.structs.replace(manifest, manifest_version=MANIFEST_VERSION)
    values = _without_secrets(msgspec.to_builtins(manifest))
    folder.write(MANIFEST, msgspec.json.format(msgspec.json.encode(values, order="deterministic"), indent=1))


def _without_secrets(value: Any) -> Any:
    """Every text of a value, keys among them, as it may be seen."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {_without_secrets(key): _without_secrets(one) for key, one in value.items()}
    return [_without_secrets(one) for one in value] if isinstance(value, list | tuple) else value


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of a finished dataset; raises InputError where there is none, or one that is not understood."""
    if not folder.exists(MANIFEST):
        raise InputError(
            f"{folder.url}: has no {MANIFEST}: no dataset, or its run is not finished (repeat it with --resume)"
        )
    try:
        manifest = msgspec.json.decode(folder.read(MANIFEST), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{folder.path(MANIFEST)}: is no manifest of this tool ({error})") from error
    if not 1 <= manifest.manifest_version <= MANIFEST_VERSION:
        raise InputError(
            f"{folder.path(MANIFEST)}: is of version {manifest.manifest_version}, this tool reads up to "
            f"{MANIFEST_VERSION}; read it with the version that wrote it ({manifest.tool_version})"
        )
    try:
        Tally.from_builtins(manifest.accounting)
    except XdetrDataError as error:
        raise InputError(f"{folder.path(MANIFEST)}: {error}; copy it again") from error
    return manifest
