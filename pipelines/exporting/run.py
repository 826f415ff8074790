"""Writes a dataset's labels in the format of others, with the account of what is lost."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

import msgspec

from pipelines.exporting.writers import target_of, writer_of
from xdetr_data.errors import ConfigError, OutputError
from xdetr_data.exports.chat import Style
from xdetr_data.exports.losses import Loss
from xdetr_data.exports.project import project
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder
from xdetr_data.vocabulary import has_vocabulary, vocabulary_of

ACCOUNT = "export.json"
_FOLDERS = ("annotations", "data")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was written (``export.json``): photos in = out + left out; what is lost, by ``exports.losses.Loss``."""

    format: str
    dataset: str
    photos_in: int
    photos_out: int
    lines: int
    lost: dict[str, int]
    files: list[str]
    licences: list[str]


def open_destination(out: Folder, *, overwrite: bool) -> None:
    """Raises OutputError where the folder holds something; with ``overwrite`` an earlier export is removed. What one
    that was killed left is in the way, too, unless it is nothing but folders."""
    out.sweep()
    if out.exists(ACCOUNT) and overwrite:
        for name in [ACCOUNT, *out.names()]:
            out.remove(name)
    elif out.exists(ACCOUNT):
        raise OutputError(f"{out.url}: holds an export; say --overwrite, or choose another --out")
    elif set(out.names()) - set(_FOLDERS) or any(out.names(f"{folder}/*") for folder in _FOLDERS):
        raise OutputError(f"{out.url}: holds files that are no finished export of this tool; choose another --out")


def check_losses(names: Sequence[str]) -> frozenset[Loss]:
    """The losses of these names; raises ConfigError for what is none."""
    known = {one.value for one in Loss}
    if unknown := sorted(set(names) - known):
        raise ConfigError(f"--may-lose {unknown[0]!r} is no loss; choose of {', '.join(sorted(known))}")
    return frozenset(Loss(name) for name in names)


def export_dataset(
    dataset: Folder,
    manifest: Manifest,
    out: Folder,
    *,
    to: str,
    style: Style,
    strict: bool,
    may_lose: frozenset[Loss],
    progress: Callable[[int], None],
) -> Account:
    """Writes a dataset's labels in a format, and the account of what is lost last.

    With ``strict``, raises ConfigError where anything is lost that is not in ``may_lose``, and leaves no file.
    """
    vocabulary = dict.fromkeys(one.text for one in vocabulary_of(manifest)) if has_vocabulary(manifest) else {}
    records = (record for stem in stems(manifest) for record in read_records(dataset, stem))
    if strict:  # before anything is written
        _refuse(_losses(records, to, style, vocabulary), may_lose)
        records = (record for stem in stems(manifest) for record in read_records(dataset, stem))
    lost: Counter[Loss] = Counter()
    photos = lines = 0
    with ExitStack() as stack:
        writer = writer_of(to, style, vocabulary, out, stack)
        for record in records:
            held, losses = project(record, writer.target)
            lost.update(losses)
            progress(1)
            if held is not None:
                lines += writer.add(held)
                photos += 1
        files = writer.finish()
    account = Account(
        format=writer.target.name,
        dataset=manifest.config_hash,
        photos_in=manifest.rows,
        photos_out=photos,
        lines=lines,
        lost={loss.value: count for loss, count in sorted(lost.items())},
        files=files,
        licences=sorted({one.licence for one in manifest.inputs if one.licence}),
    )
    out.write(ACCOUNT, msgspec.json.format(msgspec.json.encode(account), indent=1))
    return account


def _losses(records: Iterable[GroundedImage], to: str, style: Style, vocabulary: Mapping[str, None]) -> Counter[Loss]:
    target = target_of(to, style, vocabulary)
    return sum((project(record, target)[1] for record in records), Counter())


def _refuse(lost: Counter[Loss], may_lose: frozenset[Loss]) -> None:
    refused = {loss.value: count for loss, count in sorted(lost.items()) if loss not in may_lose}
    if refused:
        told = ", ".join(f"{name} {count:,}" for name, count in refused.items())
        raise ConfigError(f"--strict: would be lost: {told}; leave --strict out, or say --may-lose NAME for each")
