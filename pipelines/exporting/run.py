"""Writes a dataset's labels as ODVG, a file for each collection, with the account of what is lost."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from xdetr_data.errors import ConfigError, InputError, OutputError
from xdetr_data.exports.formats import ODVG, ODVG_CLASSES
from xdetr_data.exports.losses import Loss
from xdetr_data.exports.odvg import detection_line, grounding_lines
from xdetr_data.exports.project import project
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder, HashingWriter
from xdetr_data.vocabulary import has_vocabulary, vocabulary_of

ACCOUNT, ANNOTATIONS, LABEL_MAP = "export.json", "annotations", "label_map.json"


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
    that was killed left is nothing."""
    out.sweep()
    is_export = out.exists(ACCOUNT)
    if is_export and overwrite:
        out.remove(ACCOUNT)
        for name in [LABEL_MAP, *out.names(f"{ANNOTATIONS}/*")]:
            if out.exists(name):
                out.remove(name)
    elif is_export:
        raise OutputError(f"{out.url}: holds an export; say --overwrite, or choose another --out")
    elif set(out.names()) - {ANNOTATIONS} or out.names(f"{ANNOTATIONS}/*"):
        raise OutputError(f"{out.url}: holds files that are no export of this tool; choose another --out")


def check_losses(names: Sequence[str]) -> frozenset[Loss]:
    """The losses of these names; raises ConfigError for what is none."""
    known = {one.value for one in Loss}
    if unknown := sorted(set(names) - known):
        raise ConfigError(f"--may-lose {unknown[0]!r} is no loss; choose of {', '.join(sorted(known))}")
    return frozenset(Loss(name) for name in names)


def export_odvg(
    dataset: Folder,
    manifest: Manifest,
    out: Folder,
    *,
    strict: bool,
    may_lose: frozenset[Loss],
    progress: Callable[[int], None],
) -> Account:
    """Writes ``annotations/<collection>.jsonl``, of a dataset of classes ``label_map.json``, and the account last.

    With ``strict``, raises ConfigError where anything is lost that is not in ``may_lose``, and leaves no file.
    """
    labels: dict[str, int] = {}
    if has_vocabulary(manifest):
        for one in vocabulary_of(manifest):
            labels.setdefault(one.text, len(labels))
    target = ODVG_CLASSES if labels else ODVG
    lost: Counter[Loss] = Counter()
    photos = lines = 0
    encoder = msgspec.json.Encoder()
    with ExitStack() as stack:
        sinks: dict[str, HashingWriter] = {}
        for stem in stems(manifest):
            for record in read_records(dataset, stem):
                held, losses = project(record, target)
                lost.update(losses)
                progress(1)
                if held is None:
                    continue
                written = _lines(held, labels)
                sink = sinks.get(record.image.source)
                if sink is None:
                    sink = stack.enter_context(out.writing(_file_of(record)))
                    sinks[record.image.source] = sink
                sink.write(b"".join(encoder.encode(line) + b"\n" for line in written))
                photos += 1
                lines += len(written)
        _refuse(lost, may_lose, strict)
    files = sorted(f"{ANNOTATIONS}/{name}.jsonl" for name in sinks)
    if labels:
        out.write(LABEL_MAP, encoder.encode({str(number): text for text, number in labels.items()}))
    account = Account(
        format=target.name,
        dataset=manifest.config_hash,
        photos_in=manifest.rows,
        photos_out=photos,
        lines=lines,
        lost={loss.value: count for loss, count in sorted(lost.items())},
        files=files,
        licences=sorted({one.licence for one in manifest.inputs if one.licence}),
    )
    out.write(ACCOUNT, msgspec.json.format(encoder.encode(account), indent=1))
    return account


def _lines(record: GroundedImage, labels: dict[str, int]) -> list[dict[str, Any]]:
    if not labels:
        return grounding_lines(record, record.image.file_name)
    for query in record.queries:
        if query.text not in labels:
            raise InputError(
                f"{record.key}: {query.text[:60]!r} is no class of the dataset's vocabulary; build it again"
            )
    return [detection_line(record, record.image.file_name, labels)]


def _file_of(record: GroundedImage) -> str:
    source = record.image.source
    if not (source.isascii() and source.isalnum()):
        raise InputError(f"{record.key}: source {source!r} cannot name a file; build the dataset with a plain name")
    return f"{ANNOTATIONS}/{source}.jsonl"


def _refuse(lost: Counter[Loss], may_lose: frozenset[Loss], strict: bool) -> None:
    refused = {loss.value: count for loss, count in sorted(lost.items()) if loss not in may_lose}
    if strict and refused:
        told = ", ".join(f"{name} {count:,}" for name, count in refused.items())
        raise ConfigError(f"--strict: would be lost: {told}; leave --strict out, or say --may-lose NAME for each")
