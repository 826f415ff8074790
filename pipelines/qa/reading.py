"""Reads what QA shows: which samples are chosen, those alone from their tars, and what a phrase says of itself."""

import hashlib
import heapq
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from xdetr_data.errors import InputError, RecordError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage, Phrase
from xdetr_data.schema import from_json
from xdetr_data.shards.reader import PHOTO_SUFFIXES, read_batches, read_records, stems
from xdetr_data.shards.tar_stream import MAX_MEMBER_BYTES, TarDamage, iter_headers, member_key
from xdetr_data.stages.noun_phrases.number import SINGULAR
from xdetr_data.stages.noun_phrases.words import load_words
from xdetr_data.storage import Folder

_TRACE = re.compile(r"\btrace (\d+(?:\.\d+)?)")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A sample to look at: its labels, the sha256 of their JSON, and its photo."""

    record: GroundedImage
    stem: str
    sha256: str
    photo: bytes
    suffix: str


def choose_keys(
    dataset: Folder,
    manifest: Manifest,
    *,
    wanted: Callable[[GroundedImage], bool] | None,
    sample: int | None,
    seed: int,
) -> dict[str, list[str]]:
    """Keys to look at by the stem of their shard: all that are wanted, or a sample of these by a seeded hash of the
    key. A larger sample holds the smaller one."""
    names = stems(manifest)
    if wanted is None:
        found = (
            (key, stem)
            for stem in names
            for batch in read_batches(dataset, stem, ["key"], 1 << 14)
            for key in batch.column(0).to_pylist()
        )
    else:
        found = ((record.key, stem) for stem in names for record in read_records(dataset, stem) if wanted(record))
    if sample is not None:
        found = iter(heapq.nsmallest(sample, found, key=lambda one: _lot(one[0], seed)))
    chosen: dict[str, list[str]] = {}
    for key, stem in found:
        chosen.setdefault(stem, []).append(key)
    return {stem: sorted(chosen[stem]) for stem in sorted(chosen)}


def _lot(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {key}".encode(), digest_size=12).digest()


def read_chosen(dataset: Folder, chosen: dict[str, list[str]]) -> Iterator[Chosen]:
    """The chosen samples, one at a time in memory; everything else in the tars is skipped.

    Raises InputError where a shard is damaged, or holds labels without photos.
    """
    for stem, keys in chosen.items():
        name = f"{stem}.tar"
        missing = set(keys)
        try:
            for key, members in _members(dataset, name, missing):
                missing.discard(key)
                yield _chosen(dataset, stem, key, members)
        except (TarDamage, RecordError, OSError) as error:
            raise InputError(f"{dataset.path(name)}: {error}; see 'xdetr-data validate {dataset.url}'") from error
        if missing:
            raise InputError(
                f"{dataset.path(name)}: has no {min(missing)}, which its Parquet file has; "
                f"see 'xdetr-data validate {dataset.url}'"
            )


def _members(dataset: Folder, name: str, wanted: set[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and members (by suffix) of the wanted samples."""
    current, members = "", {}
    wanted = set(wanted)
    with dataset.open(name) as stream:
        for header in iter_headers(stream):
            key, suffix = member_key(header.name)
            if members and key != current:
                yield current, members
                members = {}
            current = key
            if key in wanted and header.isreg() and header.size <= MAX_MEMBER_BYTES:
                stream.seek(header.offset_data)
                members[suffix] = stream.read(header.size)
    if members:
        yield current, members


def _chosen(dataset: Folder, stem: str, key: str, members: dict[str, bytes]) -> Chosen:
    if "json" not in members:
        raise TarDamage(f"key {key!r} has no {key}.json")
    record = from_json(members["json"])
    suffix = next((one for one in PHOTO_SUFFIXES if one in members), None)
    if suffix is None:
        raise InputError(
            f"{dataset.url}: {stem}.tar holds labels without photos (--metadata-only), nothing to look at; "
            "build it with photos"
        )
    return Chosen(
        record=record,
        stem=stem,
        sha256=hashlib.sha256(members["json"]).hexdigest(),
        photo=members[suffix],
        suffix=suffix,
    )


def trace_agreement(phrase: Phrase) -> float | None:
    """How well the phrase's box agrees with the mouse, where pseudo-labelling noted it."""
    found = _TRACE.search(phrase.provenance.detail)
    return None if found is None else float(found[1])


def says_one(text: str) -> bool:
    """Whether a phrase's words say that it means one object: "a dog", not "dogs", "a few dogs" or "a pair of dogs"."""
    words = load_words()
    said = [word.lower() for word in _WORD.findall(text)]
    if not said or said[0] not in SINGULAR:
        return False
    groups = {one for one, following in pairwise(said) if following == "of"}
    many = words.quantity_nouns.every | words.plural_words
    numbers = {word for word in said[1:] if words.numbers.get(word, 1) > 1}
    return not (groups & words.quantity_nouns.every or set(said[:2]) & (many - SINGULAR) or numbers)
