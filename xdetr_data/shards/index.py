"""Where each sample lies in a shard's tar: ``<stem>.idx``, written beside the tar so that one sample is one range read.

The format is the text file of NVIDIA DALI's ``wds2idx`` (v1.2), which its ``fn.readers.webdataset`` takes as it is: a
first line ``v1.2 <samples>``, then for each sample one line of ``<suffix> <offset> <size> <member's name>`` for each
of its members. Offsets are of the member's data, behind its header.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from tarfile import TarInfo

from xdetr_data.errors import InputError
from xdetr_data.shards.tar_stream import BLOCK, member_key

VERSION = "v1.2"
_FIELDS = 4

Extent = tuple[int, int]  # offset and length in bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sample's members lie in the tar: suffix (``json``, ``jpg``) → offset and length of its data."""

    key: str
    members: Mapping[str, Extent]

    @property
    def extent(self) -> Extent:
        """The one stretch of the tar that holds all members."""
        begin = min(offset for offset, _ in self.members.values())
        return begin, max(offset + size for offset, size in self.members.values()) - begin


def index_name(stem: str) -> str:
    """Name of a shard's index."""
    return f"{stem}.idx"


def encode_index(places: Sequence[Place]) -> bytes:
    """The file's bytes; ``decode_index`` inverts it."""
    lines = [
        " ".join(f"{suffix} {offset} {size} {place.key}.{suffix}" for suffix, (offset, size) in place.members.items())
        for place in places
    ]
    return "".join(f"{line}\n" for line in [f"{VERSION} {len(places)}", *lines]).encode()


def decode_index(data: bytes) -> list[Place]:
    """The samples of an index in the order of the tar; raises InputError, saying at which line it is none."""
    try:
        head, *lines = data.decode().splitlines()
        if head != f"{VERSION} {len(lines)}":
            raise InputError(f"begins with {head[:40]!r}, not with '{VERSION} {len(lines)}'")
    except (UnicodeDecodeError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError(f"is no index ({error})") from error
    places = [_place(number, line) for number, line in enumerate(lines, start=2)]
    if len({place.key for place in places}) < len(places):
        raise InputError("names a sample twice")
    return places


def _place(number: int, line: str) -> Place:
    words = line.split(" ")
    members: dict[str, Extent] = {}
    keys = set()
    try:
        for begin in range(0, len(words), _FIELDS):
            suffix, offset, size, name = words[begin : begin + _FIELDS]
            key, same = member_key(name)
            if suffix != same or suffix in members or int(offset) < BLOCK or int(size) < 0:
                raise ValueError(f"{name!r}")
            members[suffix] = (int(offset), int(size))
            keys.add(key)
        (key,) = keys
    except ValueError as error:
        raise InputError(f"line {number} does not name the members of one sample ({error})") from error
    return Place(key=key, members=members)


def walk(headers: Iterable[TarInfo]) -> list[Place]:
    """What the index of a tar says, from the headers of the tar itself (``iter_headers``)."""
    members: dict[str, dict[str, Extent]] = {}
    for header in headers:
        key, suffix = member_key(header.name)
        if header.isreg():
            members.setdefault(key, {})[suffix] = (header.offset_data, header.size)
    return [Place(key=key, members=parts) for key, parts in members.items()]
