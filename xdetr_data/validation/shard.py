"""Checks of one shard: its tar member by member, its labels, photos, Parquet rows, its index, its done-marker."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.manifest import ShardEntry
from xdetr_data.photos.photo import BadPhoto, check_photo
from xdetr_data.record import KEY, GroundedImage
from xdetr_data.schema import to_json
from xdetr_data.shards.groups import groups_per_sample
from xdetr_data.shards.index import Extent, index_name
from xdetr_data.shards.plan import homes_of_key
from xdetr_data.shards.reader import PHOTO_SUFFIXES, group_members
from xdetr_data.shards.tar_stream import HashingReader, Member, TarDamage, iter_members, member_key
from xdetr_data.shards.writer import shard_name
from xdetr_data.storage import Folder
from xdetr_data.validation.files import Identity, check_files, check_stats
from xdetr_data.validation.index import check_index
from xdetr_data.validation.labels import check_labels
from xdetr_data.validation.rows import LabelRows
from xdetr_data.validation.violation import BUILD_AGAIN, COPY_AGAIN, Violation, violation


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardContext:
    """What every shard of the dataset shares. ``metadata_only``: the dataset was built without photos."""

    folder: Folder
    prefix: str
    seed: int
    layers: tuple[int, ...]
    config_hash: str
    metadata_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What was found in a shard: the distinct keys of its tar in order, the number of its photos, violations."""

    shard: int
    keys: list[str]
    photos: int
    violations: list[Violation]


def check_shard(context: ShardContext, entry: ShardEntry) -> ShardReport:
    """Checks one shard; never raises for what its files hold."""
    stem = shard_name(context.prefix, entry.shard)
    check = _TarCheck(context, f"{stem}.tar", entry.shard, LabelRows(context.folder, stem))
    check.run(entry)
    files = check_files(context.folder, entry.files, known=check.identity)
    contents = [*check.violations, *check.rows.violations]
    damaged = {one.file for one in files}
    has_index = any(one.name == index_name(stem) for one in entry.files)
    if has_index and check.members_are_known and check.file not in damaged:
        contents += check_index(context.folder, stem, check.members)
    violations = [
        *files,
        *(_damaged(one) if one.file in damaged else one for one in contents),
        *check_stats(context.folder, context.prefix, entry, context.config_hash),
    ]
    return ShardReport(shard=entry.shard, keys=check.keys, photos=check.photos, violations=violations)


def _damaged(one: Violation) -> Violation:
    """What is wrong inside a file that is not the one that was built is mended by copying it again."""
    return msgspec.structs.replace(one, remedy=COPY_AGAIN)


