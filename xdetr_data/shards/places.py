"""Where the members of a shard's samples lie in its tar: by the index, or by a walk over the tar's headers."""

from xdetr_data.errors import InputError
from xdetr_data.shards.index import Place, decode_index, index_name, walk
from xdetr_data.shards.tar_stream import TarDamage, iter_headers
from xdetr_data.storage import Folder


def read_places(folder: Folder, stem: str, *, has_index: bool) -> list[Place]:
    """The places in the tar's order; raises InputError where index or tar are damaged."""
    if not has_index:
        return _walked(folder, stem)
    name = index_name(stem)
    data = folder.read(name)
    try:
        return decode_index(data)
    except InputError as error:
        raise InputError(f"{folder.path(name)}: {error}; copy it again") from error


def _walked(folder: Folder, stem: str) -> list[Place]:
    name = f"{stem}.tar"
    try:
        with folder.open(name) as stream:
            return walk(iter_headers(stream))
    except (TarDamage, OSError) as error:
        raise InputError(f"{folder.path(name)}: {error}; see 'xdetr-data validate {folder.url}'") from error
