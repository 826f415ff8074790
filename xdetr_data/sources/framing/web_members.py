"""What img2dataset's tars hold, key by key: found from header to header, without reading a photo."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from xdetr_data.errors import InputError
from xdetr_data.shards.tar_stream import MAX_MEMBER_BYTES, TarDamage, any_member_key, iter_headers

PHOTO_ENDINGS = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebMembers:
    """What a tar holds of one key: by ending the offset and the size of each part; ``is_mixed`` if of two photos."""

    key: str
    parts: Mapping[str, tuple[int, int]]
    is_mixed: bool
    stream: IO[bytes]

    @property
    def photo(self) -> tuple[int, int] | None:
        """Where the photo's own bytes are."""
        return next((self.parts[suffix] for suffix in PHOTO_ENDINGS if suffix in self.parts), None)

    def read(self, suffix: str) -> bytes:
        """The bytes of a part."""
        offset, size = self.parts[suffix]
        self.stream.seek(offset)
        return self.stream.read(size)


def iter_web_members(path: str, stream: IO[bytes]) -> Iterator[WebMembers]:
    """What an open tar holds, key by key in the order of first mention, going from header to header.

    Raises InputError where the file is no tar from its beginning to its end mark.
    """
    members: dict[str, dict[str, tuple[int, int]]] = {}
    mixed: set[str] = set()  # keys of two photos
    try:
        for header in iter_headers(stream):
            key, suffix = any_member_key(header.name)
            if header.isreg() and header.size <= MAX_MEMBER_BYTES:
                parts = members.setdefault(key, {})
                if suffix.lower() in parts:
                    mixed.add(key)
                parts.setdefault(suffix.lower(), (header.offset_data, header.size))
    except TarDamage as error:
        raise InputError(f"{path}: {error}; fetch it again, or leave it out of --images") from error
    for key, parts in members.items():
        yield WebMembers(key=key, parts=parts, is_mixed=key in mixed, stream=stream)