@dataclass(slots=True)
class _TarCheck:
    """Walks through a tar once and collects what is wrong."""

    context: ShardContext
    file: str
    shard: int
    rows: LabelRows
    violations: list[Violation] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    photos: int = 0
    identity: dict[str, Identity] = field(default_factory=dict)
    members: dict[str, dict[str, Extent]] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def members_are_known(self) -> bool:
        """Whether the tar was read to its end and holds no member that it may not hold."""
        return self.is_whole and not any(one.rule.startswith("member-") for one in self.violations)

    def run(self, entry: ShardEntry) -> None:
        """Reads the tar to its end, or to where it is damaged, and compares it with its entry in the manifest."""
        try:
            with self.context.folder.open(self.file) as stream:
                reader = HashingReader(stream)
                self.is_whole = self._walk(reader)
                reader.drain()
        except (InputError, OSError) as error:
            if self.context.folder.exists(self.file):  # else the manifest's list of files names it as missing
                self._breach("tar-damaged", str(error), remedy=COPY_AGAIN)
            return
        self.identity[self.file] = Identity(reader.size, reader.sha256)
        self.rows.finish(self.file, tar_is_whole=self.is_whole)
        if self.is_whole:
            self._check_list(self.file, self.keys, entry.rows)
        if self.rows.is_readable:
            self._check_list(self.rows.file, self.rows.keys, entry.rows)
            self._check_groups(entry)

    def _walk(self, reader: HashingReader) -> bool:
        try:
            for key, members in group_members(iter_members(reader)):
                self._sample(key, members)
        except TarDamage as damage:
            self._breach("tar-damaged", str(damage), remedy=COPY_AGAIN)
            return False
        return True

    def _check_groups(self, entry: ShardEntry) -> None:
        """The number of paragraphs, where the manifest states one: a trainer lays out its epochs by it."""
        if entry.groups is None:
            return
        found = int(groups_per_sample(self.context.folder, self.rows.file.removesuffix(".parquet")).sum())
        if found != entry.groups:
            what = f"holds {found} groups, but the manifest states {entry.groups}"
            self.violations.append(violation(self.rows.file, "group-count", what, remedy=BUILD_AGAIN))

    def _check_list(self, file: str, keys: Sequence[str], stated: int) -> None:
        """Number and order of the keys of one file."""
        if len(keys) != stated:
            what = f"holds {len(keys)} samples, but the manifest states {stated}"
            self.violations.append(violation(file, "row-count", what, remedy=BUILD_AGAIN))
        for before, key in pairwise(keys):
            if key < before:
                what = f"stands after {before!r}: keys are not sorted"
                self.violations.append(violation(file, "key-order", what, key=key, remedy=BUILD_AGAIN))

    def _sample(self, key: str, members: Sequence[Member]) -> None:
        data = dict(self._members(key, members))
        if not data:
            return
        self.keys.append(key)
        if key in self.seen:
            self._breach("key-twice", "occurs twice in this shard", key)
            return
        self.seen.add(key)
        record = self._labels(key, data)
        photos = [suffix for suffix in PHOTO_SUFFIXES if suffix in data]
        for suffix in photos[1:]:
            self._breach("member-extra", f"{key}.{suffix} is a second photo of the sample", key)
        if record is not None:
            self._photo(record, photos[0] if photos else None, data)

    def _members(self, key: str, members: Sequence[Member]) -> Iterator[tuple[str, bytes]]:
        """Suffix and data of the members that a sample may have; others are named."""
        seen = set()
        for member in members:
            _, suffix = member_key(member.name)
            if problem := _unsafe_member(member.name):
                self._breach("member-name", f"member {member.name!r} {problem}", key)
            elif member.refused:
                self._breach("member-type", f"member {member.name!r} {member.refused}", key)
            elif suffix in seen:
                self._breach("member-twice", f"member {member.name!r} occurs twice", key)
            elif suffix not in ("json", *PHOTO_SUFFIXES):
                what = f"member {member.name!r} is neither labels (json) nor a photo ({', '.join(PHOTO_SUFFIXES)})"
                self._breach("member-extra", what, key)
            else:
                seen.add(suffix)
                self.members.setdefault(key, {})[suffix] = (member.offset, len(member.data))
                yield suffix, member.data

    def _labels(self, key: str, data: dict[str, bytes]) -> GroundedImage | None:
        """The record of a sample, if it has one, compared with its row."""
        if "json" not in data:
            self._breach("json-missing", f"there is no {key}.json beside its photo", key)
            self.rows.skip(key)
            return None
        record, breaches = check_labels(data["json"])
        for breach in breaches:
            self._breach(breach.rule, f"{key}.json: {breach.what}", key)
        if record is None:
            self.rows.skip(key)
            return None
        if record.key != key:
            self._breach("key-differs", f"{key}.json says that its key is {record.key!r}", key)
        if self.shard not in (homes := homes_of_key(key, seed=self.context.seed, layers=self.context.layers)):
            self._breach("wrong-shard", f"belongs to shard {' or '.join(map(str, homes))} by its hash", key)
        self.rows.compare(key, to_json(record), self.file)
        return record

    def _photo(self, record: GroundedImage, suffix: str | None, data: dict[str, bytes]) -> None:
        key, image = record.key, record.image
        if suffix is None:
            if image.sha256 is not None or not self.context.metadata_only:
                self._breach("photo-missing", "has no photo, but the dataset was built with photos", key)
            return
        self.photos += 1
        if image.sha256 is None:
            self._breach("photo-unexpected", f"{key}.{suffix} is there, but its labels state no sha256", key)
        photo = check_photo(data[suffix], f"{key}.{suffix}")
        if isinstance(photo, BadPhoto):
            self._breach(photo.reason, photo.detail, key)
            return
        if image.sha256 not in (None, photo.sha256):
            self._breach(
                "photo-checksum", f"{key}.{suffix} has sha256 {photo.sha256}, labels state {image.sha256}", key
            )
        if photo.size_hw != image.size_hw:
            (height, width), (stated_height, stated_width) = photo.size_hw, image.size_hw
            what = f"{key}.{suffix} is {width}x{height} pixels, labels state {stated_width}x{stated_height}"
            self._breach("photo-size", what, key)
        if photo.suffix != suffix:
            self._breach("photo-type", f"{key}.{suffix} is of type {photo.suffix}", key)

    def _breach(self, rule: str, what: str, key: str = "", *, remedy: str = BUILD_AGAIN) -> None:
        self.violations.append(violation(self.file, rule, what, key=key, remedy=remedy))


def _unsafe_member(name: str) -> str | None:
    if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or "\0" in name:
        return "leaves the folder that it would be unpacked into"
    if not KEY.fullmatch(member_key(name)[0]):
        return "has no key of letters, digits, '_', '-' and '%' before its first dot"
    return None
